"""What counting states can tell of a run, and what it leaves to Airflow."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from orrery.executor.shape import Shape

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orrery.executor.shape import States

#: a, then b and c, then d.
DIAMOND = Shape(
    upstream={
        "a": frozenset(),
        "b": frozenset({"a"}),
        "c": frozenset({"a"}),
        "d": frozenset({"b", "c"}),
    }
)


def run(**states: str | None) -> dict[str, States]:
    return {task: {state: 1} for task, state in states.items()}


@pytest.mark.parametrize(
    ("states", "ready"),
    [
        (run(a=None, b=None, c=None, d=None), {"a"}),
        (run(a="running", b=None, c=None, d=None), set()),
        (run(a="success", b=None, c=None, d=None), {"b", "c"}),
        (run(a="success", b="running", c=None, d=None), {"c"}),
        (run(a="success", b="success", c="queued", d=None), set()),
        (run(a="success", b="success", c="deferred", d=None), set()),
        (run(a="success", b="success", c="up_for_retry", d=None), set()),
        (run(a="success", b="success", c="success", d=None), {"d"}),
        (run(a="success", b="success", c="success", d="running"), set()),
    ],
)
def test_a_task_is_ready_when_all_before_it_have_succeeded(
    states: Mapping[str, States], ready: set[str]
) -> None:
    assert DIAMOND.ready(states) == frozenset(ready)


@pytest.mark.parametrize("state", ["failed", "skipped", "upstream_failed", "removed", "a state of tomorrow"])
def test_what_is_no_success_is_left_to_airflow(state: str) -> None:
    assert DIAMOND.ready(run(a=state, b=None, c=None, d=None)) is None


def test_the_end_of_a_run_is_left_to_airflow() -> None:
    assert DIAMOND.ready(run(a="success", b="success", c="success", d="success")) is None


def test_a_task_that_the_dag_does_not_know_is_left_to_airflow() -> None:
    assert DIAMOND.ready(run(a="success", z=None)) is None


def test_a_special_task_that_is_ready_is_left_to_airflow_and_no_other() -> None:
    shape = Shape(upstream=DIAMOND.upstream, special=frozenset({"d"}))
    assert shape.ready(run(a="success", b=None, c=None, d=None)) == frozenset({"b", "c"})
    assert shape.ready(run(a="success", b="success", c="success", d=None)) is None


def test_all_instances_of_a_mapped_task_count() -> None:
    some: dict[str, States] = {
        "a": {"success": 2},
        "b": {"success": 999, "running": 1},
        "c": {"success": 1},
        "d": {None: 1},
    }
    assert DIAMOND.ready(some) == frozenset()
    assert DIAMOND.ready(some | {"b": {"success": 1000}}) == frozenset({"d"})


def test_a_task_without_instances_has_not_succeeded() -> None:
    assert DIAMOND.ready(run(a="success", b="success", d=None)) == frozenset()


@pytest.mark.parametrize(
    ("states", "ready"),
    [
        (run(a=None, b=None, c=None, d=None), {"a"}),
        (run(a="success", b="running", c="queued", d=None), set()),
        (run(a="success", b="success", c="scheduled", d=None), set()),
        (run(a="success", b="success", c="success", d=None), {"d"}),
    ],
)
def test_what_goes_on_by_itself_needs_no_look_of_airflows(
    states: Mapping[str, States], ready: set[str]
) -> None:
    assert DIAMOND.ready_without_clock(states) == frozenset(ready)


@pytest.mark.parametrize(
    "state", ["up_for_retry", "up_for_reschedule", "deferred", "awaiting_input", "restarting"]
)
def test_what_the_clock_or_somebody_leads_on_is_left_to_airflow(state: str) -> None:
    assert DIAMOND.ready_without_clock(run(a="success", b="running", c=state, d=None)) is None


def test_a_run_that_may_time_out_is_left_to_airflow() -> None:
    timed = Shape(upstream=DIAMOND.upstream, has_timeout=True)
    assert timed.ready(run(a=None, b=None, c=None, d=None)) == frozenset({"a"})
    assert timed.ready_without_clock(run(a=None, b=None, c=None, d=None)) is None


def test_a_run_in_which_nothing_goes_on_is_left_to_airflow() -> None:
    # The row of a is missing: nothing will ever lead to b, c and d.
    assert DIAMOND.ready(run(b=None, c=None, d=None)) == frozenset()
    assert DIAMOND.ready_without_clock(run(b=None, c=None, d=None)) is None


def test_a_state_of_which_no_instance_is_left_does_not_count() -> None:
    states: dict[str, States] = run(a="success", c=None, d=None) | {"b": {"running": 1, "up_for_retry": 0}}
    assert DIAMOND.ready_without_clock(states) == frozenset({"c"})
