"""What several schedulers know, put together for one reader."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from orrery.executor.advice import UsageSummary
from orrery.executor.resources import Resources
from orrery.executor.snapshot import NodeView, Snapshot, TaskView, WaitingView
from orrery.ui.overview import (
    FORGOTTEN_AFTER,
    STALE_AFTER,
    Overview,
    for_reader,
    merged,
    with_advice,
)

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
GIB = 1024**3


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def node(name: str = "a", **values: Any) -> NodeView:
    usual: dict[str, Any] = {"name": name, "state": "ready", "heard_at": ago(1)}
    return NodeView(**usual | values)


def runs(ti_id: str, dag_id: str = "etl", **values: Any) -> TaskView:
    usual: dict[str, Any] = {"ti_id": ti_id, "dag_id": dag_id, "task_id": "load", "run_id": "r", "node": "a"}
    return TaskView(**usual | values)


def waits(ti_id: str, dag_id: str = "etl", **values: Any) -> WaitingView:
    usual: dict[str, Any] = {"ti_id": ti_id, "dag_id": dag_id, "task_id": "load", "run_id": "r"}
    return WaitingView(**usual | values)


def snapshot(scheduler: str = "one", age: float = 1, **values: Any) -> Snapshot:
    return Snapshot(scheduler=scheduler, taken_at=ago(age), **values)


def of(*snapshots: Snapshot, executor: str = "PackingExecutor") -> Overview:
    return merged(snapshots, executor=executor, now=NOW)


def test_one_scheduler_is_told_as_it_is() -> None:
    told = of(
        snapshot(
            nodes=(node("b"), node("a", starting=1)),
            running=(runs("2", started_at=ago(5)), runs("1", started_at=ago(9)), runs("3", node="b")),
            waiting=(waits("4"),),
            waiting_total=7,
        )
    )

    assert [(each.name, each.running, each.starting, each.stale_since) for each in told.nodes] == [
        ("a", 2, 1, None),
        ("b", 1, 0, None),
    ]
    assert [each.ti_id for each in told.running] == ["1", "2", "3"]
    assert (told.running_total, told.waiting_total, told.hidden_tasks) == (3, 7, 0)
    assert (told.message, told.is_stale, told.taken_at) == (None, False, ago(1))


def test_a_node_is_told_as_the_scheduler_sees_it_that_has_heard_of_it_last() -> None:
    told = of(
        snapshot("one", age=1, nodes=(node(memory_bytes=1, heard_at=ago(4)),)),
        snapshot("two", age=2, nodes=(node(memory_bytes=2, heard_at=ago(3)),)),
        snapshot("three", age=0, nodes=(node(memory_bytes=3, heard_at=None),)),
    )

    assert [each.memory_bytes for each in told.nodes] == [2]


def test_tasks_of_all_schedulers_are_told_once_each() -> None:
    told = of(
        snapshot("one", age=1, running=(runs("1", memory_bytes=20),), waiting=(waits("3"),), waiting_total=4),
        snapshot(
            "two",
            age=2,
            running=(runs("1", memory_bytes=10), runs("2")),
            waiting=(waits("3"), waits("5")),
            waiting_total=2,
        ),
    )

    assert {each.ti_id: each.memory_bytes for each in told.running} == {"1": 20, "2": None}
    assert [each.ti_id for each in told.waiting] == ["3", "5"]
    assert told.waiting_total == 6


def test_a_task_that_one_scheduler_has_placed_does_not_wait_as_well() -> None:
    told = of(snapshot("one", running=(runs("1"),)), snapshot("two", waiting=(waits("1"),), waiting_total=1))

    assert told.waiting == ()


def test_the_most_urgent_waits_first_then_the_earliest() -> None:
    told = of(
        snapshot(
            waiting=(
                waits("late", queued_at=ago(1)),
                waits("early", queued_at=ago(9)),
                waits("urgent", priority=5, queued_at=ago(0)),
            ),
            waiting_total=3,
        )
    )

    assert [each.ti_id for each in told.waiting] == ["urgent", "early", "late"]


@pytest.mark.parametrize(
    ("age", "is_stale"), [(STALE_AFTER, False), (STALE_AFTER + timedelta(seconds=1), True)]
)
def test_what_is_older_than_ten_seconds_is_marked(age: timedelta, is_stale: bool) -> None:
    heard_at = NOW - age
    told = of(snapshot(age=age.total_seconds(), nodes=(node(heard_at=heard_at),), waiting=(waits("1"),)))

    assert told.is_stale is is_stale
    assert [each.stale_since for each in told.nodes] == [heard_at if is_stale else None]
    assert [each.ti_id for each in told.waiting] == ["1"]


def test_a_live_scheduler_knows_better_than_a_silent_one() -> None:
    told = of(
        snapshot(
            "silent",
            age=60,
            nodes=(node("a", state="cordoned", heard_at=ago(60)), node("gone", heard_at=ago(60))),
            running=(runs("ended"), runs("unknown", node="gone")),
            waiting=(waits("placed long ago"),),
            waiting_total=1,
        ),
        snapshot("live", nodes=(node("a"),), running=(runs("1"),)),
    )

    assert [(each.name, each.state, each.stale_since) for each in told.nodes] == [
        ("a", "ready", None),
        ("gone", "ready", ago(60)),
    ]
    assert {each.ti_id for each in told.running} == {"1", "unknown"}
    assert (told.waiting, told.waiting_total, told.is_stale) == ((), 0, False)


def test_a_node_that_its_scheduler_cannot_reach_is_told_with_the_time() -> None:
    told = of(snapshot(nodes=(node(state="unreachable", heard_at=ago(33)),)))

    assert [each.stale_since for each in told.nodes] == [ago(33)]


def test_what_was_known_long_ago_is_not_told_at_all() -> None:
    told = of(snapshot(age=FORGOTTEN_AFTER.total_seconds() + 1, nodes=(node(),), running=(runs("1"),)))

    assert (told.nodes, told.running, told.taken_at) == ((), (), None)
    assert told.message is not None
    assert "No scheduler has reported" in told.message


def test_another_executor_is_told_with_what_to_do() -> None:
    told = of(executor="LocalExecutor")

    assert told.message == "This deployment runs LocalExecutor; set executor: packing in orrery.yaml."


def test_a_reader_sees_only_tasks_of_dags_that_he_may_read_but_all_counts() -> None:
    everything = of(
        snapshot(
            nodes=(node(requested=Resources(memory_bytes=3 * GIB)),),
            running=(runs("1"), runs("2", "secret")),
            waiting=(waits("3", "secret"), waits("4", "secret")),
            waiting_total=9,
        )
    )

    told = for_reader(everything, {"etl", "another"})

    assert ([each.dag_id for each in told.running], told.waiting) == (["etl"], ())
    assert "secret" not in str(told)
    assert (told.running_total, told.waiting_total, told.hidden_tasks) == (2, 9, 3)
    assert told.nodes == everything.nodes
    assert told.tasks == {("etl", "load")}


def test_who_may_read_no_dag_still_sees_how_full_the_nodes_are() -> None:
    told = for_reader(of(snapshot(nodes=(node(),), running=(runs("1"),))), frozenset())

    assert (told.running, [each.running for each in told.nodes]) == ((), [1])


def test_a_reason_names_no_ids() -> None:
    reason = (
        "waits for 1 CPU: the room on node a is kept for task 0198f2b4-2c6e-7d11-8e1a-0d6a4f1f2b3c, "
        "which has waited longer or is more important"
    )

    told = of(snapshot(waiting=(waits("1", reason=reason),), waiting_total=1))

    assert told.waiting[0].reason == (
        "waits for 1 CPU: the room on node a is kept for another task, "
        "which has waited longer or is more important"
    )


def used(asked: int, peak: int | None, advice: str | None) -> UsageSummary:
    return UsageSummary(
        runs=20,
        resources=Resources(memory_bytes=asked),
        memory_peak_bytes=peak,
        cpu_p95_millicores=None,
        advice=advice,
    )


def test_the_largest_waste_stands_first_and_who_does_well_gets_no_advice() -> None:
    told = with_advice(
        of(),
        {
            ("etl", "tight"): used(1 * GIB, 1 * GIB, "ask more"),
            ("etl", "fine"): used(9 * GIB, 6 * GIB, None),
            ("etl", "wasteful"): used(8 * GIB, 1 * GIB, "ask less"),
            ("etl", "killed"): used(1 * GIB, 2 * GIB, "ask much more"),
        },
    )

    assert [(each.task_id, each.unused_memory_bytes) for each in told.advice] == [
        ("wasteful", 7 * GIB),
        ("killed", 0),
        ("tight", 0),
    ]
