"""What a scheduler knows of its nodes, of what runs and of what waits: one value, written for others to read.

A snapshot crosses releases: during an upgrade an older release may read what a newer one has written, and
the other way round. A reader leaves out fields it does not know, and takes the default of those that are
not there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from orrery.executor.resources import FIELDS, ResourceError, Resources

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

_T = TypeVar("_T")

#: Of the form below. It grows only when a field changes its meaning; a new field needs no new version.
VERSION = 1

#: Waiting tasks that a snapshot lists; the others are only counted.
MOST_WAITING = 500

_NOTHING = Resources()


class SnapshotError(ValueError):
    """A text is no snapshot that this release can read."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NodeView:
    """One node as the scheduler sees it."""

    name: str
    #: As in `orrery.executor.node.NodeState`; a newer release may know more of them.
    state: str
    host: str = ""
    pid: int | None = None
    version: str = ""
    allocatable: Resources = _NOTHING
    #: The sum of what its tasks ask for.
    requested: Resources = _NOTHING
    #: Measured now, all tasks together; None where it cannot be measured.
    memory_bytes: int | None = None
    cpu_millicores: int | None = None
    starting: int = 0
    max_starting: int = 0
    queues: tuple[str, ...] = ()
    heard_at: datetime | None = None
    started_at: datetime | None = None
    #: How its tasks are kept apart, in few words: `cgroup v2, namespaces`.
    isolation: str = ""
    #: What people should know of it, such as what is weaker here and how to get it.
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskView:
    """One try of a task that has been placed."""

    ti_id: str
    dag_id: str
    task_id: str
    run_id: str
    map_index: int = -1
    try_number: int = 1
    queue: str = ""
    priority: int = 1
    resources: Resources = _NOTHING
    isolation: str = "process"
    node: str | None = None
    queued_at: datetime | None = None
    placed_at: datetime | None = None
    started_at: datetime | None = None
    #: Measured now, and at most until now; None until the first measurement.
    memory_bytes: int | None = None
    memory_peak_bytes: int | None = None
    cpu_seconds: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class WaitingView:
    """One try of a task that has not been placed, and why."""

    ti_id: str
    dag_id: str
    task_id: str
    run_id: str
    map_index: int = -1
    try_number: int = 1
    queue: str = ""
    priority: int = 1
    resources: Resources = _NOTHING
    isolation: str = "process"
    queued_at: datetime | None = None
    #: For people: `cpu: asks 2 CPU, 0.5 CPU is free on the roomiest node`.
    reason: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Snapshot:
    """What one scheduler knows at one moment."""

    scheduler: str
    taken_at: datetime
    nodes: tuple[NodeView, ...] = ()
    running: tuple[TaskView, ...] = ()
    #: The first in line, at most `MOST_WAITING`.
    waiting: tuple[WaitingView, ...] = ()
    #: All that wait, listed or not.
    waiting_total: int = 0

    def __post_init__(self) -> None:
        if len(self.waiting) > MOST_WAITING:
            raise ValueError(f"a snapshot lists {MOST_WAITING} waiting tasks, not {len(self.waiting)}")

    def to_mapping(self) -> dict[str, Any]:
        """Return it as JSON's own types, with the version of the form."""
        return {"version": VERSION, **_written(self)}

    def to_json(self) -> str:
        """Return it as text."""
        return json.dumps(self.to_mapping(), separators=(",", ":"))

    @classmethod
    def from_mapping(cls, value: object) -> Self:
        """Read what `to_mapping` of this or another release has written.

        Raises:
            SnapshotError: it has another form, or one of a later version.
        """
        if not isinstance(value, Mapping):
            raise SnapshotError(f"a snapshot is a mapping, not {type(value).__name__}")
        version = value.get("version")
        if not isinstance(version, int) or version > VERSION:
            raise SnapshotError(f"a snapshot of version {version!r}; this release reads up to {VERSION}")
        try:
            return _read(cls, value)
        except (KeyError, TypeError, ValueError, AttributeError, ResourceError) as error:
            raise SnapshotError(f"not a snapshot: {error!r}") from error

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` of this or another release has written.

        Raises:
            SnapshotError: it is no JSON, has another form, or one of a later version.
        """
        try:
            value = json.loads(text)
        except ValueError as error:
            raise SnapshotError(f"not JSON: {error}") from error
        return cls.from_mapping(value)


def _written(value: Any) -> Any:
    if isinstance(value, Resources):
        return value.as_mapping()
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, tuple):
        return [_written(each) for each in value]
    if isinstance(value, Snapshot | NodeView | TaskView | WaitingView):
        return {name.name: _written(getattr(value, name.name)) for name in fields(value)}
    return value


def _resources(value: Mapping[str, Any]) -> Resources:
    return Resources.from_mapping({name: value[name] for name in FIELDS if name in value})


#: How a field is read that JSON has no type for, by its name.
_READERS: dict[str, Callable[[Any], object]] = {
    "nodes": lambda value: tuple(_read(NodeView, each) for each in value),
    "running": lambda value: tuple(_read(TaskView, each) for each in value),
    "waiting": lambda value: tuple(_read(WaitingView, each) for each in value),
    "allocatable": _resources,
    "requested": _resources,
    "resources": _resources,
    "queues": tuple,
    "notes": tuple,
    **dict.fromkeys(("taken_at", "heard_at", "queued_at", "placed_at", "started_at"), datetime.fromisoformat),
}


def _read(kind: type[_T], value: Mapping[str, Any]) -> _T:
    found: dict[str, Any] = {}
    for known in fields(kind):  # type: ignore[arg-type] # it is one of the four above
        name = known.name
        if name not in value:
            if known.default is MISSING:
                raise KeyError(name)
            continue
        entry = value[name]
        found[name] = _READERS[name](entry) if entry is not None and name in _READERS else entry
    return kind(**found)
