"""The overview: what all schedulers know of nodes and tasks, put together for one reader.

Pure: snapshots, advice, the reader's Dags and the time are arguments.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, TypeVar

from orrery.executor.snapshot import NodeView, Snapshot, TaskView, WaitingView

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence, Set
    from datetime import datetime

    from orrery.executor.advice import UsageSummary
    from orrery.executor.resources import Resources

#: A scheduler writes every second or two; what is older than this is told as old.
STALE_AFTER: Final = timedelta(seconds=10)
#: What is older than this is not told at all.
FORGOTTEN_AFTER: Final = timedelta(minutes=10)

#: A Dag and a task of it.
TaskKey = tuple[str, str]
Task = TypeVar("Task", TaskView, WaitingView)

#: Reasons name other tasks by ids that mean nothing to people.
_TASK_BY_ID: Final = re.compile(r"\btask [0-9a-f]{8}(?:-?[0-9a-f]{4}){3}-?[0-9a-f]{12}\b")


@dataclass(frozen=True, kw_only=True, slots=True)
class NodeRow(NodeView):
    """A node, with what the tasks say of it."""

    #: Tasks that occupy it, those that are starting included.
    running: int = 0
    #: When it was heard of last, if that is too long ago; else None.
    stale_since: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class AdviceRow:
    """What a task should ask for instead, from what it has used."""

    dag_id: str
    task_id: str
    #: `asks 2 GiB, used 310 MiB at most over 20 runs: ask 512 MiB`.
    text: str
    runs: int
    #: What its newest run asked for.
    resources: Resources
    #: The most that a run has used; None where it was not measured.
    memory_peak_bytes: int | None
    #: What none of the runs has used of the memory that was asked for.
    unused_memory_bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Overview:
    """All of it."""

    #: The executor that the deployment is configured with.
    executor: str
    #: Why there is nothing to see; None when there is.
    message: str | None
    #: The server's clock.
    now: datetime
    #: When the newest scheduler reported; None when none has.
    taken_at: datetime | None
    #: Whether that is too long ago.
    is_stale: bool
    nodes: tuple[NodeRow, ...]
    #: The longest first; of Dags that the reader may see.
    running: tuple[TaskView, ...]
    #: Of all Dags.
    running_total: int
    #: The most urgent first; of Dags that the reader may see, and no more than schedulers list.
    waiting: tuple[WaitingView, ...]
    #: Of all Dags.
    waiting_total: int
    #: How many running and listed waiting tasks are left out because the reader may not see their Dags.
    hidden_tasks: int
    #: The largest waste first.
    advice: tuple[AdviceRow, ...]

    @property
    def tasks(self) -> frozenset[TaskKey]:
        """The tasks that it names."""
        everything: tuple[TaskView | WaitingView, ...] = (*self.running, *self.waiting)
        return frozenset((each.dag_id, each.task_id) for each in everything)


def merged(snapshots: Iterable[Snapshot], *, executor: str, now: datetime) -> Overview:
    """Put the newest snapshots of all schedulers together; advice is still to come.

    A node is told as the scheduler sees it that has heard of it last. What a silent scheduler knew is told
    only where no other knows better: its nodes if no other names them, what waited if all are silent.
    """
    known = sorted(
        (each for each in snapshots if now - each.taken_at <= FORGOTTEN_AFTER),
        key=lambda each: each.taken_at,
        reverse=True,
    )
    live = [each for each in known if now - each.taken_at <= STALE_AFTER]
    of_live = {node.name for each in live for node in each.nodes}
    rows: dict[str, NodeRow] = {}
    running: dict[str, TaskView] = {}
    for each in known:
        is_live = each in live
        for node in each.nodes:
            row = _row(node, each, is_live=is_live)
            if (node.name in of_live) == is_live and _is_newer(row, rows.get(node.name)):
                rows[node.name] = row
        for task in each.running:
            if is_live or task.node not in of_live:
                running.setdefault(task.ti_id, task)
    waiting: dict[str, WaitingView] = {}
    tellers = live or known
    for each in tellers:
        for waits in each.waiting:
            if waits.ti_id not in running:
                waiting.setdefault(waits.ti_id, waits)
    counts = Counter(task.node for task in running.values())
    return Overview(
        executor=executor,
        message=None if known else _nothing(executor),
        now=now,
        taken_at=known[0].taken_at if known else None,
        is_stale=bool(known) and not live,
        nodes=tuple(replace(rows[name], running=counts[name]) for name in sorted(rows)),
        running=tuple(sorted(running.values(), key=lambda task: (task.started_at or now, task.ti_id))),
        running_total=len(running),
        waiting=tuple(
            replace(task, reason=_TASK_BY_ID.sub("another task", task.reason))
            for task in sorted(
                waiting.values(), key=lambda task: (-task.priority, task.queued_at or now, task.ti_id)
            )
        ),
        waiting_total=max(len(waiting), sum(each.waiting_total for each in tellers)),
        hidden_tasks=0,
        advice=(),
    )


def for_reader(overview: Overview, readable: Set[str]) -> Overview:
    """Leave out the tasks of Dags that are not readable; counts and sums stay."""
    running = _of(overview.running, readable)
    waiting = _of(overview.waiting, readable)
    listed = len(overview.running) + len(overview.waiting)
    return replace(
        overview,
        running=running,
        waiting=waiting,
        hidden_tasks=listed - len(running) - len(waiting),
    )


def with_advice(overview: Overview, usage: Mapping[TaskKey, UsageSummary]) -> Overview:
    """Add what tasks should ask for, where their last runs say that it is something else."""
    rows = [
        AdviceRow(
            dag_id=dag_id,
            task_id=task_id,
            text=used.advice,
            runs=used.runs,
            resources=used.resources,
            memory_peak_bytes=used.memory_peak_bytes,
            unused_memory_bytes=max(0, used.resources.memory_bytes - (used.memory_peak_bytes or 0)),
        )
        for (dag_id, task_id), used in usage.items()
        if used.advice is not None
    ]
    rows.sort(key=lambda row: (-row.unused_memory_bytes, row.dag_id, row.task_id))
    return replace(overview, advice=tuple(rows))


def _of(tasks: Sequence[Task], readable: Set[str]) -> tuple[Task, ...]:
    return tuple(task for task in tasks if task.dag_id in readable)


def _row(node: NodeView, snapshot: Snapshot, *, is_live: bool) -> NodeRow:
    values: dict[str, Any] = {each.name: getattr(node, each.name) for each in fields(NodeView)}
    is_heard = is_live and node.state != "unreachable"
    return NodeRow(**values, stale_since=None if is_heard else node.heard_at or snapshot.taken_at)


def _is_newer(row: NodeRow, other: NodeRow | None) -> bool:
    if other is None or other.heard_at is None:
        return other is None or row.heard_at is not None
    return row.heard_at is not None and row.heard_at > other.heard_at


def _nothing(executor: str) -> str:
    if "PackingExecutor" in executor:
        return "No scheduler has reported its nodes yet. It does so when it has started."
    return f"This deployment runs {executor}; set executor: packing in orrery.yaml."
