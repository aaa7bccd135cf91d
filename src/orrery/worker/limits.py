"""Limits: what a request becomes for the kernel. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from orrery.executor.request import Request

#: The kernel shares CPU by these: one CPU's worth in cgroup version 1 and version 2.
SHARES_PER_CPU = 1024
WEIGHT_PER_CPU = 100
_WEIGHTS = (1, 10_000)
_SHARES = (2, 262_144)
#: A cap is counted in periods of this length.
PERIOD_MICROSECONDS = 100_000
_FEWEST_QUOTA_MICROSECONDS = 1000


class LimitSettings(Protocol):
    """The executor's settings, as far as cells need them."""

    @property
    def memory_limit_factor(self) -> float:
        """A task's memory limit is its request times this, at least 1."""

    @property
    def cpu_cap(self) -> bool:
        """Whether a task gets no more CPU than it asks, even when the rest is idle."""

    @property
    def pids_limit(self) -> int:
        """How many processes and threads a task may have."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What one task may use."""

    cpu_millicores: int
    #: What it asked for, and what it may use: a factor above it.
    memory_request_bytes: int
    memory_bytes: int
    is_cpu_capped: bool
    pids: int
    #: Size of its temporary folder; None when it asked for none.
    disk_bytes: int | None

    @classmethod
    def of(cls, request: Request, settings: LimitSettings) -> Limits:
        """Return the limits of a task with that request."""
        asked = request.resources
        return cls(
            cpu_millicores=asked.cpu_millicores,
            memory_request_bytes=asked.memory_bytes,
            memory_bytes=int(asked.memory_bytes * settings.memory_limit_factor),
            is_cpu_capped=settings.cpu_cap,
            pids=settings.pids_limit,
            disk_bytes=asked.disk_bytes or None,
        )

    @property
    def cpu_weight(self) -> int:
        """Its share of a busy CPU, cgroup version 2."""
        return _between(_WEIGHTS, self.cpu_millicores * WEIGHT_PER_CPU // 1000)

    @property
    def cpu_shares(self) -> int:
        """Its share of a busy CPU, cgroup version 1."""
        return _between(_SHARES, self.cpu_millicores * SHARES_PER_CPU // 1000)

    @property
    def cpu_quota_microseconds(self) -> int | None:
        """CPU time in each period; None: no cap."""
        if not self.is_cpu_capped:
            return None
        return max(_FEWEST_QUOTA_MICROSECONDS, self.cpu_millicores * PERIOD_MICROSECONDS // 1000)


def _between(bounds: tuple[int, int], value: int) -> int:
    least, most = bounds
    return max(least, min(most, value))
