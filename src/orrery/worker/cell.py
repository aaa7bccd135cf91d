"""Cells: what each task lives in, made by the agent, limited, measured, and removed with all that is left."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import random
import re
import resource
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from orrery.errors import StateError
from orrery.worker import cgroup, ending, leftovers, namespaces, processes, scratch
from orrery.worker.cell_spec import CellSpec, Namespaces
from orrery.worker.hierarchy import find
from orrery.worker.limits import Limits
from orrery.worker.means import Means
from orrery.worker.task_cell import Cell
from orrery.worker.users import check_reaches, find_user

if TYPE_CHECKING:
    from collections.abc import Iterable

    from orrery.executor.protocol import Ending
    from orrery.executor.request import Request
    from orrery.worker.cgroup import Group, Hierarchy
    from orrery.worker.limits import LimitSettings

__all__ = ["Backend", "Cell", "Cells"]

#: Which cgroups to use: those that work, those of one version, or none, as where none are allowed.
Backend = Literal["auto", "v1", "v2", "none"]

#: Where memory is only watched, data may grow by this above twice the limit before the kernel says no:
#: a single huge allocation then fails instead of taking the machine with it.
_BACKSTOP_BYTES = 2 * 1024**3
#: Where processes are only watched, a user's other processes count to the kernel's limit too.
_OTHER_PROCESSES = 4096
_VERSIONS: dict[Backend, tuple[int, ...]] = {"auto": (1, 2), "v1": (1,), "v2": (2,), "none": ()}
#: In the agent's folder: its means, for `orrery doctor`.
MEANS_FILE = "isolation.json"
_SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", re.ASCII)


class Cells:
    """All cells of one agent. Safe to use from several threads."""

    def __init__(
        self,
        *,
        folder: Path,
        settings: LimitSettings,
        means: Means,
        hierarchy: Hierarchy | None,
        marks: range,
        lock: int | None = None,
        hide: tuple[str, ...] = (),
        keep: tuple[str, ...] = (),
    ) -> None:
        self.means = means
        #: What a dead earlier agent had left and could not be removed.
        self.leftovers: tuple[str, ...] = ()
        self._folder = folder
        self._settings = settings
        self._hierarchy = hierarchy
        self._marks = marks
        self._lock = lock
        self._hide = hide
        self._keep = keep
        # What cannot be killed keeps its mark: do not begin with the same ones again.
        self._serials = itertools.count(random.randrange(len(marks)))  # noqa: S311 - no secret
        self._cells: dict[str, Cell] = {}

    @classmethod
    def open(
        cls,
        state_dir: Path,
        *,
        settings: LimitSettings,
        backend: Backend = "auto",
        hide: Iterable[Path | str] = (),
        keep: Iterable[Path | str] = (),
    ) -> Cells:
        """Find out what this machine allows, and remove what a dead earlier agent of this folder left.

        To be called before the agent has threads: it forks to try things out. Tasks with isolation
        'namespace' do not see what is in `hide`, and do see what is in `keep` even if it is in /tmp.

        Raises:
            StateError: another agent of this folder lives.
            OSError: the folder cannot be used.
        """
        state_dir = Path(os.path.realpath(state_dir))
        folder = state_dir / "scratch"
        folder.mkdir(parents=True, exist_ok=True)
        lock = leftovers.lock(state_dir)
        agent = hashlib.blake2b(str(state_dir).encode(), digest_size=4).hexdigest()
        marks = processes.marks_of(agent)
        left = leftovers.remove(state_dir, marks)
        hierarchy, reason = find(f"orrery-{agent}", _VERSIONS[backend])
        if hierarchy is not None:
            leftovers.remember(state_dir, hierarchy.folders)
            left += leftovers.remove_groups(hierarchy.folders)
        cells = cls(
            folder=folder,
            settings=settings,
            means=Means.of(
                hierarchy.version if hierarchy else None,
                hierarchy.controllers if hierarchy else (),
                reason=reason,
                namespaces_unavailable=namespaces.unavailable(),
            ),
            hierarchy=hierarchy,
            marks=marks,
            lock=lock,
            hide=tuple(map(str, hide)),
            keep=tuple(map(str, keep)),
        )
        cells.leftovers = left
        # For tools, which know the agent's folder but not the agent.
        told = json.dumps(cells.means.as_mapping(), indent=1)
        (state_dir / MEANS_FILE).write_text(told + "\n", encoding="utf-8")
        return cells

    def create(
        self,
        name: str,
        request: Request,
        *,
        user: str | None = None,
        no_new_privs: bool = True,
        parent_death_signal: int | None = None,
    ) -> Cell:
        """Make a cell; its `spec` goes to the child.

        Raises:
            StateError: there is a cell of that name.
            InputError: there is no such user.
            MachineError: the agent may not become another user, or that one cannot reach the folder.
            OSError: disk or kernel refuse.
        """
        if name in self._cells:
            raise StateError(f"There is a cell '{name}' already.")
        limits = Limits.of(request, self._settings)
        unix_user = find_user(user) if user is not None else None
        folder = self._folder / _folder_name(name)
        if unix_user is not None and request.isolation != "namespace":
            check_reaches(unix_user, self._folder)
        scratch.create(folder, unix_user)
        group: Group | None = None
        try:
            if self._hierarchy is not None:
                group = self._hierarchy.create(folder.name)
                group.limit(limits)
        except OSError:
            if group is not None:
                group.remove()
            scratch.remove(folder)
            raise
        mark = self._marks[next(self._serials) % len(self._marks)]
        spec = CellSpec(
            name=name,
            join=group.join if group is not None else (),
            rlimits=self._rlimits(mark, limits),
            data_growth_bytes=(
                2 * limits.memory_bytes + _BACKSTOP_BYTES if self.means.memory == "watch" else None
            ),
            scratch=str(folder),
            namespaces=self._namespaces() if request.isolation == "namespace" else None,
            user=unix_user,
            no_new_privs=no_new_privs,
            parent_death_signal=parent_death_signal,
        )
        cell = Cell(
            spec=spec,
            request=request,
            limits=limits,
            means=self.means,
            mark=mark,
            group=group,
            members=group.members if group is not None else lambda: processes.of_mark(mark),
            on_removed=self._forget,
        )
        self._cells[name] = cell
        return cell

    def watch(self) -> list[tuple[Cell, Ending, str]]:
        """Return the cells that are above a limit which the kernel does not keep: kill those.

        To be called about each second. With each the kind and the words of its ending.
        """
        watched = list(self._cells.values())
        is_needed = "watch" in (self.means.memory, self.means.pids)
        marked: dict[int, list[int]] = {}
        if is_needed and watched and self._hierarchy is None:
            # One look at all processes, for all cells.
            marked = processes.marked({cell.mark for cell in watched})
        found = []
        for cell in watched:
            excess = cell.look(marked.get(cell.mark)) if is_needed else None
            if excess := excess or cell.look_at_disk():
                found.append((cell, *ending.exceeded(excess, cell.request)))
        return found

    def close(self) -> tuple[str, ...]:
        """Remove all cells and the agent's own groups; return what could not be removed."""
        left: list[str] = []
        for cell in list(self._cells.values()):
            cell.remove()
            left += cell.leftovers
        if self._hierarchy is not None:
            left += cgroup.remove_folders(tuple(map(str, self._hierarchy.folders)))
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
        return tuple(left)

    def _forget(self, cell: Cell) -> None:
        self._cells.pop(cell.name, None)

    def _rlimits(self, mark: int, limits: Limits) -> tuple[tuple[int, int, int], ...]:
        found = [(processes.RLIMIT_RTTIME, mark, mark), (resource.RLIMIT_CORE, 0, resource.RLIM_INFINITY)]
        if self.means.pids == "watch":
            # It counts all processes of the user, and root's not at all.
            most = limits.pids + _OTHER_PROCESSES
            found.append((resource.RLIMIT_NPROC, most, most))
        return tuple(found)

    def _namespaces(self) -> Namespaces:
        # Its own temporary folder is its /tmp; those of others are nobody's business.
        return Namespaces(hide=(*self._hide, str(self._folder)), keep=self._keep)


def _folder_name(name: str) -> str:
    """Return a name that is safe as a folder's, the same for the same name."""
    if _SAFE_NAME.fullmatch(name):
        return name
    digest = hashlib.blake2b(name.encode(errors="surrogatepass"), digest_size=6).hexdigest()
    return re.sub(r"[^A-Za-z0-9_-]+", "-", name)[:80].strip("-") + f"-{digest}"
