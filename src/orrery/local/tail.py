"""The last lines of several growing files, in turn."""

from __future__ import annotations

import os
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
    # Name -> the file that was read, and how far. A new file of the same name begins at its beginning.
    places: dict[str, tuple[int, int]] = {}
    for name, path in files.items():
        try:
            with path.open("rb") as file:
                last = deque(file, maxlen=lines)
                end = file.tell()
                if follow and last and not last[-1].endswith(b"\n"):
                    end -= len(last.pop())  # its other half will follow
                places[name] = (os.fstat(file.fileno()).st_ino, end)
        except FileNotFoundError:
            continue
        for line in last:
            yield name, _text(line)
    while follow:
        grew = False
        for name, path in files.items():
            for line in _added(name, path, places):
                grew = True
                yield name, _text(line)
        if not grew:
            time.sleep(0.2)


def _added(name: str, path: Path, places: dict[str, tuple[int, int]]) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            found = os.fstat(file.fileno())
            inode, offset = places.get(name, (found.st_ino, 0))
            if inode != found.st_ino or found.st_size < offset:
                offset = 0
            file.seek(offset)
            while (line := file.readline()).endswith(b"\n"):
                offset += len(line)
                places[name] = (found.st_ino, offset)
                yield line
    except FileNotFoundError:
        places.pop(name, None)


def _text(line: bytes) -> str:
    return line.decode(errors="replace").rstrip("\r\n")
