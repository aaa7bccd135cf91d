"""Garbage of a component that has started is collected, whatever it has loaded."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import gc, weakref
from orrery import garbage

class Ring:
    def __init__(self):
        self.me = self

loaded = [[] for _ in range(300_000)]
garbage.collect_seldom()
if {leave_alone}:
    garbage.leave_alone()
else:
    gc.collect()
rings = [Ring() for _ in range(20_000)]
gc.collect(1)  # as old as objects become
one = weakref.ref(rings[0])
rings.clear()
for _ in range({later}):
    Ring()
print(one() is None, gc.get_freeze_count() > 300_000)
"""


def _run(*, leave_alone: bool, later: int) -> str:
    program = PROGRAM.format(leave_alone=leave_alone, later=later)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_old_garbage_goes_soon_where_what_was_loaded_is_left_alone() -> None:
    assert _run(leave_alone=True, later=150_000) == "True True"


def test_it_would_stay_where_it_is_not() -> None:
    assert _run(leave_alone=False, later=1_500_000) == "False False"
