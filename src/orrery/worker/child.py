"""The first moments of a task's process: from the fork to Airflow's own code."""

from __future__ import annotations

import os
import socket
from typing import Any

from orrery.errors import OrreryError
from orrery.worker import compat
from orrery.worker.cell_spec import CellSpec
from orrery.worker.enter import enter

#: The exit code of a child that could not be isolated as it was asked.
_NOT_ENTERED = 123


def run(message: dict[str, Any], files: list[int]) -> None:
    """Enter the cell, then run the task or the workload; does not return from a task."""
    spec = CellSpec(**message["cell"])
    if message["kind"] == "task":
        requests, stdout, stderr, logs = files
        # Why it could not enter is shown in the task's log.
        os.dup2(stderr, 2)
        try:
            enter(spec)
        except OrreryError as error:
            os.write(2, f"The task was not started: {error.message} {error.hint or ''}\n".encode())
            os._exit(_NOT_ENTERED)
        compat.fork_main(
            socket.socket(fileno=requests),
            socket.socket(fileno=stdout),
            socket.socket(fileno=stderr),
            logs,
        )
    else:
        (output,) = files
        for number in (1, 2):
            os.dup2(output, number)
        os.close(output)
        enter(spec)
        os._exit(compat.run_workload(message["workload"]))
