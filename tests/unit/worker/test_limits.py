from __future__ import annotations

from dataclasses import dataclass

import pytest

from orrery.executor.quantity import GIB
from orrery.executor.request import Request
from orrery.executor.resources import Resources
from orrery.executor.settings import ExecutorSettings
from orrery.worker.limits import Limits


@dataclass(frozen=True)
class Settings:
    memory_limit_factor: float = 1.0
    cpu_cap: bool = False
    pids_limit: int = 100


def limits(millicores: int = 200, *, settings: Settings | ExecutorSettings | None = None) -> Limits:
    resources = Resources(cpu_millicores=millicores, memory_bytes=GIB)
    return Limits.of(Request(resources=resources), settings or Settings())


def test_memory_is_the_request_times_the_factor() -> None:
    assert limits().memory_bytes == GIB
    more = limits(settings=Settings(memory_limit_factor=1.5))
    assert (more.memory_request_bytes, more.memory_bytes) == (GIB, 3 * GIB // 2)


@pytest.mark.parametrize(
    ("millicores", "weight", "shares"),
    [(1000, 100, 1024), (200, 20, 204), (1, 1, 2), (500_000, 10_000, 262_144)],
)
def test_cpu_is_shared_in_proportion_within_what_the_kernel_takes(
    millicores: int, weight: int, shares: int
) -> None:
    found = limits(millicores)
    assert (found.cpu_weight, found.cpu_shares) == (weight, shares)


def test_cpu_is_capped_only_when_asked_for() -> None:
    assert limits(500).cpu_quota_microseconds is None
    assert limits(500, settings=Settings(cpu_cap=True)).cpu_quota_microseconds == 50_000
    # The kernel takes no less.
    assert limits(1, settings=Settings(cpu_cap=True)).cpu_quota_microseconds == 1000


def test_disk_is_limited_only_when_asked_for() -> None:
    assert limits().disk_bytes is None
    request = Request(resources=Resources(memory_bytes=GIB, disk_bytes=5))
    assert Limits.of(request, Settings()).disk_bytes == 5


def test_the_executors_settings_are_what_limits_need() -> None:
    settings = ExecutorSettings()
    assert limits(settings=settings).pids == settings.pids_limit
