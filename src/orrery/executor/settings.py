"""Settings: Airflow's section `[orrery_executor]` as one typed value.

Pure: who needs it passes a getter, such as `lambda option: conf.get(SECTION, option, fallback=None)`.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from orrery.errors import InputError
from orrery.executor.request import Isolation, Request, parse_request
from orrery.executor.resources import ResourceError, Resources

SECTION = "orrery_executor"

#: Processes and threads that one task may have.
DEFAULT_PIDS_LIMIT = 4096

#: Less than `orrery down` gives a component; where an agent may take its time, set more.
DEFAULT_DRAIN_SECONDS = 2
_DRAIN_SECONDS = (0, 86_400)

#: Below this a Python with a few threads does not start; above it Linux itself has no more ids.
_PIDS = (16, 4_194_304)
#: A larger factor is no limit any more.
_MEMORY_LIMIT_FACTORS = (1.0, 100.0)
#: Linux keeps a socket's path in 108 bytes, the last of them zero.
_LONGEST_SOCKET_PATH_BYTES = 107
#: As Airflow's column of queues.
_LONGEST_QUEUE_NAME = 256
_WORDS = {"true": True, "t": True, "1": True, "false": False, "f": False, "0": False}
_NODE_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?", re.ASCII)
_MODULE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")

_Parsed = TypeVar("_Parsed")

#: Returns an option's text, or None where it is not set.
Getter = Callable[[str], str | None]


@dataclass(frozen=True, kw_only=True, slots=True)
class PartialRequest:
    """A request that may leave amounts out: it is laid over one that has them all."""

    entries: Mapping[str, Any]
    isolation: Isolation | None = None

    @classmethod
    def parse(cls, value: object) -> PartialRequest:
        """Read a mapping such as `{"cpu": 2, "memory": "4Gi", "isolation": "namespace"}`.

        Raises:
            ResourceError: a key or value is wrong.
        """
        if not isinstance(value, Mapping):
            raise ResourceError("request", value, "it is no mapping", expected=_REQUEST_EXPECTED)
        # Misspelt too: then it is refused under the name that was meant.
        asked = {
            key: entry
            for key, entry in value.items()
            if difflib.get_close_matches(str(key).lower(), ["isolation"], cutoff=0.8)
        }
        entries = {key: entry for key, entry in value.items() if key not in asked}
        nothing = Request(resources=Resources())
        parsed = parse_request({**asked, "resources": entries}, default=nothing)
        return cls(entries=entries, isolation=parsed.isolation if asked else None)

    def over(self, default: Request) -> Request:
        """Return the default with everything that is said here in its place."""
        return Request(
            resources=Resources.parse(self.entries, default=default.resources),
            isolation=self.isolation or default.isolation,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class ExecutorSettings:
    """The executor's and the agent's settings; an option that is not set has the default here."""

    #: What a task of that queue asks for where it says nothing itself.
    queues: Mapping[str, PartialRequest] = field(default_factory=dict)
    #: The same for all other queues, and for what a queue leaves out.
    default_request: PartialRequest | None = None
    #: What the node has, instead of what is measured.
    capacity: Resources | None = None
    #: What is kept from tasks, instead of the platform's reserve.
    reserve: Resources | None = None
    #: Of the agent on this machine.
    socket: Path | None = None
    node_name: str | None = None
    #: A task is stopped above its memory request times this.
    memory_limit_factor: float = 1.0
    #: Whether a task is held to its CPU request even while CPU is idle.
    cpu_cap: bool = False
    pids_limit: int = DEFAULT_PIDS_LIMIT
    #: Modules that are never imported ahead of a task, beside those known to be unsafe.
    preload_deny: tuple[str, ...] = ()
    #: Whether a plain DAG file is executed once for many of its tasks, instead of by each.
    parse_ahead: bool = True
    #: How long running tasks may go on when the agent is asked to stop, before they are ended.
    drain_seconds: int = DEFAULT_DRAIN_SECONDS
    #: A database URL for LISTEN, where the other one leads through a connection pool. It holds a password.
    listen_url: str | None = None

    def request_for(self, queue: str, default: Request) -> Request:
        """Return what a task of that queue gets that asks for nothing.

        `default` is the machine's: it gives what neither the queue nor the general default says.
        """
        layers = (self.default_request, self.queues.get(queue))
        for layer in filter(None, layers):
            default = layer.over(default)
        return default


def read(get: Getter) -> ExecutorSettings:
    """Return the settings; an empty option counts as not set.

    Raises:
        InputError: a value is wrong; the message names option, value and what is expected.
    """
    given = _Options(get)
    return ExecutorSettings(
        queues=given.queues(),
        default_request=given.request("default_request"),
        capacity=given.capacity(),
        reserve=given.resources("reserve"),
        socket=given.socket(),
        node_name=given.node_name(),
        memory_limit_factor=given.factor("memory_limit_factor", _MEMORY_LIMIT_FACTORS, default=1.0),
        cpu_cap=given.switch("cpu_cap", default=False),
        pids_limit=given.count("pids_limit", _PIDS, default=DEFAULT_PIDS_LIMIT),
        preload_deny=given.modules("preload_deny"),
        parse_ahead=given.switch("parse_ahead", default=True),
        drain_seconds=given.count("drain_seconds", _DRAIN_SECONDS, default=DEFAULT_DRAIN_SECONDS),
        listen_url=(get("listen_url") or "").strip() or None,
    )


_REQUEST_EXPECTED = 'a mapping such as {"cpu": "500m", "memory": "1Gi"}'
_QUEUES_EXPECTED = 'JSON such as {"heavy": {"cpu": 2, "memory": "4Gi"}}'
_RESOURCES_EXPECTED = 'JSON such as {"cpu": 2, "memory": "4Gi"}'


class _Options:
    """Reads one option after the other."""

    def __init__(self, get: Getter) -> None:
        self._get = get

    def queues(self) -> dict[str, PartialRequest]:
        value = self._json("queues", expected=_QUEUES_EXPECTED)
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise self._wrong("queues", "it is no JSON object", expected=_QUEUES_EXPECTED)
        for name in value:
            if not name.strip() or len(name) > _LONGEST_QUEUE_NAME:
                problem = f"a queue's name has 1 to {_LONGEST_QUEUE_NAME} characters, not {len(name)}"
                raise self._wrong("queues", problem, expected=_QUEUES_EXPECTED)
        return {
            name: _named(f"queues.{name}", PartialRequest.parse, request) for name, request in value.items()
        }

    def request(self, option: str) -> PartialRequest | None:
        value = self._json(option, expected=_RESOURCES_EXPECTED)
        return None if value is None else _named(option, PartialRequest.parse, value)

    def resources(self, option: str) -> Resources | None:
        value = self._json(option, expected=_RESOURCES_EXPECTED)
        return None if value is None else _named(option, Resources.parse, value)

    def capacity(self) -> Resources | None:
        found = self.resources("capacity")
        if found is not None and not (found.cpu_millicores and found.memory_bytes):
            raise self._wrong("capacity", "it must give both cpu and memory", expected=_RESOURCES_EXPECTED)
        return found

    def socket(self) -> Path | None:
        text = self._text("socket")
        if text is None:
            return None
        path = Path(text)
        if not path.is_absolute() or "\0" in text:
            raise self._wrong("socket", "it is no absolute path", expected="a path that begins with /")
        if len(text.encode()) > _LONGEST_SOCKET_PATH_BYTES:
            problem = f"a socket's path has at most {_LONGEST_SOCKET_PATH_BYTES} bytes"
            raise self._wrong("socket", problem, expected="a shorter path, such as /run/orrery/agent.sock")
        return path

    def node_name(self) -> str | None:
        text = self._text("node_name")
        if text is not None and not _NODE_NAME.fullmatch(text):
            expected = "letters, digits, '.', '_' and '-', at most 253, as in a host's name"
            raise self._wrong("node_name", "it is no name of a node", expected=expected)
        return text

    def factor(self, option: str, bounds: tuple[float, float], *, default: float) -> float:
        return self._number(option, float, bounds, default)

    def count(self, option: str, bounds: tuple[int, int], *, default: int) -> int:
        return int(self._number(option, int, bounds, default))

    def switch(self, option: str, *, default: bool) -> bool:
        text = self._text(option)
        if text is None:
            return default
        if text.lower() not in _WORDS:
            raise self._wrong(option, "it is no boolean", expected="true or false")
        return _WORDS[text.lower()]

    def modules(self, option: str) -> tuple[str, ...]:
        expected = 'a JSON list of module names such as ["torch", "grpc"]'
        value = self._json(option, expected=expected)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(
            isinstance(each, str) and _MODULE.fullmatch(each) for each in value
        ):
            raise self._wrong(option, "it is no list of module names", expected=expected)
        return tuple(value)

    def _number(
        self, option: str, kind: type[int | float], bounds: tuple[float, float], default: float
    ) -> float:
        text = self._text(option)
        if text is None:
            return default
        least, most = bounds
        expected = f"a {'whole ' if kind is int else ''}number from {least} to {most}"
        try:
            number = kind(text)
        except ValueError as error:
            raise self._wrong(option, "it is no such number", expected=expected) from error
        if not least <= number <= most:  # a NaN is not between them either
            raise self._wrong(option, "it is out of bounds", expected=expected)
        return number

    def _json(self, option: str, *, expected: str) -> object:
        text = self._text(option)
        if text is None:
            return None
        try:
            return json.loads(text, object_pairs_hook=_without_duplicates)
        except (ValueError, RecursionError) as error:
            raise self._wrong(option, f"it is no JSON ({error})", expected=expected) from error

    def _text(self, option: str) -> str | None:
        text = (self._get(option) or "").strip()
        return text or None

    def _wrong(self, option: str, problem: str, *, expected: str) -> InputError:
        text = self._text(option) or ""
        shown = text if len(text) <= 80 else f"{text[:77]}..."
        return InputError(f"[{SECTION}] {option} is '{shown}': {problem}.", hint=f"Write {expected}.")


def _named(option: str, parse: Callable[[object], _Parsed], value: object) -> _Parsed:
    try:
        return parse(value)
    except ResourceError as error:
        key = f"[{SECTION}] {option}.{error.key}"
        raise ResourceError(key, error.value, error.problem, expected=error.expected) from error


def _without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Build an object; the last of two equal names must not win silently."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"'{twice}' stands twice")
    return found
