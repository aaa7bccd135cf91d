"""The embedded PostgreSQL: a real server, from its first start to what may go wrong with it."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.waiting import until

from orrery.components import POSTGRES
from orrery.errors import MachineError, StateError
from orrery.local import migrations, ports, postgres, processes
from orrery.local.deployment import LocalDeployment
from orrery.local.output import Progress
from orrery.local.postgres import Postgres
from orrery.local.sql import DatabaseError, Login, query
from orrery.local.state import State, write_private

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.integration,
    # The process manager outlives the value that started it; that is its purpose.
    pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning"),
]

PROGRAMS = postgres.programs(Path(sysconfig.get_path("purelib")))
NOBODY = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user or mount")


class Machine:
    """One deployment's server under its process manager."""

    def __init__(self, root: Path) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self.state = State(root / ".orrery")
        self.state.ensure()
        self.deployment = LocalDeployment(self.state, name="shop", progress=Progress(quiet=True))
        self.server = Postgres(PROGRAMS, self.state.postgres, self.state.secrets, ports.free_port())
        self.log = self.state.log(POSTGRES.name)

    def start(self) -> None:
        supervisor = self.deployment.supervisor
        if not supervisor.is_running():
            supervisor.configure({POSTGRES.name: self.server.command()})
            supervisor.start()
        self.server.clear_stale_pid()
        supervisor.start_program(POSTGRES)
        self.server.wait_until_ready(
            is_alive=lambda: self.deployment.state_of(POSTGRES) not in ("failed", "stopped", "restarting"),
            log=self.log,
        )

    def warehouse(self, sql: str, *, database: str) -> list[list[str]]:
        url = self.server.warehouse_url().rsplit("/", 1)[0]
        return query(PROGRAMS, Login.from_url(f"{url}/{database}"), sql)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty cluster and its owner's password, made once; each test takes a copy of it."""
    folder = tmp_path_factory.mktemp("cluster")
    secrets = folder / "secrets"
    secrets.mkdir()
    Postgres(PROGRAMS, folder / "data", secrets, 1).initialise()
    return folder


@pytest.fixture
def machine(tmp_path: Path, cluster: Path) -> Iterator[Machine]:
    """A deployment whose server has a copy of the cluster, not started yet."""
    found = Machine(tmp_path)
    found.server.adopt(cluster / "data")
    shutil.copy(cluster / "secrets" / "database_password", found.state.secrets)
    yield found
    found.deployment.stop()


@pytest.fixture
def running(machine: Machine) -> Machine:
    machine.start()
    machine.server.ensure_roles()
    machine.server.ensure_database()
    return machine


def test_a_new_cluster_is_closed_to_others_and_leaves_no_password_behind(cluster: Path) -> None:
    assert (cluster / "data" / "PG_VERSION").read_text().strip() == "18"
    assert stat.S_IMODE((cluster / "data").stat().st_mode) == 0o700
    assert not (cluster / ".initdb_password").exists()
    assert stat.S_IMODE((cluster / "secrets" / "database_password").stat().st_mode) == 0o600


def test_the_server_speaks_on_loopback_alone_and_asks_for_the_password(running: Machine) -> None:
    server = running.server
    assert server.query("SHOW listen_addresses") == [["127.0.0.1"]]
    assert server.query("SHOW unix_socket_directories") == []
    with pytest.raises(DatabaseError, match="password authentication failed"):
        server.query("SELECT 1", password="wrong")
    with pytest.raises(DatabaseError, match="no password supplied"):
        query(PROGRAMS, Login.from_url(f"postgresql://orrery@127.0.0.1:{server.port}/airflow"), "SELECT 1")


def test_rows_come_back_as_text(running: Machine) -> None:
    assert running.server.query("SELECT 1, 'a|b ü', NULL UNION ALL SELECT 2, '', 'x' ORDER BY 1") == [
        ["1", "a|b ü", ""],
        ["2", "", "x"],
    ]


def test_the_pipelines_role_has_databases_of_its_own_and_cannot_enter_airflows(running: Machine) -> None:
    running.warehouse("CREATE DATABASE shop", database="postgres")
    assert running.warehouse("SELECT current_user", database="shop") == [["warehouse"]]
    with pytest.raises(DatabaseError, match='permission denied for database "airflow"'):
        running.warehouse("SELECT 1", database="airflow")


def test_the_pipelines_role_cannot_make_itself_more_than_it_is(running: Machine) -> None:
    for sql in (
        "ALTER ROLE warehouse SUPERUSER",
        "GRANT orrery TO warehouse",
        "COPY (SELECT 1) TO PROGRAM 'true'",
        "SELECT pg_read_file('/etc/passwd')",
        "DROP DATABASE airflow",
    ):
        with pytest.raises(DatabaseError):
            running.warehouse(sql, database="postgres")


def test_everything_twice_does_no_harm(running: Machine) -> None:
    running.warehouse("CREATE DATABASE shop", database="postgres")
    running.server.ensure_roles()
    running.server.ensure_database()
    running.start()
    assert running.warehouse("SELECT 1", database="shop") == [["1"]]


def test_a_copy_of_a_cluster_gets_a_password_of_its_own(machine: Machine, cluster: Path) -> None:
    # Given a copied cluster, and a deployment with a password of its own
    former = machine.server.password
    (machine.state.secrets / "database_password").unlink()
    machine.start()
    assert machine.server.password != former
    # When its roles are made
    machine.server.ensure_roles(former_password=former)
    # Then only its own password opens it
    assert machine.server.query("SELECT 1", database="postgres") == [["1"]]
    with pytest.raises(DatabaseError, match="password authentication failed"):
        machine.server.query("SELECT 1", database="postgres", password=former)
    machine.server.ensure_roles(former_password=former)  # a start that was killed in between repeats it


def test_a_lost_password_is_a_reason_that_people_read(machine: Machine) -> None:
    write_private(machine.state.secrets / "database_password", "another")
    machine.start()
    with pytest.raises(DatabaseError, match="password authentication failed") as caught:
        machine.server.ensure_roles()
    assert caught.value.hint
    assert "another" not in str(caught.value)


def test_a_copy_replaces_a_copy_that_was_broken_off(tmp_path: Path, cluster: Path) -> None:
    machine = Machine(tmp_path)
    half = machine.state.postgres.with_name(".postgres.copying")
    half.mkdir()
    (half / "PG_VERSION").write_text("half")
    machine.server.adopt(cluster / "data")
    assert (machine.state.postgres / "PG_VERSION").read_text().strip() == "18"
    assert not half.exists()


def test_data_survive_a_killed_server(running: Machine) -> None:
    running.warehouse("CREATE DATABASE shop", database="postgres")
    pid = running.server.pid()
    assert pid
    os.kill(pid, 9)
    until(lambda: running.server.pid() not in (None, pid) and running.server.is_ready())
    assert running.warehouse("SELECT 1", database="shop") == [["1"]]
    [crash] = running.deployment.supervisor.crashes(POSTGRES.name)
    assert crash.how == "terminated by SIGKILL"


def test_the_schemas_revision_is_asked_of_the_server(running: Machine) -> None:
    ask = running.server.query
    assert migrations.found_revision(ask) is None
    # Given a database that another program has migrated
    ask("CREATE TABLE alembic_version (version_num text)")
    assert migrations.found_revision(ask) is None
    ask("INSERT INTO alembic_version VALUES ('abc1')")
    with pytest.raises(StateError, match="belongs to another program"):
        migrations.found_revision(ask)
    # and one that Airflow has
    ask("CREATE TABLE dag_run (id int)")
    assert migrations.found_revision(ask) == "abc1"


def test_a_stop_is_clean_and_leaves_no_pid_file(running: Machine) -> None:
    # Given a client that stays connected
    with subprocess.Popen(
        [
            PROGRAMS / "psql",
            "-X",
            "-q",
            "-d",
            running.server.url(driver="postgresql"),
            "-c",
            "SELECT pg_sleep(600)",
        ],
        stderr=subprocess.DEVNULL,
    ) as client:
        until(
            lambda: (
                running.server.query("SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'") == [["1"]]
            )
        )
        running.deployment.down()
        client.wait(timeout=10)
    assert not (running.state.postgres / "postmaster.pid").exists()
    assert "database system is shut down" in running.log.read_text()


@pytest.mark.parametrize("owner", ["gone", "stranger", "broken"])
def test_a_stale_pid_file_does_not_stop_the_next_start(machine: Machine, owner: str) -> None:
    # Given the pid file of a server that was killed, whose number another program may have by now
    pid = {"gone": "999999999", "stranger": str(os.getpid()), "broken": "what?"}[owner]
    (machine.state.postgres / "postmaster.pid").write_text(f"{pid}\n{machine.state.postgres}\n1\n1\n\n\n\n")
    machine.start()
    assert machine.server.is_ready()


def test_the_pid_file_of_a_server_that_runs_stays(running: Machine) -> None:
    pid = running.server.pid()
    running.server.clear_stale_pid()
    assert running.server.pid() == pid


def test_a_server_that_outlives_its_process_manager_is_found_and_ended(running: Machine) -> None:
    pid = running.server.pid()
    os.kill(running.deployment.supervisor.pid(), 9)
    until(lambda: not running.deployment.supervisor.is_running())
    assert pid in [process.pid for process in processes.of(running.state)]
    running.deployment.clear_leftovers()
    assert processes.of(running.state) == []
    running.start()
    assert running.server.query("SELECT 1") == [["1"]]


def test_a_taken_port_is_a_reason_that_people_read(machine: Machine) -> None:
    import socket

    with socket.socket() as other:
        other.bind(("127.0.0.1", machine.server.port))
        other.listen()
        with pytest.raises(MachineError, match=r"(?s)could not start: .*(in use|could not create)"):
            machine.start()


def test_damaged_data_are_a_reason_that_people_read(machine: Machine) -> None:
    (machine.state.postgres / "global" / "pg_control").unlink()
    with pytest.raises(MachineError, match=r"could not start: .*pg_control") as caught:
        machine.start()
    assert str(machine.log) in (caught.value.hint or "")


@as_root
def test_under_root_the_server_is_another_users(running: Machine) -> None:
    pid = running.server.pid()
    assert pid
    assert "\nUid:\t0\t" not in Path(f"/proc/{pid}/status").read_text()


@as_root
def test_under_root_programs_and_data_may_lie_where_only_root_may_enter(tmp_path: Path) -> None:
    # Given a home like root's: nobody else may enter it
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    package = PROGRAMS.parents[1]
    for folder in (PROGRAMS.parent, package.with_name(f"{package.name}.libs")):
        shutil.copytree(folder, home / folder.relative_to(package.parent), symlinks=True)
    programs = home / PROGRAMS.relative_to(package.parent)
    secrets = home / "secrets"
    secrets.mkdir()
    server = Postgres(programs, home / "data", secrets, ports.free_port())
    # When a cluster is made there and its server started, both run, and the folder's mode is as it was
    server.initialise()
    log = home / "log"
    with log.open("wb") as sink, subprocess.Popen(server.command(), stderr=sink) as child:
        try:
            server.wait_until_ready(is_alive=lambda: child.poll() is None, log=log)
            assert server.query("SELECT 1", database="postgres") == [["1"]]
        finally:
            child.terminate()
    assert stat.S_IMODE(home.stat().st_mode) == 0o700


@contextlib.contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[None]:
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        told = f"a small file system cannot be mounted here: {mounted.stderr.decode()}"
        if os.environ.get("CI"):
            pytest.fail(told)
        pytest.skip(told)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path) -> None:
    with contextlib.suppress(OSError), (folder / "full").open("wb", buffering=0) as file:
        while True:
            file.write(b"\0" * 4096)


@as_root
def test_a_disk_that_fills_up_while_a_cluster_is_made_is_told_with_what_to_do(tmp_path: Path) -> None:
    with small_disk(tmp_path, 12):
        machine = Machine(tmp_path)
        with pytest.raises(MachineError, match=r"no space left on the disk of .* MB free") as caught:
            machine.server.initialise()
        assert "Free at least" in (caught.value.hint or "")
        assert not machine.state.postgres.exists()  # nothing half made is left


@as_root
def test_a_disk_that_is_too_small_for_a_copy_is_told_with_what_to_do(tmp_path: Path, cluster: Path) -> None:
    with small_disk(tmp_path, 12):
        machine = Machine(tmp_path)
        with pytest.raises(MachineError, match="no space left on the disk"):
            machine.server.adopt(cluster / "data")
        assert not machine.state.postgres.exists()
        assert not machine.state.postgres.with_name(".postgres.copying").exists()


@as_root
def test_a_full_disk_at_the_start_is_told_and_nothing_is_lost(tmp_path: Path, cluster: Path) -> None:
    with small_disk(tmp_path, 100):
        machine = Machine(tmp_path)
        try:
            machine.server.adopt(cluster / "data")
            shutil.copy(cluster / "secrets" / "database_password", machine.state.secrets)
            machine.deployment.supervisor.configure({POSTGRES.name: machine.server.command()})
            machine.deployment.supervisor.start()
            fill(tmp_path)
            with pytest.raises(MachineError, match="no space left on the disk"):
                machine.start()
            machine.deployment.stop()
            (tmp_path / "full").unlink()
            machine.start()
            assert machine.server.query("SELECT 1", database="postgres") == [["1"]]
        finally:
            machine.deployment.stop()


AS_A_USER = """
import sys
from pathlib import Path
from orrery.local.postgres import Postgres
from orrery.local import ports, process
root, programs = Path(sys.argv[1]), Path(sys.argv[2])
(root / "secrets").mkdir()
server = Postgres(programs, root / "data", root / "secrets", ports.free_port())
server.initialise()
log = root / "log"
running = process.start(server.command(), env={}, output=log)
try:
    server.wait_until_ready(is_alive=lambda: running.poll() is None, log=log)
    server.ensure_roles()
    server.ensure_database()
    print(server.query("SELECT current_user"), "setpriv" in " ".join(server.command()))
finally:
    running.terminate()
    running.wait(timeout=30)
"""


@as_root
def test_an_ordinary_user_runs_the_server_as_himself(tmp_path: Path) -> None:
    if not shutil.which("setpriv"):
        pytest.skip("setpriv is not there")
    # A folder and programs that everybody may reach, which pytest's own and a checkout may not be.
    with contextlib.ExitStack() as stack:
        place = Path(f"/tmp/orrery-test-{os.getpid()}")
        place.mkdir(mode=0o755)
        stack.callback(shutil.rmtree, place, ignore_errors=True)
        home = place / "home"
        home.mkdir()
        os.chown(home, NOBODY, NOBODY)
        ended = subprocess.run(
            [
                *("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"),
                # It may read what root may, so that a checkout below a closed home will do.
                *("--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search"),
                *("--", sys.executable, "-c", AS_A_USER, str(home), str(PROGRAMS)),
            ],
            env={"PATH": os.defpath, "PYTHONPATH": os.pathsep.join(sys.path)},
            cwd=place,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr
        assert ended.stdout.strip() == "[['orrery']] False"
        assert (home / "data" / "PG_VERSION").stat().st_uid == NOBODY
