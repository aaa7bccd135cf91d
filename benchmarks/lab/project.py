"""Our side: an Orrery project, started with `orrery up`."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.lab import machine
from benchmarks.lab.database import Database
from benchmarks.lab.errors import BenchError
from benchmarks.lab.health import wait_healthy
from benchmarks.lab.side import Running, deploy_dags

from orrery.local import ports, postgres
from orrery.local.record import Record
from orrery.local.state import State
from orrery.local.status import client

ORRERY = Path(sys.executable).with_name("orrery")


class Project:
    """`orrery up` in a folder that holds an orrery.yaml and the DAG files."""

    name = "orrery"

    def __init__(self, folder: Path, cache: Path, *, executor: str | None) -> None:
        self.folder = folder
        self.executor = executor
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": os.environ["HOME"],
            machine.MARK: str(folder),
            "ORRERY_CACHE_DIR": str(cache),
        }

    def start(self) -> Running:
        since = time.time()
        deploy_dags(self.folder / "dags")
        lines = ["name: bench"] + ([f"executor: {self.executor}"] if self.executor else [])
        (self.folder / "orrery.yaml").write_text("\n".join(lines) + "\n")
        port = ports.free_port()
        self._orrery("up", "--detach", "--no-open", "--port", str(port))
        wait_healthy(port, since)
        return attach(self.folder)

    def stop(self) -> None:
        self._orrery("down")

    def _orrery(self, *arguments: str) -> None:
        ended = subprocess.run(
            [ORRERY, *arguments],
            cwd=self.folder,
            env=self.environment,
            check=False,
            capture_output=True,
            text=True,
        )
        if ended.returncode:
            said = (ended.stdout + ended.stderr).strip()
            raise BenchError(f"orrery {' '.join(arguments)} ended with {ended.returncode}:\n{said}")


def attach(folder: Path) -> Running:
    """Return the deployment that runs in a project's folder."""
    state = State(folder / ".orrery")
    record = Record.read(state)
    if record is None or record.postgres_port is None:
        raise BenchError(f"No deployment with an embedded PostgreSQL runs in {folder}")
    server = postgres.Postgres(Path(record.programs), state.postgres, state.secrets, record.postgres_port)
    return Running(
        name="orrery",
        api=client(state, timeout_seconds=120),
        database=Database(server.url(driver="postgresql")),
        mark=str(folder),
        dags=folder / "dags",
        logs=state.logs,
    )
