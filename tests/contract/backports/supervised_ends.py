"""A program: ends of supervised processes that a supervisor may miss.

    supervised_ends.py STORY...     prints what came of each story as JSON, `asleep` where one never ends

The processes, the supervisors and their selector are real; only the execution API is played. A child
closes its files first and ends when nothing but its end can tell the supervisor; the selector refuses to
sleep when nothing is left that could wake it. So nothing here depends on time.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import selectors
import signal
import sys
import types
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import structlog
from airflow.dag_processing.manager import DagFileProcessorManager
from airflow.dag_processing.processor import DagFileProcessorProcess
from airflow.jobs.triggerer_job_runner import TriggerRunnerSupervisor
from airflow.sdk.api.client import Client, ServerResponseError
from airflow.sdk.api.datamodels._generated import TaskInstance
from airflow.sdk.execution_time import supervisor
from airflow.sdk.execution_time.callback_supervisor import CallbackSubprocess

if TYPE_CHECKING:
    from collections.abc import Callable

FOREVER = 10**6
LOG = structlog.wrap_logger(structlog.PrintLogger(sys.stderr))
DAY = "2026-01-01T00:00:00Z"
RUN: dict[str, Any] = {
    "dag_id": "d",
    "run_id": "r",
    "logical_date": DAY,
    "data_interval_start": DAY,
    "data_interval_end": DAY,
    "start_date": DAY,
    "end_date": None,
    "run_after": DAY,
    "run_type": "manual",
    "state": "running",
    "consumed_asset_events": [],
    "partition_key": None,
}
#: The states that the execution API was told.
told: list[str] = []


class AsleepError(Exception):
    """Somebody went to sleep with nothing left that could wake them."""


class Selector(selectors.DefaultSelector):
    """Refuses an endless sleep; lets the children end once their sockets are closed."""

    def __init__(self) -> None:
        super().__init__()
        self.gates: list[int] = []

    def sockets(self) -> list[Any]:
        return [key for key in self.get_map().values() if hasattr(key.fileobj, "recv")]

    def open_gates(self) -> None:
        while self.gates:
            os.close(self.gates.pop())

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if not self.sockets():
            self.open_gates()
        if not self.get_map():
            raise AsleepError
        return super().select(timeout)


def api(request: httpx.Request) -> httpx.Response:
    if request.url.path.endswith("/run"):
        return httpx.Response(200, json={"dag_run": RUN, "max_tries": 0})
    if request.url.path.endswith("/state"):
        told.append(json.loads(request.content)["state"])
    return httpx.Response(204)


def refusing(request: httpx.Request) -> httpx.Response:
    return httpx.Response(409, json={"detail": "not now"})


def client(answer: Callable[[httpx.Request], httpx.Response] = api) -> Any:
    return Client(base_url="http://api", token="", transport=httpx.MockTransport(answer))


def gated(start: Callable[..., Any], selector: Selector, end: Callable[[], None]) -> Any:
    """Start a process that closes its files, waits for its gate, and ends."""
    reading, writing = os.pipe()

    def child() -> None:
        os.closerange(0, reading)
        os.closerange(reading + 1, 4096)
        os.read(reading, 1)
        end()

    selector.gates.append(writing)
    try:
        return start(child, selector)
    finally:
        os.close(reading)


def task(target: Callable[[], None], selector: Selector, answer: Any = api) -> Any:
    what = TaskInstance(
        id=uuid.uuid4(),
        task_id="t",
        dag_id="d",
        run_id="r",
        try_number=1,
        dag_version_id=uuid.uuid4(),
        queue="default",
        pool_slots=1,
    )
    return supervisor.ActivitySubprocess.start(
        what=what,
        dag_rel_path="d.py",
        bundle_info=None,
        client=client(answer),
        logger=LOG,
        target=target,
        selector=selector,
    )


def other(kind: Any, target: Callable[[], None], selector: Selector, **own: Any) -> Any:
    """Start what `kind` watches, without the message or the work that its own `start` gives it."""
    start = supervisor.WatchedSubprocess.start.__func__
    return start(kind, id=uuid.uuid4(), target=target, selector=selector, logger=LOG, **own)


def callback(target: Callable[[], None], selector: Selector) -> Any:
    return other(CallbackSubprocess, target, selector, client=client())


def triggerer(target: Callable[[], None], selector: Selector) -> Any:
    return other(TriggerRunnerSupervisor, target, selector, capacity=1)


def dag_file(target: Callable[[], None], selector: Selector) -> Any:
    own = {"client": client(), "bundle_name": "b", "dag_file_rel_path": "d.py"}
    return other(DagFileProcessorProcess, target, selector, logger_filehandle=io.BytesIO(), **own)


def leave(code: int) -> Callable[[], None]:
    return lambda: os._exit(code)


def wait_for_a_signal() -> None:
    signal.alarm(120)  # Should the story fail, nothing of it stays.
    while True:
        signal.pause()


def drain(process: Any) -> None:
    """Serve a process until all its sockets are closed, while it still lives."""
    while process.selector.sockets():
        process._service_subprocess(FOREVER)


def a_task_that_succeeds() -> object:
    return gated(task, Selector(), leave(0)).wait()


def a_task_that_fails() -> object:
    return [gated(task, Selector(), leave(3)).wait(), told[-1]]


def a_callback() -> object:
    return gated(callback, Selector(), leave(0)).wait()


def a_triggerer_that_is_stopped() -> object:
    process = gated(triggerer, Selector(), wait_for_a_signal)
    drain(process)
    process.selector.open_gates()
    process.kill(signal.SIGKILL, escalation_delay=FOREVER)
    return process._exit_code


def two_dag_files_on_one_selector() -> object:
    selector = Selector()
    files = [gated(dag_file, selector, leave(code)) for code in (0, 5)]
    manager = types.SimpleNamespace(selector=selector)
    while not all([file.is_ready for file in files]):  # noqa: C419 - ask every one, as the manager does
        DagFileProcessorManager._service_processor_sockets(manager, timeout=FOREVER)
    with contextlib.suppress(AsleepError):  # The manager's next round: what is left must go, and not spin.
        while selector.get_map():
            DagFileProcessorManager._service_processor_sockets(manager, timeout=FOREVER)
    return [file._exit_code for file in files]


def _whose_exit_code_is_lost() -> Any:
    process = gated(task, Selector(), leave(0))
    drain(process)
    process.selector.open_gates()
    os.waitpid(process.pid, 0)
    return process


def a_task_whose_exit_code_is_lost() -> object:
    return [_whose_exit_code_is_lost().wait(), told[-1]]


def a_task_that_told_its_end_and_whose_exit_code_is_lost() -> object:
    told[:] = ["nothing"]
    process = _whose_exit_code_is_lost()
    process._terminal_state = "success"
    return [process.wait(), told[-1]]


def an_end_that_is_noticed_without_its_wake_up() -> object:
    selector = Selector()
    process = task(leave(0), selector)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    return [process._check_subprocess_exit(), len(selector.get_map()) - len(selector.sockets())]


def files_left_open() -> object:
    def once() -> None:
        task(leave(0), selectors.DefaultSelector()).wait()  # type: ignore[arg-type]
        with contextlib.suppress(ServerResponseError):
            task(wait_for_a_signal, selectors.DefaultSelector(), refusing)  # type: ignore[arg-type]

    def pidfds() -> int:
        links = list(Path("/proc/self/fd").iterdir())
        return sum("pidfd" in str(link.readlink()) for link in links if link.is_symlink())

    once()
    before = pidfds()
    for _ in range(5):
        once()
    return pidfds() - before


def a_machine_without_pidfds() -> object:
    def refuse(*_: object) -> int:
        raise OSError(38, "not here")

    pidfd_open, os.pidfd_open = os.pidfd_open, refuse  # type: ignore[assignment]
    try:
        process = task(leave(4), Selector())
    finally:
        os.pidfd_open = pidfd_open
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    return process.wait()


def main() -> None:
    supervisor.MIN_HEARTBEAT_INTERVAL = supervisor.HEARTBEAT_TIMEOUT = FOREVER
    outcome: dict[str, object] = {}
    for name in sys.argv[1:]:
        try:
            outcome[name] = globals()[name]()
        except AsleepError:
            outcome[name] = "asleep"
    print("ANSWER" + json.dumps(outcome))


if __name__ == "__main__":
    main()
