"""A real PostgreSQL, and Airflow's API server in this process with Orrery's auth manager."""

from __future__ import annotations

import json
import os
import sys
import sysconfig
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from orrery.local import ports, postgres
from orrery.local.postgres import Postgres

if TYPE_CHECKING:
    from collections.abc import Iterator

OWNER = "owner"
PASSWORD = "correct horse battery staple"
MANAGER = "orrery.auth.manager.OrreryAuthManager"


@pytest.fixture(scope="session")
def access_database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of our own with an empty database."""
    import subprocess

    folder = tmp_path_factory.mktemp("access-postgres")
    for each in (folder, *list(folder.parents)[:2]):
        each.chmod(each.stat().st_mode | 0o011)
    (folder / "secrets").mkdir(mode=0o700)
    server = Postgres(
        programs=postgres.programs(Path(sysconfig.get_path("purelib"))),
        data=folder / "data",
        secrets=folder / "secrets",
        port=ports.free_port(),
    )
    server.initialise()
    log = folder / "log"
    with (
        log.open("wb") as output,
        subprocess.Popen(server.command(), stdout=output, stderr=output) as process,
    ):
        try:
            server.wait_until_ready(is_alive=lambda: process.poll() is None, log=log)
            server.ensure_roles()
            server.ensure_database()
            yield server.url()
        finally:
            process.terminate()


@pytest.fixture(scope="session")
def airflow_app(access_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Airflow's whole API server, migrated, with our manager."""
    import subprocess

    home = tmp_path_factory.mktemp("access-home")
    bootstrap = home / "owner.json"
    bootstrap.write_text(json.dumps({OWNER: PASSWORD}))
    given = {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__AUTH_MANAGER": MANAGER,
        "AIRFLOW__CORE__FERNET_KEY": "",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": access_database,
        "AIRFLOW__API__BASE_URL": "http://testserver",
        "AIRFLOW__API__SECRET_KEY": "a secret of the tests",
        "AIRFLOW__API_AUTH__JWT_SECRET": "0123456789abcdef" * 4,
        "AIRFLOW__ORRERY_AUTH__BOOTSTRAP_FILE": str(bootstrap),
    }
    before = dict(os.environ)
    os.environ.update(given)
    try:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-m", "airflow", "db", "migrate"],
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from airflow import settings

            settings.configure_vars()
            settings.dispose_orm()
            settings.configure_orm()
            from airflow.api_fastapi.app import create_app, purge_cached_app

            purge_cached_app()
            app = create_app()
        yield app
        app.state.auth_manager.cache.close()
        purge_cached_app()
        settings.dispose_orm()
    finally:
        os.environ.clear()
        os.environ.update(before)


@pytest.fixture(scope="session")
def tokens(airflow_app: Any) -> dict[str, str]:
    """An access token of somebody of each role; the Dags are there."""
    from tests.integration.auth import people

    return people.seed(airflow_app.state.auth_manager)


@pytest.fixture
def client(airflow_app: Any) -> Any:
    """A browser or a program that nobody has signed in."""
    from fastapi.testclient import TestClient

    return TestClient(airflow_app, follow_redirects=False)


@pytest.fixture(scope="session")
def as_owner(airflow_app: Any, tokens: dict[str, str]) -> Any:
    """A client of the organization's owner."""
    from fastapi.testclient import TestClient

    token = tokens["organization-owner-organization"]
    return TestClient(airflow_app, headers={"Authorization": f"Bearer {token}"}, follow_redirects=False)
