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
    from tests.contract.conftest import Tell

pytestmark = [
    pytest.mark.contract,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the executor runs on Linux"),
]

PROGRAM = Path(__file__).parent / "scheduler" / "turns.py"

#: What is queued, where a turn does it; None: a turn leaves it to the loop.
TURNS: dict[str, list[str] | None] = {
    "two are ready": ["b", "c"],
    "the first of a run": ["a"],
    "one is not done": [],
    "one waits for an event": [],
    "one waits for its retry": [],
    "the last is ready": ["d"],
    "the run is over": None,
    "one has failed": None,
    "one was skipped": None,
    "weights, queue and slots": ["b", "c"],
    "a pool without room": None,
    "no more tasks at a time": None,
    "all are done": ["d"],
    "another rule": None,
    "depends on the past": None,
    "one of a task at a time": None,
    "a task that is none": None,
    "a mapped task": None,
    "before a mapped task": ["b", "c"],
    "set up and torn down": None,
}


@pytest.fixture(scope="module")
def told(tell: Tell, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What the stories' program tells."""
    folder = tmp_path_factory.mktemp("scheduler") / "dags"
    executor = "orrery.executor.executor.PackingExecutor"
    return tell(PROGRAM, {"AIRFLOW__CORE__DAGS_FOLDER": str(folder), "AIRFLOW__CORE__EXECUTOR": executor})


def test_every_story_is_expected(told: Any) -> None:
    import pprint; pprint.pprint(told, width=150)
    assert list(told["stories"]) == 0


@pytest.mark.parametrize("name", [name for name, queued in TURNS.items() if queued is not None])
def test_a_turn_leaves_the_rows_that_the_loop_leaves(told: Any, name: str) -> None:
    story = told["stories"][name]
    assert story["is_done"]
    assert story["turn queued"] == story["loop queued"] == TURNS[name]
    assert story["turn"] == story["loop"]
    assert story["turn changed"] == bool(TURNS[name])


@pytest.mark.parametrize("name", [name for name, queued in TURNS.items() if queued is None])
def test_what_is_not_plain_is_left_to_the_loop_untouched(told: Any, name: str) -> None:
    story = told["stories"][name]
    assert not story["is_done"]
    assert not story["turn changed"]
    assert story["turn queued"] == []


def test_the_loop_itself_goes_on_with_what_a_turn_leaves(told: Any) -> None:
    # The stories are about what their names say: the loop finds something to do for a task in all but one.
    idle = [
        name for name, queued in TURNS.items() if queued is None and not told["stories"][name]["loop changed"]
    ]
    assert idle == ["the run is over"]


@pytest.mark.parametrize(
    ("name", "is_done", "queued"),
    [
        ("nothing special", True, True),
        ("not begun", True, False),
        ("paused", True, False),
        ("locked", True, False),
        ("another in the critical section", False, False),
        ("pools locked", False, False),
        ("others are scheduled", False, False),
        ("of another version", False, False),
    ],
)
def test_a_turn_gives_way(told: Any, name: str, is_done: bool, queued: bool) -> None:
    done, states = told[name]
    assert done is is_done
    assert states == (["success", "queued", "queued", None] if queued else ["success", None, None, None])


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


def test_airflow_has_the_methods_that_a_turn_calls() -> None:
    from airflow.jobs.scheduler_job_runner import SchedulerJobRunner
    from airflow.models.pool import Pool

    wanted = {
        SchedulerJobRunner._do_scheduling: ["self", "session"],
        SchedulerJobRunner._critical_section_enqueue_task_instances: ["self", "session"],
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
