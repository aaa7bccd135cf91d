"""Entering a cell: what the freshly forked child does to itself before the task starts.

Light on purpose: imported by the zygote before it forks. The child must have one thread.
"""

from __future__ import annotations

import os
import resource
import tempfile
from contextlib import suppress
from typing import TYPE_CHECKING

from orrery.worker import kernel, namespaces
from orrery.worker.cell_spec import CellSpec

if TYPE_CHECKING:
    from orrery.worker.cell_spec import UnixUser

__all__ = ["CellSpec", "enter", "join"]


def enter(spec: CellSpec) -> None:
    """Move this process into the cell: cgroups, limits, process group, temporary folder, namespaces, user.

    With namespaces it returns in another process, the task's; this one stays behind as its keeper and
    ends as the task does. The environment of the process is changed.

    Raises:
        OSError: a cgroup cannot be joined, or the user not be changed. Run no task then.
        namespaces.NamespacesUnavailable: this machine does not allow them.
    """
    join(spec)
    _own_group()
    for kind, soft, hard in spec.rlimits:
        _limit(kind, soft, hard)
    if spec.data_growth_bytes is not None:
        _limit_data(spec.data_growth_bytes)
    if spec.nice:
        os.nice(spec.nice)
    scratch = spec.scratch
    if spec.namespaces is not None:
        # The keeper sets its own parent's death aside: it dies with its parent, the task with its keeper.
        scratch = namespaces.enter(
            spec.namespaces, scratch=spec.scratch, parent_death_signal=spec.parent_death_signal
        )
        _own_group()
    if spec.user is not None:
        _become(spec.user)
    _use_scratch(scratch, spec)
    if spec.namespaces is None and spec.parent_death_signal is not None:
        # After the change of user, which clears it.
        kernel.set_parent_death_signal(spec.parent_death_signal)
    if spec.no_new_privs:
        kernel.set_no_new_privs()


def join(spec: CellSpec) -> None:
    """Move this process into the cell's cgroups only: an idle child may do it before it has a task.

    Raises:
        OSError: one cannot be joined.
    """
    for path in spec.join:
        # 0 is the writer: without a PID the kernel needs no lock on all forks of the machine.
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(descriptor, b"0")
        finally:
            os.close(descriptor)


def _own_group() -> None:
    # A session of its own: group and session have the PID, and no terminal can be read.
    with suppress(PermissionError):  # it leads its group already
        os.setsid()


def _limit(kind: int, soft: int, hard: int) -> None:
    """Lower a limit; what is lower already stays."""
    _, most = resource.getrlimit(kind)
    if most != resource.RLIM_INFINITY:
        soft = most if soft == resource.RLIM_INFINITY else min(soft, most)
        hard = most if hard == resource.RLIM_INFINITY else min(hard, most)
    resource.setrlimit(kind, (soft, hard))


def _limit_data(growth_bytes: int) -> None:
    with open("/proc/self/statm", "rb") as file:  # noqa: PTH123 - no pathlib in the child
        pages = int(file.read().split()[5])
    most = pages * resource.getpagesize() + growth_bytes
    _limit(resource.RLIMIT_DATA, most, most)


def _become(user: UnixUser) -> None:
    if (os.geteuid(), os.getegid()) != (user.uid, user.gid):
        os.setgroups(user.groups)
        os.setgid(user.gid)
        os.setuid(user.uid)
        # Else its own files in /proc would be root's.
        kernel.set_dumpable()
    os.environ.update(HOME=user.home, USER=user.name, LOGNAME=user.name)


def _use_scratch(scratch: str, spec: CellSpec) -> None:
    os.environ.update(TMPDIR=scratch, TEMP=scratch, TMP=scratch, ORRERY_TASK=spec.name)
    for name, value in spec.environment.items():
        os.environ[name] = value.replace("{scratch}", scratch)
    # The parent may have asked for its own: forget it.
    tempfile.tempdir = None
