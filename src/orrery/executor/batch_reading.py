"""Read a call of a batch: as one of the regular kinds, or as none of them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote

from orrery.executor import batch_regular_compat as compat
from orrery.executor.batch_regular import Beat, End, Fields, Push, RegularCall, Start

if TYPE_CHECKING:
    from collections.abc import Callable

    from orrery.executor.batch_protocol import Call

#: Of PostgreSQL's integer, and of Airflow's columns.
_LARGEST_INTEGER = 2**31 - 1
_LONGEST_NAME, _LONGEST_KEY, _LONGEST_LABEL = 1000, 512, 250

_ENDS = frozenset({"success", "failed", "skipped", "removed", "upstream_failed"})
_BOOLEANS = {"true": True, "false": False}


def read(number: int, call: Call, *, task: str, scope: str) -> RegularCall | None:
    """Return the regular call that `task` makes; `scope` is its token's. None: Airflow is to look at it."""
    plain, has_query, query = call.path.partition("?")
    parts = unquote(plain).split("/", 4)
    try:
        body = json.loads(call.body)
    except ValueError:
        return None
    if scope == "execution" and call.method == "POST" and parts[0] == "xcoms" and len(parts) == 5:
        return _push(number, parts[1:], query, body)
    if parts[0] != "task-instances" or len(parts) != 3 or parts[1] != task or has_query:
        return None
    reader = _READERS.get((call.method, parts[2]))
    # With its workload's token a task can do no more than start.
    return reader(number, body) if reader and (scope == "execution" or reader is _start) else None


def _start(number: int, body: Any) -> Start | None:
    told = compat.start_body(body)
    if told is None or not (_is_name(told.hostname) and _is_name(told.unixname) and _is_integer(told.pid)):
        return None
    return Start(number, told.hostname, told.unixname, told.pid, told.start_date)


def _fields(number: int, body: Any) -> Fields | None:
    told = compat.fields_body(body)
    if not told:
        return None
    text = _dump(compat.redacted(told))
    return None if text is None else Fields(number, text)


def _beat(number: int, body: Any) -> Beat | None:
    told = compat.heartbeat_body(body)
    return None if told is None else Beat(number, told.hostname, told.pid)


def _end(number: int, body: Any) -> End | None:
    told = compat.state_body(body)
    if told is None or told.state.value not in _ENDS:
        return None
    if getattr(told, "task_outlets", None) or getattr(told, "outlet_events", None):
        return None
    label = told.rendered_map_index
    if label is not None and (len(label) > _LONGEST_LABEL or "\0" in label):
        return None
    is_labelled = "rendered_map_index" in told.model_fields_set
    return End(number, told.state.value, told.end_date, is_labelled, label)


_READERS: dict[tuple[str, str], Callable[[int, Any], RegularCall | None]] = {
    ("PATCH", "run"): _start,
    ("PUT", "rtif"): _fields,
    ("PUT", "heartbeat"): _beat,
    ("PATCH", "state"): _end,
}


def _push(number: int, parts: list[str], query: str, body: Any) -> Push | None:
    dag_id, run_id, task_id, key = parts
    asked = parse_qsl(query, keep_blank_values=True)
    found = dict(asked)
    if len(found) != len(asked) or found.keys() - {"map_index", "dag_result", "mapped_length"}:
        return None
    map_index, length = (_integer(found.get(name)) for name in ("map_index", "mapped_length"))
    is_result = _BOOLEANS.get(found.get("dag_result", "false"))
    is_read = is_result is not None and (map_index is None) == ("map_index" not in found)
    if not is_read or (length is None) != ("mapped_length" not in found):
        return None
    value = None if compat.json_body(body) is compat.REFUSED else _dump(body)
    # A key is as long as its column, and JSONB takes no NUL.
    if not 0 < len(key) <= _LONGEST_KEY or "\0" in key or value is None or "\\u0000" in value:
        return None
    index = -1 if map_index is None else map_index
    return Push(number, dag_id, run_id, task_id, index, key, value, bool(is_result), length)


def _dump(value: Any) -> str | None:
    """Write JSON as Airflow stores it; None if the database would not take it."""
    try:
        text = json.dumps(value, allow_nan=False)
        if "\\ud" in text:
            json.dumps(value, ensure_ascii=False).encode()
    except ValueError:
        return None
    return text


def _is_name(text: str) -> bool:
    return len(text) <= _LONGEST_NAME and "\0" not in text


def _is_integer(number: int) -> bool:
    return abs(number) <= _LARGEST_INTEGER


def _integer(text: str | None) -> int | None:
    """Return a number that is written as clients write them."""
    if text is None or not text.removeprefix("-").isascii() or not text.removeprefix("-").isdecimal():
        return None
    return int(text) if len(text) < 10 else None
