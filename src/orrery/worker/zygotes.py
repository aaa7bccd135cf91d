"""The agent's side of its zygotes: started, asked and replaced.

There is one for each DAG bundle version, and one for all bundles without versions together: a zygote holds
installed packages only, which are the same for all of these, and each costs a hundred MB.
"""

from __future__ import annotations

import contextlib
import enum
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import structlog

from orrery.worker import channel
from orrery.worker.channel import STARTS_THREADS

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping, Sequence

    from orrery.worker.seed import Seed

log = structlog.get_logger(__name__)

#: A bundle's name and version; None is the zygote that knows no bundle.
BundleKey = tuple[str, str | None] | None

#: Ends by a signal as psutil gives them, which Airflow's supervisor expects: negative, with a name.
EndedBy = enum.IntEnum("EndedBy", {each.name: -each.value for each in signal.Signals})  # type: ignore[misc]

#: A zygote answers in milliseconds; while it imports, it may take as long as a DAG's slowest library.
_FORK_LIMIT_SECONDS = 120


#: A zygote of a bundle version that has no tasks for so long ends.
_IDLE_SECONDS = 900.0


class ZygoteLostError(Exception):
    """A zygote ended before it answered."""


class StillRunningError(Exception):
    """A process has not ended in the time given."""


@dataclass(kw_only=True)
class Child:
    """A process that a zygote has forked; in the shape of Airflow's process trackers.

    Its end can be waited for, and selected on: `fileno` becomes readable.
    """

    pid: int
    status: int | None = None
    cpu_seconds: float = 0.0
    memory_peak_bytes: int = 0
    _ended: threading.Event = field(default_factory=threading.Event)
    #: The number of a closed file may be another's at once.
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _eventfd: int = field(default_factory=lambda: os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK))

    ProcessNotFound = ProcessLookupError
    TimeoutExpired = StillRunningError

    def fileno(self) -> int:
        """Return what becomes readable when it has ended."""
        return self._eventfd

    def close(self) -> None:
        """Close what `fileno` returns; repeated calls change nothing."""
        with self._lock:
            fd, self._eventfd = self._eventfd, -1
            if fd >= 0:
                os.close(fd)

    def end(self, status: int, *, cpu_seconds: float = 0.0, memory_peak_bytes: int = 0) -> None:
        """Note that it has ended; `status` is that of wait(2)."""
        self.status = status
        self.cpu_seconds = cpu_seconds
        self.memory_peak_bytes = memory_peak_bytes
        with self._lock:
            self._ended.set()
            if self._eventfd >= 0:
                os.eventfd_write(self._eventfd, 1)

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code, negative for a signal.

        Raises:
            StillRunningError: it has not ended in time.
        """
        if not self._ended.wait(timeout) or self.status is None:
            raise StillRunningError
        code = os.waitstatus_to_exitcode(self.status)
        return EndedBy(code) if code < 0 else code

    def exists(self) -> bool:
        """Tell whether there is such a process, be it one that has ended and was not reaped."""
        with contextlib.suppress(PermissionError):
            try:
                os.kill(self.pid, 0)
            except ProcessLookupError:
                return False
        return True

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal.

        Raises:
            ProcessLookupError: it has ended.
        """
        if self._ended.is_set():
            raise ProcessLookupError
        os.kill(self.pid, number)


class Zygote:
    """One zygote process and its children, at the other end of a channel."""

    def __init__(
        self,
        key: BundleKey,
        end: socket.socket,
        *,
        process: subprocess.Popen[bytes] | None = None,
        on_ready: Callable[[Zygote], None] | None = None,
    ) -> None:
        self.key = key
        self.left_out: dict[str, str] = {}
        #: Of a DAG file's zygote: what it was made from, or why it was not.
        self.made_from: dict[str, list[int]] = {}
        self.refused: str | None = None
        self.ready = threading.Event()
        self.is_lost = False
        self.is_retired = False
        self.used_at = time.monotonic()
        self._lock = threading.Lock()
        self._waiting: dict[str, _Answer] = {}
        self._children: dict[int, Child] = {}
        self._socket = end
        #: Of one that was started by exec; any other is somebody's child whose end needs no notice.
        self.process = process
        #: 0 until it has told.
        self.pid = process.pid if process is not None else 0
        self._on_ready = on_ready
        threading.Thread(target=self._listen, name="zygote", daemon=True).start()

    @classmethod
    def start(
        cls,
        key: BundleKey,
        *,
        environment: Mapping[str, str],
        deny: Sequence[str],
        bundles: Sequence[BundleKey] = (),
        seed: Seed | None = None,
        on_ready: Callable[[Zygote], None] | None = None,
    ) -> Zygote:
        """Start one for bundles; it takes its orders at once, and carries them out when it is ready."""
        end, theirs = channel.pair()
        process = None
        with theirs:
            if seed is None or not seed.grow(theirs):
                process = subprocess.Popen(
                    [sys.executable, "-m", "orrery.worker.zygote", str(theirs.fileno())],
                    env=dict(environment),
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    start_new_session=True,
                )
        wanted = [list(bundle) for bundle in bundles if bundle]
        channel.send(end, {"type": "preload", "bundles": wanted, "deny": list(deny)})
        return cls(key, end, process=process, on_ready=on_ready)

    def branch(self, key: BundleKey, file: str) -> Zygote:
        """Let it fork a zygote for one DAG file, relative to its bundle.

        Raises:
            OSError: it has ended.
        """
        end, theirs = channel.pair()
        try:
            with theirs:
                message = {"type": "branch", "bundle": list(key or ()), "file": file}
                self._send(message, [theirs.fileno()])
        except OSError:
            end.close()
            raise
        return Zygote(key, end)

    @property
    def has_children(self) -> bool:
        """Whether a process that it has forked still runs."""
        return bool(self._children)

    def fork(self, name: str, message: dict[str, Any], files: Sequence[int]) -> Child:
        """Ask for a child and return it when it exists.

        Raises:
            ZygoteLostError: the zygote has ended.
        """
        answer = _Answer()
        with self._lock:
            if self.is_lost:
                raise ZygoteLostError(f"zygote {self.pid} has ended")
            self._waiting[name] = answer
        try:
            self._send({"type": "fork", "id": name} | message, files)
        except OSError as error:
            raise ZygoteLostError(f"zygote {self.pid} has ended: {error}") from error
        if not answer.arrived.wait(_FORK_LIMIT_SECONDS):
            raise ZygoteLostError(f"zygote {self.pid} has not answered for {_FORK_LIMIT_SECONDS} s")
        if answer.child is None:
            raise ZygoteLostError(f"zygote {self.pid} ended while it forked")
        return answer.child

    def retire(self) -> None:
        """Let it end when its last child has ended."""
        self.is_retired = True
        with contextlib.suppress(OSError):
            self._send({"type": "retire"})

    def stop(self) -> None:
        """End it, and its children with it."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(2)

    def adopt(self, pid: int, end: Callable[[], tuple[int, float, int] | None]) -> bool:
        """Note the end of a child that this process inherited from the zygote; False if it is none."""
        with self._lock:
            child = self._children.pop(pid, None)
        if child is None:
            return False
        if (found := end()) is not None:
            status, cpu_seconds, memory_peak_bytes = found
            child.end(status, cpu_seconds=cpu_seconds, memory_peak_bytes=memory_peak_bytes)
        return True

    def _send(self, message: dict[str, Any], files: Sequence[int] = ()) -> None:
        channel.send(self._socket, message, files)

    def _listen(self) -> None:
        while True:
            try:
                message, _ = channel.receive(self._socket)
            except OSError:
                message = None
            if message is None:
                break
            self._note(message)
        with self._lock:
            self.is_lost = True
            waiting = list(self._waiting.values())
            self._waiting.clear()
            children = list(self._children.values())
        for answer in waiting:
            answer.arrived.set()
        for child in children:
            if not child.exists():
                # It ended, and nobody is left who knows how. The others are the agent's to reap.
                with self._lock:
                    self._children.pop(child.pid, None)
                child.end(signal.SIGKILL)
        self.ready.set()
        if not self.is_retired:
            log.warning("A zygote has ended", zygote=self.pid, bundle=self.key, children=len(self._children))

    def _note(self, message: dict[str, Any]) -> None:
        match message["type"]:
            case "ready":
                self.pid = message["pid"]
                self.left_out = message["left_out"]
                self.made_from = message.get("made_from", {})
                self.ready.set()
                if self._on_ready is not None:
                    self._on_ready(self)
            case "refused":
                self.refused = message["reason"]
                self.is_retired = True
            case "forked":
                child = Child(pid=message["pid"])
                with self._lock:
                    self._children[child.pid] = child
                    answer = self._waiting.pop(message["id"], None)
                if answer is not None:
                    answer.child = child
                    answer.arrived.set()
            case "exited":
                with self._lock:
                    ended = self._children.pop(message["pid"], None)
                if ended is not None:
                    ended.end(
                        message["status"],
                        cpu_seconds=message["cpu_seconds"],
                        memory_peak_bytes=message["memory_peak_bytes"],
                    )

    def reap(self) -> bool:
        """Take note of the process's own end; True when it has ended."""
        return self.is_lost if self.process is None else self.process.poll() is not None


@dataclass(kw_only=True)
class _Answer:
    arrived: threading.Event = field(default_factory=threading.Event)
    child: Child | None = None


class Zygotes:
    """All zygotes of an agent, by bundle.

    The bundles `together` have one between them, which is known by the first of them. If there will hardly be
    another, `keeps_seed` is False: the seed, which itself takes 17 MB, is let go when that one has begun.
    """

    def __init__(
        self,
        *,
        environment: Mapping[str, str],
        deny: Sequence[str] = (),
        together: Sequence[BundleKey] = (),
        seed: Seed | None = None,
        keeps_seed: bool = True,
    ) -> None:
        self._environment = environment
        self._seed = seed
        self._keeps_seed = keeps_seed
        self._together = tuple(together)
        self._deny = set(deny)
        self._lock = threading.Lock()
        self._current: dict[BundleKey, Zygote] = {}
        #: Retired ones, and branches: whose children may still end.
        self._others: list[Zygote] = []

    def get(self, key: BundleKey) -> Zygote:
        """Return the zygote of a bundle, started when there is none or it has ended."""
        if key in self._together:
            key = self._together[0]
        with self._lock:
            found = self._current.get(key)
            if found is None or found.is_lost:
                if found is not None:
                    self._others.append(found)
                    if not found.pid:  # lost before it was ready: perhaps by what it was forked from
                        self._let_go_of_seed()
                found = self._current[key] = self._start(key)
            found.used_at = time.monotonic()
            return found

    def fork(self, key: BundleKey, name: str, message: dict[str, Any], files: Sequence[int]) -> Child:
        """Fork a child in the bundle's zygote; one that is lost is replaced, once.

        If the new one is lost as well, something that it imports ends it: then the child comes from the
        zygote that knows no bundle, and imports that itself.

        Raises:
            ZygoteLostError: that one is lost, too.
        """
        for _ in range(2):
            with contextlib.suppress(ZygoteLostError):
                return self.get(key).fork(name, message, files)
        log.warning("A bundle's zygote ends again and again: a task starts without it", bundle=key)
        return self.get(None).fork(name, message, files)

    def replace_all(self, why: str) -> None:
        """Let new children come from new zygotes; those that run end their days in the old ones.

        The new ones import everything themselves: the seed is as old as what has changed.
        """
        with self._lock:
            self._let_go_of_seed()
            for key, zygote in list(self._current.items()):
                log.info("Replacing a zygote", zygote=zygote.pid, bundle=key, reason=why)
                self._replace(key, zygote)

    def warm(self) -> list[str]:
        """Return the bundles whose imports are ready, as `name` or `name@version`."""
        with self._lock:
            return sorted(
                label(bundle)
                for key, zygote in self._current.items()
                if zygote.ready.is_set()
                for bundle in self._bundles(key)
                if bundle
            )

    def each(self) -> list[Zygote]:
        """Return all, retired ones and branches included."""
        with self._lock:
            return [*self._current.values(), *self._others]

    def forget_ended(self) -> None:
        """Take note of zygotes that have ended."""
        with self._lock:
            now = time.monotonic()
            for key, zygote in list(self._current.items()):
                # Of a bundle without versions there is always a next task; an old version's may never come.
                if key and key[1] is not None and now - zygote.used_at > _IDLE_SECONDS:
                    zygote.retire()
                    self._others.append(self._current.pop(key))
            self._others = [each for each in self._others if not (each.reap() and not each.has_children)]

    def stop(self) -> None:
        """End all of them."""
        with self._lock:
            self._let_go_of_seed()
        for zygote in self.each():
            zygote.stop()

    def branch(self, key: BundleKey, file: str) -> Zygote:
        """Let a bundle's zygote fork one for a DAG file.

        Raises:
            OSError: it has ended.
        """
        branch = self.get(key).branch(key, file)
        with self._lock:
            self._others.append(branch)
        return branch

    def _let_go_of_seed(self) -> None:
        if self._seed is not None:
            self._seed.let_go()
            self._seed = None

    def _replace(self, key: BundleKey, zygote: Zygote) -> None:
        zygote.retire()
        self._others.append(zygote)
        self._current[key] = self._start(key)

    def _start(self, key: BundleKey) -> Zygote:
        return Zygote.start(
            key,
            environment=self._environment,
            deny=sorted(self._deny),
            bundles=self._bundles(key),
            seed=self._seed,
            on_ready=self._look_at,
        )

    def _bundles(self, key: BundleKey) -> Sequence[BundleKey]:
        """Return the bundles whose tasks the zygote of that key forks."""
        return self._together if key in self._together else (key,)

    def _look_at(self, zygote: Zygote) -> None:
        """Say what a zygote has not imported; one in which threads run is replaced by one without."""
        for module, reason in zygote.left_out.items():
            log.info("Not preloaded: tasks import it themselves", module=module, reason=reason)
        threaded = {module for module, reason in zygote.left_out.items() if reason == STARTS_THREADS}
        with self._lock:
            if threaded - self._deny and self._current.get(zygote.key) is zygote:
                self._deny |= threaded
                self._replace(zygote.key, zygote)
            elif not self._keeps_seed:
                self._let_go_of_seed()


def label(key: BundleKey) -> str:
    """Return a bundle's name and version for people and for placement."""
    if key is None:
        return ""
    name, version = key
    return name if version is None else f"{name}@{version}"
