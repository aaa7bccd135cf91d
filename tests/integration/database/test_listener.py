"""The ear of the scheduler: it hears, it comes back, and it says when it cannot hear."""

from __future__ import annotations

import itertools
import logging
import os
import select
import shutil
import socket
import struct
import subprocess
import threading
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any

import psycopg2
import pytest
from tests.waiting import until

from orrery.database.listener import Listener
from orrery.local import ports

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.integration


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def is_readable(listener: Listener, *, seconds: float = 0) -> bool:
    return bool(select.select([listener], [], [], seconds)[0])


def is_listening(listener: Listener) -> bool:
    return listener.is_listening


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def listener(migrated: Any, clock: Clock) -> Iterator[Listener]:
    """One that listens."""
    with closing(Listener(migrated.server.url(), clock=clock)) as found:
        assert found.drain()  # it has connected: what was before is not known
        yield found


def notify(airflow: Any) -> None:
    airflow.query("NOTIFY orrery_scheduler")


def backends(airflow: Any) -> list[int]:
    found = airflow.query(
        "SELECT pid FROM pg_stat_activity WHERE application_name = 'orrery-scheduler-listen'"
        " AND datname = %s AND pid <> pg_backend_pid()",
        airflow.database,
    )
    return [pid for (pid,) in found]


def test_it_hears_a_notification_once(migrated: Any, listener: Listener) -> None:
    assert not is_readable(listener)
    notify(migrated)
    assert is_readable(listener, seconds=30)
    assert listener.drain()
    assert not is_readable(listener)
    assert not listener.drain()


def test_what_the_notifications_said_is_told_once(migrated: Any, listener: Listener) -> None:
    # Given that it has connected: what was sent before is not known
    assert listener.take() == {""}
    assert listener.take() == set()
    # When a run is named, and then anything at all
    with closing(migrated.connect()) as connection:
        for payload in ("shop\none", "shop\none", ""):
            connection.cursor().execute("SELECT pg_notify('orrery_scheduler', %s)", (payload,))
    heard: set[str] = set()

    def all_heard() -> bool:
        listener.drain()
        heard.update(listener.take())
        return len(heard) == 2

    # Then
    until(all_heard)
    assert heard == {"shop\none", ""}


def test_many_notifications_are_one_wake_up(migrated: Any, listener: Listener) -> None:
    with closing(migrated.connect()) as connection:
        for _ in range(100):
            connection.cursor().execute("NOTIFY orrery_scheduler")
    until(lambda: is_readable(listener))
    woken = 0
    while is_readable(listener, seconds=0.5):
        woken += listener.drain()
    assert woken < 100


def test_two_schedulers_both_hear(migrated: Any, listener: Listener) -> None:
    with closing(Listener(migrated.server.url())) as other:
        other.drain()
        notify(migrated)
        assert is_readable(listener, seconds=30)
        assert is_readable(other, seconds=30)
        assert listener.drain()
        assert other.drain()


def test_it_leaves_no_connection_behind(migrated: Any) -> None:
    until(lambda: backends(migrated) == [])
    listener = Listener(migrated.server.url())
    listener.drain()
    assert len(backends(migrated)) == 1  # the one that it probed with is gone
    listener.close()
    until(lambda: backends(migrated) == [])


def test_it_comes_back_when_its_session_is_ended(migrated: Any, listener: Listener) -> None:
    descriptor = listener.fileno()
    migrated.query("SELECT pg_terminate_backend(pid) FROM unnest(%s) AS pid", backends(migrated))
    # It wakes whoever waits: what is sent from now on is lost.
    assert is_readable(listener, seconds=30)
    until(listener.drain)
    assert not is_listening(listener)
    assert not is_readable(listener)  # and does not keep it awake
    # When it is asked again
    assert listener.drain()
    assert is_listening(listener)
    assert listener.problem is None
    notify(migrated)
    assert is_readable(listener, seconds=30)
    assert listener.fileno() == descriptor


def test_a_killed_server_process_is_survived(own_server: Any, clock: Clock) -> None:
    with closing(Listener(own_server.url, clock=clock)) as listener:
        assert listener.drain()
        own_server.kill()
        # Given no server at all
        assert is_readable(listener, seconds=30)
        until(listener.drain)
        assert not listener.drain()
        assert listener.problem is not None
        assert "No connection" in listener.problem
        # When it is back
        own_server.start()
        clock.now += 60
        assert listener.drain()
        # Then
        with closing(psycopg2.connect(own_server.url)) as connection:
            connection.autocommit = True
            connection.cursor().execute("NOTIFY orrery_scheduler")
        assert is_readable(listener, seconds=30)
        assert listener.drain()


def test_it_tries_less_and_less_often_while_there_is_no_server(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    tried: list[float] = []
    with socket.socket() as nobody:  # bound, and not listening: refuses
        nobody.bind(("127.0.0.1", 0))
        url = f"postgresql://orrery:secret@127.0.0.1:{nobody.getsockname()[1]}/airflow"
        with closing(Listener(url, clock=clock)) as listener, caplog.at_level(logging.INFO):
            problem = None
            for _ in range(200):
                before = listener._retry_at
                assert not listener.drain()
                if listener._retry_at != before:
                    tried.append(clock.now)
                problem = listener.problem
                clock.now += 1
    pauses = [later - earlier for earlier, later in itertools.pairwise(tried)]
    assert pauses == [1, 2, 4, 8, 16, 30, 30, 30, 30, 30]
    assert problem is not None
    # Told once, and never the password.
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "its poll finds changes later" in caplog.text
    assert "secret" not in caplog.text


class Pooler:
    """Between client and server; drops notifications, as a pool in transaction mode does."""

    def __init__(self, server_port: int) -> None:
        self.server_port = server_port
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port = self.listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self.listening.accept()
                server = socket.create_connection(("127.0.0.1", self.server_port))
                threading.Thread(target=self._forward, args=(client, server), daemon=True).start()
                threading.Thread(target=self._filter, args=(server, client), daemon=True).start()

    def _forward(self, client: socket.socket, server: socket.socket) -> None:
        with client, server, suppress(OSError):
            while data := client.recv(65536):
                server.sendall(data)

    def _filter(self, server: socket.socket, client: socket.socket) -> None:
        with suppress(OSError), server.makefile("rb") as stream:
            while head := stream.read(5):
                body = stream.read(struct.unpack("!I", head[1:])[0] - 4)
                if head[:1] != b"A":  # NotificationResponse
                    client.sendall(head + body)


def assert_deaf(url: str, airflow: Any, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    with closing(Listener(url, clock=clock)) as listener, caplog.at_level(logging.INFO):
        for _ in range(5):
            assert not listener.drain()
            clock.now += 31
        assert not listener.is_listening
        assert listener.problem is not None
        assert "PgBouncer in transaction mode" in listener.problem
        assert "[orrery_executor] listen_url" in listener.problem
        notify(airflow)
        assert not is_readable(listener)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "AIRFLOW__ORRERY_EXECUTOR__LISTEN_URL" in caplog.text


def test_a_pool_that_drops_notifications_is_found_out(
    migrated: Any, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    pooler = Pooler(migrated.server.port)
    url = migrated.url.replace(f":{migrated.server.port}/", f":{pooler.port}/")
    assert_deaf(f"{url}?sslmode=disable&gssencmode=disable", migrated, clock, caplog)
    pooler.listening.close()
    until(lambda: backends(migrated) == [])


@pytest.fixture
def pgbouncer(migrated: Any, tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """Start a PgBouncer in a pool mode and return a URL through it."""
    program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        missing = "pgbouncer is not installed (apt-get install pgbouncer)"
        pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)
    started = []

    def start(mode: str) -> str:
        server, port = migrated.server, ports.free_port()
        users = tmp_path / "users.txt"
        users.write_text(f'"orrery" "{server.password}"\n')
        settings = tmp_path / "pgbouncer.ini"
        settings.write_text(
            f"[databases]\nairflow = host=127.0.0.1 port={server.port} dbname=airflow\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
            f"auth_type = scram-sha-256\nauth_file = {users}\npool_mode = {mode}\n"
        )
        command = [str(program), str(settings)]
        if os.geteuid() == 0:  # it refuses to be root
            tmp_path.chmod(0o755)
            for parent in list(tmp_path.parents)[:2]:
                parent.chmod(parent.stat().st_mode | 0o011)
            command[1:1] = ["-u", "nobody"]
        started.append(subprocess.Popen(command, stderr=subprocess.DEVNULL))
        url = str(migrated.url).replace(f":{server.port}/", f":{port}/")

        def answers() -> bool:
            with suppress(psycopg2.OperationalError), closing(psycopg2.connect(url)):
                return True
            return False

        until(answers)
        return url

    yield start
    for process in started:
        process.terminate()
        process.wait(timeout=30)


def test_pgbouncer_in_transaction_mode_is_found_out(
    migrated: Any, pgbouncer: Callable[[str], str], clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    url = pgbouncer("transaction")
    # Given a pool of several sessions, as it has under load
    connections = [psycopg2.connect(url) for _ in range(4)]
    for connection in connections:
        connection.cursor().execute("SELECT 1")
    for connection in connections:
        connection.close()
    assert_deaf(url, migrated, clock, caplog)


def test_pgbouncer_in_session_mode_is_no_hindrance(
    migrated: Any, pgbouncer: Callable[[str], str], clock: Clock
) -> None:
    with closing(Listener(pgbouncer("session"), clock=clock)) as listener:
        assert listener.drain()
        notify(migrated)
        assert is_readable(listener, seconds=30)
        assert listener.drain()


def test_airflows_own_arguments_of_connections_are_used(migrated: Any) -> None:
    with closing(Listener(migrated.server.url(), connect_args={"application_name": "named"})) as listener:
        listener.drain()
        assert migrated.query("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'named'") == [
            (1,)
        ]
