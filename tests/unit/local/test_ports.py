"""Ports: free or taken, by whom, and what to take instead."""

from __future__ import annotations

import errno
import os
import re
import socket
from typing import TYPE_CHECKING, Any

import pytest

from orrery.errors import MachineError
from orrery.local import ports, processes

if TYPE_CHECKING:
    from collections.abc import Iterator


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.fixture(params=["127.0.0.1", "0.0.0.0", "::1", "::"])
def taken(request: pytest.FixtureRequest) -> Iterator[int]:
    if ":" in request.param and not has_ipv6():
        pytest.skip("this machine has no IPv6")
    with socket.socket(socket.AF_INET6 if ":" in request.param else socket.AF_INET) as server:
        server.bind((request.param, 0))
        server.listen()
        yield server.getsockname()[1]


def test_a_port_that_somebody_listens_on_is_taken(taken: int) -> None:
    assert not ports.is_free(taken)


def test_a_free_port_is_free_and_can_be_required() -> None:
    port = ports.free_port()
    assert ports.is_free(port)
    ports.require_free(port)


@pytest.mark.parametrize("number", [errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL])
def test_a_machine_without_ipv6_has_free_ports(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    # Given a kernel that knows no IPv6, or one that has no address of it
    class WithoutIPv6(socket.socket):
        def __init__(self, family: int, kind: int) -> None:
            if family == socket.AF_INET6 and number == errno.EAFNOSUPPORT:
                raise OSError(number, os.strerror(number))
            super().__init__(family, kind)

        def bind(self, address: Any) -> None:
            if self.family == socket.AF_INET6:
                raise OSError(number, os.strerror(number))
            super().bind(address)

    port = ports.free_port()
    monkeypatch.setattr(socket, "socket", WithoutIPv6)
    assert ports.is_free(port)


def test_a_port_that_only_root_may_have_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    class Ordinary(socket.socket):
        """A socket of a user who is not root."""

        def bind(self, _address: Any) -> None:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(socket, "socket", Ordinary)
    with pytest.raises(MachineError, match="Port 80 needs root") as caught:
        ports.require_free(80)
    assert "--port 8080" in (caught.value.hint or "")


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
