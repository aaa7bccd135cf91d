"""What Airflow builds anew in every task, built once in the zygote instead: the result is the same.

And where a task itself begins, so that it gains no privileges.

Each of these replaces a name in one of Airflow's modules, in the zygote and so in its children; but for
`remember_hostname` in no other process.
tests/contract/test_worker_compat.py holds them to what they replace.
"""

from __future__ import annotations

import contextlib
import functools
import io
import os
import signal
import sys
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from pydantic import JsonValue, TypeAdapter

from orrery.worker import kernel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def install() -> None:
    """Put them in place; repeated calls change nothing."""
    from airflow.sdk.api import client  # noqa: PLC0415
    from airflow.sdk.execution_time import comms, supervisor, task_runner  # noqa: PLC0415

    if comms.TypeAdapter is shared_adapter:
        return
    # Some 10 ms a task: the schema of 60 messages, twice, and one for each template field.
    comms.TypeAdapter = task_runner.TypeAdapter = shared_adapter
    shared_adapter(comms.ToTask)
    shared_adapter(JsonValue)
    # Some 5 ms a task: levels and handlers of hundreds of loggers, the same each time.
    _configure_logs_ahead(supervisor)
    task_runner.run = _as_a_task_begins(task_runner.run)
    remember_hostname()
    task_runner.get_hostname = client.get_hostname


def remember_hostname() -> None:
    """Look this machine's name up once: some 2 ms a task, or as long as a name server takes.

    Both the agent, which tells it as a task starts, and the zygotes.
    """
    from airflow.sdk.api import client  # noqa: PLC0415

    client.get_hostname = functools.cache(client.get_hostname)


@functools.cache
def shared_adapter(kind: Any) -> TypeAdapter[Any]:
    """Return the adapter of a type, made once: adapters have no state."""
    return TypeAdapter(kind)


class Switch(io.RawIOBase):
    """A file whose target can be changed: loggers that were set up with it follow."""

    def __init__(self, target: BinaryIO) -> None:
        super().__init__()
        self.target = target

    def write(self, data: Any, /) -> int:
        """Write to the target."""
        return self.target.write(data)

    def flush(self) -> None:
        """Flush the target."""
        if not self.closed:
            self.target.flush()

    def fileno(self) -> int:
        """Return the target's."""
        return self.target.fileno()

    def writable(self) -> bool:
        """Say that it can be written to."""
        return True


#: Where this process's logging goes.
_switch = Switch(io.BytesIO())


@contextlib.contextmanager
def log_to(target: BinaryIO) -> Iterator[None]:
    """Lead what a task logs there, for the time being."""
    before, _switch.target = _switch.target, target
    try:
        yield
    finally:
        _switch.target = before


def _as_a_task_begins(run: Callable[..., Any]) -> Callable[..., Any]:
    """Let the task itself begin without a way to more privileges: who becomes another user has done so.

    And let a segmentation fault end it: Airflow's parser leaves a handler in Python behind, under which the
    faulting instruction is repeated for ever.
    """

    @functools.wraps(run)
    def begin_and_run(*arguments: Any, **keywords: Any) -> Any:
        with contextlib.suppress(OSError):
            kernel.set_no_new_privs()
        signal.signal(signal.SIGSEGV, signal.SIG_DFL)
        return run(*arguments, **keywords)

    begin_and_run.is_begun_by = run  # type: ignore[attr-defined]
    return begin_and_run


def _configure_logs_ahead(supervisor: Any) -> None:
    """Set logging up as a task has it, to where the zygote writes; a task only turns the switch."""
    from airflow.sdk.log import configure_logging, reset_logging  # noqa: PLC0415

    _switch.target = sys.stderr.buffer
    reset_logging()
    configure_logging(json_output=True, output=cast("BinaryIO", _switch), sending_to_supervisor=True)

    def turn(log_fd: int) -> None:
        _switch.target = os.fdopen(log_fd, "wb", buffering=0)

    supervisor._configure_logs_over_json_channel = turn
