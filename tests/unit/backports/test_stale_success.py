"""The executor as the scheduler sees it: patient with a task that was resumed since it succeeded."""

from __future__ import annotations

import types
from typing import Any

import pytest

from orrery.backports.stale_success import _Patient


class Executor:
    def __init__(self, **events: str) -> None:
        self.events: dict[str, tuple[str, object]] = {key: (state, None) for key, state in events.items()}
        self.mine: set[str] = set()

    def __str__(self) -> str:
        return "Executor(parallelism=3)"

    def get_event_buffer(self) -> dict[str, tuple[str, object]]:
        events, self.events = self.events, {}
        return events

    def has_task(self, ti: Any) -> bool:
        return ti.key in self.mine

    def send_callback(self, request: object) -> object:
        return request


def ti(key: str = "a", state: str | None = "running", next_method: str | None = "resume") -> Any:
    return types.SimpleNamespace(key=key, state=state, next_method=next_method)


@pytest.mark.parametrize(
    ("task", "event", "has"),
    [
        (ti(state="queued"), "success", True),
        (ti(state="running"), "success", True),
        (ti(state="running"), "failed", False),
        (ti(state="restarting"), "success", False),
        (ti(state="queued", next_method=None), "success", False),
        (ti(key="b"), "success", False),
    ],
)
def test_only_a_task_resumed_since_its_success_is_had_again(task: Any, event: str, has: bool) -> None:
    patient = _Patient(Executor(a=event))
    # The scheduler takes each event out of what it was given.
    patient.get_event_buffer().clear()
    assert patient.has_task(task) is has


def test_before_events_were_read_there_is_nothing_to_be_patient_about() -> None:
    assert _Patient(Executor(a="success")).has_task(ti()) is False


def test_what_the_executor_has_it_has() -> None:
    executor = Executor()
    executor.mine.add("a")
    assert _Patient(executor).has_task(ti(next_method=None)) is True


def test_all_else_is_the_executors() -> None:
    patient = _Patient(Executor())
    assert f"{patient}" == "Executor(parallelism=3)"
    assert patient.send_callback("x") == "x"
