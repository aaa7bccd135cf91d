"""Turns of the packing executor and Airflow's own loop: the same run, the same rows.

The stories (`scheduler/turns.py`) are told on a real PostgreSQL by Airflow's real scheduler, in a process of
its own; here is what must come of them.
"""

from __future__ import annotations

import inspect
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

PROGRAM = Path(__file__).parent / "scheduler" / "turns.py"

#: What is queued, and in which states a turn alone leaves the tasks: queued where there is room and nobody
#: waits for it; else scheduled, for Airflow's choice among all.
TURNS: dict[str, tuple[list[str], list[str | None]]] = {
    "two are ready": (["b", "c"], ["success", "queued", "queued", None]),
    "the first of a run": (["a"], ["queued", None, None, None]),
    "one is not done": ([], ["success", "success", "running", None]),
    "one waits for an event": ([], ["success", "success", "deferred", None]),
    "one waits for its retry": ([], ["success", "success", "up_for_retry", None]),
    "the last is ready": (["d"], ["success", "success", "success", "queued"]),
    "the run is over": ([], ["success", "success", "success", "success"]),
    "one has failed": (["c"], ["success", "failed", "scheduled", "upstream_failed"]),
    "one was skipped": (["c"], ["success", "skipped", "scheduled", "skipped"]),
    "weights, queue and slots": (["b", "c"], ["success", "queued", "queued", None]),
    "a pool without room": (["b"], ["success", "scheduled", "scheduled", None]),
    "no more tasks at a time": ([], ["success", "running", "scheduled", None]),
    "all are done": (["d"], ["success", "success", "success", "queued"]),
    "another rule": (["b", "c"], ["success", "scheduled", "scheduled", None]),
    "depends on the past": (["b", "c"], ["success", "scheduled", "scheduled", None]),
    "one of a task at a time": (["b", "c"], ["success", "scheduled", "scheduled", None]),
    "a task that is none": ([], ["success", "success", "success", "success"]),
    "a mapped task": (["d", "d"], ["success", "success", "success", "scheduled", "scheduled"]),
    "before a mapped task": (["b", "c"], ["success", "queued", "queued", None, None]),
    "set up and torn down": (["s"], ["success", None, "scheduled"]),
}
#: Of which the loop, made twice, has seen the end already; a turn hears of its own work next.
ENDS_LATER = {"a task that is none"}


@pytest.fixture(scope="module")
def told(tell_scheduler: Callable[[Path], Any]) -> Any:
    """What the stories' program tells."""
    return tell_scheduler(PROGRAM)


def test_every_story_is_expected(told: Any) -> None:
    assert list(told["stories"]) == list(TURNS)


@pytest.mark.parametrize("name", TURNS)
def test_a_turn_leaves_what_the_loop_leaves(told: Any, name: str) -> None:
    story = told["stories"][name]
    queued, alone = TURNS[name]
    assert story["is_done"]
    assert story["turn alone"] == alone
    assert story["turn queued"] == story["loop queued"] == queued
    assert story["turn"] == story["loop"]
    assert story["turn run"] == ("running" if name in ENDS_LATER else story["loop run"])


def test_runs_of_a_crowd_are_scheduled_together_and_queued_by_airflows_choice(told: Any) -> None:
    crowd = told["a crowd"]
    assert crowd["is_done"]
    # Seven runs of two ready tasks, one of a finished one, behind one that waits for the only room.
    assert crowd["alone"] == {"scheduled": 15, "success": 11}
    assert crowd["run that was over"] == "success"
    assert crowd["by a turn"] == crowd["by the loop"]
    assert crowd["by a turn"] == {"queued": 8, "scheduled": 7, "success": 11}


@pytest.mark.parametrize(
    ("name", "state"),
    [
        ("nothing special", "queued"),
        ("not begun", None),
        ("paused", None),
        ("locked", None),
        ("another in the critical section", "scheduled"),
        ("pools locked", "scheduled"),
        ("others are scheduled", "scheduled"),
        ("of another version", "scheduled"),
    ],
)
def test_a_turn_gives_way(told: Any, name: str, state: str | None) -> None:
    assert told[name] == [True, ["success", state, state, None]]


def test_another_in_the_critical_section_is_told_from_nothing_to_queue(told: Any) -> None:
    assert told["queued beside another"] is None


def test_a_slot_that_a_success_frees_is_not_left_to_the_poll(told: Any) -> None:
    without, with_one, states = told["a freed slot"]
    assert without == [True, False, 0]
    assert with_one == [True, True, 1]
    assert states == ["queued", None, None, None]


def test_a_notification_that_names_a_run_makes_no_loop_and_any_other_does(told: Any) -> None:
    named, unnamed, both, unknown = told["by its name"]
    assert named == [True, ["b", "c"]]
    assert unnamed == [False, []]
    assert both == [False, []]
    assert unknown == [True, []]


#: Whether nothing is due for how long, in seconds, and how long the loop sleeps: both at most.
QUIET: dict[str, tuple[float | None, float]] = {
    "nothing": (1e6, 4),
    "a task of ours": (1e6, 1),
    "nobody listens": (1e6, 1),
    "another executor": (1e6, 1),
    "a run": (None, 1),
    "a queued run": (None, 1),
    "due in a while": (500, 4),
    "due soon": (2, 2),
    "due by now": (None, 1),
    "due, but paused": (1e6, 4),
    "an asset's event": (None, 1),
    "a callback": (None, 1),
    "a callback that is over": (1e6, 4),
    "a deadline": (3, 3),
    "a deadline that was missed": (1e6, 4),
}


def test_every_kind_of_quiet_is_expected(told: Any) -> None:
    assert list(told["quiet"]) == list(QUIET)


@pytest.mark.parametrize("name", QUIET)
def test_the_loop_sleeps_longer_only_when_nothing_is_due(told: Any, name: str) -> None:
    found, sleep = told["quiet"][name]
    quiet, longest = QUIET[name]
    if quiet is None or quiet == 1e6:
        assert found == quiet
        assert sleep == longest
    else:
        # The clock went on between the question and the answer.
        assert 0 < found <= quiet
        assert 0 < sleep <= longest


def test_long_loops_are_followed_by_longer_pauses_and_full_nodes_are_fed_now_and_then(told: Any) -> None:
    assert told["pace"] == {
        "a loop of 0.0 s": 0.0,
        "a loop of 0.1 s": 0.4,
        "a loop of 0.5 s": 2.0,
        "a loop of 5.0 s": 4.0,
        "nobody listens": 0.0,
        "0 wait, 10 run": [0, 0, 2],
        "31 wait, 10 run": [0, 0, 2],
        "118 wait, 10 run": [0, 0, 1],
        "118 wait, 100 run": [0, 0, 2],
        "12 are scheduled, 8 wait": [12, []],
        "12 are scheduled, 118 wait": [5, [0, 7]],
        "another scheduler queues": None,
    }


def test_airflow_has_the_methods_that_a_turn_calls() -> None:
    from airflow.jobs.scheduler_job_runner import SchedulerJobRunner
    from airflow.models.pool import Pool

    wanted = {
        SchedulerJobRunner._do_scheduling: ["self", "session"],
        SchedulerJobRunner._critical_section_enqueue_task_instances: ["self", "session"],
        SchedulerJobRunner._schedule_all_dag_runs: ["self", "guard", "dag_runs", "session"],
        SchedulerJobRunner._stamp_team_names: ["self", "dag_runs", "session"],
        SchedulerJobRunner._send_dag_callbacks_to_processor: ["self", "dag", "callback"],
        SchedulerJobRunner._enqueue_task_instances_with_queued_state: [
            "self",
            "task_instances",
            "executor",
            "session",
        ],
    }
    for method, parameters in wanted.items():
        assert list(inspect.signature(method).parameters) == parameters
    assert "lock_rows" in inspect.signature(Pool.slots_stats).parameters
