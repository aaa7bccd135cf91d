"""Other Unix users whom tasks may become."""

from __future__ import annotations

import os
import pwd
import stat
from typing import TYPE_CHECKING

from orrery.errors import InputError, MachineError
from orrery.worker.cell_spec import UnixUser

if TYPE_CHECKING:
    from pathlib import Path


def find_user(name: str) -> UnixUser:
    """Return a user of this machine whom tasks may become.

    Raises:
        InputError: there is none of that name.
        MachineError: only root may become another.
    """
    try:
        found = pwd.getpwnam(name)
    except KeyError:
        raise InputError(
            f"There is no user '{name}' on this machine.", hint="Create the user, or name another."
        ) from None
    if os.geteuid() not in (0, found.pw_uid):
        raise MachineError(
            f"The agent may not run a task as '{name}': it does not run as root.",
            hint="Run the agent as root, or use run_as_user with sudo.",
        )
    groups = tuple(os.getgrouplist(name, found.pw_gid))
    return UnixUser(name=name, uid=found.pw_uid, gid=found.pw_gid, groups=groups, home=found.pw_dir)


def check_reaches(user: UnixUser, folder: Path) -> None:
    """Make sure that a user may enter a folder.

    Raises:
        MachineError: one of the folders above it, or itself, keeps the user out.
    """
    for each in (folder, *folder.parents):
        found = each.stat()
        if user.uid in (0, found.st_uid):
            needed = stat.S_IXUSR if user.uid else 0
        else:
            needed = stat.S_IXGRP if found.st_gid in (user.gid, *user.groups) else stat.S_IXOTH
        if found.st_mode & needed != needed:
            raise MachineError(
                f"A task cannot run as '{user.name}': that user may not enter {each}.",
                hint=f"chmod o+x {each}, or give the task isolation 'namespace'.",
            )
