"""How many tasks fit on a machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orrery.config import capacity

if TYPE_CHECKING:
    from pathlib import Path

GIB = 1024**3


@pytest.mark.parametrize(
    ("cores", "memory_gib", "tasks"),
    [(1, 2, 5), (2, 4, 10), (4, 8, 20), (16, 32, 80), (8, 2, 5), (0.5, 8, 2), (1, 0.5, 2), (1.5, 64, 7)],
)
def test_five_tasks_a_core_as_far_as_memory_allows(cores: float, memory_gib: float, tasks: int) -> None:
    assert capacity.tasks_per_worker(cores, int(memory_gib * GIB)) == tasks


@given(st.floats(0.01, 512), st.integers(0, 4096 * GIB))
def test_there_are_always_two_and_never_more_than_the_cores_take(cores: float, memory: int) -> None:
    tasks = capacity.tasks_per_worker(cores, memory)
    assert 2 <= tasks <= max(2, cores * 5)


def test_parallelism_is_the_sum_over_the_queues() -> None:
    assert capacity.parallelism([(2, 10), (3, 16)]) == 68


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_limits_of_a_cgroup_version_2_and_of_those_above_it_count(tmp_path: Path) -> None:
    write(tmp_path / "proc/self/cgroup", "0::/app/inner\n")
    write(tmp_path / "sys/fs/cgroup/app/inner/cpu.max", "max 100000\n")
    write(tmp_path / "sys/fs/cgroup/app/cpu.max", "50000 100000\n")
    write(tmp_path / "sys/fs/cgroup/app/inner/memory.max", f"{GIB}\n")
    write(tmp_path / "sys/fs/cgroup/memory.max", "max\n")
    assert capacity.machine(tmp_path) == capacity.Machine(cores=0.5, memory_bytes=GIB)


def test_limits_of_a_cgroup_version_1_count(tmp_path: Path) -> None:
    write(tmp_path / "proc/self/cgroup", "4:memory:/docker/x\n3:cpu,cpuacct:/docker/x\n")
    write(tmp_path / "sys/fs/cgroup/cpu/cpu.cfs_quota_us", "25000\n")
    write(tmp_path / "sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n")
    write(tmp_path / "sys/fs/cgroup/memory/docker/x/memory.limit_in_bytes", f"{GIB}\n")
    assert capacity.machine(tmp_path) == capacity.Machine(cores=0.25, memory_bytes=GIB)


def test_without_cgroups_the_machine_itself_counts(tmp_path: Path) -> None:
    found = capacity.machine(tmp_path)
    assert found.cores >= 1
    assert found.memory_bytes > 64 * 1024**2
