"""The seed: a copy of the agent from before it began, from which its zygotes are forked.

Agent and zygotes need the same hundred MB of modules. They are imported once, in the process that becomes the
agent or in the one that it was forked from; what neither of them changes they share. The copy is made while
there is one thread, and before there is any task's token. It has no other work, and its zygotes are the
agent's children, not its own.

A seed is as old as its agent. Once an installed package has changed it is let go, and zygotes start by exec.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import traceback
from typing import TYPE_CHECKING

import structlog

from orrery import immortals, large_pages
from orrery.worker import channel, zygote
from orrery.worker.preload import threads
from orrery.worker.title import set_title

if TYPE_CHECKING:
    import socket
    from typing import NoReturn

log = structlog.get_logger(__name__)


class Seed:
    """The agent's end of it."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end

    @classmethod
    def sow(cls) -> Seed | None:
        """Import what a zygote needs and fork the seed; None where a fork is not safe."""
        from orrery.worker import compat  # noqa: PLC0415 - it imports Airflow

        compat.import_modules()
        if threads() > 1:
            log.info("Zygotes share no memory with the agent: something that Airflow imports runs threads")
            return None
        immortals.settle()
        large_pages.collapse()
        ours, theirs = channel.pair()
        # What is still in a buffer would be written twice.
        sys.stdout.flush()
        sys.stderr.flush()
        if os.fork() == 0:
            ours.close()
            _serve(theirs)
        theirs.close()
        return cls(ours)

    def grow(self, end: socket.socket) -> bool:
        """Have a zygote forked that listens to the other end of `end`; False: there is no seed any more."""
        try:
            channel.send(self._end, {"type": "zygote"}, [end.fileno()])
        except OSError:
            return False
        return True

    def let_go(self) -> None:
        """Let it end. Its zygotes stay."""
        with contextlib.suppress(OSError):
            self._end.close()


def _serve(agent: socket.socket) -> NoReturn:
    """Be the seed, until the agent is gone or lets go."""
    code = 0
    try:
        # A signal to the agent's group is the agent's to handle; a task's end is its zygote's.
        os.setsid()
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        set_title("orrery-seed")
        while True:
            message, files = channel.receive(agent)
            if message is None:
                break
            # Twice: the one between ends at once, and the zygote becomes a child of the agent.
            pid = os.fork()
            if pid == 0:
                if os.fork() == 0:
                    agent.close()
                    _become_zygote(files[0])
                os._exit(0)
            os.waitpid(pid, 0)
            for fd in files:
                os.close(fd)
    except BaseException:
        traceback.print_exc()
        code = 124
    os._exit(code)


def _become_zygote(fd: int) -> NoReturn:
    code = 0
    try:
        os.setsid()
        zygote.serve(fd)
    except BaseException:
        traceback.print_exc()
        code = 124
    sys.stdout.flush()
    os._exit(code)
