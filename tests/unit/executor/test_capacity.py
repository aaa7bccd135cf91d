"""What a machine has for tasks, and how many that makes."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orrery.config.capacity import Machine
from orrery.errors import InputError
from orrery.executor import capacity
from orrery.executor.node import Node, NodeState
from orrery.executor.quantity import GIB, MIB
from orrery.executor.request import default_resources
from orrery.executor.resources import Resources


def node(name: str, cores: int, memory_gib: int, state: NodeState = "ready") -> Node:
    size = Resources(cpu_millicores=cores * 1000, memory_bytes=memory_gib * GIB)
    return Node(name=name, allocatable=size, queues=frozenset({"default"}), max_starting=4, state=state)


def test_a_machine_is_counted_in_whole_amounts() -> None:
    machine = Machine(cores=1.5, memory_bytes=4 * GIB)
    total = capacity.totals(machine, gpus=["gpu-0", "gpu-1"], disk_bytes=50 * GIB)
    assert total == Resources(cpu_millicores=1500, memory_bytes=4 * GIB, gpus=2, disk_bytes=50 * GIB)


@pytest.mark.parametrize(
    ("memory_gib", "reserve_mib"), [(1, 256), (2, 512), (4, 1024), (100, 3072), (1000, 21504)]
)
def test_the_platform_keeps_memory_for_itself(memory_gib: int, reserve_mib: int) -> None:
    total = Resources(cpu_millicores=2000, memory_bytes=memory_gib * GIB, disk_bytes=50 * GIB)
    reserve = capacity.platform_reserve(total)
    assert reserve == Resources(memory_bytes=reserve_mib * MIB, disk_bytes=5 * GIB)
    assert capacity.allocatable(total) == total - reserve


def test_a_reserve_can_be_set() -> None:
    total = Resources(cpu_millicores=2000, memory_bytes=4 * GIB, gpus=1)
    left = capacity.allocatable(total, Resources(cpu_millicores=500, memory_bytes=GIB))
    assert left == Resources(cpu_millicores=1500, memory_bytes=3 * GIB, gpus=1)


def test_a_reserve_that_leaves_nothing_is_refused() -> None:
    total = Resources(cpu_millicores=2000, memory_bytes=4 * GIB)
    with pytest.raises(InputError, match="leaves nothing for tasks: the machine has 2 CPU, 4 GiB"):
        capacity.allocatable(total, Resources(memory_bytes=4 * GIB))


@settings(deadline=None)
@given(st.floats(0.1, 512), st.integers(64 * MIB, 4096 * GIB), st.integers(0, 10_000 * GIB))
def test_tasks_never_get_more_than_the_machine_has(cores: float, memory: int, disk: int) -> None:
    total = capacity.totals(Machine(cores=cores, memory_bytes=memory), disk_bytes=disk)
    assert capacity.allocatable(total).fits(total)


def test_two_cores_take_ten_tasks_of_the_default() -> None:
    size = capacity.allocatable(Resources(cpu_millicores=2000, memory_bytes=4 * GIB))
    alone = Node(name="a", allocatable=size, queues=frozenset({"default"}), max_starting=4)
    assert capacity.parallelism([alone], default_resources(size)) == 10


def test_parallelism_counts_the_nodes_that_take_tasks() -> None:
    default = Resources(cpu_millicores=200, memory_bytes=512 * MIB)
    nodes = [node("a", 2, 4), node("b", 4, 32), node("c", 8, 32, "cordoned"), node("d", 8, 32, "unreachable")]
    assert capacity.parallelism(nodes, default) == 8 + 20
    assert capacity.parallelism([], default) == 0


@pytest.mark.parametrize(("cores", "starts"), [(0.5, 2), (1, 2), (1.2, 3), (2, 4), (16, 32)])
def test_two_starts_a_core_at_a_time(cores: float, starts: int) -> None:
    assert capacity.starts_at_once(cores) == starts
