"""The last lines of several growing files, in turn."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


def tail(files: Mapping[str, Path], *, lines: int, follow: bool) -> Iterator[tuple[str, str]]:
    """Yield (name, line): the last `lines` of each file, then, if `follow`, what is added for ever.

    A file that is not there yet, or that is rotated away, is picked up when it appears.
    """
    places: dict[str, tuple[int, int]] = {}
    for name, path in files.items():
        if path.exists():
            with path.open(errors="replace") as file:
                for line in deque(file, maxlen=lines):
                    yield name, line.rstrip("\n")
                places[name] = (path.stat().st_ino, file.tell())
    while follow:
        grew = False
        for name, path in files.items():
            for line in _added(name, path, places):
                grew = True
                yield name, line
        if not grew:
            time.sleep(0.2)


def _added(name: str, path: Path, places: dict[str, tuple[int, int]]) -> Iterator[str]:
    try:
        found = path.stat()
        inode, offset = places.get(name, (found.st_ino, 0))
        if inode != found.st_ino or found.st_size < offset:
            offset = 0
        with path.open(errors="replace") as file:
            file.seek(offset)
            while (line := file.readline()).endswith("\n"):
                offset = file.tell()
                yield line.rstrip("\n")
        places[name] = (found.st_ino, offset)
    except FileNotFoundError:
        places.pop(name, None)
