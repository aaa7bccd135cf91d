"""The zygote: a process that has imported what tasks import, and forks one child for each.

It has one thread, runs no task itself, and ends with its agent. After each task it forks the next child
ahead: see `spare`. It is forked from the agent's `seed`, or run as `python -m orrery.worker.zygote FD`; FD is
its end of the channel. What it is told and tells:

    -> {"type": "preload", "bundles": [[name, version], ...], "deny": [...]}
    <- {"type": "ready", "pid": n, "preloaded": n, "left_out": {module: reason}}
    -> {"type": "fork", "id": ..., "kind": "task", "cell": {...}} and four sockets
    -> {"type": "fork", "id": ..., "kind": "workload", "cell": {...}, "workload": json} and one log file
    <- {"type": "forked", "id": ..., "pid": n}
    <- {"type": "exited", "pid": n, "status": wait status, "cpu_seconds": s, "memory_peak_bytes": n}
    -> {"type": "branch", "bundle": [name, version], "file": ...} and one end of a channel: a zygote of its
       own for that DAG file, see `parsed`; it answers there {"type": "ready", "made_from": {...}, ...} or
       {"type": "refused", "reason": ...}, and ends
    -> {"type": "retire"}: end when the last child has ended
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import sys
import traceback
from typing import TYPE_CHECKING, Any

from orrery import immortals, large_pages
from orrery.worker import channel
from orrery.worker.spare import Spare
from orrery.worker.title import set_title

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

#: In the place of a task's id.
_BRANCH = "branch"
_SPARE = "spare"


class Zygote:
    """The loop: fork when asked, reap what has ended."""

    def __init__(self, agent: socket.socket) -> None:
        self._agent = agent
        self._children: dict[int, str] = {}
        self._spare: Spare | None = None
        self._is_retired = False
        self._woken, self._wake = socket.socketpair()
        self._woken.setblocking(False)
        self._wake.setblocking(False)

    def serve(self) -> None:
        """Serve until the agent is gone, or until it was retired and no child is left."""
        signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        # Ctrl-C in the agent's terminal and the end of its service are the agent's to handle.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        poll = select.poll()
        poll.register(self._agent, select.POLLIN)
        poll.register(self._woken, select.POLLIN)
        while not (self._is_retired and not self._children):
            ready = poll.poll(self._spare.seconds_left * 1000 if self._spare else None)
            if self._spare and not self._spare.seconds_left:
                self._drop_spare()
            for fd, _ in ready:
                if fd == self._woken.fileno():
                    with contextlib.suppress(BlockingIOError):
                        self._woken.recv(4096)
                    self._reap()
                else:
                    message, files = channel.receive(self._agent)
                    if message is None:
                        self._abandon()
                        return
                    self._obey(message, files)

    def _obey(self, message: dict[str, Any], files: list[int]) -> None:
        match message["type"]:
            case "preload":
                self._preload(message)
            case "fork":
                self._fork(message, files)
            case "branch":
                self._branch(message, files)
            case "retire":
                self._is_retired = True
                self._drop_spare()

    def _preload(self, message: dict[str, Any]) -> None:
        from orrery.worker import preload  # noqa: PLC0415 - it imports Airflow

        bundles = [(name, version) for name, version in message["bundles"]]
        left_out, count = preload.preload(bundles, frozenset(message["deny"]))
        immortals.settle()
        large_pages.collapse()
        self._tell({"type": "ready", "pid": os.getpid(), "preloaded": count, "left_out": left_out})

    def _branch(self, message: dict[str, Any], files: list[int]) -> None:
        pid = os.fork()
        if pid == 0:
            self._become_branch(message, files)
        os.close(files[0])
        with contextlib.suppress(OSError):
            os.setpgid(pid, pid)
        self._children[pid] = _BRANCH

    def _become_branch(self, message: dict[str, Any], files: list[int]) -> NoReturn:
        from orrery.worker import parsed  # noqa: PLC0415 - preloaded

        code = 0
        try:
            self._let_go()
            agent = socket.socket(fileno=files[0])
            name, version = message["bundle"]
            bundle = parsed.Bundle(name=name, version=version, file=message["file"])
            set_title(f"orrery-zygote {message['file']}")
            try:
                made_from = parsed.execute(bundle)
            except BaseException as error:
                reason = str(error) or type(error).__name__
                channel.send(agent, {"type": "refused", "reason": reason[:1000]})
                os._exit(0)
            immortals.settle()
            ready = {"type": "ready", "pid": os.getpid(), "left_out": {}, "made_from": made_from}
            channel.send(agent, ready)
            Zygote(agent).serve()
        except BaseException:
            traceback.print_exc()
            code = 124
        os._exit(code)

    def _let_go(self) -> None:
        """Close what belongs to the zygote that this process was forked from."""
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        for end in (self._agent, self._woken, self._wake):
            end.close()
        self._drop_spare()

    def _fork(self, message: dict[str, Any], files: list[int]) -> None:
        is_task = message["kind"] == "task"
        if is_task and self._spare is not None and self._spare.give(message, files):
            pid, self._spare = self._spare.pid, None
        else:
            pid = os.fork()
            if pid == 0:
                self._become(lambda: (message, files))
        for fd in files:
            os.close(fd)
        # As Airflow's supervisor does: the group exists whichever side runs first.
        with contextlib.suppress(OSError):
            os.setpgid(pid, pid)
        self._children[pid] = message["id"]
        self._tell({"type": "forked", "id": message["id"], "pid": pid})
        if is_task and not self._is_retired:
            self._fork_spare()

    def _fork_spare(self) -> None:
        self._drop_spare()
        ours, theirs = channel.pair()

        def wait() -> tuple[dict[str, Any] | None, list[int]]:
            ours.close()
            set_title(" (spare)", is_added=True)
            with theirs:
                return channel.receive(theirs)

        pid = os.fork()
        if pid == 0:
            self._become(wait)
        theirs.close()
        self._children[pid] = _SPARE
        self._spare = Spare(pid, ours)

    def _drop_spare(self) -> None:
        if self._spare is not None:
            self._spare.close()
            self._spare = None

    def _become(self, find: Callable[[], tuple[dict[str, Any] | None, list[int]]]) -> NoReturn:
        """Be the child, to the end; `find` returns what it is to do, None: nothing."""
        try:
            self._let_go()
            from orrery.worker import child  # noqa: PLC0415 - preloaded

            message, files = find()
            if message is not None:
                child.run(message, files)
        except BaseException:
            traceback.print_exc()
            os._exit(124)
        os._exit(0)

    def _reap(self) -> None:
        while True:
            try:
                pid, status, used = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if self._children.pop(pid, _SPARE) == _SPARE:
                continue  # it had no task; or it is a descendant that a task left behind
            self._tell(
                {
                    "type": "exited",
                    "pid": pid,
                    "status": status,
                    "cpu_seconds": used.ru_utime + used.ru_stime,
                    "memory_peak_bytes": used.ru_maxrss * 1024,
                }
            )

    def _abandon(self) -> None:
        """End the children: the agent is gone, and nobody supervises them any more."""
        for pid, name in self._children.items():
            if name == _BRANCH:
                continue  # it has noticed as well, and has children of its own to end
            with contextlib.suppress(OSError):
                os.killpg(pid, signal.SIGKILL)
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)

    def _tell(self, message: dict[str, Any]) -> None:
        with contextlib.suppress(OSError):  # the agent is gone: the next look at the channel tells
            channel.send(self._agent, message)


def serve(fd: int) -> None:
    """Be a zygote on that end of a channel."""
    set_title("orrery-zygote")
    Zygote(socket.socket(fileno=fd)).serve()


if __name__ == "__main__":
    serve(int(sys.argv[1]))
