"""Large pages for a heap: never by copying what is shared."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import os, re, sys
from pathlib import Path
from orrery import large_pages

def private_kilobytes():
    text = Path("/proc/self/smaps_rollup").read_text()
    return sum(int(kb) for kb in re.findall(r"^Private_Dirty:\\s+(\\d+)", text, re.MULTILINE))

kept = [bytes([number % 251]) * 4000 for number in range(16_000)]
alone = large_pages.collapse()
read, write = os.pipe()
if os.fork() == 0:
    shared = large_pages.collapse()
    mine = private_kilobytes()
    written = [bytes([number % 251]) * 4000 for number in range(8_000)]
    again = large_pages.collapse()
    whole = all(each == bytes([number % 251]) * 4000 for number, each in enumerate(kept))
    print(alone, shared, mine, again, whole, flush=True)
    os._exit(0)
os.wait()
"""


def test_what_is_shared_is_left_alone_and_what_is_new_is_not() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    alone, shared, mine, again, whole = done.stdout.split()

    assert whole == "True"
    if int(alone):  # a kernel without large pages has nothing to tell
        assert int(alone) >= 32 * 1024 * 1024
        assert int(shared) <= 4 * 1024 * 1024
        assert int(again) - int(shared) >= 16 * 1024 * 1024
    assert int(mine) < 16 * 1024
