"""The connection on which batches travel, against a real server on this machine."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING

import httpx
import pytest

from orrery.worker.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Iterator

TIMEOUTS = dict.fromkeys(("connect", "read", "write", "pool"), 10.0)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-More: yes\r\n\r\nhi"


class Server:
    """Gives each connection the answers of its turn, then closes it."""

    def __init__(self, *turns: list[bytes]) -> None:
        self.turns = list(turns)
        self.asked: list[bytes] = []
        self.closed = threading.Semaphore(0)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = httpx.URL(f"http://127.0.0.1:{self._socket.getsockname()[1]}/base/batch")
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        for turn in self.turns:
            end, _ = self._socket.accept()
            with end:
                for answer in turn:
                    self.asked.append(self._read(end))
                    end.sendall(answer)
            self.closed.release()

    def _read(self, end: socket.socket) -> bytes:
        found = b""
        while not found.endswith(b"body"):
            found += end.recv(4096)
        return found

    def stop(self) -> None:
        self._thread.join(10)
        self._socket.close()


@pytest.fixture
def servers() -> Iterator[list[Server]]:
    made: list[Server] = []
    yield made
    for each in made:
        each.stop()


def post(wire: Wire) -> tuple[int, dict[str, str], bytes]:
    return wire.post(b"body", headers={"content-type": "x/y"}, timeouts=TIMEOUTS)


def test_requests_share_a_connection(servers: list[Server]) -> None:
    servers.append(server := Server([OK, OK]))
    wire = Wire(server.url)

    assert post(wire) == (200, {"content-length": "2", "x-more": "yes"}, b"hi")
    assert post(wire)[0] == 200
    wire.close()

    assert all(each.startswith(b"POST /base/batch HTTP/1.1\r\n") for each in server.asked)
    assert all(b"content-type: x/y\r\n" in each for each in server.asked)


def test_a_connection_that_the_server_has_closed_meanwhile_is_made_anew(servers: list[Server]) -> None:
    servers.append(server := Server([OK], [OK]))
    wire = Wire(server.url)

    post(wire)
    assert server.closed.acquire(timeout=10)

    assert post(wire)[0] == 200
    wire.close()


def test_a_connection_that_ends_instead_of_an_answer_fails_and_the_next_is_new(servers: list[Server]) -> None:
    servers.append(server := Server([b""], [OK]))
    wire = Wire(server.url)

    with pytest.raises(httpx.TransportError):
        post(wire)

    assert post(wire)[0] == 200
    wire.close()


def test_what_is_no_answer_is_a_protocol_error(servers: list[Server]) -> None:
    servers.append(server := Server([b"nonsense\r\n\r\n"]))

    with pytest.raises(httpx.RemoteProtocolError):
        post(Wire(server.url))
