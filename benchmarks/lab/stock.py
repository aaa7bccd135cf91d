"""The other side: Airflow's own components with Airflow's own defaults, and LocalExecutor.

They run in an environment that has every installed package except ours, made of links to the files of this
one: same versions, same bytecode, and no trace of Orrery (no .pth, no plug-in, no policy).
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import sysconfig
import time
import venv
from pathlib import Path
from typing import IO

import psutil
from benchmarks.lab import machine
from benchmarks.lab.database import Database
from benchmarks.lab.errors import BenchError
from benchmarks.lab.health import wait_healthy
from benchmarks.lab.server import Server
from benchmarks.lab.side import Running, deploy_dags

from orrery.local import ports
from orrery.local.api import USERNAME, Api

COMPONENTS = ("api-server", "scheduler", "dag-processor", "triggerer")
_PASSWORD = "benchmark"  # noqa: S105 - of a server on loopback that lives for minutes


def linked_environment(folder: Path) -> Path:
    """Make an environment of links to the installed packages, without Orrery; return its interpreter."""
    venv.create(folder, symlinks=True, with_pip=False)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    site_packages = folder / "lib" / version / "site-packages"
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if "orrery" not in entry.name and entry.name != "__pycache__":
            (site_packages / entry.name).symlink_to(entry)
    return folder / "bin" / "python"


class Stock:
    """api-server, scheduler, dag-processor and triggerer, each started as its documentation says."""

    name = "stock"

    def __init__(self, folder: Path, template: Path, python: Path) -> None:
        self.folder = folder
        self.template = template
        self.python = python
        self.server = Server(folder, secrets=template / "secrets")
        self.port = ports.free_port()
        self.components: list[subprocess.Popen[bytes]] = []

    def environment(self) -> dict[str, str]:
        """Airflow's defaults, but for what tells it where things are."""
        return {
            "PATH": f"{self.python.parent}:{os.environ['PATH']}",
            "HOME": os.environ["HOME"],
            machine.MARK: str(self.folder),
            # Should Orrery be found all the same, it must stay quiet.
            "ORRERY_DEFAULTS": "off",
            "ORRERY_EARLY_FIXES": "off",
            # Airflow's process titles would overwrite the environment that the mark is in.
            "SPT_NOENV": "1",
            "AIRFLOW_HOME": str(self.folder / "home"),
            "AIRFLOW__CORE__DAGS_FOLDER": str(self.folder / "dags"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{self.port}/execution/",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(self.folder / "passwords.json"),
            "AIRFLOW__API__PORT": str(self.port),
            # All components must share them; without a common airflow.cfg each would make its own.
            "AIRFLOW__API_AUTH__JWT_SECRET": self._secret("jwt"),
            "AIRFLOW__API__SECRET_KEY": self._secret("api"),
            "AIRFLOW__CORE__FERNET_KEY": "",
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(ports.free_port()),
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(ports.free_port()),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": self.server.url(),
        }

    def start(self) -> Running:
        self.folder.mkdir(parents=True)
        deploy_dags(self.folder / "dags")
        (self.folder / "passwords.json").write_text(json.dumps({USERNAME: _PASSWORD}))
        self._start_database()
        since = time.time()
        for component in COMPONENTS:
            with (self.folder / f"{component}.log").open("ab") as log:
                self.components.append(self._airflow(component, log))
        wait_healthy(self.port, since)
        return Running(
            name=self.name,
            api=Api(f"http://127.0.0.1:{self.port}", password=_PASSWORD, timeout_seconds=120),
            database=Database(self.server.url("postgresql")),
            mark=str(self.folder),
            dags=self.folder / "dags",
            logs=self.folder,
        )

    def stop(self) -> None:
        spared = self.server.pids()
        for process in self.components:
            process.terminate()
        asked = [process for process in machine.marked(str(self.folder)) if process.pid not in spared]
        _, alive = psutil.wait_procs(asked, timeout=30)
        for left in alive:
            left.kill()
        for process in self.components:
            process.wait()
        self.components = []
        self.server.stop()

    def _secret(self, name: str) -> str:
        file = self.template / "secrets" / name
        if not file.exists():
            file.write_text(secrets.token_urlsafe(48))
        return file.read_text()

    def _start_database(self) -> None:
        """Start a server on a copy of one that `airflow db migrate` has filled."""
        kept = self.template / "postgres"
        if kept.exists():
            self.server.postgres.adopt(kept)
            self.server.start()
            return
        self.server.start()
        with (self.folder / "migrate.log").open("ab") as log:
            if self._airflow("db", log, "migrate").wait():
                raise BenchError(f"airflow db migrate failed: {self.folder / 'migrate.log'}")
        self.server.stop()
        # cp, not shutil: it keeps the owner, who is not root.
        subprocess.run(["cp", "-a", self.server.postgres.data, kept], check=True)
        self.server.start()

    def _airflow(self, command: str, log: IO[bytes], *arguments: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [self.python, "-m", "airflow", command, *arguments],
            env=self.environment(),
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd=self.folder,
        )
