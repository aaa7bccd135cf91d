"""A deployment under test: made in a folder of its own with a chosen executor, and asked about all it did."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar
from urllib.parse import quote

import httpx
import psycopg
import yaml

from orrery.local.api import Api, ApiError
from orrery.local.state import State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

Executor = Literal["local", "packing"]
Found = TypeVar("Found")

HERE = Path(__file__).parent
ORRERY = Path(sys.executable).with_name("orrery")
#: A Monday; the same for every run, so that what is rendered from it is the same.
LOGICAL_DATE = "2026-01-05T00:00:00Z"
RUN_ID = "differential"
UNFINISHED = ("queued", "running")


class Running:
    """One deployment, started by `up` and stopped by `down`."""

    def __init__(self, project: Path, executor: Executor, environment: Mapping[str, str]) -> None:
        self.project = project
        self.executor = executor
        self.state = State(project / ".orrery")
        self.traces = project / "traces"
        self.worker: dict[str, Any] = {}
        self.settings: dict[str, str] = {}
        self._environment = dict(environment)
        self._api: Api | None = None

    def make(self, dags: Iterable[Path]) -> None:
        """Make the project's files."""
        (self.project / "dags").mkdir(parents=True)
        for dag in dags:
            shutil.copy(dag, self.project / "dags")
        shutil.copytree(
            HERE / "include", self.project / "include", ignore=shutil.ignore_patterns("__pycache__")
        )
        self.traces.mkdir()
        self.traces.chmod(0o777)  # also of a task that runs as another user
        document: dict[str, Any] = {"name": f"on-{self.executor}", "executor": self.executor}
        if self.executor == "packing" and self.worker:
            document["worker"] = self.worker
        (self.project / "orrery.yaml").write_text(yaml.safe_dump(document))
        settings = {"TRACES_FOLDER": str(self.traces)} | self.settings
        lines = [f"{name}='{value}'\n" for name, value in settings.items()]
        (self.project / ".env").write_text("".join(lines))

    def up(self, port: int) -> None:
        """Start it."""
        self.orrery("up", "--detach", "--port", str(port), timeout=600)
        # On a machine that is busy elsewhere a component may be well now and slow in a moment.
        status = until(self.healthy, limit_seconds=120, what=f"{self.project.name} is healthy")
        url = status["url"].replace("localhost", "127.0.0.1")
        self._api = Api(url, password=Path(status["password_file"]).read_text(), timeout_seconds=60)

    def down(self) -> None:
        """Stop it."""
        if self._api:
            with self._api:
                self._api = None
        if self.state.root.exists():
            self.orrery("down")

    def orrery(self, *arguments: str, timeout: float = 300, codes: tuple[int, ...] = (0,)) -> str:
        """Run the installed command in the project; return its output."""
        ended = self.orrery_ended(*arguments, timeout=timeout)
        said = f"orrery {' '.join(arguments)}: {ended.returncode}\n{ended.stdout}\n{ended.stderr}"
        assert ended.returncode in codes, said
        return ended.stdout

    def orrery_ended(self, *arguments: str, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        """Run the installed command in the project, whatever its exit code."""
        return subprocess.run(
            [str(ORRERY), *arguments],
            cwd=self.project,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
            check=False,
        )

    @property
    def api(self) -> Api:
        assert self._api, "not started"
        return self._api

    def status(self) -> dict[str, Any]:
        """Return what `orrery status` says, also of a deployment that is not well."""
        return dict(json.loads(self.orrery("status", "-o", "json", codes=(0, 3))))

    def healthy(self) -> dict[str, Any] | None:
        """Return its status when it is well."""
        status = self.status()
        return status if status["state"] == "healthy" else None

    def pid(self, component: str) -> int:
        """Return the pid of one of its components."""
        (found,) = (part["pid"] for part in self.status()["components"] if part["name"] == component)
        assert found, f"{component} does not run"
        return int(found)

    def sql(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Ask the metadata database."""
        port = json.loads((self.state.run / "deployment.json").read_text())["postgres_port"]
        password = (self.state.secrets / "database_password").read_text()
        where = f"host=127.0.0.1 port={port} user=orrery dbname=airflow"
        with psycopg.connect(where, password=password) as connection:
            return connection.execute(statement.encode(), parameters).fetchall()

    def dag_ids(self) -> set[str]:
        """Return the DAGs that Airflow knows, ours of the system left out."""
        found = {dag for (dag,) in self.sql("SELECT dag_id FROM dag WHERE NOT is_stale")}
        return {dag for dag in found if not dag.startswith("orrery_")}

    def trigger(self, dag_id: str, run_id: str = RUN_ID, conf: dict[str, Any] | None = None) -> None:
        """Unpause a DAG and start a run; of the runs of a DAG one may have the logical date."""
        name = quote(dag_id, safe="")
        self.api.patch(f"/dags/{name}", {"is_paused": False})
        date = LOGICAL_DATE if run_id == RUN_ID else None
        body = {"dag_run_id": run_id, "logical_date": date, "conf": conf or {}}
        self.api.post(f"/dags/{name}/dagRuns", body)

    def clear(self, dag_id: str, run_id: str = RUN_ID, **options: Any) -> None:
        """Clear a run's tasks, so that they run again."""
        body = {"dry_run": False, "dag_run_id": run_id, "only_failed": False, **options}
        self.api.post(f"/dags/{dag_id}/clearTaskInstances", body)

    def mark(self, dag_id: str, task_id: str, state: str, run_id: str = RUN_ID) -> None:
        """Set a task's state, as the UI's buttons do."""
        self.api.patch(f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}", {"new_state": state})

    def log(self, dag_id: str, task_id: str, *, run_id: str = RUN_ID, try_number: int = 1) -> str:
        """Return a task's log as the UI shows it, one event a line."""
        where = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/logs/{try_number}"
        content = self.api.get(where, full_content=True)["content"]
        events = content if isinstance(content, list) else [content]
        return "\n".join(json.dumps(event, ensure_ascii=False) for event in events)

    def log_head(self, dag_id: str, task_id: str, *, run_id: str = RUN_ID, most_bytes: int) -> str:
        """Return the beginning of a first try's log, for logs too long to be read as a whole."""
        where = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/logs/1"
        status = self.status()
        body = {"username": status["username"], "password": Path(status["password_file"]).read_text()}
        with httpx.Client(
            base_url=str(status["url"]).replace("localhost", "127.0.0.1"), timeout=120, trust_env=False
        ) as client:
            token = client.post("/auth/token", json=body).raise_for_status().json()["access_token"]
            headers = {"Authorization": f"Bearer {token}", "Accept": "application/x-ndjson"}
            head = b""
            with client.stream("GET", where, headers=headers) as answer:
                answer.raise_for_status()
                for chunk in answer.iter_bytes(65536):
                    head += chunk
                    if len(head) >= most_bytes:
                        break
            return head.decode(errors="replace")

    def unfinished(self, runs: str = "run_id = %s", *parameters: Any) -> list[tuple[Any, ...]]:
        """Return the runs that still go on, of those that a condition names."""
        return self.sql(
            f"SELECT dag_id, run_id FROM dag_run WHERE state IN ('queued', 'running') AND {runs}",  # noqa: S608
            *(parameters or (RUN_ID,)),
        )

    def run_state(self, dag_id: str, run_id: str = RUN_ID) -> str | None:
        """Return the state of a run."""
        found = self.sql("SELECT state FROM dag_run WHERE dag_id = %s AND run_id = %s", dag_id, run_id)
        return str(found[0][0]) if found else None

    def task_state(self, dag_id: str, task_id: str, run_id: str = RUN_ID) -> str | None:
        """Return the state of a task that is not mapped."""
        found = self.sql(
            "SELECT state FROM task_instance WHERE dag_id = %s AND run_id = %s AND task_id = %s",
            *(dag_id, run_id, task_id),
        )
        return found[0][0] if found else None


def until(is_so: Callable[[], Found | None], *, limit_seconds: float, what: str) -> Found:
    """Wait until something is so and return it; the limit only ends what hangs."""
    deadline = time.monotonic() + limit_seconds
    while True:
        # The API and the database may be away for a while: some tests take them away.
        try:
            if found := is_so():
                return found
        except (ApiError, OSError, psycopg.Error):
            pass
        assert time.monotonic() < deadline, f"not so after {limit_seconds} s: {what}"
        time.sleep(0.4)


def each(do: Callable[[Running], Found], deployments: Iterable[Running]) -> list[Found]:
    """Do something to several deployments at once."""
    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(do, deployments))
