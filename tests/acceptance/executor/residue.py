"""What tasks may leave behind on the machine: processes, control groups, temporary folders."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from orrery.local import processes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.acceptance.executor.running import Running


def zygotes(running: Running) -> list[psutil.Process]:
    """Return the zygotes of a deployment's agent, those that a zygote has made included."""
    agent = psutil.Process(running.pid("worker"))
    return [child for child in agent.children(recursive=True) if "orrery-zygote" in _words(child)]


def _words(process: psutil.Process) -> str:
    with contextlib.suppress(psutil.Error):
        return f"{process.name()} {' '.join(process.cmdline())}"
    return ""


def alive(pids: Iterable[int]) -> list[int]:
    """Return those pids that belong to living processes; zombies count, for somebody must take them."""
    found = []
    for pid in pids:
        with contextlib.suppress(psutil.Error):
            psutil.Process(pid)
            found.append(pid)
    return found


def strays(running: Running) -> list[str]:
    """Return the processes of a deployment that are neither components, nor belong to one of them.

    A component's descendants belong to it; below the agent only the zygotes do. A component may make a child
    while we look: what is gone at a second look was none.
    """
    found = _strays_now(running)
    pids = {each.split()[0] for each in _strays_now(running)} if found else set()
    return [each for each in found if each.split()[0] in pids]


def _strays_now(running: Running) -> list[str]:
    parts = {part["name"]: part["pid"] for part in running.status()["components"] if part["pid"]}
    known: set[int] = set(parts.values())
    for name, pid in parts.items():
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(pid)
            known |= {parent.pid for parent in process.parents()}
            known |= {each.pid for each in (zygotes(running) if name == "worker" else process.children(True))}
    found = []
    for process in processes.marked(running.state.deployment_id):
        with contextlib.suppress(psutil.Error):
            if process.pid not in known:
                found.append(f"{process.pid} {process.status()} {_words(process)[:120]}")
    return found


def groups(running: Running) -> list[Path]:
    """Return the control groups of tasks that are there."""
    with contextlib.suppress(OSError, ValueError):
        parents = [Path(folder) for folder in json.loads((running.state.run / "cells.json").read_text())]
        return [each for parent in parents if parent.is_dir() for each in parent.iterdir() if each.is_dir()]
    return []


def scratch(running: Running) -> list[Path]:
    """Return the temporary folders of tasks that are there."""
    with contextlib.suppress(FileNotFoundError):
        return list((running.state.run / "scratch").iterdir())
    return []
