"""Namespaces of a task's own: PIDs, mounts and IPC, with a private /tmp and hidden secrets.

Three processes: the *keeper* is the child that the agent knows; it passes signals in and ends as the
task ends. The *init* is PID 1 of the new namespace; it sets the mounts up and reaps. The third is the
task. When one of the first two dies, the kernel ends all that is inside.
"""

from __future__ import annotations

import errno
import os
import signal
import struct
import sys
import tempfile
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from orrery.errors import MachineError
from orrery.worker import kernel
from orrery.worker.cell_spec import Namespaces

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

#: What the keeper passes on. The others end it, and thereby the task.
_PASSED_ON = (
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGALRM,
)
#: Where programs put temporary files: all of them become the task's own folder.
_TEMPORARY = ("/tmp", "/var/tmp")  # noqa: S108 - these are the ones to replace
_READY = b"ready"


class NamespacesUnavailable(MachineError):  # noqa: N818 - the state is the name
    """This machine gives no namespaces: a task that asks for them must not run without."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"The task asks for isolation 'namespace', which this machine does not allow: {reason}.",
            hint="Run the worker as root or allow unprivileged user namespaces, "
            "or let the task ask for isolation 'process'.",
        )
        self.reason = reason


def enter(wanted: Namespaces, *, scratch: str, parent_death_signal: int | None = None) -> str:
    """Return, in the task's process, the path of its temporary folder. The caller stays as keeper.

    Raises:
        NamespacesUnavailable: raised in the caller, which must not start the task and cannot fork.
    """
    # Who ignores its children's ends cannot wait for them.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _unshare()
    inward, outward = os.pipe2(os.O_CLOEXEC)
    init = os.fork()
    if init:
        os.close(outward)
        said = os.read(inward, len(_READY))
        if said != _READY:
            said += os.read(inward, 4096)
            os.close(inward)
            os.waitpid(init, 0)
            raise NamespacesUnavailable(said.decode(errors="replace") or "its first process ended at once")
        _keep(init, inward, parent_death_signal)
    os.close(inward)
    task = -1
    try:
        kernel.set_parent_death_signal(signal.SIGKILL)
        os.setsid()
        _mount_all(wanted, scratch)
        task = os.fork()
        if task:
            _reap(task, outward)
    except Exception as error:
        os.write(outward, _words(error).encode()[:4096])
    finally:
        # The first process of the namespace never gets to run what only the task may.
        if task:
            os._exit(1)
    os.close(outward)
    kernel.drop_capabilities(None if os.geteuid() else kernel.HOST_CAPABILITIES)
    return _TEMPORARY[0]


def unavailable() -> str | None:
    """Return why there are no namespaces; None: there are. Forks: the process should have one thread."""
    inward, outward = os.pipe2(os.O_CLOEXEC)
    child = os.fork()
    if not child:
        try:
            with tempfile.TemporaryDirectory() as scratch:
                enter(Namespaces(), scratch=scratch)
                os._exit(0)
        except NamespacesUnavailable as error:
            os.write(outward, error.reason.encode())
        finally:
            os._exit(1)
    os.close(outward)
    with os.fdopen(inward, "rb") as file:
        reason = file.read().decode(errors="replace")
    _, status = os.waitpid(child, 0)
    if not status:
        return None
    return reason or "a probe ended at once"


def _unshare() -> None:
    user, group = os.geteuid(), os.getegid()
    try:
        kernel.unshare(kernel.CLONE_PID | kernel.CLONE_MOUNTS | kernel.CLONE_IPC)
        return
    except PermissionError:
        pass
    except OSError as error:
        raise NamespacesUnavailable(_words(error)) from error
    try:
        kernel.unshare(kernel.CLONE_USER | kernel.CLONE_PID | kernel.CLONE_MOUNTS | kernel.CLONE_IPC)
        # The same user within as without; the kernel allows nothing else here.
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    except OSError as error:
        raise NamespacesUnavailable(f"no user namespace: {_words(error)}") from error


def _words(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        full = " (the limits in /proc/sys/user are reached)" if error.errno == errno.ENOSPC else ""
        return f"{error.strerror}{full}"
    return f"{type(error).__name__}: {error}"


def _mount_all(wanted: Namespaces, scratch: str) -> None:
    kernel.mount(None, "/", flags=kernel.PRIVATE | kernel.RECURSIVE)
    _replace_temporary(scratch, _kept(wanted.keep))
    if Path("/dev/shm").is_dir():  # noqa: S108
        kernel.mount("tmpfs", "/dev/shm", kind="tmpfs", flags=kernel.NOSUID | kernel.NODEV)  # noqa: S108
    for path in wanted.hide:
        _hide(Path(path))
    kernel.mount("proc", "/proc", kind="proc", flags=kernel.NOSUID | kernel.NODEV | kernel.NOEXEC)


def _kept(paths: Iterable[str]) -> list[str]:
    """Return what must stay visible although it lies in a temporary folder: also Python's own files."""
    wanted = [*paths, sys.prefix, sys.base_prefix, *sys.path]
    # A path below one that is kept comes with it.
    kept: list[str] = []
    for path in sorted({os.path.realpath(path) for path in wanted if path and _can_reach(Path(path))}):
        if _is_temporary(path) and not any(path.startswith(f"{other}/") for other in kept):
            kept.append(path)
    return kept


def _can_reach(path: Path) -> bool:
    """Tell whether there is something that this user may reach: the rest it can neither lose nor read."""
    try:
        path.stat()
    except OSError:
        return False
    return True


def _is_temporary(path: str) -> bool:
    return any(path.startswith(f"{os.path.realpath(folder)}/") for folder in _TEMPORARY)


def _replace_temporary(scratch: str, kept: list[str]) -> None:
    # What is kept is hidden a moment later: hold it open.
    held = [(path, os.open(path, os.O_PATH | os.O_CLOEXEC)) for path in kept]
    source = os.open(scratch, os.O_PATH | os.O_CLOEXEC)
    for folder in dict.fromkeys(map(os.path.realpath, _TEMPORARY)):
        if Path(folder).is_dir():
            kernel.mount(f"/proc/self/fd/{source}", folder, flags=kernel.BIND)
    os.close(source)
    for path, descriptor in held:
        is_folder = Path(f"/proc/self/fd/{descriptor}").is_dir()
        (Path(path) if is_folder else Path(path).parent).mkdir(parents=True, exist_ok=True)
        if not is_folder:
            Path(path).touch()
        kernel.mount(f"/proc/self/fd/{descriptor}", path, flags=kernel.BIND | kernel.RECURSIVE)
        os.close(descriptor)


def _hide(path: Path) -> None:
    if not _can_reach(path):
        return
    if path.is_dir():
        flags = kernel.NOSUID | kernel.NODEV | kernel.NOEXEC | kernel.READ_ONLY
        kernel.mount("tmpfs", str(path), kind="tmpfs", flags=flags, data="size=4k,mode=0555")
    else:
        kernel.mount("/dev/null", str(path), flags=kernel.BIND)


def _keep(init: int, inward: int, parent_death_signal: int | None) -> NoReturn:
    """Pass signals on, and end as the task ends."""
    _pass_signals_on(lambda number: os.kill(init, number))
    if parent_death_signal is not None:
        kernel.set_parent_death_signal(parent_death_signal)
    _close_all_but(inward)
    said = os.read(inward, 4)
    _, status = os.waitpid(init, 0)
    if len(said) == 4:
        (status,) = struct.unpack("i", said)
    _end_with(status)


def _reap(task: int, outward: int) -> NoReturn:
    """Be PID 1: take in orphans, and end, and with us all that is inside, when the task ends."""
    with suppress(OSError):  # the task has done it itself
        os.setpgid(task, task)
    _pass_signals_on(partial(os.killpg, task))
    os.write(outward, _READY)
    _close_all_but(outward)
    ended = status = 0
    while ended != task:
        ended, status = os.waitpid(-1, 0)
    with suppress(OSError):
        os.write(outward, struct.pack("i", status))
    os._exit(0)


def _pass_signals_on(send: Callable[[int], None]) -> None:
    def handle(number: int, _: object) -> None:
        with suppress(OSError):  # it has ended already
            send(number)

    signal.set_wakeup_fd(-1)
    for number in _PASSED_ON:
        signal.signal(number, handle)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _close_all_but(kept: int) -> None:
    # Whoever holds a task's sockets open hides its end from the agent.
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        if standard != kept:
            os.dup2(null, standard)
    os.closerange(3, kept)
    os.closerange(max(3, kept + 1), os.sysconf("SC_OPEN_MAX"))


def _end_with(status: int) -> NoReturn:
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        kernel.no_core_dump()
        if number != signal.SIGKILL:
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    os._exit(os.waitstatus_to_exitcode(status) & 0xFF)
