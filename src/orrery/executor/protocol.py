"""What an executor and a node's agent tell one another, and how it travels.

Messages are lines of JSON on a stream socket; the key `type` names the message. Both sides ignore keys
and messages that they do not know, so that an older release may run beside a newer one.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal, get_args

import msgspec

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


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """What a task has used, as far as this node can measure it."""

    memory_bytes: int = 0
    memory_peak_bytes: int = 0
    cpu_seconds: float = 0.0


class Hello(msgspec.Struct, frozen=True, kw_only=True, tag="hello"):
    """The executor's first message: who asks."""

    scheduler: str
    version: int = VERSION


class Run(msgspec.Struct, frozen=True, kw_only=True, tag="run"):
    """Run a task. `id` is its external executor id, new with every queueing: the fence."""

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


class Cancel(msgspec.Struct, frozen=True, kw_only=True, tag="cancel"):
    """End a task, if it is there."""

    id: str
    reason: str


class Acknowledge(msgspec.Struct, frozen=True, kw_only=True, tag="acknowledge"):
    """These ends were recorded; the agent may forget them."""

    ids: tuple[str, ...]


class RunningHere(msgspec.Struct, frozen=True, kw_only=True):
    """A task on the node."""

    id: str
    #: What it occupies: nothing once its processes are gone.
    resources: dict[str, int]
    is_starting: bool = False
    memory_bytes: int = 0
    memory_peak_bytes: int = 0
    cpu_seconds: float = 0.0


class NodeStatus(msgspec.Struct, frozen=True, kw_only=True, tag="node"):
    """The agent's first message, and its answer to changes of the node itself."""

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


class Started(msgspec.Struct, frozen=True, kw_only=True, tag="started"):
    """A task's process runs and the API server knows."""

    id: str
    resources: dict[str, int]
    #: Epoch seconds.
    at: float


class Placed(msgspec.Struct, frozen=True, kw_only=True, tag="placed"):
    """The agent has taken a task, of whichever scheduler."""

    id: str
    resources: dict[str, int]


class Freed(msgspec.Struct, frozen=True, kw_only=True, tag="freed"):
    """A task's processes are gone, and with them all that it occupied; how it ended follows."""

    id: str


class Ended(msgspec.Struct, frozen=True, kw_only=True, tag="ended"):
    """A task is over, and no longer occupies the node."""

    id: str
    #: An `Ending`; of a newer agent, perhaps another.
    ending: str
    #: For people; empty for an ordinary end.
    text: str = ""
    #: Epoch seconds; zero when it never started.
    started_at: float = 0.0
    #: When the node had its room back.
    ended_at: float = 0.0
    usage: Usage = Usage()
    #: The API server was not told how it ended, so the scheduler has to judge it: whether it is retried.
    needs_judgement: bool = False


class Declined(msgspec.Struct, frozen=True, kw_only=True, tag="declined"):
    """The node has no room for a task, or stops: place it anew."""

    id: str
    reason: str


class Measured(msgspec.Struct, frozen=True, kw_only=True, tag="measured"):
    """What runs and what it uses, sent now and then."""

    memory_bytes: int
    cpu_millicores: int
    running: tuple[RunningHere, ...] = ()


ToAgent = Hello | Run | Cancel | Acknowledge
ToExecutor = NodeStatus | Placed | Started | Freed | Ended | Declined | Measured
Message = ToAgent | ToExecutor

_DECODERS: dict[str, msgspec.json.Decoder[Any]] = {
    str(kind.__struct_config__.tag): msgspec.json.Decoder(kind)
    for kind in (*get_args(ToAgent), *get_args(ToExecutor))
}
_ENCODER = msgspec.json.Encoder()
#: A task's workload is a few KB; a line beyond this is no message.
LONGEST_LINE = 16 * 1024 * 1024


class _Tagged(msgspec.Struct):
    type: str


_TAGGED = msgspec.json.Decoder(_Tagged)


def encode(message: Message) -> bytes:
    """Return the message as one line."""
    try:
        return _ENCODER.encode(message) + b"\n"
    except UnicodeEncodeError:  # of a path, perhaps, whose bytes are no text
        return json.dumps(msgspec.to_builtins(message), ensure_ascii=False).encode(errors="replace") + b"\n"


def decode(line: bytes) -> Message | None:
    """Read one line; None for a message of a newer release.

    Who takes it need not doubt its values.

    Raises:
        ProtocolError: it is no message.
    """
    try:
        decoder = _DECODERS.get(_TAGGED.decode(line).type)
        if decoder is None:
            return None
        message: Message = decoder.decode(line)
        for amounts in _amounts(message):
            Resources.from_mapping(amounts)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ResourceError) as error:
        raise ProtocolError(f"{line[:120]!r} is no message: {error}") from error
    return message


def _amounts(message: Message) -> Iterator[dict[str, int]]:
    match message:
        case Run() | Placed() | Started():
            yield message.resources
        case NodeStatus():
            yield message.allocatable
    if isinstance(message, NodeStatus | Measured):
        yield from (each.resources for each in message.running)


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
