"""Ports: free or taken, by whom, and what to take instead."""

from __future__ import annotations

import os
import re
import socket
from typing import TYPE_CHECKING

import pytest

from orrery.errors import MachineError
from orrery.local import ports, processes

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(params=["127.0.0.1", "0.0.0.0"])
def taken(request: pytest.FixtureRequest) -> Iterator[int]:
    with socket.socket() as server:
        server.bind((request.param, 0))
        server.listen()
        yield server.getsockname()[1]


def test_a_port_that_somebody_listens_on_is_taken(taken: int) -> None:
    assert not ports.is_free(taken)


def test_a_free_port_is_free_and_can_be_required() -> None:
    port = ports.free_port()
    assert ports.is_free(port)
    ports.require_free(port)


def test_a_port_whose_connections_fade_away_is_free() -> None:
    # Given a server that closed first, so that its side of the connection lingers
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            accepted, _ = server.accept()
            accepted.close()
            client.recv(1)
    assert ports.is_free(port)


def test_a_taken_port_names_who_has_it_and_a_free_one(taken: int) -> None:
    with pytest.raises(MachineError, match=rf"Port {taken} is taken by .*\(pid {os.getpid()}\)") as caught:
        ports.require_free(taken)
    offered = re.search(r"--port (\d+)", caught.value.hint or "")
    assert offered is not None
    assert ports.is_free(int(offered[1]))


def test_the_highest_port_offers_one_all_the_same() -> None:
    if not ports.is_free(65535):
        pytest.skip("port 65535 is in use on this machine")
    with socket.socket() as server:
        server.bind(("127.0.0.1", 65535))
        server.listen()
        with pytest.raises(MachineError) as caught:
            ports.require_free(65535)
    assert re.search(r"--port \d+", caught.value.hint or "")


def test_nobody_listens_on_a_free_port() -> None:
    assert processes.listener(ports.free_port()) is None
