"""A job: a workload of this executor, from its queueing to the news of its end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from orrery.executor.protocol import Ended
    from orrery.executor.request import Request


@dataclass(kw_only=True)
class Job:
    """A workload of this executor: from its queueing to its end."""

    id: str
    #: Airflow's key of it, as the executor's events name it.
    key: Any
    #: Makes the workload's JSON when it is sent: the token must be fresh then. None: adopted.
    render: Callable[[], str] | None
    request: Request
    queue: str
    priority: int
    bundle: str
    queued_at: datetime
    node: str | None = None
    #: Whether the agent has said that it took it.
    is_confirmed: bool = False
    placed_at: datetime | None = None
    started_at: datetime | None = None
    #: The last measurement.
    memory_bytes: int = 0
    memory_peak_bytes: int = 0
    cpu_seconds: float = 0.0
    #: Of its log, below Airflow's folder of logs.
    log_path: str | None = None
    #: Of a callback or a connection test: the states that the scheduler is told of success and failure.
    outcomes: tuple[Any, Any] | None = None
    #: Of a task: what identifies it for people and tables.
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Finished:
    """News: a job is over."""

    job: Job
    ended: Ended
    node: str
