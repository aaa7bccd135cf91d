"""Who goes where, who waits and why: one story each."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from orrery.executor.ageing import Ageing, Overtakers, Policy
from orrery.executor.backlog import Backlog, PendingTask
from orrery.executor.node import Node, NodeState, RunningTask
from orrery.executor.packing import place
from orrery.executor.placement import Placements
from orrery.executor.quantity import GIB
from orrery.executor.resources import Resources

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def asks(cpu: float = 0.1, gib: float = 0.25, gpus: int = 0, disk_gib: float = 0) -> Resources:
    return Resources(
        cpu_millicores=int(cpu * 1000),
        memory_bytes=int(gib * GIB),
        gpus=gpus,
        disk_bytes=int(disk_gib * GIB),
    )


def node(name: str = "a", cpu: float = 4, gib: float = 8, **more: Any) -> Node:
    size = asks(cpu, gib, more.pop("gpus", 0), more.pop("disk_gib", 0))
    queues = frozenset(more.pop("queues", ["default"]))
    return Node(name=name, allocatable=size, queues=queues, max_starting=more.pop("max_starting", 99), **more)


def task(id_: str, resources: Resources | None = None, *, age: float = 0, **more: Any) -> PendingTask:
    """A pending task; `age` is how many seconds before noon it was queued."""
    return PendingTask(
        id=id_,
        resources=resources or asks(),
        queue=more.pop("queue", "default"),
        priority=more.pop("priority", 1),
        queued_at=NOON - timedelta(seconds=age),
        **more,
    )


def running(id_: str, on: str, resources: Resources, **more: Any) -> RunningTask:
    return RunningTask(id=id_, node=on, resources=resources, **more)


def where(result: Placements) -> dict[str, str]:
    return {placement.task.id: placement.node for placement in result.placed}


def test_nothing_pending_places_nothing() -> None:
    result = place([], [node()], now=NOON)
    assert result == Placements(placed=(), waiting=(), no_node=(), never_fits=(), ageing=Ageing())


def test_the_higher_priority_goes_first() -> None:
    tasks = [task("low", asks(3), priority=1, age=60), task("high", asks(3), priority=9)]
    assert where(place(tasks, [node()], now=NOON)) == {"high": "a"}


def test_in_a_priority_the_larger_dominant_share_goes_first() -> None:
    # 6 of 8 GiB are a larger share than 2 of 4 CPUs.
    tasks = [task("cpu", asks(2, 3), age=5), task("memory", asks(0.1, 6))]
    assert where(place(tasks, [node()], now=NOON)) == {"memory": "a"}


def test_equal_requests_go_by_arrival_and_then_by_id() -> None:
    tasks = [task("c", asks(2)), task("b", asks(2)), task("first", asks(2), age=1)]
    result = place(tasks, [node(cpu=4)], now=NOON)
    assert [placement.task.id for placement in result.placed] == ["first", "b"]


def test_the_node_that_is_left_with_least_is_the_best_fit() -> None:
    nodes = [node("roomy", gib=16), node("tight", gib=6), node("small", gib=3)]
    assert where(place([task("t", asks(gib=4))], nodes, now=NOON)) == {"t": "tight"}


def test_a_warm_node_is_preferred_to_a_better_fit() -> None:
    nodes = [node("tight", gib=4), node("warm", gib=8, warm=frozenset({"etl@2"}))]
    result = place([task("t", asks(gib=4), bundle="etl@2")], nodes, now=NOON)
    assert where(result) == {"t": "warm"}
    assert result.placed[0].is_warm
    assert where(place([task("t", asks(gib=4), bundle="etl@1")], nodes, now=NOON)) == {"t": "tight"}


def test_a_node_with_gpus_is_left_to_those_that_ask_for_them() -> None:
    nodes = [node("gpu", gib=4, gpus=1), node("plain", gib=64)]
    tasks = [task("train", asks(gpus=1)), task("plain-task", asks(gib=4), priority=9)]
    assert where(place(tasks, nodes, now=NOON)) == {"plain-task": "plain", "train": "gpu"}


def test_a_gpu_node_still_helps_when_there_is_no_other() -> None:
    assert where(place([task("t")], [node("gpu", gpus=1)], now=NOON)) == {"t": "gpu"}


def test_a_task_goes_only_where_its_queue_is_served() -> None:
    nodes = [node("a", queues=["default", "fast"]), node("b", queues=["heavy"])]
    tasks = [task("1", queue="heavy"), task("2", queue="fast"), task("3")]
    assert where(place(tasks, nodes, now=NOON)) == {"1": "b", "2": "a", "3": "a"}


def test_what_runs_already_takes_its_room() -> None:
    result = place([task("t", asks(gib=2))], [node()], [running("r", "a", asks(gib=7))], now=NOON)
    assert where(result) == {}
    assert result.reasons() == {"t": "waits for 2 GiB: node a has 1 GiB free of 8 GiB"}


def test_a_task_on_a_node_that_is_gone_takes_no_room() -> None:
    assert where(place([task("t", asks(gib=8))], [node()], [running("r", "gone", asks(gib=8))], now=NOON))


def test_a_node_that_shrank_under_its_tasks_gets_no_more() -> None:
    result = place([task("t", asks(0.1, 1))], [node(gib=4)], [running("r", "a", asks(gib=6))], now=NOON)
    assert result.reasons() == {"t": "waits for 1 GiB: node a has 0 MiB free of 4 GiB"}


def test_only_so_many_start_at_a_time() -> None:
    tasks = [task(f"{n}") for n in range(9)]
    result = place(tasks, [node(max_starting=4)], now=NOON)
    assert where(result) == dict.fromkeys("0123", "a")
    assert result.reasons()["4"] == "waits for its start: node a is starting 4 tasks, at most 4 at a time"


def test_a_task_that_has_started_makes_way_for_the_next_start() -> None:
    there = [running("x", "a", asks(), is_starting=True), running("y", "a", asks())]
    result = place([task("1"), task("2")], [node(max_starting=2)], there, now=NOON)
    assert where(result) == {"1": "a"}


def test_a_request_larger_than_every_node_never_fits_and_names_the_largest() -> None:
    nodes = [node("small", 2, 4), node("large", 4, 8), node("elsewhere", 64, 512, queues=["heavy"])]
    result = place([task("t", asks(1, 16)), task("ok")], nodes, now=NOON)
    assert where(result) == {"ok": "small"}
    [group] = result.never_fits
    assert [each.id for each in group.tasks] == ["t"]
    assert group.reason == (
        "asks 16 GiB, which no node of the queue 'default' has: the largest, large, has 4 CPU, 8 GiB"
    )


def test_gpus_asked_where_there_are_none_never_fit() -> None:
    result = place([task("t", asks(gpus=1))], [node("a"), node("b", 8, 16)], now=NOON)
    assert result.never_fits[0].reason == (
        "asks 1 GPU, which no node of the queue 'default' has: the largest, b, has 8 CPU, 16 GiB"
    )


def test_cpu_and_memory_that_no_single_node_has_together_never_fit() -> None:
    nodes = [node("cpus", 32, 4), node("memory", 2, 64)]
    reason = place([task("t", asks(16, 32))], nodes, now=NOON).never_fits[0].reason
    assert "asks 32 GiB, which" in reason or "asks 16 CPU, which" in reason


def test_a_queue_that_no_node_serves_waits_for_one() -> None:
    result = place([task("t", queue="gpu")], [node()], now=NOON)
    assert not result.never_fits
    assert result.reasons() == {"t": "waits for a node: none serves the queue 'gpu'"}
    assert place([task("t")], [], now=NOON).reasons() == {
        "t": "waits for a node: none serves the queue 'default'"
    }


@pytest.mark.parametrize("state", ["cordoned", "draining", "unreachable"])
def test_a_node_that_takes_no_tasks_gets_none_but_may_come_back(state: NodeState) -> None:
    nodes = [node("a"), node("big", 16, 64, state=state)]
    result = place([task("t", asks(8, 32))], nodes, now=NOON)
    assert where(result) == {}
    assert result.reasons() == {"t": f"waits for a node that can hold 8 CPU, 32 GiB: big is {state}"}


def test_the_reason_names_all_that_is_lacking_on_the_nearest_node() -> None:
    there = [running("r", "near", asks(3, 6)), running("s", "far", asks(4, 8))]
    result = place([task("t", asks(2, 4))], [node("far"), node("near")], there, now=NOON)
    assert result.reasons() == {
        "t": "waits for 2 CPU and 4 GiB: node near has 1 CPU free of 4 and 2 GiB free of 8 GiB, "
        "the other 1 lack more"
    }


def test_the_reason_shows_a_shortage_of_a_single_byte() -> None:
    asked = Resources(memory_bytes=2 * GIB + 1)
    result = place([task("t", asked)], [node(gib=8)], [running("r", "a", asks(gib=6))], now=NOON)
    assert result.reasons() == {"t": "waits for 2.01 GiB: node a has 2 GiB free of 8 GiB"}
    there = [running("r", "a", Resources(memory_bytes=6 * GIB + 1))]
    result = place([task("t", asks(gib=2))], [node(gib=8)], there, now=NOON)
    assert result.reasons() == {"t": "waits for 2 GiB: node a has 1.99 GiB free of 8 GiB"}


def test_disk_and_gpus_are_packed_like_the_rest() -> None:
    there = [running("r", "a", asks(gpus=2, disk_gib=80))]
    result = place([task("t", asks(gpus=1, disk_gib=40))], [node(gpus=2, disk_gib=100)], there, now=NOON)
    assert result.reasons() == {
        "t": "waits for 1 GPU and 40 GiB disk: node a has 0 GPU free of 2 and 20 GiB free of 100 GiB disk"
    }


def test_all_that_ask_the_same_wait_together_for_one_reason() -> None:
    result = place([task(f"{n}", asks(4)) for n in range(3)], [node()], now=NOON)
    [group] = result.waiting
    assert [each.id for each in group.tasks] == ["1", "2"]
    assert (group.queue, group.resources) == ("default", asks(4))
    assert set(result.reasons()) == {"1", "2"}


def test_two_nodes_of_one_name_are_a_mistake() -> None:
    with pytest.raises(ValueError, match="two nodes are named 'a'"):
        place([], [node("a"), node("a")], now=NOON)


# --- ageing ---------------------------------------------------------------------------------------

AGED = Policy(rounds_passed_over=1)


def test_a_round_in_which_a_later_task_goes_first_is_remembered() -> None:
    there = [running("r", "a", asks(gib=5))]
    result = place([task("big", asks(gib=6), age=1), task("small")], [node()], there, now=NOON)
    assert where(result) == {"small": "a"}
    assert result.ageing.passed_over == {"big": 1}
    after = place([task("big", asks(gib=6), age=1)], [node()], there, now=NOON, ageing=result.ageing)
    assert after.ageing.passed_over == {"big": 1}  # nobody went first


@pytest.mark.parametrize(
    "other",
    [
        task("more-important", priority=2),
        task("earlier", age=2),
        task("in-another-queue", queue="other"),
    ],
    ids=lambda other: str(other.id),
)
def test_it_is_no_injustice_when_that_task_may_go_first(other: PendingTask) -> None:
    nodes = [node(), node("b", queues=["other"])]
    there = [running("r", "a", asks(gib=5))]
    result = place([task("big", asks(gib=6), age=1), other], nodes, there, now=NOON)
    assert other.id in where(result)
    assert result.ageing.passed_over == {}


def test_for_an_aged_task_the_room_that_it_waits_for_is_kept() -> None:
    there = [running("r", "a", asks(gib=5))]
    tasks = [task("big", asks(gib=6), age=1), task("small", asks(gib=1))]
    result = place(tasks, [node()], there, now=NOON, policy=AGED, ageing=Ageing(passed_over={"big": 1}))
    assert where(result) == {}
    assert result.ageing.reserved == {"big": "a"}
    assert result.reasons() == {
        "big": "waits for 6 GiB: node a has 3 GiB free of 8 GiB and is kept for it",
        "small": "waits for 0.1 CPU, 1 GiB: the room on node a is kept for task big, "
        "which has waited longer or is more important",
    }


def test_what_an_aged_task_does_not_need_is_not_kept() -> None:
    there = [running("r", "a", asks(4, 1))]
    tasks = [task("big", asks(2, 4), age=1), task("small", asks(0, 2))]
    result = place(tasks, [node()], there, now=NOON, policy=AGED, ageing=Ageing(passed_over={"big": 1}))
    assert where(result) == {"small": "a"}


def test_a_more_important_task_may_take_kept_room() -> None:
    there = [running("r", "a", asks(gib=5))]
    tasks = [task("big", asks(gib=6), age=1), task("urgent", asks(gib=1), priority=2)]
    result = place(tasks, [node()], there, now=NOON, policy=AGED, ageing=Ageing(passed_over={"big": 1}))
    assert where(result) == {"urgent": "a"}


def test_only_one_node_is_kept_and_the_others_go_on() -> None:
    there = [running("r", "a", asks(gib=5)), running("s", "b", asks(gib=4))]
    tasks = [task("big", asks(gib=6), age=1), task("small", asks(gib=1))]
    result = place(
        tasks, [node("a"), node("b")], there, now=NOON, policy=AGED, ageing=Ageing(passed_over={"big": 1})
    )
    assert result.ageing.reserved == {"big": "b"}  # the least has to end there
    assert where(result) == {"small": "a"}


def test_a_kept_node_stays_until_another_needs_less_to_end() -> None:
    tasks = [task("big", asks(gib=6), age=1)]
    before = Ageing(passed_over={"big": 1}, reserved={"big": "b"})

    def kept(a_gib: float, b_gib: float) -> str:
        there = [running("r", "a", asks(gib=a_gib)), running("s", "b", asks(gib=b_gib))]
        result = place(tasks, [node("a"), node("b")], there, now=NOON, policy=AGED, ageing=before)
        return result.ageing.reserved["big"]

    assert kept(4, 4) == "b"
    assert kept(3, 4) == "a"


def test_the_reason_of_an_aged_task_names_the_node_that_is_kept_for_it() -> None:
    there = [running("r", "a", asks(gib=4)), running("s", "b", asks(gib=4))]
    before = Ageing(passed_over={"big": 1}, reserved={"big": "b"})
    result = place(
        [task("big", asks(gib=6), age=1)], [node("a"), node("b")], there, now=NOON, policy=AGED, ageing=before
    )
    assert result.reasons() == {"big": "waits for 6 GiB: node b has 4 GiB free of 8 GiB and is kept for it"}


def test_a_later_task_is_an_overtaker_even_if_an_earlier_one_went_with_more_priority() -> None:
    placed = [task("late", priority=0, age=1), task("early", priority=1, age=9)]
    assert Overtakers(placed).passed(task("waits", priority=1, age=5))
    assert not Overtakers(placed).passed(task("waits", priority=1, age=0))
    assert not Overtakers([]).passed(task("waits"))


def test_a_node_that_could_not_hold_it_or_takes_no_tasks_is_not_kept() -> None:
    # Less has to end on both of the others, yet neither would ever have the room.
    nodes = [node("small", gib=5), node("away", gib=8, state="cordoned"), node("full", gib=8)]
    tasks = [task("big", asks(gib=6), age=1), task("little", asks(gib=1))]
    there = [running("r", "full", asks(gib=8))]
    result = place(tasks, nodes, there, now=NOON, policy=AGED, ageing=Ageing(passed_over={"big": 1}))
    assert result.ageing.reserved == {"big": "full"}
    assert where(result) == {"little": "small"}


def test_two_aged_tasks_go_by_arrival_and_do_not_keep_one_node_both() -> None:
    there = [running("r", "a", asks(gib=5))]
    tasks = [task("second", asks(gib=7), age=1), task("first", asks(gib=6), age=2)]
    aged = Ageing(passed_over={"first": 1, "second": 1})
    result = place(tasks, [node()], there, now=NOON, policy=AGED, ageing=aged)
    assert result.ageing.reserved == {"first": "a"}
    assert where(place(tasks, [node()], now=NOON, policy=AGED, ageing=aged)) == {"first": "a"}


def test_patience_ends_with_the_first_injustice_once_the_task_has_waited_long_enough() -> None:
    policy = Policy(rounds_passed_over=1000, patience=timedelta(seconds=10))
    there = [running("r", "a", asks(gib=5))]

    def kept(age: float, rounds: int) -> bool:
        tasks = [task("big", asks(gib=6), age=age), task("small", asks(gib=1))]
        ageing = Ageing(passed_over={"big": rounds} if rounds else {})
        return bool(place(tasks, [node()], there, now=NOON, policy=policy, ageing=ageing).ageing.reserved)

    assert kept(10, 1)
    assert not kept(9, 1)
    assert not kept(600, 0)  # a long queue alone is no injustice


def test_an_aged_small_task_goes_before_a_large_one_that_came_later() -> None:
    tasks = [task("small", asks(gib=2), age=30), task("large", asks(gib=7))]
    assert where(place(tasks, [node()], now=NOON)) == {"large": "a"}
    aged = Ageing(passed_over={"small": 1})
    assert where(place(tasks, [node()], now=NOON, ageing=aged)) == {"small": "a"}


def test_an_aged_task_that_only_waits_for_its_start_keeps_no_node() -> None:
    there = [running("x", "a", asks(), is_starting=True)]
    tasks = [task("t", asks(gib=1), age=1)]
    result = place(
        tasks, [node(max_starting=1)], there, now=NOON, policy=AGED, ageing=Ageing(passed_over={"t": 1})
    )
    assert where(result) == {}
    assert result.ageing.reserved == {}


@pytest.mark.parametrize(("policy", "is_placed"), [(Policy(rounds_passed_over=5), True), (None, False)])
def test_an_endless_stream_of_small_tasks_starves_the_large_one_only_without_ageing(
    policy: Policy | None, is_placed: bool
) -> None:
    big = task("big", asks(gib=8), age=1)
    there = [running("first", "a", asks(gib=1))]
    ageing = Ageing()
    for minute in range(60):
        small = [task(f"small-{minute}-{n}", asks(gib=1)) for n in range(8)]
        # Half of what runs ends in each round, so that there is always room for small ones only.
        there = there[(len(there) + 1) // 2 :] if minute else there
        result = place(
            [big, *small],
            [node()],
            there,
            now=NOON,
            policy=policy or Policy(rounds_passed_over=10**9),
            ageing=ageing,
        )
        ageing = result.ageing
        there += [running(p.task.id, p.node, p.task.resources) for p in result.placed]
        if "big" in where(result):
            break
    assert ("big" in where(result)) is is_placed


# --- the backlog ----------------------------------------------------------------------------------


def test_a_backlog_is_not_changed_by_a_round() -> None:
    backlog = Backlog([task("1"), task("2")])
    first = place(backlog, [node()], now=NOON)
    assert len(backlog) == 2
    assert place(backlog, [node()], now=NOON) == first


def test_a_backlog_takes_and_gives_tasks() -> None:
    backlog = Backlog([task("1", age=1), task("2", asks(1))])
    backlog.add(task("0", age=2))
    backlog.add(task("2", asks(2)))  # asks otherwise now
    backlog.discard("1")
    backlog.discard("unknown")
    assert sorted(each.id for each in backlog) == ["0", "2"]
    assert "0" in backlog
    assert "1" not in backlog
    assert sorted([each.id for each in line.tasks] for line in backlog.lines) == [["0"], ["2"]]
    assert where(place(backlog, [node(cpu=2)], now=NOON)) == {"2": "a"}
