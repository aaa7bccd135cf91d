"""Execution API calls: Airflow's single routes beside the batch route, interleaved, on one API server.

Two parts. Calls: CPU of the API server and wall time per call, one caller, batches of 1, 8 and 32. Tasks:
Airflow's own client makes the calls of whole tasks (start, rendered fields, success) in 1, 8 and 32 threads,
each with a connection of its own as Airflow's supervisors have it, or all on the shared transport.
"""
# ruff: noqa: PLC0415 - Airflow is imported when its environment is ready

from __future__ import annotations

import argparse
import csv
import json
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import psutil

if not __package__:  # run as a file: the package `benchmarks` is found from the repository's root
    sys.path[0] = str(Path(__file__).parents[1])

from benchmarks.lab.server import Server

from orrery.executor.batch_protocol import MEDIA_TYPE, PATH, Call, answers, pack
from orrery.local.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

SIZES = (1, 8, 32)
START = "2026-01-01T00:00:00Z"
WHO = {"hostname": "host", "pid": 1}
NEVER = datetime(2026, 1, 1, tzinfo=UTC)

#: What a task asks, in order: (name, method, action, body).
CALLS: tuple[tuple[str, str, str, dict[str, Any]], ...] = (
    ("run", "PATCH", "run", {"state": "running", "unixname": "u", "start_date": START, **WHO}),
    ("heartbeat", "PUT", "heartbeat", WHO),
    ("rtif", "PUT", "rtif", {"bash_command": "echo", "env": None}),
    ("state", "PATCH", "state", {"state": "success", "end_date": START}),
)


@dataclass(frozen=True, kw_only=True)
class Figure:
    """Per call or per task, in milliseconds."""

    part: str
    what: str
    how: str
    api_server_cpu: float
    postgres_cpu: float
    client_cpu: float
    wall: float


class Lab:
    """A database, an API server, and this process as their client."""

    def __init__(self, folder: Path) -> None:
        self.database = Server(folder)
        self.database.start()
        self.port = free_port()
        own = {
            "AIRFLOW_HOME": str(folder / "home"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": self.database.url(),
            "AIRFLOW__API_AUTH__JWT_SECRET": "0123456789abcdef" * 4,
        }
        os.environ.update(own)
        self._log = (folder / "api-server.log").open("wb")
        self._run("db", "migrate").wait()
        self.server = self._run("api-server", "--host", "127.0.0.1", "--port", str(self.port))
        self.url = f"http://127.0.0.1:{self.port}"
        self.http = httpx.Client(base_url=self.url, timeout=60, headers={"accept-encoding": "identity"})
        deadline = time.monotonic() + 120
        while True:
            try:
                self.http.get("/execution/health/ping").raise_for_status()
                break
            except httpx.TransportError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)

    def _run(self, *arguments: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "airflow", *arguments], stdout=self._log, stderr=self._log
        )

    def stop(self) -> None:
        self.http.close()
        self.server.terminate()
        self.server.wait()
        self.database.stop()

    def cpu(self) -> tuple[float, float, float]:
        """CPU milliseconds of the API server, of PostgreSQL, of this process, until now."""
        server = psutil.Process(self.server.pid)
        database = sum(map(_cpu, self.database.pids()))
        children = [child.pid for child in server.children(recursive=True)]
        return sum(map(_cpu, [server.pid, *children])), database, _cpu(os.getpid())


def _cpu(pid: int) -> float:
    try:
        return 1000.0 * sum(psutil.Process(pid).cpu_times()[:4])
    except psutil.Error:
        return 0.0


def seed(count: int) -> list[str]:
    """Make queued task instances and return their ids."""
    from airflow.models.dagbundle import DagBundleModel
    from airflow.models.serialized_dag import SerializedDagModel
    from airflow.providers.standard.operators.empty import EmptyOperator
    from airflow.sdk import DAG
    from airflow.serialization.definitions.dag import SerializedDAG
    from airflow.serialization.serialized_objects import LazyDeserializedDAG
    from airflow.utils.session import create_session
    from airflow.utils.state import DagRunState
    from airflow.utils.types import DagRunTriggeredByType, DagRunType

    name = f"benchmark_{uuid.uuid4().hex}"
    with DAG(name, schedule=None, start_date=NEVER) as dag:
        for number in range(count):
            EmptyOperator(task_id=f"task_{number}")
    with create_session() as session:
        if session.get(DagBundleModel, "benchmark") is None:
            session.add(DagBundleModel(name="benchmark"))
            session.flush()
        lazy = LazyDeserializedDAG.from_dag(dag)
        SerializedDAG.bulk_write_to_db("benchmark", None, [lazy], session=session)
        SerializedDagModel.write_dag(lazy, bundle_name="benchmark", session=session)
    with create_session() as session:
        run = SerializedDagModel.get_dag(name, session=session).create_dagrun(
            run_id="run",
            logical_date=NEVER,
            data_interval=(NEVER, NEVER),
            run_after=NEVER,
            run_type=DagRunType.MANUAL,
            triggered_by=DagRunTriggeredByType.TEST,
            state=DagRunState.RUNNING,
            start_date=NEVER,
            session=session,
        )
        found = run.get_task_instances(session=session)
        for each in found:
            each.state, each.try_number = "queued", 1
        return [str(each.id) for each in found]


class Tokens:
    """Tokens of tasks, made once each."""

    def __init__(self) -> None:
        from airflow.api_fastapi.execution_api.app import _jwt_generator

        self._generator = _jwt_generator()

    def of(self, task: str) -> str:
        return str(self._generator.generate(extras={"sub": task, "scope": "execution"}))


def measured(lab: Lab, name: tuple[str, str, str], count: int, work: Callable[[], None]) -> Figure:
    before, since = lab.cpu(), time.perf_counter()
    work()
    wall = 1000 * (time.perf_counter() - since) / count
    server, database, client = (
        (after - start) / count for after, start in zip(lab.cpu(), before, strict=True)
    )
    part, what, how = name
    return Figure(
        part=part,
        what=what,
        how=how,
        api_server_cpu=server,
        postgres_cpu=database,
        client_cpu=client,
        wall=wall,
    )


def part_calls(lab: Lab, tokens: Tokens, count: int) -> Iterator[Figure]:
    from airflow.sdk.api.datamodels._generated import API_VERSION

    tasks = seed(count * (1 + len(SIZES)))
    headers = {
        task: {
            "authorization": f"Bearer {tokens.of(task)}",
            "airflow-api-version": API_VERSION,
            "content-type": "application/json",
        }
        for task in tasks
    }
    for name, method, action, body in CALLS:
        for number, size in enumerate((None, *SIZES)):
            mine = tasks[number * count :][:count]
            calls = [
                Call(method, f"task-instances/{task}/{action}", headers[task], json.dumps(body).encode())
                for task in mine
            ]
            how = "single" if size is None else f"batch of {size}"
            yield measured(lab, ("call", name, how), count, lambda: ask(lab.http, calls, size))  # noqa: B023


def ask(http: httpx.Client, calls: Sequence[Call], size: int | None) -> None:
    if size is None:
        for call in calls:
            answer = http.request(
                call.method, f"/execution/{call.path}", headers=call.headers, content=call.body
            )
            assert answer.is_success, answer.text
        return
    for start in range(0, len(calls), size):
        part = list(calls[start : start + size])
        answer = http.post(f"/{PATH}", content=pack(part), headers={"content-type": MEDIA_TYPE})
        assert all(each.status < 300 for each in answers(answer.content, expected=len(part)))


def part_tasks(lab: Lab, tokens: Tokens, count: int) -> Iterator[Figure]:
    for threads in SIZES:
        for how in ("single", "shared"):
            tasks = seed(count)
            known = {task: tokens.of(task) for task in tasks}
            yield measured(
                lab,
                ("task", f"{threads} at a time", how),
                count,
                lambda: live(lab, known, threads, is_shared=how == "shared"),  # noqa: B023
            )


def live(lab: Lab, tokens: dict[str, str], threads: int, *, is_shared: bool) -> None:
    from airflow.sdk.api.client import Client

    from orrery.worker.batch import BatchTransport

    url = f"{lab.url}/execution/"
    shared = BatchTransport(url) if is_shared else None
    left, lock = list(tokens), threading.Lock()

    def tasks() -> None:
        while True:
            with lock:
                if not left:
                    return
                task = left.pop()
            options = {"transport": shared} if shared else {}
            with Client(base_url=url, token=tokens[task], **options) as client:
                one = uuid.UUID(task)
                client.task_instances.start(one, 1, NEVER)
                if shared:
                    with shared.lazy():
                        client.task_instances.set_rtif(one, {"bash_command": "echo"})
                else:
                    client.task_instances.set_rtif(one, {"bash_command": "echo"})
                client.task_instances.succeed(one, NEVER, [], [], None)

    running = [threading.Thread(target=tasks) for _ in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    if shared:
        shared.shut_down()


def table(figures: Sequence[Figure]) -> None:
    rows: dict[tuple[str, str, str], list[Figure]] = {}
    for figure in figures:
        rows.setdefault((figure.part, figure.what, figure.how), []).append(figure)
    print("Milliseconds per call or per task, median; CPU but for 'wall'; ratio of the API server's CPU.")
    print(f"{'':34}{'API server':>11}{'database':>10}{'client':>9}{'wall':>9}{'ratio':>8}")
    for (part, what, how), found in rows.items():
        median = {
            name: statistics.median(getattr(each, name) for each in found)
            for name in ("api_server_cpu", "postgres_cpu", "client_cpu", "wall")
        }
        single = statistics.median(each.api_server_cpu for each in rows[part, what, "single"])
        print(
            f"{part:6}{what:14}{how:14}{median['api_server_cpu']:11.2f}{median['postgres_cpu']:10.2f}"
            f"{median['client_cpu']:9.2f}{median['wall']:9.2f}{median['api_server_cpu'] / single:8.2f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--count", type=int, default=96, help="calls of a kind, or tasks, per round and way")
    parser.add_argument("--csv", type=Path)
    parser.add_argument("--only", choices=("calls", "tasks"))
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="orrery-benchmark-") as folder:
        lab = Lab(Path(folder))
        try:
            tokens = Tokens()
            for number in range(options.rounds + 1):
                found: list[Figure] = []
                if options.only != "tasks":
                    found += part_calls(lab, tokens, options.count)
                if options.only != "calls":
                    found += part_tasks(lab, tokens, options.count)
                # The first round warms the server: its caches of SQL, its pool, its threads.
                if number:
                    figures += found
        finally:
            lab.stop()
    table(figures)
    if options.csv:
        with options.csv.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(Figure.__annotations__)
            writer.writerows([getattr(each, name) for name in Figure.__annotations__] for each in figures)


if __name__ == "__main__":
    main()
