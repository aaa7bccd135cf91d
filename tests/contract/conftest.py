"""A real PostgreSQL with Airflow's tables, and programs that tell what Airflow does on it."""

from __future__ import annotations

import subprocess
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.contract import programs

from orrery.local import ports, postgres
from orrery.local.postgres import Postgres

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    #: Runs a program with further settings; returns what it tells.
    Tell = Callable[[Path, Mapping[str, str]], Any]
    #: Runs a program; returns what it tells without early fixes, and with all.
    TellBoth = Callable[[Path], tuple[Any, Any]]


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of an empty database on a server of its own."""
    folder = tmp_path_factory.mktemp("postgres")
    (folder / "secrets").mkdir()
    server = Postgres(
        postgres.programs(Path(sysconfig.get_path("purelib"))),
        folder / "data",
        folder / "secrets",
        ports.free_port(),
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


@pytest.fixture(scope="module")
def tell(database: str, tmp_path_factory: pytest.TempPathFactory) -> Tell:
    """Let Airflow make its tables, then a program use them: it prints ANSWER and JSON."""
    home = tmp_path_factory.mktemp("airflow")
    variables = {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__FERNET_KEY": "",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database,
        "AIRFLOW__API_AUTH__JWT_SECRET": "0123456789abcdef" * 4,
    }

    def run(program: Path, settings: Mapping[str, str]) -> Any:
        said = ""
        for command in (["-m", "airflow", "db", "migrate"], [str(program)]):
            done = programs.run(command, {**variables, **settings}, seconds=600)
            assert done.returncode == 0, done.stderr[-4000:]
            said = done.stdout
        [answer] = programs.answers(said)
        return answer

    return run


@pytest.fixture(scope="module")
def tell_scheduler(tell: Tell, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Any]:
    """As `tell`, for a program that is a scheduler with our executor, and has a folder of DAGs of its own."""
    settings = {
        "AIRFLOW__CORE__DAGS_FOLDER": str(tmp_path_factory.mktemp("scheduler") / "dags"),
        "AIRFLOW__CORE__EXECUTOR": "orrery.executor.executor.PackingExecutor",
    }
    return lambda program: tell(program, settings)


@pytest.fixture(scope="module")
def tell_both(tell: Tell, tmp_path_factory: pytest.TempPathFactory) -> TellBoth:
    """Let a program tell without early fixes, then with all, of DAGs in the same folder."""
    dags = str(tmp_path_factory.mktemp("told") / "dags")

    def run(program: Path) -> tuple[Any, Any]:
        settings = {"AIRFLOW__CORE__DAGS_FOLDER": dags}
        return (
            tell(program, settings | {"ORRERY_EARLY_FIXES": "off"}),
            tell(program, settings | {"ORRERY_EARLY_FIXES": "on"}),
        )

    return run
