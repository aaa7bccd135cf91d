"""Objects that need no counts: `tests/acceptance/image` runs the same program in the image's Python."""

from __future__ import annotations

import json
import subprocess
import sys

from tests import immortal_program

from orrery import immortals


def test_a_fork_that_looks_copies_nothing_and_all_else_is_as_ever() -> None:
    done = subprocess.run(
        [sys.executable, immortal_program.__file__], capture_output=True, text=True, check=True
    )
    immortal_program.check(json.loads(done.stdout))


def test_which_pythons_have_immortal_objects_as_we_know_them() -> None:
    assert immortals.is_known() == (sys.version_info[:2] in {(3, 12), (3, 13)})
