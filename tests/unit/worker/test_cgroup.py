"""Control groups on folders that look like the kernel's."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from orrery.worker import cgroup, cgroup_v1, cgroup_v2
from orrery.worker.limits import Limits

if TYPE_CHECKING:
    from pathlib import Path

LIMITS = Limits(
    cpu_millicores=500,
    memory_request_bytes=100,
    memory_bytes=150,
    is_cpu_capped=True,
    pids=7,
    disk_bytes=None,
)


def files(folder: Path, **contents: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in contents.items():
        (folder / name.replace("__", ".")).write_text(text)


def machine(root: Path, *, membership: str, mountinfo: str) -> list[cgroup.Mount]:
    files(root / "proc" / "self", cgroup=membership, mountinfo=mountinfo)
    return cgroup.mounts(root)


HYBRID = """\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw,nsdelegate
"""


def test_hierarchies_are_found_with_our_place_in_them(tmp_path: Path) -> None:
    # Given a machine with both versions
    top = tmp_path / "sys/fs/cgroup"
    (top / "memory/user/me").mkdir(parents=True)
    # When it is read
    found = machine(tmp_path, membership="4:memory:/user/me\n1:cpu,cpuacct:/gone\n0::/\n", mountinfo=HYBRID)
    # Then each has its controllers, and our folder in it, or its top where there is none
    assert [(mount.version, sorted(mount.controllers - {"rw"}), mount.own) for mount in found] == [
        (1, ["cpu", "cpuacct"], top / "cpu,cpuacct"),
        (1, ["memory"], top / "memory/user/me"),
        (2, [], top / "unified"),
    ]


def test_a_containers_mount_shows_only_a_part_of_the_hosts_tree(tmp_path: Path) -> None:
    # Given a container whose own group is what is mounted
    line = "9 8 0:9 /docker/abc /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    (tmp_path / "sys/fs/cgroup/memory/inner").mkdir(parents=True)
    # Then our path is below it
    (mount,) = machine(tmp_path, membership="4:memory:/docker/abc/inner\n", mountinfo=line)
    assert mount.own == tmp_path / "sys/fs/cgroup/memory/inner"


def test_a_machine_without_cgroups_has_none(tmp_path: Path) -> None:
    assert cgroup.mounts(tmp_path) == []
    assert cgroup_v1.find([], "orrery-x", cores=2)[0] is None
    assert cgroup_v2.find([], "orrery-x", cores=2) == (None, "there is no cgroup of version 2")


def test_version_1_sets_limits_and_reads_usage(tmp_path: Path) -> None:
    # Given a group in three hierarchies, one of them for two controllers
    memory, cpu, pids = (tmp_path / name for name in ("memory", "cpu", "pids"))
    files(memory, memory__limit_in_bytes="", memory__memsw__limit_in_bytes="")
    files(cpu, cpu__shares="", cpu__cfs_quota_us="", cpu__cfs_period_us="", cpuacct__usage="2500000000")
    files(pids, pids__max="", pids__current="3", pids__events="max 2\n")
    group = cgroup_v1.GroupV1(
        {"memory": str(memory), "cpu": str(cpu), "cpuacct": str(cpu), "pids": str(pids)}
    )
    # When limits are set
    group.limit(LIMITS)
    # Then
    assert group.join == (f"{memory}/tasks", f"{cpu}/tasks", f"{pids}/tasks")
    assert (memory / "memory.limit_in_bytes").read_text() == "150"
    assert (memory / "memory.memsw.limit_in_bytes").read_text() == "150"
    assert (cpu / "cpu.shares").read_text() == "512"
    assert (cpu / "cpu.cfs_quota_us").read_text() == "50000"
    assert (pids / "pids.max").read_text() == "7"
    # And what is file cache counts neither now nor at most
    files(
        memory,
        memory__usage_in_bytes="120\n",
        memory__max_usage_in_bytes="140\n",
        memory__oom_control="oom_kill_disable 0\nunder_oom 0\noom_kill 0\n",
        memory__stat="total_inactive_file 30\ntotal_active_file 10\n",
    )
    usage = group.usage()
    assert (usage.memory_bytes, usage.memory_peak_bytes, usage.cpu_seconds) == (80, 100, 2.5)
    assert (usage.pids, usage.refused_forks, usage.oom_kills) == (3, 2, 0)
    # Of an empty one the same, but for what only the living have
    assert group.usage(is_empty=True) == replace(usage, pids=0, refused_forks=0)
    # But when memory has run out, the cache had been dropped
    files(memory, memory__oom_control="oom_kill 1\n")
    assert group.usage().memory_peak_bytes == 140
    assert group.usage().oom_kills == 1


def test_version_2_sets_limits_and_reads_usage(tmp_path: Path) -> None:
    # Given a group with all controllers
    files(
        tmp_path,
        memory__max="",
        memory__swap__max="",
        memory__oom__group="",
        cpu__weight="",
        cpu__max="",
        pids__max="",
        memory__current="120",
        memory__peak="140",
        memory__stat="inactive_file 30\nactive_file 10\n",
        memory__events="low 0\noom_kill 0\n",
        cpu__stat="usage_usec 2500000\nuser_usec 1\n",
        pids__current="3",
        pids__events="max 2\n",
    )
    group = cgroup_v2.GroupV2(str(tmp_path), frozenset(cgroup_v2.CONTROLLERS))
    # When limits are set
    group.limit(LIMITS)
    # Then
    assert group.join == (f"{tmp_path}/cgroup.procs",)
    expected = {
        "memory.max": "150",
        "memory.swap.max": "0",
        "memory.oom.group": "1",
        "cpu.weight": "50",
        "cpu.max": "50000 100000",
        "pids.max": "7",
    }
    assert {name: (tmp_path / name).read_text() for name in expected} == expected
    usage = group.usage()
    assert (usage.memory_bytes, usage.memory_peak_bytes, usage.cpu_seconds) == (80, 100, 2.5)
    assert (usage.pids, usage.refused_forks, usage.oom_kills) == (3, 2, 0)
    assert group.usage(is_empty=True) == replace(usage, pids=0, refused_forks=0)


def test_version_2_without_controllers_sets_nothing_and_counts_cpu(tmp_path: Path) -> None:
    files(tmp_path, cpu__stat="usage_usec 1000000\n")
    group = cgroup_v2.GroupV2(str(tmp_path), frozenset())
    group.limit(LIMITS)
    assert [path.name for path in tmp_path.iterdir()] == ["cpu.stat"]
    assert group.usage().cpu_seconds == 1.0


def mounted(top: Path, own: Path) -> list[cgroup.Mount]:
    return [cgroup.Mount(version=2, controllers=frozenset(), top=top, own=own)]


def group_files(folder: Path, *, controllers: str, given: str = "", is_root: bool = False) -> None:
    files(
        folder,
        cgroup__controllers=controllers,
        cgroup__subtree_control=given,
        cgroup__procs="",
    )
    if not is_root:
        files(folder, cgroup__type="domain\n")


def test_version_2_uses_its_own_group_when_controllers_are_passed_on(tmp_path: Path) -> None:
    # Given a delegated group that passes all controllers on
    own = tmp_path / "user/me"
    group_files(tmp_path, controllers="cpu memory pids", given="cpu memory pids", is_root=True)
    group_files(own, controllers="cpu memory pids", given="cpu memory pids")
    group_files(own / "orrery-x", controllers="cpu memory pids", given="cpu memory pids")
    # When a place is looked for
    found, reason = cgroup_v2.find(mounted(tmp_path, own), "orrery-x", cores=2)
    # Then it is there
    assert found is not None
    assert found.parent == own / "orrery-x"
    assert found.controllers == {"cpu", "memory", "pids"}
    assert reason == ""


def test_version_2_goes_back_to_the_group_of_the_agent_that_had_moved_aside(tmp_path: Path) -> None:
    own = tmp_path / "service"
    group_files(own, controllers="cpu memory pids", given="cpu memory pids")
    group_files(own / "orrery-x", controllers="cpu memory pids", given="cpu memory pids")
    (own / cgroup_v2.PLATFORM).mkdir()
    found, _ = cgroup_v2.find(mounted(tmp_path, own / cgroup_v2.PLATFORM), "orrery-x", cores=2)
    assert found is not None
    assert found.parent == own / "orrery-x"


def test_version_2_prefers_the_machines_root_to_a_group_without_memory(tmp_path: Path) -> None:
    # Given a session that passes nothing on (it takes no '+memory': the file cannot be written)
    own = tmp_path / "session"
    group_files(tmp_path, controllers="cpu memory pids", given="cpu memory pids", is_root=True)
    group_files(own, controllers="")
    group_files(tmp_path / "orrery-x", controllers="cpu memory pids", given="cpu memory pids")
    # When a place is looked for
    found, _ = cgroup_v2.find(mounted(tmp_path, own), "orrery-x", cores=2)
    # Then it is below the root, and the other is not left behind
    assert found is not None
    assert found.parent == tmp_path / "orrery-x"
    assert found.controllers == {"cpu", "memory", "pids"}
    assert not (own / "orrery-x").exists()


def test_version_2_does_not_leave_its_container(tmp_path: Path) -> None:
    # Given a container whose top is no real root, and a group of ours in it without controllers
    own = tmp_path / "inner"
    group_files(tmp_path, controllers="cpu memory pids", given="cpu memory pids")
    group_files(own, controllers="")
    found, reason = cgroup_v2.find(mounted(tmp_path, own), "orrery-x", cores=2)
    assert found is not None
    assert found.parent == own / "orrery-x"
    assert found.controllers == set()
    assert "does not pass the memory controller on" in reason


def test_a_container_moves_its_processes_aside_to_limit_groups(tmp_path: Path) -> None:
    # Given a container's own tree, where processes are in the top
    group_files(tmp_path, controllers="cpu memory pids")
    files(tmp_path, cgroup__procs="11\n12\n")
    group_files(tmp_path / cgroup_v2.PLATFORM, controllers="")
    # When a place is looked for
    cgroup_v2.find(mounted(tmp_path, tmp_path), "orrery-x", cores=2)
    # Then they were moved (a real kernel then takes the controllers)
    assert (tmp_path / cgroup_v2.PLATFORM / "cgroup.procs").read_text() in ("11", "12")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_place_that_may_not_be_written_is_the_reason(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    found, reason = cgroup_v2.find(mounted(tmp_path, tmp_path), "orrery-x", cores=2)
    assert found is None
    assert "Permission denied" in reason
    tmp_path.chmod(0o700)


def test_a_kernel_file_that_is_not_there_is_no_number(tmp_path: Path) -> None:
    assert cgroup.read(tmp_path / "none") is None
    assert cgroup.number(tmp_path / "none") == 0
    assert cgroup.entries(tmp_path / "none") == {}
    assert not cgroup.try_write(tmp_path / "none", 1)
    assert cgroup.pids_in(tmp_path / "none") == []


def test_groups_are_removed_with_those_below_and_what_stays_is_named(tmp_path: Path) -> None:
    # Given groups of which one is never empty (here: it has a file)
    (tmp_path / "a/b/c").mkdir(parents=True)
    files(tmp_path / "d/e", kept="")
    # When both are removed
    left = cgroup.remove_folders(
        (str(tmp_path / "a"), str(tmp_path / "d"), str(tmp_path / "none")), patience_seconds=0
    )
    # Then
    assert left == (str(tmp_path / "d/e"), str(tmp_path / "d"))
    assert not (tmp_path / "a").exists()
