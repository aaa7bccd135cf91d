"""A program: a rehearsal, and what it has left in the process, printed as JSON."""

from __future__ import annotations

import contextvars
import json
import os
import re
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import structlog

from orrery.worker import compat, rehearsal, shortcuts

HEARD: list[str] = []


def main() -> None:
    rehearse, rehearsal.rehearse = rehearsal.rehearse, lambda *_, **__: None
    compat.preload()
    from airflow.sdk import listener
    from airflow.sdk._shared.listeners import hookimpl
    from airflow.sdk.execution_time import task_runner

    class Hears:
        def on_starting(self, component: Any) -> None:
            HEARD.append("starting")

        def on_task_instance_running(self, previous_state: Any, task_instance: Any) -> None:
            HEARD.append("running")

    for hook in (Hears.on_starting, Hears.on_task_instance_running):
        hookimpl(hook)
    listener.get_listener_manager().add_listener(Hears())
    told: list[Any] = []
    real_main = task_runner.main

    def counted() -> None:
        told.append(1)
        real_main()

    task_runner.main = counted
    before = state(task_runner)
    handed = []
    played = rehearsal._Played.sendall

    def sendall(self: Any, frame: bytes) -> None:
        played(self, frame)
        handed.append(self.told[-1])

    rehearsal._Played.sendall = sendall  # type: ignore[method-assign]
    rehearse(shortcuts.log_to, times=2)
    after = state(task_runner)
    answer = {
        "changed": sorted(name for name in before if before[name] != after[name]),
        "tasks": len(told),
        "told": sorted(set(handed)),
        "heard": HEARD,
        "listens again": task_runner.get_listener_manager is listener.get_listener_manager,
    }
    task_runner.main = lambda: sys.exit(1)
    try:
        rehearse(shortcuts.log_to, times=1)
    except rehearsal.UnsuccessfulError:
        task_runner.main = real_main
        before["runner"] = after["runner"] = None
        now = state(task_runner) | {"runner": None}
        answer["changed by a failure"] = sorted(name for name in before if after[name] != now[name])
    print("ANSWER" + json.dumps(answer))


def state(runner: Any) -> dict[str, Any]:
    from airflow.sdk.definitions._internal.contextmanager import DagContext
    from setproctitle import getproctitle

    status = Path("/proc/self/status").read_text()
    numbers = set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}
    return {
        "runner": {name: id(value) for name, value in vars(runner).items()},
        "environment": dict(os.environ),
        "signals": {str(number): repr(signal.getsignal(number)) for number in numbers},
        "title": getproctitle(),
        "threads": threading.active_count(),
        "files": sorted(path.name for path in Path("/proc/self/fd").iterdir()),
        "privileges": re.findall(r"NoNewPrivs:\s*(\d)", status),
        "context": {var.name: repr(value) for var, value in contextvars.copy_context().items()},
        "bound": structlog.contextvars.get_contextvars(),
        "log": id(shortcuts._switch.target),
        "dag": repr(DagContext.get_current()),
        "dagbag": id(sys.modules["airflow.dag_processing.dagbag"].BundleDagBag),
    }


if __name__ == "__main__":
    main()
