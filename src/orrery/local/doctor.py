"""Checks of this machine: what a deployment needs, whether it is there, and the command that fixes it."""

from __future__ import annotations

import json
import locale
import os
import resource
import shutil
import sys
import sysconfig
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import psutil

from orrery.errors import MachineError
from orrery.local import ports, processes
from orrery.local.state import State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import date

#: `weak`: it works, with less than there could be. `broken`: a deployment will not run.
CheckState = Literal["ok", "weak", "broken"]

_MEGABYTE = 2**20
#: What a deployment of the slim set takes at rest, with room for a few tasks.
NEEDED_MEMORY_BYTES = 2048 * _MEGABYTE
#: A cluster, its logs and an environment.
NEEDED_DISK_BYTES = 2048 * _MEGABYTE
NEEDED_FILES = 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One finding."""

    name: str
    state: CheckState
    found: str
    #: The command or change that mends it; None when nothing is to be done.
    fix: str | None = None


def check_machine(
    *, state: Path, cache: Path, port: int, runs: bool, pythons: tuple[str, ...], released: date
) -> Iterator[Check]:
    """Check the machine for a deployment whose state is in `state` and whose UI wants `port`.

    `runs`: the deployment runs now, so that its own port may be taken. `pythons`: those that the
    runtime supports. `released`: the runtime's date; a clock that is behind it is wrong.
    """
    yield check_python(sys.version_info[:2], pythons)
    yield check_memory(psutil.virtual_memory().available)
    for name, folder in (("disk of the project", state), ("disk of the cache", cache)):
        yield check_disk(name, _existing(folder))
    yield check_writable("project folder", _existing(state))
    yield check_port(port, runs=runs)
    yield check_files(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    yield check_locale(locale.getpreferredencoding(do_setlocale=False))
    yield check_clock(time.time(), released)
    yield check_isolation(State(state).worker_socket.parent) or check_cgroups(Path("/sys/fs/cgroup"))
    if os.geteuid() == 0:
        yield check_root(shutil.which)
    yield check_frontend(shutil.which)


def check_python(version: tuple[int, int], supported: tuple[str, ...]) -> Check:
    """The Python that runs the tools."""
    text = f"{version[0]}.{version[1]}"
    if text in supported:
        return Check(name="Python", state="ok", found=f"{text} at {sys.executable}")
    return Check(
        name="Python",
        state="weak",
        found=f"{text}; the runtime supports {', '.join(supported)}",
        fix=f"Install Python {supported[-1]}, or set 'python:' in orrery.yaml to one that is installed",
    )


def check_memory(available: int) -> Check:
    """Memory that is free now, in bytes."""
    found = f"{available // _MEGABYTE} MB available"
    if available >= NEEDED_MEMORY_BYTES:
        return Check(name="memory", state="ok", found=found)
    return Check(
        name="memory",
        state="weak",
        found=f"{found}; a deployment wants {NEEDED_MEMORY_BYTES // _MEGABYTE} MB",
        fix="End other programs, or set AIRFLOW__CORE__PARALLELISM=2 in .env",
    )


def check_disk(name: str, folder: Path) -> Check:
    """Free space where a folder is or will be."""
    free = shutil.disk_usage(folder).free
    found = f"{free // _MEGABYTE} MB free at {folder}"
    if free >= NEEDED_DISK_BYTES:
        return Check(name=name, state="ok", found=found)
    state: CheckState = "weak" if free >= NEEDED_DISK_BYTES // 8 else "broken"
    return Check(
        name=name, state=state, found=found, fix="Free 2 GB there; see what is big: du -xh --max-depth=2"
    )


def check_writable(name: str, folder: Path) -> Check:
    """Whether files can be made in a folder."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            return Check(name=name, state="ok", found=f"{folder} is writable")
    except OSError as error:
        return Check(
            name=name,
            state="broken",
            found=f"{folder}: {error.strerror}",
            fix=f"sudo chown -R $USER {folder}",
        )


def check_port(port: int, *, runs: bool) -> Check:
    """The port of the UI and API."""
    try:
        is_free = runs or ports.is_free(port)
    except MachineError as error:
        return Check(name="port", state="broken", found=error.message, fix=error.hint)
    if is_free:
        return Check(name="port", state="ok", found=f"{port} is {'ours' if runs else 'free'}")
    holder = processes.listener(port) or "a process of another user"
    return Check(
        name="port",
        state="weak",
        found=f"{port} is taken by {holder}",
        fix="orrery up --port N, or 'local: port:' in orrery.yaml",
    )


def check_files(limit: int) -> Check:
    """How many files a process may have open."""
    if limit == resource.RLIM_INFINITY or limit >= NEEDED_FILES:
        return Check(name="open files", state="ok", found=f"limit {limit}")
    return Check(
        name="open files",
        state="weak",
        found=f"limit {limit}, wanted {NEEDED_FILES}",
        fix=f"ulimit -n {NEEDED_FILES}",
    )


def check_locale(encoding: str) -> Check:
    """The encoding in which Python reads and writes text files."""
    if encoding.lower().replace("-", "") == "utf8":
        return Check(name="locale", state="ok", found=encoding)
    return Check(
        name="locale",
        state="weak",
        found=f"{encoding}: a DAG that reads text may fail on letters beyond ASCII",
        fix="export LANG=C.UTF-8",
    )


def check_clock(now: float, released: date) -> Check:
    """The clock: schedules and tokens follow it. Without a network only a clock that is behind is seen."""
    today = time.strftime("%Y-%m-%d", time.gmtime(now))
    if today >= released.isoformat():
        return Check(name="clock", state="ok", found=f"{today} (UTC)")
    return Check(
        name="clock",
        state="broken",
        found=f"{today} (UTC), before this release was made ({released})",
        fix="timedatectl set-ntp true",
    )


def check_isolation(run: Path) -> Check | None:
    """By what tasks are kept apart, as the worker found it when it last started; None if it never did."""
    try:
        told = json.loads((run / "isolation.json").read_text(encoding="utf-8"))
        notes = [str(note) for note in told["notes"]]
        found = str(told["text"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if not notes:
        return Check(name="isolation", state="ok", found=found)
    return Check(name="isolation", state="weak", found=found, fix=" ".join(notes))


def check_cgroups(root: Path) -> Check:
    """Control groups, with which a task's memory and CPU can be limited."""
    if (root / "cgroup.controllers").exists():
        kind, writable = "v2", os.access(root / "cgroup.procs", os.W_OK)
    elif (root / "memory").is_dir():
        kind, writable = "v1", os.access(root / "memory", os.W_OK)
    else:
        return Check(
            name="cgroups",
            state="weak",
            found="none: a task's memory cannot be limited by the kernel",
            fix="Mount cgroup2 on /sys/fs/cgroup; tasks run all the same",
        )
    if writable:
        return Check(name="cgroups", state="ok", found=f"{kind}, writable")
    return Check(
        name="cgroups",
        state="weak",
        found=f"{kind}, not writable by this user",
        fix="Run below a delegated cgroup: systemd-run --user --scope -p Delegate=yes orrery up",
    )


def check_root(which: Callable[[str], str | None]) -> Check:
    """What root needs to give PostgreSQL another user."""
    if which("setpriv"):
        return Check(name="root", state="ok", found="PostgreSQL will run as another user")
    return Check(
        name="root",
        state="broken",
        found="setpriv is not there, and PostgreSQL refuses to run as root",
        fix="apt-get install util-linux, or run as an ordinary user",
    )


def check_frontend(which: Callable[[str], str | None]) -> Check:
    """The footer on Airflow's pages: a released package has it, `make setup` builds it in the repository."""
    package = Path(__file__).parents[1]
    if (package / "ui" / "static" / "footer.js").exists():
        return Check(name="frontend", state="ok", found="the footer is built")
    scripts = Path(sysconfig.get_path("scripts"))
    node = which("node") or ((scripts / "node").exists() and str(scripts / "node"))
    missing = "it was not built" if node else "Node.js is not there to build it"
    fix = "make setup" if node else "apt-get install nodejs npm, then make setup"
    return Check(name="frontend", state="weak", found=f"no footer: {missing}", fix=fix)


def _existing(folder: Path) -> Path:
    """Return the folder, or the nearest one above it that is there."""
    while not folder.exists():
        folder = folder.parent
    return folder
