"""What the executor writes down: the usage of each try, and now and then what nodes and tasks look like.

Nothing here may stop the scheduler: a database that is away costs a record, and is said once.
"""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import structlog
from airflow.utils.session import create_session

from orrery.executor import store
from orrery.executor.advice import Usage
from orrery.executor.resources import Resources
from orrery.executor.snapshot import MOST_WAITING, NodeView, Snapshot, TaskView, WaitingView

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from orrery.executor.dispatcher import Dispatcher
    from orrery.executor.job import Finished, Job
    from orrery.executor.link import Link

log = structlog.get_logger(__name__)

#: While tasks run or wait; somebody may be looking.
_SNAPSHOT_SECONDS = 2.0
#: While nothing happens.
_IDLE_SNAPSHOT_SECONDS = 5.0
_USAGE_SECONDS = 0.5
_MOST_USAGES = 200
_PURGE_SECONDS = 3600.0


class Recorder:
    """Writes for one executor."""

    def __init__(self, *, scheduler: str, listen_url: str | None = None) -> None:
        self.listener = store.open_listener(listen_url)
        self._scheduler = scheduler
        self._usages: list[Usage] = []
        self._next_usage = 0.0
        self._next_snapshot = 0.0
        self._next_purge = time.monotonic() + 60
        self._was_busy = False
        self._has_complained = False

    def record(self, finished: Iterable[Finished]) -> None:
        """Remember what ended tasks have used; it is written with the next ones."""
        for each in finished:
            if each.job.details:
                self._usages.append(_usage(each))

    def tick(self, dispatcher: Dispatcher) -> None:
        """Write what is due."""
        now = time.monotonic()
        if self._usages and (now >= self._next_usage or len(self._usages) >= _MOST_USAGES):
            self._next_usage = now + _USAGE_SECONDS
            self._write_usages()
        waiting, placed = dispatcher.counts()
        is_busy = bool(waiting or placed)
        if now >= self._next_snapshot or (self._was_busy and not is_busy):
            self._was_busy = is_busy
            self._next_snapshot = now + (_SNAPSHOT_SECONDS if is_busy else _IDLE_SNAPSHOT_SECONDS)
            self._try(lambda session: store.save_snapshot(session, snapshot(self._scheduler, dispatcher)))
        if now >= self._next_purge:
            self._next_purge = now + _PURGE_SECONDS
            self._try(lambda session: store.purge(session, datetime.now(UTC)))

    def close(self) -> None:
        """Write what is left."""
        if self._usages:
            self._write_usages()
        self.listener.close()

    def _write_usages(self) -> None:
        rows, self._usages = self._usages, []
        self._try(lambda session: store.save_usage(session, rows))

    def _try(self, write: Any) -> None:
        try:
            with create_session() as session:
                write(session)
        except Exception as error:
            if not self._has_complained:
                self._has_complained = True
                log.warning(
                    "Usage and state of tasks cannot be written; run 'airflow db migrate' if Orrery's tables "
                    "are missing",
                    error=str(error),
                )
        else:
            self._has_complained = False


def write_last_word(log_file: Path, text: str) -> None:
    """Append a line to a task's log, in Airflow's form, because no supervisor of it will."""
    line = {"timestamp": datetime.now(UTC).isoformat(), "level": "error", "event": text, "logger": "orrery"}
    try:
        log_file.parent.mkdir(parents=True, exist_ok=True)
        with log_file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
    except OSError as error:
        log.warning("A task's log cannot be written", file=str(log_file), error=str(error))


def details_of(ti: Any) -> dict[str, Any]:
    """Return what identifies a try, from Airflow's row or message of it."""
    return {
        "ti_id": str(ti.id),
        "dag_id": ti.dag_id,
        "task_id": ti.task_id,
        "run_id": ti.run_id,
        "map_index": -1 if ti.map_index is None else ti.map_index,
        "try_number": ti.try_number,
    }


def snapshot(scheduler: str, dispatcher: Dispatcher) -> Snapshot:
    """Return what one scheduler knows now."""
    links, placed, waiting = dispatcher.view()
    return Snapshot(
        scheduler=scheduler,
        taken_at=datetime.now(UTC),
        nodes=tuple(view for link in links if (view := _node_view(link)) is not None),
        running=tuple(_task_view(job) for job in placed if job.details),
        waiting=tuple(_waiting_view(job, reason) for job, reason in waiting[:MOST_WAITING] if job.details),
        waiting_total=len(waiting),
    )


def _node_view(link: Link) -> NodeView | None:
    status = link.status
    if status is None:
        return None
    here = list(link.here.values())  # the dispatcher goes on meanwhile
    requested = Resources()
    for each in here:
        requested = requested + Resources.from_mapping(each.resources)
    measured = link.measured
    return NodeView(
        name=status.name,
        state=status.state if link.is_ready else "unreachable",
        host=status.host,
        pid=status.pid,
        version=status.runtime,
        allocatable=Resources.from_mapping(status.allocatable),
        requested=requested,
        memory_bytes=measured.memory_bytes if measured and here else 0,
        cpu_millicores=measured.cpu_millicores if measured and here else 0,
        starting=sum(each.is_starting for each in here),
        max_starting=status.max_starting,
        queues=status.queues,
        heard_at=link.heard_at,
        started_at=datetime.fromtimestamp(status.started_at, UTC),
        isolation=status.isolation,
        notes=status.notes,
    )


def _common(job: Job) -> dict[str, Any]:
    return job.details | {
        "queue": job.queue,
        "priority": job.priority,
        "resources": job.request.resources,
        "isolation": job.request.isolation,
        "queued_at": job.queued_at,
    }


def _task_view(job: Job) -> TaskView:
    return TaskView(
        **_common(job),
        node=job.node,
        placed_at=job.placed_at,
        started_at=job.started_at,
        memory_bytes=job.memory_bytes or None,
        memory_peak_bytes=job.memory_peak_bytes or None,
        cpu_seconds=job.cpu_seconds or None,
    )


def _waiting_view(job: Job, reason: str) -> WaitingView:
    return WaitingView(**_common(job), reason=reason)


def _usage(finished: Finished) -> Usage:
    job, ended = finished.job, finished.ended
    return Usage(
        **job.details,
        queue=job.queue,
        node=finished.node or None,
        resources=job.request.resources,
        memory_peak_bytes=ended.usage.memory_peak_bytes or None,
        cpu_seconds=ended.usage.cpu_seconds or None,
        queued_at=job.queued_at,
        placed_at=job.placed_at,
        started_at=datetime.fromtimestamp(ended.started_at, UTC) if ended.started_at else None,
        ended_at=datetime.fromtimestamp(ended.ended_at, UTC) if ended.ended_at else datetime.now(UTC),
        ending=ended.ending,
        ending_text=ended.text,
    )
