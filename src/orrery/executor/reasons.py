"""Reasons: why a task waits, in words for people. They name what is asked, the node, and what it has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orrery.executor import notation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orrery.executor.resources import Resources
    from orrery.executor.room import Room

_STATES = {"cordoned": "is cordoned", "draining": "is draining", "unreachable": "is unreachable"}


def no_node(queue: str) -> str:
    """Say that no node serves the queue."""
    return f"waits for a node: none serves the queue '{queue}'"


def never_fits(resources: Resources, queue: str, rooms: Sequence[Room]) -> str:
    """Say what is asked too much, and name the largest node; `rooms` are those that serve the queue."""
    what = resources.asked

    def lack(room: Room) -> float:
        total = room.node.allocatable.amounts
        return max(max(0, amount - total[index]) / max(1, total[index]) for index, amount in what)

    # The largest for this request: of two that lack GPUs equally, the one with more of the rest.
    largest = min(rooms, key=lambda room: (lack(room), [-amount for amount in room.node.allocatable.amounts]))
    total = largest.node.allocatable
    lacking = [_amount(index, amount) for index, amount in what if amount > total.amounts[index]]
    return (
        f"asks {_and(lacking)}, which no node of the queue '{queue}' has: "
        f"the largest, {largest.node.name}, has {total}"
    )


def waits(resources: Resources, task_id: str, rooms: Sequence[Room]) -> str:
    """Say what has to happen before there is room; `rooms` are those of the queue, after the round."""
    able = [room for room in rooms if room.could_hold(resources)]
    ready = [room for room in able if room.node.is_ready]
    if not ready:
        away = ", ".join(f"{room.node.name} {_STATES[room.node.state]}" for room in able)
        return f"waits for a node that can hold {resources}: {away}"
    what = resources.asked
    open_ = [room for room in ready if room.has_open(what)]
    if open_:
        room = min(open_, key=lambda room: room.starting - room.node.max_starting)
        return (
            f"waits for its start: node {room.node.name} is starting {room.starting} tasks, "
            f"at most {room.node.max_starting} at a time"
        )
    own = next((room for room in ready if room.kept_for == task_id), None)
    kept = next((room for room in ready if room.has_free(what)), None)
    if kept is not None and own is None:
        return (
            f"waits for {resources}: the room on node {kept.node.name} is kept for task {kept.kept_for}, "
            "which has waited longer or is more important"
        )
    room = own or min(ready, key=lambda room: room.shortfall(what))
    return _short(room, resources, is_kept=own is not None, others=len(ready) - 1)


def _short(room: Room, resources: Resources, *, is_kept: bool, others: int) -> str:
    total = room.node.allocatable.amounts
    lacking = [(index, amount) for index, amount in resources.asked if amount > room.free[index]]
    asked = _and([_amount(index, amount) for index, amount in lacking])
    has = _and([_free_of(index, max(0, room.free[index]), total[index]) for index, _ in lacking])
    text = f"waits for {asked}: node {room.node.name} has {has}"
    if is_kept:
        return f"{text} and is kept for it"
    return f"{text}, the other {others} lack more" if others else text


def _amount(index: int, amount: int) -> str:
    match index:
        case 0:
            return notation.cpu_text(amount)
        case 2:
            return f"{amount} GPU"
    return notation.bytes_text(amount, rounding="up") + (" disk" if index == 3 else "")


def _free_of(index: int, free: int, total: int) -> str:
    """Return `1.2 GiB free of 8 GiB`."""
    if index in (0, 2):
        return f"{_amount(index, free)} free of {_amount(index, total).split()[0]}"
    left = notation.bytes_text(free, rounding="down")
    return f"{left} free of {notation.bytes_text(total)}" + (" disk" if index == 3 else "")


def _and(parts: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(parts[:-1]), parts[-1]]))
