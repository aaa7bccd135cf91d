from __future__ import annotations

import os
import pwd
from typing import TYPE_CHECKING

import pytest

from orrery.errors import InputError, MachineError
from orrery.worker.cell_spec import UnixUser
from orrery.worker.users import check_reaches, find_user

if TYPE_CHECKING:
    from pathlib import Path

STRANGER = UnixUser(name="stranger", uid=4_000_000, gid=4_000_000, groups=(), home="/")


def test_the_own_user_is_found_with_its_groups() -> None:
    own = pwd.getpwuid(os.geteuid())
    found = find_user(own.pw_name)
    assert (found.uid, found.gid, found.home) == (own.pw_uid, own.pw_gid, own.pw_dir)
    assert own.pw_gid in found.groups


def test_an_unknown_user_is_named() -> None:
    with pytest.raises(InputError, match="no user 'no-such-user'"):
        find_user("no-such-user")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may become anybody")
def test_only_root_may_become_another() -> None:
    with pytest.raises(MachineError, match="does not run as root"):
        find_user("root")


def test_a_folder_that_keeps_the_user_out_is_named(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(MachineError, match=r"'stranger': that user may not enter "):
        check_reaches(STRANGER, closed)
    check_reaches(STRANGER, tmp_path.__class__("/usr"))
