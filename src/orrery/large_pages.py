"""Memory in large pages: a fork copies the table of pages, and large ones make it short.

A child that writes gets small pages of its own, as ever; the large one stays with who only reads it.

A large page is a copy. Where a quarter of what it would hold is shared with the process that this one was
forked from, all is left as it is: the copy would cost more memory than it saves time.
"""

from __future__ import annotations

import ctypes
import re
from array import array
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_MADV_HUGEPAGE = 14
#: Since Linux 6.1: now, and not when the kernel comes by.
_MADV_COLLAPSE = 25
_LARGE = 2 * 1024 * 1024
_SMALL = 4096
_PER_LARGE = _LARGE // _SMALL
_PRIVATE_MEMORY = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) rw-p 00000000 00:00 0\s*(\[heap\])?$", re.MULTILINE)
#: Of an entry of /proc/self/pagemap, see the kernel's documentation of it.
_IS_THERE = 1 << 63
_IS_ONLY_OURS = 1 << 56


def collapse() -> int:
    """Put this process's private memory into large pages where the kernel does that; return bytes asked for.

    Where it does not (no transparent huge pages, an older kernel) nothing changes.
    """
    try:
        maps = Path("/proc/self/maps").read_text(encoding="ascii", errors="replace")
        madvise = ctypes.CDLL(None, use_errno=True).madvise
        worth = [start for found in _PRIVATE_MEMORY.finditer(maps) for start in _worth(found)]
    except (OSError, AttributeError):
        return 0
    madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    asked = 0
    for start in worth:
        if madvise(start, _LARGE, _MADV_HUGEPAGE) == 0:
            madvise(start, _LARGE, _MADV_COLLAPSE)
            asked += _LARGE
    return asked


def _worth(region: re.Match[str]) -> Iterator[int]:
    """Yield where large pages may begin that hold little else than what is this process's alone."""
    first, last = int(region[1], 16), int(region[2], 16)
    start, end = -(-first // _LARGE) * _LARGE, last // _LARGE * _LARGE
    if end <= start:
        return
    entries = array("Q")
    with Path("/proc/self/pagemap").open("rb") as file:
        file.seek(start // _SMALL * entries.itemsize)
        entries.frombytes(file.read((end - start) // _SMALL * entries.itemsize))
    for number in range(len(entries) // _PER_LARGE):
        here = entries[number * _PER_LARGE : (number + 1) * _PER_LARGE]
        there = sum(1 for entry in here if entry & _IS_THERE)
        ours = sum(1 for entry in here if entry & _IS_THERE and entry & _IS_ONLY_OURS)
        if ours and ours * 4 >= there * 3:
            yield start + number * _LARGE
