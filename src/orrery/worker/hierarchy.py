"""Which control groups work here: found by trying."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from orrery.worker import cgroup, cgroup_v1, cgroup_v2, enter
from orrery.worker.cell_spec import CellSpec
from orrery.worker.limits import Limits

if TYPE_CHECKING:
    from orrery.worker.cgroup import Hierarchy

_FINDERS = {1: cgroup_v1.find, 2: cgroup_v2.find}


def find(name: str, versions: tuple[int, ...] = (1, 2)) -> tuple[Hierarchy | None, str]:
    """Return the cgroups that work here, version 1 if its controllers are in use; else None, and why."""
    mounts = cgroup.mounts()
    cores = float(len(os.sched_getaffinity(0)))
    reasons = [] if versions else ["they are not to be used"]
    weak: Hierarchy | None = None
    for version in versions:
        hierarchy, reason = _FINDERS[version](mounts, name, cores=cores)
        if hierarchy is not None:
            refused = _try_out(hierarchy)
            if refused is None and "memory" in hierarchy.controllers:
                return hierarchy, reason
            if refused is None and weak is None:
                weak = hierarchy
            if refused is not None:
                cgroup.remove_folders(tuple(map(str, hierarchy.folders)), patience_seconds=0)
            reason = refused or reason
        reasons.append(reason)
    reason = "; ".join(filter(None, reasons))
    return weak, reason


def _try_out(hierarchy: Hierarchy) -> str | None:
    """Return why a child cannot live in a group of this hierarchy; None: it can."""
    name = f"try-{os.getpid()}"
    try:
        group = hierarchy.create(name)
    except OSError as error:
        return f"{hierarchy.folders[0]}/{name}: {error.strerror}"
    try:
        generous = Limits(
            cpu_millicores=1000,
            memory_request_bytes=1 << 40,
            memory_bytes=1 << 40,
            is_cpu_capped=False,
            pids=10_000,
            disk_bytes=None,
        )
        group.limit(generous)
        child = os.fork()
        if not child:
            code = 1
            try:
                enter.join(CellSpec(name=name, join=group.join, scratch=""))
                code = 0
            except OSError as error:
                code = error.errno or 1
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        code = os.waitstatus_to_exitcode(status)
        return None if code == 0 else f"{group.join[0]}: {os.strerror(abs(code))}"
    except OSError as error:
        return f"{hierarchy.folders[0]}/{name}: {error.strerror}"
    finally:
        group.remove()
