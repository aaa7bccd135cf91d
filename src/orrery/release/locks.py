"""The requirement locks that ship inside the package: one per environment of a release."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal, get_args

from orrery.errors import OrreryError

#: tools = the command line alone; slim and full = the runtime with its provider sets; dev = this repository.
LockName = Literal["tools", "slim", "full", "dev"]

_PIN = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^]]*])?==([^\s;\\]+)")


def lock_path(name: LockName) -> Path:
    """Return the path of a lock file. Raises OrreryError when this installation does not have it."""
    if name not in get_args(LockName):
        raise ValueError(f"no lock is called {name!r}: choose one of {', '.join(get_args(LockName))}")
    path = Path(__file__).parent / "requirements" / f"{name}.txt"
    if not path.is_file():
        raise OrreryError(
            f"This installation of orrery-runtime lacks the lock '{name}' ({path}).",
            hint="Reinstall orrery-runtime; the lock 'dev' exists only in the source repository.",
        )
    return path


def pins(path: Path) -> dict[str, str]:
    """Return normalised name -> version of each pin in a lock.

    A name pinned twice, for several Pythons or systems, keeps its last pin: the newest, as the
    resolver writes them in ascending order.
    """
    lines = path.read_text(encoding="utf-8").splitlines()
    found = (match for line in lines if (match := _PIN.match(line)))
    return {normalised(match[1]): match[2] for match in found}


def normalised(name: str) -> str:
    """Return a distribution's name as package tools compare it: lower case, runs of `-_.` as one `-`."""
    return re.sub(r"[-_.]+", "-", name).lower()
