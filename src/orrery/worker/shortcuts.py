"""What Airflow builds anew in every task, built once in the zygote instead: the result is the same.

Each of these replaces a name in one of Airflow's modules, in the zygote and so in its children only.
tests/contract/test_worker_compat.py holds them to what they replace.
"""

from __future__ import annotations

import functools
import logging
from typing import TYPE_CHECKING, Any

from pydantic import JsonValue, TypeAdapter

if TYPE_CHECKING:
    from collections.abc import Callable


def install() -> None:
    """Put them in place; repeated calls change nothing."""
    from airflow.sdk.execution_time import comms, supervisor, task_runner  # noqa: PLC0415

    if comms.TypeAdapter is shared_adapter:
        return
    # Some 10 ms a task: the schema of 60 messages, twice, and one for each template field.
    comms.TypeAdapter = task_runner.TypeAdapter = shared_adapter
    shared_adapter(comms.ToTask)
    shared_adapter(JsonValue)
    # Some 10 ms a task: logging forgets the levels of all loggers for each logger that it resets.
    supervisor._configure_logs_over_json_channel = _forgetting_once(
        supervisor._configure_logs_over_json_channel
    )


@functools.cache
def shared_adapter(kind: Any) -> TypeAdapter[Any]:
    """Return the adapter of a type, made once: adapters have no state."""
    return TypeAdapter(kind)


def _forgetting_once(configure: Callable[[int], None]) -> Callable[[int], None]:
    """Let `configure` set levels without emptying all loggers' caches each time, but once at its end."""

    @functools.wraps(configure)
    def configure_and_forget(log_fd: int) -> None:
        manager: Any = logging.root.manager
        # On the instance: the class, and whoever has it, stays as it is.
        manager._clear_cache = lambda: None
        try:
            configure(log_fd)
        finally:
            del manager._clear_cache
            manager._clear_cache()

    return configure_and_forget
