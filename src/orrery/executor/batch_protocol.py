"""What travels between a worker and the batch route: a list of execution API calls, a list of answers.

Each call is one that the execution API knows (same path, same headers, same body), each answer is the one
that it would have given. Bodies are the bytes of the single call, untouched. The two lists are as long as
each other and in the same order; they are written as MessagePack.
"""

from __future__ import annotations

import base64
import json
import re
from functools import lru_cache
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Where the route lies under the API server's base address.
PATH = "orrery/v1/execution/batch"
MEDIA_TYPE = "application/msgpack"

#: Calls in one batch, at most: a batch holds its rows locked until it ends.
MOST_CALLS = 64

#: The answer to a call that must be made by itself (HTTP: misdirected request). It had no effect.
NOT_BATCHED = 421

#: Header of an answer: in this batch, a task's calls after an XCom that could not be stored are not done,
#: but answered with NOT_BATCHED. A server that does not say so may do them.
KEEPS_ORDER = {"orrery-batch": "ordered"}

#: Headers of a call that matter to the execution API.
HEADERS = frozenset(
    {"authorization", "airflow-api-version", "content-type", "correlation-id", "traceparent", "tracestate"}
)

_TASK = r"task-instances/(?P<task>[^/]+)/"
_PATHS = {
    "PATCH": re.compile(_TASK + r"(?:run|state)"),
    "PUT": re.compile(_TASK + r"(?:rtif|heartbeat)"),
    "POST": re.compile(r"xcoms/.+"),
}


class Call(msgspec.Struct, frozen=True, array_like=True):
    """One execution API call; `path` is relative to the execution API's address, with its query."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Answer(msgspec.Struct, frozen=True, array_like=True):
    """What the execution API answers to one call."""

    status: int
    headers: dict[str, str]
    body: bytes


class MalformedBatchError(ValueError):
    """The bytes are not a list of calls (or of answers), or the list is too long."""


def is_batchable(method: str, path: str) -> bool:
    """Whether a call is one of those that a task makes every time."""
    pattern = _PATHS.get(method)
    return pattern is not None and pattern.fullmatch(path.partition("?")[0]) is not None


def subject(headers: Mapping[str, str]) -> str:
    """Return whose call it is, by its token, unchecked: this only keeps calls in order."""
    return _subject(headers.get("authorization", ""))


@lru_cache(maxsize=4096)
def _subject(authorization: str) -> str:
    try:
        payload = authorization.split(".")[1]
        return str(json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["sub"])
    except (ValueError, KeyError, IndexError, TypeError):
        return authorization


def pack(items: list[Call] | list[Answer]) -> bytes:
    """Write a list for the wire."""
    return _ENCODER.encode(items)


def calls(packed: bytes) -> list[Call]:
    """Read the calls of a request.

    Raises:
        MalformedBatchError: these are not calls, or too many.
    """
    try:
        found = _CALLS.decode(packed)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MalformedBatchError(f"not a batch: {error}") from error
    if len(found) > MOST_CALLS:
        raise MalformedBatchError(f"{len(found)} calls are more than {MOST_CALLS}")
    return found


def answers(packed: bytes, *, expected: int) -> list[Answer]:
    """Read the answers to `expected` calls.

    Raises:
        MalformedBatchError: these are not as many answers.
    """
    try:
        found = _ANSWERS.decode(packed)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MalformedBatchError(f"not the answers to a batch: {error}") from error
    if len(found) != expected:
        raise MalformedBatchError(f"{len(found)} answers to {expected} calls")
    return found


_ENCODER = msgspec.msgpack.Encoder()
_CALLS = msgspec.msgpack.Decoder(list[Call])
_ANSWERS = msgspec.msgpack.Decoder(list[Answer])
