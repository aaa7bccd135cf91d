from __future__ import annotations

from orrery.worker.means import Means

ALL = frozenset({"memory", "cpu", "cpuacct", "pids"})


def test_a_machine_with_all_controllers_has_nothing_to_note() -> None:
    means = Means.of(1, ALL, reason="", namespaces_unavailable=None)
    assert means.is_full
    assert means.notes == ()
    assert means.text == "cgroup v1: memory, CPU and processes are limited; namespaces on request"


def test_without_cgroups_each_weakness_is_named_and_how_to_get_more() -> None:
    means = Means.of(None, (), reason="/sys/fs/cgroup/x: Permission denied", namespaces_unavailable=None)
    assert not means.is_full
    assert means.processes == "mark"
    assert means.text == "memory by watch; CPU by nothing; processes by watch; namespaces on request"
    *weak, how = means.notes
    assert len(weak) == 3
    assert "Delegate=yes" in how
    assert "/sys/fs/cgroup/x: Permission denied" in how


def test_a_group_without_controllers_still_holds_processes_together() -> None:
    means = Means.of(2, (), reason="memory is not passed on", namespaces_unavailable=None)
    assert (means.processes, means.memory) == ("cgroup v2", "watch")


def test_only_what_is_missing_is_noted() -> None:
    means = Means.of(2, {"memory", "pids"}, reason="why", namespaces_unavailable=None)
    assert means.text == "memory by cgroup v2; CPU by nothing; processes by cgroup v2; namespaces on request"
    assert len(means.notes) == 2


def test_missing_namespaces_are_noted_with_the_reason() -> None:
    means = Means.of(2, ALL, reason="", namespaces_unavailable="no user namespace")
    assert means.is_full
    assert means.text.endswith("; no namespaces")
    assert "no user namespace" in means.notes[0]


def test_it_can_be_told_as_json() -> None:
    told = Means.of(None, (), reason="why", namespaces_unavailable=None).as_mapping()
    assert told["memory"] == "watch"
    assert told["notes"]
