"""A PostgreSQL of its own for a contender: the same build and settings for each."""

from __future__ import annotations

import signal
import subprocess
import sysconfig
from pathlib import Path

import psutil
from benchmarks.lab.errors import BenchError
from benchmarks.lab.machine import MARK

from orrery.local import ports, postgres

#: Where distributions put PostgreSQL: with all extensions, which ours comes without.
_OF_THE_SYSTEM = Path("/usr/lib/postgresql")
#: What an older PostgreSQL does not know; it does as if it were set so.
_SINCE_18 = frozenset({"io_method"})


class Server:
    """One server in a contender's folder; stopped and started again it keeps its data.

    With an `extension` that ours lacks: the system's newest PostgreSQL that has it, with the same settings.

    Raises:
        BenchError: the system has none.
    """

    def __init__(self, folder: Path, secrets: Path | None = None, *, extension: str | None = None) -> None:
        self.folder = folder
        private = secrets or folder / "secrets"
        private.mkdir(parents=True, exist_ok=True)
        data, port = folder / "postgres", ports.free_port()
        if extension is None:
            programs = postgres.programs(Path(sysconfig.get_path("purelib")))
            self.postgres = postgres.Postgres(programs, data, private, port)
        else:
            settings = {name: value for name, value in postgres.SETTINGS.items() if name not in _SINCE_18}
            self.postgres = postgres.Postgres(_with(extension), data, private, port, settings)
        self.running: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, on an empty cluster when there is none."""
        if not (self.postgres.data / "PG_VERSION").exists():
            self.postgres.initialise()
        log = self.folder / "postgres.log"
        with log.open("ab") as opened:
            self.running = subprocess.Popen(
                self.postgres.command(), env={MARK: str(self.folder)}, stderr=opened, stdout=opened
            )
        self.postgres.wait_until_ready(is_alive=lambda: True, log=log)
        self.postgres.ensure_database()

    def stop(self) -> None:
        if self.running:
            self.running.send_signal(signal.SIGINT)
            self.running.wait()
            self.running = None

    def url(self, driver: str = "postgresql+psycopg2") -> str:
        return self.postgres.url(driver=driver)

    def pids(self) -> set[int]:
        if self.running is None:
            return set()
        return {self.running.pid, *(child.pid for child in psutil.Process(self.running.pid).children())}


def _with(extension: str) -> Path:
    """Return the folder of the programs of the system's newest PostgreSQL with an extension."""
    versions = sorted(_OF_THE_SYSTEM.glob("[0-9]*"), key=lambda folder: int(folder.name), reverse=True)
    for folder in versions:
        files = Path("/usr/share/postgresql", folder.name, "extension")
        if (folder / "bin" / "postgres").exists() and (files / f"{extension}.control").exists():
            return folder / "bin"
    raise BenchError(f"it needs PostgreSQL's extension {extension}: apt-get install postgresql")
