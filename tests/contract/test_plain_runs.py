"""Airflow's loop with and without the plain runs left out of it: the same run, the same rows.

The stories (`scheduler/plain_runs.py`) are told on a real PostgreSQL by Airflow's real scheduler, in a
process of its own; here is what must come of them.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = [
    pytest.mark.contract,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the executor runs on Linux"),
]

PROGRAM = Path(__file__).parent / "scheduler" / "plain_runs.py"

#: Whether Airflow judges the run.
JUDGED = {
    "two are ready": False,
    "the first of a run": False,
    "one is not done": False,
    "one waits for an event": True,
    "one waits for its retry": True,
    "the last is ready": False,
    "the run is over": True,
    "one has failed": True,
    "one was skipped": True,
    "weights, queue and slots": False,
    "a pool without room": False,
    "no more tasks at a time": False,
    "all are done": False,
    "another rule": True,
    "depends on the past": True,
    "one of a task at a time": True,
    "a task that is none": True,
    "a mapped task": True,
    "before a mapped task": False,
    "set up and torn down": True,
    "the time is up": True,
    "the time is not up": True,
    "the first task has no row": True,
}


@pytest.fixture(scope="module")
def told(tell_scheduler: Callable[[Path], Any]) -> Any:
    """What the stories' program tells."""
    return tell_scheduler(PROGRAM)


def test_every_story_is_expected(told: Any) -> None:
    assert list(told["stock"]) == list(told["ours"]) == list(JUDGED)


@pytest.mark.parametrize("name", JUDGED)
def test_the_loop_leaves_what_stock_airflows_leaves(told: Any, name: str) -> None:
    ours, stock = dict(told["ours"][name]), told["stock"][name]
    assert ours.pop("judged") == JUDGED[name]
    assert ours == stock


def test_a_run_whose_time_is_up_fails(told: Any) -> None:
    assert told["ours"]["the time is up"]["run"] == "failed"
    assert told["ours"]["the time is up"]["callbacks"] == ["DagCallbackRequest"]


def test_now_and_then_airflow_judges_plain_runs_too_some_in_each_loop(told: Any) -> None:
    assert told["due"] == [0, 0, 10, 2, 0, 0]


def test_what_goes_wrong_with_plain_runs_keeps_no_run_from_going_on(told: Any) -> None:
    expected = told["stock"]["two are ready"]
    assert told["troubles"]["the database refuses once"] == expected
    assert told["troubles"]["an error of ours"] == expected
