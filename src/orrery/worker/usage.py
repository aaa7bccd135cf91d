"""What a task has used, and what of it was too much."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

#: What a watch finds too much of: memory, size of the temporary folder, processes and threads.
ExcessKind = Literal["memory", "disk", "pids"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Usage:
    """What one task uses, and has used at most. Numbers never measured are zero."""

    #: Memory that the kernel cannot simply drop (file cache is left out).
    memory_bytes: int = 0
    memory_peak_bytes: int = 0
    #: Of all its processes, also those that have ended.
    cpu_seconds: float = 0.0
    #: How many of its processes the kernel has killed because the limit was reached.
    oom_kills: int = 0
    #: Processes and threads that live now.
    pids: int = 0
    #: How often the kernel has refused it another process because of the limit.
    refused_forks: int = 0
    #: Size of its temporary folder when last looked at, about each 5 seconds, if it asked for disk.
    disk_bytes: int = 0

    def as_mapping(self) -> dict[str, float]:
        """Return the numbers by name: for JSON."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class Excess:
    """A limit that a watch has found exceeded: bytes, or a number of processes and threads."""

    kind: ExcessKind
    used: int
    limit: int
