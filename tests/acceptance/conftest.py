"""What the acceptance tests share: the installed `orrery`, and one running copy of the example project."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import httpx
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

REPOSITORY = Path(__file__).parents[2]
ORRERY = Path(sys.executable).with_name("orrery")


@dataclass(frozen=True, kw_only=True)
class Said:
    """What a command said, and its exit code."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


class Cli(Protocol):
    """Runs the installed `orrery` in a folder."""

    def __call__(
        self, folder: Path, *arguments: str, env: dict[str, str] | None = None, timeout: float = 300
    ) -> Said: ...


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a user: nothing of Airflow's or ours set, a cache of its own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "ORRERY"))}
    return kept | {"ORRERY_CACHE_DIR": str(tmp_path_factory.mktemp("cache"))}


@pytest.fixture(scope="session")
def cli(environment: dict[str, str]) -> Cli:
    def run(folder: Path, *arguments: str, env: dict[str, str] | None = None, timeout: float = 300) -> Said:
        ended = subprocess.run(
            [str(ORRERY), *arguments],
            cwd=folder,
            env=environment | (env or {}),
            capture_output=True,
            text=True,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        return Said(code=ended.returncode, out=ended.stdout, err=ended.stderr)

    return run


@pytest.fixture
def free_port() -> int:
    return _free_port()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(autouse=True)
def _nothing_is_left_running(tmp_path: Path, cli: Cli) -> Iterator[None]:
    """Stop whatever a test has started below its folder, also when it failed."""
    yield
    for state in tmp_path.glob("*/.orrery"):
        stopped = cli(state.parent, "down")
        assert stopped.code == 0, stopped.err


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A small project of one DAG."""
    root = tmp_path / "project"
    (root / "dags").mkdir(parents=True)
    (root / "dags" / "hello.py").write_text(
        "from airflow.sdk import dag, task\n\n\n@dag\ndef hello():\n"
        "    @task\n    def greet():\n        print('hello')\n\n    greet()\n\n\nhello()\n"
    )
    return root


class Deployment:
    """A running deployment of the example project, as its user sees it."""

    username = "admin"

    def __init__(self, project: Path, status: dict[str, Any], client: httpx.Client) -> None:
        self.project = project
        self.url: str = status["url"].replace("localhost", "127.0.0.1")
        self.password = Path(status["password_file"]).read_text()
        self._client = client
        client.base_url = httpx.URL(self.url)
        token = self._client.post(
            "/auth/token", json={"username": self.username, "password": self.password}
        ).raise_for_status()
        self._client.headers["Authorization"] = f"Bearer {token.json()['access_token']}"

    def api(self, method: str, path: str, **body: Any) -> dict[str, Any]:
        """Call Airflow's REST API; the path is below /api/v2."""
        answer = self._client.request(method, f"/api/v2{path}", json=body or None)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        value = answer.json() if answer.content else {}
        assert isinstance(value, dict)
        return value

    def psql(self, database: str, sql: str) -> list[tuple[Any, ...]]:
        """Ask the deployment's PostgreSQL, as its owner."""
        import psycopg

        port = json.loads((self.project / ".orrery" / "run" / "deployment.json").read_text())["postgres_port"]
        password = (self.project / ".orrery" / "secrets" / "database_password").read_text()
        where = f"host=127.0.0.1 port={port} user=orrery dbname={database}"
        with psycopg.connect(where, password=password) as connection:
            return connection.execute(sql.encode()).fetchall()


@pytest.fixture(scope="session")
def deployment(tmp_path_factory: pytest.TempPathFactory, cli: Cli) -> Iterator[Deployment]:
    """The example project, started once for all tests that only look at it or run its DAGs."""
    project = tmp_path_factory.mktemp("example") / "airports"
    shutil.copytree(
        REPOSITORY / "examples" / "airports", project, ignore=shutil.ignore_patterns(".orrery", "__pycache__")
    )
    started = cli(project, "up", "--detach", "--port", str(_free_port()), timeout=600)
    try:
        assert started.code == 0, started.err
        with httpx.Client(timeout=60, trust_env=False) as client:
            yield Deployment(project, cli(project, "status", "-o", "json").json(), client)
    finally:
        stopped = cli(project, "down")
        assert stopped.code == 0, stopped.err
