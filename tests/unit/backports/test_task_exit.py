"""The end of a process as something that a selector can wait for."""

from __future__ import annotations

import os
import selectors
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from orrery.backports.task_exit import _End

if TYPE_CHECKING:
    from collections.abc import Iterator

FILES = Path("/proc/self/fd")

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="pidfds are Linux's")


@pytest.fixture
def ended() -> Iterator[int]:
    """A process that has ended and whose exit code is still to be had."""
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    yield pid
    os.waitpid(pid, 0)


def test_the_end_wakes_a_selector_once(ended: int) -> None:
    with selectors.DefaultSelector() as selector:
        _End(ended).register(selector)
        ((key, _),) = selector.select(timeout=None)
        handler, on_close = key.data
        assert handler(key.fileobj) is False
        on_close(key.fileobj)
        assert not selector.get_map()


def test_an_end_that_was_served_meanwhile_is_served_again_without_harm(ended: int) -> None:
    with selectors.DefaultSelector() as selector:
        end = _End(ended)
        end.register(selector)
        ((key, _),) = selector.select(timeout=None)
        handler, on_close = key.data
        for _ in range(2):
            handler(end)
            on_close(end)
            end.close()
        assert end.fileno() == -1


def test_an_end_that_is_dropped_is_closed(ended: int) -> None:
    end = _End(ended)
    fd = end.fileno()
    del end
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)


def test_a_fork_does_not_close_a_number_that_may_be_another_files(ended: int) -> None:
    end = _End(ended)
    fd = end.fileno()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            end.__del__()
            os.fstat(fd)
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_process_that_is_gone_has_no_end_to_wait_for() -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    with pytest.raises(ProcessLookupError):
        _End(pid)


def test_a_selector_that_refuses_leaves_no_file_open(ended: int) -> None:
    selector = selectors.DefaultSelector()
    selector.close()
    before = len(list(FILES.iterdir()))
    with pytest.raises(ValueError, match="epoll"):
        _End(ended).register(selector)
    assert len(list(FILES.iterdir())) == before
