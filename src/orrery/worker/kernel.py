"""The few system calls that Python has no function for."""

from __future__ import annotations

import ctypes
import os
import resource
from functools import cache

CLONE_MOUNTS = 0x00020000
CLONE_IPC = 0x08000000
CLONE_USER = 0x10000000
CLONE_PID = 0x20000000

READ_ONLY = 1
NOSUID = 2
NODEV = 4
NOEXEC = 8
BIND = 4096
RECURSIVE = 16384
PRIVATE = 1 << 18
_DETACH = 2

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_CAPBSET_DROP = 24
_PR_SET_NO_NEW_PRIVS = 38

#: Capabilities that reach beyond a namespace: open by handle, modules, raw devices, tracing, mounts,
#: reboot, device nodes, performance counters, BPF.
HOST_CAPABILITIES = (2, 16, 17, 19, 21, 22, 27, 38, 39)
_CAPABILITY_VERSION = 0x20080522


def set_parent_death_signal(number: int) -> None:
    """Have the kernel send that signal to this process when its parent ends; 0: none."""
    _prctl(_PR_SET_PDEATHSIG, number)


def set_no_new_privs() -> None:
    """Give up gaining rights by starting programs: sudo and the like no longer work."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def set_dumpable(*, dumpable: bool = True) -> None:
    """Let this process be its own again after a change of user: /proc/self is root's otherwise.

    Or let nobody of its user look into it.
    """
    _prctl(_PR_SET_DUMPABLE, int(dumpable))


def unshare(flags: int) -> None:
    """Give this process, or its children, namespaces of their own.

    Raises:
        OSError: the machine does not allow it.
    """
    _check(_libc().unshare(flags), "unshare")


def mount(
    source: str | None, target: str, *, kind: str | None = None, flags: int = 0, data: str = ""
) -> None:
    """Mount.

    Raises:
        OSError: the machine does not allow it.
    """
    result = _libc().mount(
        os.fsencode(source) if source else None,
        os.fsencode(target),
        kind.encode() if kind else None,
        ctypes.c_ulong(flags),
        data.encode() if data else None,
    )
    _check(result, f"mount {target}")


def unmount(target: str) -> None:
    """Take a mount away, now or as soon as nobody uses it.

    Raises:
        OSError: the machine does not allow it.
    """
    _check(_libc().umount2(os.fsencode(target), _DETACH), f"unmount {target}")


def no_core_dump() -> None:
    """Write no core file when this process is killed."""
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))


def drop_capabilities(numbers: tuple[int, ...] | None) -> None:
    """Give capabilities up for good, also for programs that are started later; None: all of them.

    Raises:
        OSError: the kernel refuses.
    """
    for number in range(64) if numbers is None else numbers:
        # Without the right to drop, or on a kernel that does not know it, there is none to drop.
        _libc().prctl(_PR_CAPBSET_DROP, ctypes.c_ulong(number), 0, 0, 0)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
    # Twice (effective, permitted, inheritable), the low and the high half.
    sets = (ctypes.c_uint32 * 6)()
    _check(_libc().capget(header, sets), "capget")
    for number in range(64) if numbers is None else numbers:
        half, bit = divmod(number, 32)
        for index in range(3 * half, 3 * half + 3):
            sets[index] &= ~(1 << bit) & 0xFFFFFFFF
    _check(_libc().capset(header, sets), "capset")


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _prctl(option: int, argument: int) -> None:
    _check(_libc().prctl(option, ctypes.c_ulong(argument), 0, 0, 0), f"prctl {option}")


def _check(result: int, what: str) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
