"""Advice: what a task had better ask for, from what its last tries used."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orrery.executor import notation
from orrery.executor.quantity import GIB, MIB

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from orrery.executor.resources import Resources

#: How a try ended that needed more memory than it had; the word of `Usage.ending`.
OUT_OF_MEMORY = "out_of_memory"

#: Of so many newest tries a summary is made: older ones say little of today's data.
NEWEST_TRIES = 20
#: Before so many tries nobody is told to ask for less.
_FEWEST_TRIES = 5
#: Kept above the highest peak that was seen: the next run's data are larger.
_HEADROOM = 1.5
#: Who used more than this share of what it asked for is one larger input away from being killed.
_TIGHT = 0.9
#: Less is advised only where it frees at least that share, and that much.
_WORTH_SHARE = 0.25
_WORTH_BYTES = 128 * MIB
#: Airflow and its imports alone need most of that.
_LEAST_BYTES = 256 * MIB


@dataclass(frozen=True, kw_only=True, slots=True)
class Usage:
    """One try of a task: what it asked for, what it used, how it ended. None: not known, or not yet."""

    ti_id: str
    try_number: int
    dag_id: str
    task_id: str
    run_id: str
    map_index: int
    queue: str
    resources: Resources
    node: str | None = None
    memory_peak_bytes: int | None = None
    cpu_seconds: float | None = None
    queued_at: datetime | None = None
    placed_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    #: A word for programs, at most 32 characters: `success`, `out_of_memory`.
    ending: str | None = None
    #: A sentence for people.
    ending_text: str | None = None

    @property
    def cpu_millicores(self) -> float | None:
        """CPU used on average while it ran; None where it was not measured or ran for no time."""
        if self.cpu_seconds is None or self.started_at is None or self.ended_at is None:
            return None
        seconds = (self.ended_at - self.started_at).total_seconds()
        return self.cpu_seconds * 1000 / seconds if seconds > 0 else None


@dataclass(frozen=True, kw_only=True, slots=True)
class UsageSummary:
    """What the newest tries of one task used."""

    #: How many tries it speaks of.
    runs: int
    #: What the newest of them asked for.
    resources: Resources
    #: The highest peak of all; None where none was measured.
    memory_peak_bytes: int | None
    #: Nineteen of twenty tries used less on average.
    cpu_p95_millicores: int | None
    #: For people: `asks 2 GiB, used 310 MiB at most over 20 runs: ask 512 MiB`; None where all is well.
    advice: str | None


def summary(newest_first: Sequence[Usage]) -> UsageSummary:
    """Summarise the newest twenty tries of one task.

    Raises:
        ValueError: there is no try.
    """
    tries = newest_first[:NEWEST_TRIES]
    if not tries:
        raise ValueError("a summary needs at least one try")
    peaks = [each.memory_peak_bytes for each in tries if each.memory_peak_bytes is not None]
    cpu = sorted(used for each in tries if (used := each.cpu_millicores) is not None)
    return UsageSummary(
        runs=len(tries),
        resources=tries[0].resources,
        memory_peak_bytes=max(peaks, default=None),
        cpu_p95_millicores=math.ceil(cpu[math.ceil(len(cpu) * 0.95) - 1]) if cpu else None,
        advice=_advice(tries, peaks),
    )


def _advice(tries: Sequence[Usage], peaks: Sequence[int]) -> str | None:
    asked = tries[0].resources.memory_bytes
    # Only those say something that had as much: who was killed at 1 GiB and now has 4 is helped already.
    killed = [each for each in tries if each.ending == OUT_OF_MEMORY and each.resources.memory_bytes >= asked]
    peak = max(peaks, default=0)
    wanted = _round(max(_HEADROOM * max(peak, asked if killed else 0), _LEAST_BYTES))
    if killed:
        how_often = f"{len(killed)} of {_runs(tries)}"
        return f"asks {_text(asked)}, ran out of memory in {how_often}: ask {_text(wanted)}"
    if not peaks:
        return None
    used = f"asks {_text(asked)}, used {_text(peak)} at most over {_runs(tries)}"
    if peak > _TIGHT * asked:
        return f"{used}: ask {_text(wanted)}"
    saved = asked - wanted
    if len(peaks) >= _FEWEST_TRIES and saved >= max(_WORTH_BYTES, _WORTH_SHARE * asked):
        return f"{used}: ask {_text(wanted)}"
    return None


def _round(amount_bytes: float) -> int:
    """Return the next amount that people would write."""
    step = 128 * MIB if amount_bytes <= GIB else 256 * MIB if amount_bytes <= 4 * GIB else GIB
    return math.ceil(amount_bytes / step) * step


def _text(amount_bytes: int) -> str:
    return notation.bytes_text(amount_bytes)


def _runs(tries: Sequence[Usage]) -> str:
    return "1 run" if len(tries) == 1 else f"{len(tries)} runs"
