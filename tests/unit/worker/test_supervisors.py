"""Threads for tasks: as many as run at a time, kept for the next, and nothing passes from one to another."""

from __future__ import annotations

import contextvars
import threading

from orrery.worker.supervisors import Supervisors

PATIENCE_SECONDS = 30


def meet(barrier: threading.Barrier) -> None:
    barrier.wait(PATIENCE_SECONDS)


def test_all_that_is_started_runs_at_the_same_time() -> None:
    together = threading.Barrier(21)
    supervisors = Supervisors()

    for _ in range(20):
        supervisors.start(lambda: meet(together))
    meet(together)

    assert not together.broken


def test_a_thread_is_used_again_and_knows_nothing_of_before() -> None:
    bound = contextvars.ContextVar("bound", default="nothing")
    supervisors = Supervisors()
    found: list[tuple[int, str]] = []

    for _ in range(3):
        done = threading.Event()

        def run(done: threading.Event = done) -> None:
            found.append((threading.get_ident(), bound.get()))
            bound.set("a task's")
            done.set()

        supervisors.start(run)
        assert done.wait(PATIENCE_SECONDS)
        while not supervisors._idle:
            threading.Event().wait(0.001)

    assert {ident for ident, _ in found} == {found[0][0]}
    assert {value for _, value in found} == {"nothing"}
