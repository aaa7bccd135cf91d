"""What holds for every round of placement, and for every sequence of rounds."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orrery.executor.ageing import Ageing, Policy
from orrery.executor.backlog import Backlog, PendingTask
from orrery.executor.node import Node, RunningTask
from orrery.executor.packing import place
from orrery.executor.resources import FIELDS, Resources

if TYPE_CHECKING:
    from orrery.executor.placement import Placements

NOW = datetime(2026, 1, 1, tzinfo=UTC)
QUEUES = ("default", "heavy")
#: On a busy machine an example may take long: that is no error.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
POLICY = Policy(rounds_passed_over=2, patience=timedelta(seconds=30))


def amounts(least: int, most: int) -> st.SearchStrategy[Resources]:
    """Small numbers: they collide, tie and fill nodes to the brim more often than large ones."""
    return st.builds(
        Resources,
        cpu_millicores=st.integers(least, most),
        memory_bytes=st.integers(least, most),
        gpus=st.integers(0, 2),
        disk_bytes=st.integers(0, 2),
    )


@dataclass(frozen=True, kw_only=True)
class Scene:
    """The arguments of one round."""

    pending: list[PendingTask]
    nodes: list[Node]
    running: list[RunningTask]
    ageing: Ageing

    def round(self) -> Placements:
        return place(self.pending, self.nodes, self.running, now=NOW, policy=POLICY, ageing=self.ageing)


@st.composite
def scenes(draw: st.DrawFn) -> Scene:
    names = draw(st.lists(st.sampled_from("abcde"), unique=True, max_size=4))
    nodes = [
        Node(
            name=name,
            allocatable=draw(amounts(1, 10)),
            queues=frozenset(draw(st.sets(st.sampled_from(QUEUES), min_size=1))),
            max_starting=draw(st.integers(1, 4)),
            warm=frozenset(draw(st.sets(st.sampled_from("xy")))),
            state=draw(st.sampled_from(["ready", "ready", "ready", "cordoned", "unreachable"])),
        )
        for name in names
    ]
    running: list[RunningTask] = []
    for number, node in enumerate(nodes):
        part = draw(amounts(0, 8))
        if part.fits(node.allocatable):
            is_starting = draw(st.booleans())
            running.append(
                RunningTask(id=f"r{number}", node=node.name, resources=part, is_starting=is_starting)
            )
    pending = [
        PendingTask(
            id=f"t{number}",
            resources=draw(amounts(0, 11)),
            queue=draw(st.sampled_from([*QUEUES, *QUEUES, "unserved"])),
            priority=draw(st.integers(0, 2)),
            queued_at=NOW - timedelta(seconds=draw(st.integers(0, 40))),
            bundle=draw(st.sampled_from(["x", "y", "z", None])),
        )
        for number in range(draw(st.integers(0, 14)))
    ]
    ids = [task.id for task in pending]
    ageing = Ageing(
        passed_over={id_: draw(st.integers(1, 3)) for id_ in ids if draw(st.booleans())},
        reserved={id_: draw(st.sampled_from("abcde")) for id_ in ids if draw(st.booleans())},
    )
    return Scene(pending=pending, nodes=nodes, running=running, ageing=ageing)


def left(scene: Scene, result: Placements) -> dict[str, Resources]:
    """What is left on each node; raises where more was given than was there."""
    room = {node.name: node.allocatable for node in scene.nodes}
    for task in scene.running:
        room[task.node] -= task.resources
    for placement in result.placed:
        room[placement.node] -= placement.task.resources
    return room


def starting(scene: Scene, result: Placements) -> Counter[str]:
    return Counter(
        [task.node for task in scene.running if task.is_starting] + [p.node for p in result.placed]
    )


@unhurried
@given(scenes())
def test_no_node_is_ever_over_committed(scene: Scene) -> None:
    result = scene.round()
    left(scene, result)
    before = Counter(task.node for task in scene.running if task.is_starting)
    for node in scene.nodes:
        assert starting(scene, result)[node.name] <= max(node.max_starting, before[node.name])


@unhurried
@given(scenes())
def test_every_task_has_exactly_one_answer(scene: Scene) -> None:
    result = scene.round()
    answers = [placement.task.id for placement in result.placed]
    for group in result.unplaced:
        assert group.reason
        answers += [task.id for task in group.tasks]
    assert sorted(answers) == sorted(task.id for task in scene.pending)
    assert set(result.reasons()) == set(answers) - {p.task.id for p in result.placed}


@unhurried
@given(scenes())
def test_tasks_go_only_to_nodes_that_take_tasks_of_their_queue(scene: Scene) -> None:
    nodes = {node.name: node for node in scene.nodes}
    for placement in scene.round().placed:
        node = nodes[placement.node]
        assert node.is_ready
        assert placement.task.queue in node.queues
        assert placement.is_warm == (placement.task.bundle in node.warm)


@unhurried
@given(scenes())
def test_only_what_fits_no_empty_node_of_its_queue_never_fits(scene: Scene) -> None:
    result = scene.round()
    never = {task.id for group in result.never_fits for task in group.tasks}
    nowhere = {task.id for group in result.no_node for task in group.tasks}
    for task in scene.pending:
        serving = [node for node in scene.nodes if task.queue in node.queues]
        assert (task.id in nowhere) == (not serving)
        if serving:
            assert (task.id in never) == (not any(task.resources.fits(n.allocatable) for n in serving))


@unhurried
@given(scenes(), st.randoms(use_true_random=False))
def test_the_order_of_the_input_does_not_matter(scene: Scene, chance: object) -> None:
    result = scene.round()
    mixed = replace(scene, pending=[*scene.pending], nodes=[*scene.nodes], running=[*scene.running])
    for each in (mixed.pending, mixed.nodes, mixed.running):
        chance.shuffle(each)  # type: ignore[attr-defined]
    again = mixed.round()
    assert again == result
    assert again.reasons() == result.reasons()


@unhurried
@given(scenes(), st.sets(st.integers(0, 13)))
def test_a_backlog_that_grew_and_shrank_decides_as_a_list_does(scene: Scene, gone: set[int]) -> None:
    backlog = Backlog()
    for task in reversed(scene.pending):
        backlog.add(task)
    for number in gone:
        backlog.discard(f"t{number}")
    stay = replace(scene, pending=[task for task in scene.pending if int(task.id[1:]) not in gone])
    kept = place(backlog, scene.nodes, scene.running, now=NOW, policy=POLICY, ageing=scene.ageing)
    assert kept == stay.round()


@unhurried
@given(scenes())
def test_of_two_that_ask_the_same_the_more_important_or_earlier_goes_first(scene: Scene) -> None:
    placed = {placement.task.id for placement in scene.round().placed}
    alike: dict[object, list[PendingTask]] = defaultdict(list)
    for task in scene.pending:
        alike[(task.queue, task.resources)].append(task)
    for tasks in alike.values():
        # Ageing never lets a task go before one of higher priority, nor before an earlier equal.
        tasks.sort(key=lambda task: (-task.priority, task.queued_at, task.id))
        answers = [task.id in placed for task in tasks]
        assert answers == sorted(answers, reverse=True)


@unhurried
@given(scenes())
def test_nobody_waits_beside_room_that_is_kept_for_nobody(scene: Scene) -> None:
    result = scene.round()
    room, starts = left(scene, result), starting(scene, result)
    asked = {task.id: task.resources for task in scene.pending}
    rank = {task.id: task.priority for task in scene.pending}
    kept = {node: id_ for id_, node in result.ageing.reserved.items()}
    for group in result.waiting:
        for node in scene.nodes:
            if not node.is_ready or group.queue not in node.queues or starts[node.name] >= node.max_starting:
                continue
            if not group.resources.fits(room[node.name]):
                continue
            # There is room: then it is kept for another that is not less important, and taking some
            # would take what that one needs.
            holder = kept[node.name]
            assert holder not in {task.id for task in group.tasks}
            assert rank[holder] >= group.tasks[0].priority
            rest = [
                have - need for have, need in zip(room[node.name].amounts, asked[holder].amounts, strict=True)
            ]
            assert any(want > max(0, have) for want, have in zip(group.resources.amounts, rest, strict=True))


@unhurried
@given(scenes())
def test_a_node_is_kept_only_for_a_waiting_task_that_could_run_there(scene: Scene) -> None:
    result = scene.round()
    nodes = {node.name: node for node in scene.nodes}
    heads = {group.tasks[0].id: group.tasks[0] for group in result.waiting}
    kept = result.ageing.reserved
    assert len(set(kept.values())) == len(kept)
    for id_, name in kept.items():
        task, node = heads[id_], nodes[name]
        assert task.resources.fits(node.allocatable)
        assert node.is_ready
        assert task.queue in node.queues
        assert scene.ageing.has_aged(task, now=NOW, policy=POLICY)


@unhurried
@given(scenes())
def test_without_ageing_nothing_is_kept(scene: Scene) -> None:
    assert replace(scene, ageing=Ageing()).round().ageing.reserved == {}


ROUNDS = 4  # the longest that a task of the stories below runs


@st.composite
def arrivals(draw: st.DrawFn) -> list[tuple[Resources, int, int]]:
    """What an adversary lets arrive in one round: resources, priority, how many rounds it runs."""
    one = st.tuples(amounts(0, 10), st.integers(0, 1), st.integers(1, ROUNDS))
    return draw(st.lists(one, max_size=6))


@settings(unhurried, max_examples=150)
@given(
    big=amounts(1, 10),
    sizes=st.lists(amounts(1, 10), min_size=1, max_size=3),
    max_starting=st.integers(1, 4),
    before=arrivals(),
    stream=st.lists(arrivals(), min_size=1, max_size=6),
)
def test_whoever_fits_an_empty_node_is_placed_whatever_arrives_later(
    big: Resources,
    sizes: list[Resources],
    max_starting: int,
    before: list[tuple[Resources, int, int]],
    stream: list[list[tuple[Resources, int, int]]],
) -> None:
    """Given nodes that are busy and an adversary who sends, for ever, tasks that are no more important."""
    # The last node has room for the big one, whatever it asks for.
    roomy = Resources(**{name: max(getattr(big, name), getattr(sizes[-1], name)) for name in FIELDS})
    sizes = [*sizes[:-1], roomy]
    nodes = [
        Node(name=f"n{n}", allocatable=size, queues=frozenset({"default"}), max_starting=max_starting)
        for n, size in enumerate(sizes)
    ]
    lasts: dict[str, int] = {}
    backlog, ageing = Backlog(), Ageing()
    there: dict[str, tuple[RunningTask, int]] = {}  # with the round in which it ends

    def arrive(tasks: list[tuple[Resources, int, int]], number: int) -> None:
        for index, (resources, priority, rounds) in enumerate(tasks):
            id_ = f"{number:04}-{index}"
            lasts[id_] = rounds
            backlog.add(
                PendingTask(
                    id=id_,
                    resources=resources,
                    queue="default",
                    priority=priority,
                    queued_at=NOW + timedelta(seconds=number),
                )
            )

    arrive(before, 0)
    lasts["big"] = 1
    backlog.add(PendingTask(id="big", resources=big, queue="default", priority=1, queued_at=NOW))
    # Each that came earlier may have its turn before, and a node has to become empty each time.
    limit = (len(before) + 1) * (POLICY.rounds_passed_over + 2 * ROUNDS + 2)
    for number in range(1, limit + 1):
        there = {id_: (task, end) for id_, (task, end) in there.items() if end > number}
        arrive(stream[number % len(stream)], number)
        running = [task for task, _ in there.values()]
        now = NOW + timedelta(seconds=number)
        result = place(backlog, nodes, running, now=now, policy=POLICY, ageing=ageing)
        ageing = result.ageing
        for placement in result.placed:
            task = placement.task
            there[task.id] = (
                RunningTask(id=task.id, node=placement.node, resources=task.resources),
                number + lasts[task.id],
            )
            backlog.discard(task.id)
        for group in result.never_fits:
            for task in group.tasks:
                backlog.discard(task.id)
        if "big" not in backlog:
            return
    raise AssertionError(f"still waiting after {limit} rounds")
