"""The channel between the agent and a zygote: small JSON messages, with open files beside them.

A packet socket keeps messages apart, and the kernel passes the files (SCM_RIGHTS).
"""

from __future__ import annotations

import array
import errno
import json
import socket
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

#: A message is a request for a fork or its answer: some hundred bytes, a callback's workload some KB.
LONGEST = 160 * 1024
_MOST_FILES = 8

#: A zygote's reason to leave a module out that is bad for the zygote itself.
STARTS_THREADS = "it starts threads when it is imported"


def pair() -> tuple[socket.socket, socket.socket]:
    """Return both ends of a new channel."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def send(channel: socket.socket, message: dict[str, Any], files: Sequence[int] = ()) -> None:
    """Send one message.

    Raises:
        OSError: nobody listens any more, or it is too long.
    """
    data = json.dumps(message, separators=(",", ":")).encode()
    if len(data) > LONGEST:
        # The other end would get a part of it.
        raise OSError(errno.EMSGSIZE, f"a message of {len(data)} bytes, at most {LONGEST} are allowed")
    if files:
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", files))
        channel.sendmsg([data], [rights])
    else:
        channel.send(data)


def receive(channel: socket.socket) -> tuple[dict[str, Any] | None, list[int]]:
    """Return the next message and its files; None when the other end is closed.

    Raises:
        BlockingIOError: the socket does not block, and nothing is there.
    """
    numbers = array.array("i")
    data, beside, _, _ = channel.recvmsg(LONGEST, socket.CMSG_SPACE(_MOST_FILES * numbers.itemsize))
    for level, kind, content in beside:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            numbers.frombytes(content[: len(content) - len(content) % numbers.itemsize])
    if not data:
        return None, list(numbers)
    message: dict[str, Any] = json.loads(data)
    return message, list(numbers)
