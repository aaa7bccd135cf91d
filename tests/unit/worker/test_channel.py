"""The channel between agent and zygote: whole messages, open files beside them, and a noticeable end."""

from __future__ import annotations

import errno
import os
import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest

from orrery.worker import channel

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    here, there = channel.pair()
    with here, there:
        yield here, there


def test_messages_stay_apart(ends: tuple[socket.socket, socket.socket]) -> None:
    here, there = ends
    channel.send(here, {"type": "fork", "id": "\u00fc"})
    channel.send(here, {"type": "retire"})

    assert channel.receive(there) == ({"type": "fork", "id": "\u00fc"}, [])
    assert channel.receive(there) == ({"type": "retire"}, [])


def test_both_ends_speak(ends: tuple[socket.socket, socket.socket]) -> None:
    here, there = ends
    channel.send(there, {"type": "ready"})

    assert channel.receive(here) == ({"type": "ready"}, [])


@pytest.mark.parametrize("count", [1, 4, 8])
def test_open_files_are_passed_in_their_order(ends: tuple[socket.socket, socket.socket], count: int) -> None:
    here, there = ends
    pipes = [os.pipe() for _ in range(count)]

    channel.send(here, {"type": "fork"}, [write for _, write in pipes])
    for _, write in pipes:
        os.close(write)
    message, files = channel.receive(there)

    assert message == {"type": "fork"}
    for number, file in enumerate(files):
        os.write(file, str(number).encode())
        os.close(file)
    said = [os.read(read, 10) for read, _ in pipes]
    assert said == [str(number).encode() for number in range(count)]
    # The copies were the last that were open: nothing holds the pipes any more.
    assert [os.read(read, 10) for read, _ in pipes] == [b""] * count
    for read, _ in pipes:
        os.close(read)


def test_files_travel_with_their_own_message(ends: tuple[socket.socket, socket.socket]) -> None:
    here, there = ends
    read, write = os.pipe()
    channel.send(here, {"n": 1})
    channel.send(here, {"n": 2}, [write])
    channel.send(here, {"n": 3})

    found = [channel.receive(there) for _ in range(3)]

    assert [message for message, _ in found] == [{"n": 1}, {"n": 2}, {"n": 3}]
    assert [len(files) for _, files in found] == [0, 1, 0]
    for each in (read, write, *found[1][1]):
        os.close(each)


def test_a_closed_end_is_told(ends: tuple[socket.socket, socket.socket]) -> None:
    here, there = ends
    channel.send(here, {"type": "last"})
    here.close()

    assert channel.receive(there) == ({"type": "last"}, [])
    assert channel.receive(there) == (None, [])
    with pytest.raises(OSError):
        channel.send(there, {"type": "too late"})


def test_an_end_that_shuts_down_is_told(ends: tuple[socket.socket, socket.socket]) -> None:
    here, there = ends
    here.shutdown(socket.SHUT_RDWR)

    assert channel.receive(there) == (None, [])


def test_a_long_message_arrives_whole(ends: tuple[socket.socket, socket.socket]) -> None:
    here, there = ends
    message: dict[str, Any] = {"workload": "x" * (channel.LONGEST - 100)}

    channel.send(here, message)

    assert channel.receive(there) == (message, [])


def test_a_message_that_would_be_cut_is_not_sent(ends: tuple[socket.socket, socket.socket]) -> None:
    here, there = ends
    with pytest.raises(OSError) as caught:
        channel.send(here, {"workload": "x" * channel.LONGEST})
    channel.send(here, {"type": "next"})

    assert caught.value.errno == errno.EMSGSIZE
    assert channel.receive(there) == ({"type": "next"}, [])


def test_several_threads_may_send(ends: tuple[socket.socket, socket.socket]) -> None:
    here, there = ends

    def send(thread: int) -> None:
        for number in range(50):
            channel.send(here, {"thread": thread, "number": number, "rest": "x" * 2000})

    threads = [threading.Thread(target=send, args=(number,)) for number in range(4)]
    for each in threads:
        each.start()
    found = [channel.receive(there)[0] for _ in range(200)]
    for each in threads:
        each.join()

    assert all(message is not None and len(message["rest"]) == 2000 for message in found)
    for thread in range(4):
        numbers = [message["number"] for message in found if message and message["thread"] == thread]
        assert numbers == list(range(50))


def test_an_end_that_does_not_block_has_nothing_yet(ends: tuple[socket.socket, socket.socket]) -> None:
    here, _ = ends
    here.setblocking(False)

    with pytest.raises(BlockingIOError):
        channel.receive(here)
