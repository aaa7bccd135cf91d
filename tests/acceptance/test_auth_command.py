"""`orrery auth` on a running deployment: what it changes holds at once, what is refused changes nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

if TYPE_CHECKING:
    from tests.acceptance.conftest import Cli

pytestmark = pytest.mark.acceptance
PASSWORD = "a horse of the acceptance test"
ANOTHER = "another horse of the test"


def test_access_is_managed_from_the_command_line(cli: Cli, project: Path, free_port: int) -> None:
    (project / "orrery.yaml").write_text("name: access\nruntime: 17.0.0\n")
    started = cli(project, "up", "--detach", "--port", str(free_port), timeout=600)
    assert started.code == 0, started.err
    url = f"http://127.0.0.1:{free_port}"

    _people_roles_and_explanations(cli, project, url)
    _somebody_is_invited(cli, project, url)
    _a_file_is_applied_once(cli, project)
    _airflowctl_works_with_an_api_token(cli, project, url)


def _people_roles_and_explanations(cli: Cli, project: Path, url: str) -> None:
    def auth(*arguments: str, code: int = 0) -> str:
        said = cli(project, "auth", *arguments)
        assert said.code == code, said.err
        return said.err if code else said.out

    def signs_in(password: str) -> bool:
        body = {"username": "grace", "password": password}
        return httpx.post(f"{url}/auth/token", json=body).is_success

    def explained() -> bool:
        said = cli(project, "auth", "explain", "grace", "GET", "dag", "-o", "json")
        return bool(said.json()["is_allowed"])

    auth("users", "create", "--username", "grace", "--email", "grace@example.org", "--password", PASSWORD)
    assert signs_in(PASSWORD)
    assert not explained()

    auth("bindings", "create", "--user", "grace", "--role", "workspace-member")
    assert explained()

    assert "already" in auth("users", "create", "--username", "grace", code=2)
    assert "no role 'boss'" in auth("bindings", "create", "--user", "grace", "--role", "boss", code=2)
    assert "has an owner" in auth("bootstrap", "--username", "eve", "--password", PASSWORD, code=4)

    auth("reset-password", "grace", "--password", ANOTHER)
    assert signs_in(ANOTHER)
    assert not signs_in(PASSWORD)

    # As 'admin' the commands themselves sign in: they learn of the new one.
    auth("reset-password", "admin", "--password", ANOTHER)
    assert "grace" in auth("users", "list")
    status = cli(project, "status", "-o", "json").json()
    assert Path(status["password_file"]).read_text() == ANOTHER


def _somebody_is_invited(cli: Cli, project: Path, url: str) -> None:
    def invitations(*arguments: str) -> Any:
        said = cli(project, "auth", "invitations", *arguments, "-o", "json")
        assert said.code == 0, said.err
        return said.json()

    made = invitations("create", "--email", "joan@example.org", "--role", "workspace-member")
    address, _, secret = made["link"].partition("#")
    assert address == f"{url.replace('127.0.0.1', 'localhost')}/auth/invitation"
    body = {"token": secret, "username": "joan", "password": PASSWORD}
    accepted = httpx.post(f"{url}/auth/invitation", data=body)
    assert accepted.status_code == 303, accepted.text
    said = cli(project, "auth", "explain", "joan", "GET", "dag", "-o", "json")
    assert said.json()["is_allowed"]

    other = invitations("create", "--email", "kay@example.org")
    invitations("withdraw", other["id"])
    assert [each["email"] for each in invitations("list")] == ["joan@example.org"]
    refused = cli(project, "auth", "invitations", "withdraw", other["id"])
    assert (refused.code, "no such invitation" in refused.err) == (2, True)


def _airflowctl_works_with_an_api_token(cli: Cli, project: Path, url: str) -> None:
    made = cli(project, "auth", "tokens", "create", "--name", "airflowctl", "-o", "json").json()
    environment = {
        "PATH": os.environ["PATH"],
        "AIRFLOW_HOME": str(project.parent / "airflowctl"),
        "AIRFLOW_CLI_TOKEN": made["token"],
    }

    def airflowctl(*arguments: str) -> subprocess.CompletedProcess[str]:
        program = Path(sys.executable).with_name("airflowctl")
        return subprocess.run(
            [program, *arguments], env=environment, capture_output=True, text=True, check=False, timeout=120
        )

    signed_in = airflowctl("auth", "login", "--skip-keyring", "--api-url", url)
    assert signed_in.returncode == 0, signed_in.stdout + signed_in.stderr
    listed = airflowctl("dags", "list", "-o", "json")
    assert "hello" in listed.stdout, listed.stdout + listed.stderr
    assert cli(project, "auth", "tokens", "revoke", made["id"]).code == 0
    refused = airflowctl("dags", "list", "-o", "json")
    assert "hello" not in refused.stdout
    assert refused.returncode != 0


def _a_file_is_applied_once(cli: Cli, project: Path) -> None:
    file = project / "access.yaml"
    file.write_text(
        "users:\n  - username: alan\n    email: alan@example.org\n"
        "teams:\n  - name: research\n    members: [alan]\n"
        "bindings:\n  - {team: research, role: dag-viewer, scope: 'dag:of-tomorrow'}\n"
    )

    def applied(*options: str) -> tuple[int, int]:
        said = cli(project, "auth", "apply", "access.yaml", "-o", "json", *options)
        assert said.code == 0, said.err
        return len(said.json()["changes"]), len(said.json()["dangling"])

    assert applied("--dry-run") == (4, 0)
    assert applied() == (4, 1)
    assert applied() == (0, 1)

    file.write_text("bindings:\n  - {user: alan, role: boss}\n")
    said = cli(project, "auth", "apply", "access.yaml")
    assert (said.code, "no role 'boss'" in said.err) == (2, True)
