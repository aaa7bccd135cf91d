"""A real PostgreSQL with Airflow's tables and ours."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import psycopg2
import pytest

from orrery.local import ports, postgres
from orrery.local.postgres import Postgres

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MANAGER = "orrery.database.manager.OrreryDBManager"


@dataclass(frozen=True, kw_only=True, slots=True)
class Airflow:
    """Airflow's command line on one database, in processes of their own."""

    home: Path
    server: Postgres
    database: str = postgres.DATABASE

    @property
    def url(self) -> str:
        """As a program that is not SQLAlchemy writes it."""
        return self.server.url(database=self.database, driver="postgresql")

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-W", "ignore", *arguments],
            env={
                **os.environ,
                "AIRFLOW_HOME": str(self.home),
                "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
                "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": self.server.url(database=self.database),
                **environment,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *arguments: str, **environment: str) -> str:
        """Return the output of a command that succeeds."""
        process = self.start(*arguments, **environment)
        output, _ = process.communicate(timeout=300)
        assert process.returncode == 0, output
        return output

    def airflow(self, *arguments: str, **environment: str) -> str:
        return self.run("-m", "airflow", *arguments, **environment)

    def manager(self, call: str) -> str:
        """Call our manager as Airflow does, without all that Airflow does beside."""
        return self.run("-c", manager_call(call))

    def connect(self) -> Any:
        connection = psycopg2.connect(self.url)
        connection.autocommit = True
        return connection

    def query(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        connection = self.connect()
        try:
            with connection.cursor() as cursor:
                cursor.execute(sql, values or None)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()


def manager_call(call: str) -> str:
    return (
        "from airflow import settings\n"
        "from orrery.database.manager import OrreryDBManager\n"
        "settings.initialize()\n"
        f"print(OrreryDBManager(settings.Session()).{call})\n"
    )


def let_through(folder: Path) -> None:
    """Let another user into a folder of pytest's: started by root, the server is not root."""
    for each in (folder, *list(folder.parents)[:2]):
        each.chmod(each.stat().st_mode | 0o011)


class OwnServer:
    """A server of a test's own: a copy of an empty cluster, on a port of its own."""

    def __init__(self, template: Postgres, folder: Path) -> None:
        self.server = Postgres(template.programs, folder / "data", template.secrets, ports.free_port())
        let_through(folder)
        self.server.adopt(template.data)
        self.url = self.server.url(database="postgres", driver="postgresql")
        self._log = folder / "log"
        self._running: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("a") as output:
            running = subprocess.Popen(self.server.command(), stdout=output, stderr=subprocess.STDOUT)
        self._running = running
        try:
            self.server.wait_until_ready(is_alive=lambda: running.poll() is None, log=self._log)
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        if self._running is not None:
            self._running.send_signal(signal.SIGINT)
            self._running.wait(timeout=60)
            self._running = None

    def kill(self) -> None:
        """End all of its processes as a machine without power does."""
        if self._running is not None:
            children = psutil.Process(self._running.pid).children(recursive=True)
            self._running.kill()
            for process in children:
                process.kill()
            psutil.wait_procs(children, timeout=60)
            self._running.wait(timeout=60)
            self._running = None


@pytest.fixture(scope="session")
def empty_cluster(tmp_path_factory: pytest.TempPathFactory) -> Postgres:
    """A cluster that nobody runs."""
    folder = tmp_path_factory.mktemp("cluster")
    let_through(folder)
    secrets = folder / "secrets"
    secrets.mkdir(mode=0o700)
    programs = postgres.programs(Path(sysconfig.get_path("purelib")))
    found = Postgres(programs=programs, data=folder / "data", secrets=secrets, port=ports.free_port())
    found.initialise()
    return found


@pytest.fixture(scope="session")
def server(empty_cluster: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A server with an empty database of Airflow's name."""
    own = OwnServer(empty_cluster, tmp_path_factory.mktemp("server"))
    own.start()
    own.server.ensure_database()
    yield own.server
    own.stop()


@pytest.fixture(scope="session")
def migrated(server: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Airflow:
    """A database that `airflow db migrate` made; nobody changes its schema."""
    airflow = Airflow(home=tmp_path_factory.mktemp("airflow"), server=server)
    airflow.airflow("db", "migrate")
    return airflow


@pytest.fixture
def copy(migrated: Airflow, tmp_path: Path) -> Iterator[Airflow]:
    """A copy of it, to be changed."""
    name = "copy"
    owner = Airflow(home=tmp_path, server=migrated.server, database="postgres")
    owner.query(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    owner.query(f"CREATE DATABASE {name} TEMPLATE {migrated.database}")
    yield Airflow(home=tmp_path, server=migrated.server, database=name)
    owner.query(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def call() -> Callable[[str], str]:
    """The program that calls our manager."""
    return manager_call


@pytest.fixture
def own_server(empty_cluster: Postgres, tmp_path: Path) -> Iterator[OwnServer]:
    found = OwnServer(empty_cluster, tmp_path)
    found.start()
    yield found
    found.kill()
