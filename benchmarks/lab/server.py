"""A PostgreSQL of its own for a contender: the same build and settings for each."""

from __future__ import annotations

import signal
import subprocess
import sysconfig
from pathlib import Path

import psutil
from benchmarks.lab.machine import MARK

from orrery.local import ports, postgres


class Server:
    """One server in a contender's folder; stopped and started again it keeps its data."""

    def __init__(self, folder: Path, secrets: Path | None = None) -> None:
        self.folder = folder
        private = secrets or folder / "secrets"
        private.mkdir(parents=True, exist_ok=True)
        programs = postgres.programs(Path(sysconfig.get_path("purelib")))
        self.postgres = postgres.Postgres(programs, folder / "postgres", private, ports.free_port())
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
