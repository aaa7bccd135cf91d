"""What was deleted a moment ago is not looked for again."""

from __future__ import annotations

from orrery.executor import cleared
from orrery.executor.cleared import Cleared

A, B = ("dag", "task", "run"), ("dag", "task", "next run")


def test_what_was_noted_is_not_due_for_some_time() -> None:
    now = [100.0]
    memory = Cleared(lambda: now[0])
    assert memory.due([A, A, B]) == {A, B}

    memory.note({A})

    assert memory.due([A, B]) == {B}
    now[0] += cleared.KEPT_SECONDS
    assert memory.due([A, B]) == {A, B}


def test_it_does_not_grow_for_ever() -> None:
    memory = Cleared(lambda: 0.0)
    for number in range(3):
        memory.note(("dag", "task", f"{number}-{each}") for each in range(6000))

    assert len(memory._until) <= 12_000
