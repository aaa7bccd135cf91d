from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from orrery.executor.quantity import GIB
from orrery.worker import machine

if TYPE_CHECKING:
    from pathlib import Path


def device(root: Path, *names: str) -> None:
    (root / "dev").mkdir(exist_ok=True)
    for name in names:
        (root / "dev" / name).touch()


def test_gpus_are_counted_by_their_devices(tmp_path: Path) -> None:
    # Given a machine with 11 GPUs and the driver's other nodes
    device(tmp_path, "nvidiactl", "nvidia-uvm", "null", *(f"nvidia{number}" for number in range(11)))
    found = machine.gpu_devices(tmp_path)
    assert found[0] == "nvidia0"
    assert found[10] == "nvidia10"
    assert len(found) == 11


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, ("nvidia0", "nvidia1", "nvidia2")),
        ({"CUDA_VISIBLE_DEVICES": "2,0"}, ("nvidia2", "nvidia0")),
        ({"CUDA_VISIBLE_DEVICES": ""}, ()),
        ({"CUDA_VISIBLE_DEVICES": "-1"}, ()),
        ({"NVIDIA_VISIBLE_DEVICES": "all"}, ("nvidia0", "nvidia1", "nvidia2")),
        ({"NVIDIA_VISIBLE_DEVICES": "void"}, ()),
        ({"CUDA_VISIBLE_DEVICES": "GPU-8932f937-d72c"}, ("nvidia0",)),
        ({"CUDA_VISIBLE_DEVICES": "1", "NVIDIA_VISIBLE_DEVICES": "all"}, ("nvidia1",)),
    ],
)
def test_a_process_has_the_gpus_that_its_environment_leaves(
    environment: dict[str, str], expected: tuple[str, ...]
) -> None:
    assert machine.visible_gpus(("nvidia0", "nvidia1", "nvidia2"), environment) == expected


def test_cgroup_limits_of_both_versions_count(tmp_path: Path) -> None:
    # Given a container of version 1 with half a CPU and 1 GiB
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("2:cpu,cpuacct:/box\n1:memory:/box\n")
    for folder, files in {
        "cpu,cpuacct/box": {"cpu.cfs_quota_us": "50000", "cpu.cfs_period_us": "100000"},
        "memory/box": {"memory.limit_in_bytes": str(GIB)},
    }.items():
        (tmp_path / "sys/fs/cgroup" / folder).mkdir(parents=True)
        for name, text in files.items():
            (tmp_path / "sys/fs/cgroup" / folder / name).write_text(text)
    device(tmp_path, "nvidia0")
    # When it is measured
    found = machine.measure(tmp_path, root=tmp_path)
    # Then
    assert found.total.cpu_millicores == 500
    assert found.total.memory_bytes == GIB
    assert (found.total.gpus, found.gpus) == (1, ("nvidia0",))
    assert found.total.disk_bytes > 0


def test_free_disk_is_that_of_the_folder_that_will_be(tmp_path: Path) -> None:
    assert machine.free_bytes(tmp_path / "not" / "yet") > 0
