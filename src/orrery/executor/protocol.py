"""What an executor and a node's agent tell one another, and how it travels.

Messages are lines of JSON on a stream socket; the key `type` names the message. Both sides ignore keys
and messages that they do not know, so that an older release may run beside a newer one.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from orrery.executor.request import Request
from orrery.executor.resources import ResourceError, Resources

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

#: Counts the changes that an older peer would misunderstand. Such peers refuse one another.
VERSION = 1

#: How a try ended, as the agent saw it.
#: `finished`: the API server has its state. `refused`: the API server did not let it start.
#: `lost`: nobody can tell the API server, so the scheduler has to judge it.
Ending = Literal[
    "finished", "refused", "lost", "out_of_memory", "disk_full", "signal", "exit_code", "cancelled"
]


class ProtocolError(ValueError):
    """A peer said something that is no message of this protocol."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Usage:
    """What a task has used, as far as this node can measure it."""

    memory_bytes: int = 0
    memory_peak_bytes: int = 0
    cpu_seconds: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Hello:
    """The executor's first message: who asks."""

    type: ClassVar[str] = "hello"
    scheduler: str
    version: int = VERSION


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """Run a task. `id` is its external executor id, new with every queueing: the fence."""

    type: ClassVar[str] = "run"
    id: str
    #: Airflow's workload as JSON, its token included.
    workload: str
    resources: dict[str, int]
    isolation: str = "process"

    @property
    def request(self) -> Request:
        """What it asks for."""
        return Request(
            resources=Resources.from_mapping(self.resources),
            isolation="namespace" if self.isolation == "namespace" else "process",
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Cancel:
    """End a task, if it is there."""

    type: ClassVar[str] = "cancel"
    id: str
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Acknowledge:
    """These ends were recorded; the agent may forget them."""

    type: ClassVar[str] = "acknowledge"
    ids: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class RunningHere:
    """A task that occupies the node."""

    id: str
    resources: dict[str, int]
    is_starting: bool = False
    memory_bytes: int = 0
    memory_peak_bytes: int = 0
    cpu_seconds: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class NodeStatus:
    """The agent's first message, and its answer to changes of the node itself."""

    type: ClassVar[str] = "node"
    name: str
    host: str
    pid: int
    runtime: str
    allocatable: dict[str, int]
    max_starting: int
    #: Epoch seconds.
    started_at: float
    #: Empty: every queue.
    queues: tuple[str, ...] = ()
    warm: tuple[str, ...] = ()
    state: str = "ready"
    isolation: str = ""
    notes: tuple[str, ...] = ()
    running: tuple[RunningHere, ...] = ()
    version: int = VERSION


@dataclass(frozen=True, kw_only=True, slots=True)
class Started:
    """A task's process runs and the API server knows."""

    type: ClassVar[str] = "started"
    id: str
    resources: dict[str, int]
    #: Epoch seconds.
    at: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Placed:
    """The agent has taken a task, of whichever scheduler."""

    type: ClassVar[str] = "placed"
    id: str
    resources: dict[str, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """A task no longer occupies the node."""

    type: ClassVar[str] = "ended"
    id: str
    ending: Ending
    #: For people; empty for an ordinary end.
    text: str = ""
    #: Epoch seconds; zero when it never started.
    started_at: float = 0.0
    ended_at: float = 0.0
    usage: Usage = field(default_factory=Usage)
    #: The API server was not told how it ended, so the scheduler has to judge it: whether it is retried.
    needs_judgement: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Declined:
    """The node has no room for a task, or stops: place it anew."""

    type: ClassVar[str] = "declined"
    id: str
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """What runs and what it uses, sent now and then."""

    type: ClassVar[str] = "measured"
    memory_bytes: int
    cpu_millicores: int
    running: tuple[RunningHere, ...] = ()


ToAgent = Hello | Run | Cancel | Acknowledge
ToExecutor = NodeStatus | Placed | Started | Ended | Declined | Measured
Message = ToAgent | ToExecutor

_TYPES: dict[str, type[Any]] = {
    kind.type: kind
    for kind in (Hello, Run, Cancel, Acknowledge, NodeStatus, Placed, Started, Ended, Declined, Measured)
}
#: A task's workload is a few KB; a line beyond this is no message.
LONGEST_LINE = 16 * 1024 * 1024


def encode(message: Message) -> bytes:
    """Return the message as one line."""
    return json.dumps({"type": message.type} | asdict(message), separators=(",", ":")).encode() + b"\n"


def decode(line: bytes) -> Message | None:
    """Read one line; None for a message of a newer release.

    Raises:
        ProtocolError: it is no message.
    """
    try:
        found = json.loads(line)
        kind = _TYPES.get(found.pop("type"))
        if kind is None:
            return None
        known = {each.name for each in fields(kind)}
        values = {name: value for name, value in found.items() if name in known}
        if "usage" in values:
            values["usage"] = _of(Usage, values["usage"])
        if kind in (NodeStatus, Measured):
            values["running"] = tuple(_of(RunningHere, each) for each in values.get("running", ()))
        for name, value in values.items():
            if isinstance(value, list):
                values[name] = tuple(value)
        message: Message = _checked(kind(**values))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, ResourceError) as error:
        raise ProtocolError(f"{line[:120]!r} is no message: {error}") from error
    return message


def _of(kind: type[Any], values: dict[str, Any]) -> Any:
    known = {each.name for each in fields(kind)}
    return _checked(kind(**{name: value for name, value in values.items() if name in known}))


#: By the text of a field's type.
_KINDS: dict[str, type | tuple[type, ...]] = {
    "str": str,
    "int": int,
    "float": (int, float),
    "bool": bool,
    "Ending": str,
    "tuple[str, ...]": tuple,
}


def _checked(message: Any) -> Any:
    """Return the message; who takes it need not doubt its values.

    Raises:
        TypeError: a value is of another type.
        ResourceError: an amount is none.
    """
    for each in fields(message):
        value, wanted = getattr(message, each.name), _KINDS.get(str(each.type))
        if wanted is not None and not isinstance(value, wanted):
            raise TypeError(f"{each.name} is {value!r}")
        if each.name in ("resources", "allocatable"):
            Resources.from_mapping(value)
    return message


class Lines:
    """Bytes as they arrive, as whole messages."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[Message]:
        """Yield each message that is now complete.

        Raises:
            ProtocolError: a line is no message, or too long to be one.
        """
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > LONGEST_LINE:
            raise ProtocolError(f"a message is longer than {LONGEST_LINE} bytes")
        yield from _known(lines)


def _known(lines: Iterable[bytes]) -> Iterator[Message]:
    for line in lines:
        if line.strip() and (message := decode(line)) is not None:
            yield message
