"""The batch route and Airflow's single routes: the same calls, the same answers, the same rows.

The stories (`batch_route/stories.py`) are told on a real PostgreSQL by Airflow's real application, in a
process of its own; here is what must come of them.
"""

from __future__ import annotations

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

PROGRAM = Path(__file__).parent / "batch_route" / "stories.py"

#: What Airflow answers in each story: it says that the story is about what its name says.
STATUSES = {
    "a task from start to success": [200, 201, 204, 204],
    "a whole life in one batch": [200, 201, 204, 204],
    "rendered fields and the success that follows": [200, 201, 204],
    "fields twice": [200, 201, 201],
    "four tasks at a time": [200, 200, 200, 200, 201, 204, 204, 201, 204, 204],
    "a start repeated by the same process": [200, 200],
    "a start repeated by another process": [200, 409],
    "a start after the end": [200, 204, 409],
    "an end before the start": [409],
    "a success repeated": [200, 204, 200],
    "a heartbeat before the start": [409],
    "a heartbeat after the end": [200, 204, 409],
    "a heartbeat of another process": [200, 409],
    "unknown task instance": [404, 404, 404, 404],
    "archived task instance": [200, 204, 410, 410, 404],
    "no token": [401],
    "not a token": [403],
    "an expired token": [403],
    "a token that ends soon": [200, 204, 204],
    "another task's token": [403],
    "a token of an unknown scope": [403],
    "a workload token starts": [200],
    "a workload token ends": [200, 403, 403, 403],
    "a body without its fields": [422],
    "a body with a field too many": [422],
    "a body that is not JSON": [422],
    "no body": [422],
    "a body that is null": [422],
    "a body of another media type": [422],
    "an unknown state": [422],
    "not a task instance's id": [403],
    "a value that the database refuses": [200, 422],
    "one bad call among good ones": [200, 404, 200, 409, 200],
    "many bad calls among good ones": [409, 200, 409, 200, 200, 204, 409, 409],
    "retry": [200, 204],
    "failed": [200, 204],
    "failed, and all others with it": [200, 200, 204],
    "skipped": [200, 204],
    "removed": [200, 204],
    "rescheduled": [200, 204],
    "deferred": [200, 204],
    "deferred twice": [200, 204, 200],
    "awaiting a person": [200, 204],
    "a map index": [200, 204],
    "an older version of the API": [200],
    "no version of the API": [404],
    "a correlation id": [200, 409],
    "a trace": [200],
    "XComs": [200, 201, 201, 500, 201, 400, 422, 201, 201, 204],
    "an XCom without a token": [401],
    "an XCom with a workload token": [403],
    "a call that is not batched": [200],
    "a path that is not there": [404],
    "an archive that fails": [200, 200, 200, 201, 500, 204],
    "fields that lose a deadlock once": [200, 200, 200, 204, 201, 204, 204],
    "a third try with another left": [200, 201, 204],
    "a last try": [200, 204],
    "no retries at all": [200, 204],
    "a mapped task": [200, 200, 200, 200, 201, 201, 204, 201, 201, 204, 204],
    "XComs of an earlier try": [200, 200],
    "XComs of an earlier try of a mapped task": [200, 200],
    "a run with all its dates": [200, 200],
    "a run without dates": [200, 204],
    "a run with a note": [200],
    "a run of asset events": [200],
    "rescheduled before": [200, 200],
    "restarting": [200, 204],
    "resumed after a deferral": [200, 204],
    "waiting for nothing any more": [200, 204],
    "nobody's task": [200, 204],
    "fields of many runs": [200, 200, 201, 201, 204],
    "fields of an old run": [200, 201],
    "no host": [200, 204, 204],
    "a process number too large": [422, 200],
    "a host name too long": [422, 200],
    "numbers as text": [200, 204],
    "dates as they may be written": [200, 200, 422, 204, 204],
    "an end without a map index": [200, 204],
    "failed upstream": [200, 204],
    "begun and failed in one batch": [200, 201, 201, 204, 204],
    "calls after the end": [200, 204, 409, 201],
    "a start after the end in one batch": [200, 204, 409],
    "a fault in one task of many": [200, 200, 201, 204, 409, 204],
    "a plain and a rare end": [200, 200, 204, 204],
    "fields of all kinds": [200, 201, 201],
    "fields that are none": [200, 500, 422],
    "fields that are no JSON": [200, 422, 422],
    "fields before the start": [201],
    "XComs of all kinds": [200, 201, 201, 201, 201, 201, 201, 201, 201, 204, 201],
    "an XCom that the database refuses": [200, 200, 422, 204],
    "an XCom of a broken character": [200, 422],
    "an XCom that is no number": [200, 422],
    "XComs asked strangely": [200, 201, 500, 201, 201, 422],
    "an XCom of another task": [200, 200, 201, 204],
    "an XCom too deep": [200, 422],
    "a trace of a whole life": [200, 201, 204],
    "workload and execution token in one batch": [200, 201, 204],
    "an ending token and a good one in one batch": [200, 204, 204],
    "a commit that fails": [200, 500, 200, 204],
}

#: What of each story is left to Airflow's functions, by number within its batch; nothing of the others.
LEFT: dict[str, list[int]] = {
    "a start repeated by the same process": [0],
    "a start repeated by another process": [0],
    "a start after the end": [0],
    "an end before the start": [0],
    "a success repeated": [0],
    "a heartbeat before the start": [0],
    "a heartbeat after the end": [0],
    "a heartbeat of another process": [0],
    "unknown task instance": [0, 1, 2, 3],
    "archived task instance": [0, 1, 0, 1, 2],
    "no token": [0],
    "not a token": [0],
    "an expired token": [0],
    "a token that ends soon": [0, 0, 1],
    "another task's token": [0],
    "a token of an unknown scope": [0],
    "a workload token ends": [0, 1, 2],
    "a body without its fields": [0],
    "a body with a field too many": [0],
    "a body that is not JSON": [0],
    "no body": [0],
    "a body that is null": [0],
    "a body of another media type": [0],
    "an unknown state": [0],
    "not a task instance's id": [0],
    "a value that the database refuses": [0],
    "one bad call among good ones": [1, 3],
    "many bad calls among good ones": [0, 1, 2, 3, 4, 5, 6, 7],
    "retry": [0],
    "failed, and all others with it": [0],
    "rescheduled": [0],
    "deferred": [0],
    "deferred twice": [0, 0],
    "awaiting a person": [0],
    "an older version of the API": [0],
    "no version of the API": [0],
    "a correlation id": [1],
    "XComs": [0, 1, 2, 3, 4, 5, 6, 7, 8],
    "an XCom without a token": [0],
    "an XCom with a workload token": [0],
    "a call that is not batched": [0],
    "a path that is not there": [0],
    "an archive that fails": [1],
    "fields that lose a deadlock once": [0, 1, 2, 3],
    "a run of asset events": [0],
    "restarting": [0],
    "resumed after a deferral": [0],
    "a process number too large": [0],
    "a host name too long": [0],
    "dates as they may be written": [2],
    "calls after the end": [0, 1, 2],
    "a start after the end in one batch": [0, 1],
    "a fault in one task of many": [2],
    "a plain and a rare end": [1],
    "fields that are none": [0, 0],
    "fields that are no JSON": [0, 1],
    "an XCom that the database refuses": [0],
    "an XCom of a broken character": [0],
    "an XCom that is no number": [0],
    "XComs asked strangely": [0, 1, 2, 3, 0],
    "an XCom of another task": [0],
    "an XCom too deep": [0],
    "an ending token and a good one in one batch": [0, 1, 2],
    "a commit that fails": [0, 1, 2, 3],
}


@pytest.fixture(scope="module")
def told(tell: Tell) -> Any:
    """What the stories' program tells."""
    # A path before everything: the batch route lies beside the execution API, wherever that is.
    return tell(PROGRAM, {"AIRFLOW__API__BASE_URL": "http://testserver/base"})


def test_every_story_is_expected(told: Any) -> None:
    assert list(told["stories"]) == list(STATUSES)


@pytest.mark.parametrize("story", STATUSES)
def test_a_batch_answers_as_the_single_routes_do(told: Any, story: str) -> None:
    single, batch = (told["stories"][story][how]["answers"] for how in ("single", "batch"))

    assert [answer["status"] for answer in single] == STATUSES[story]
    assert batch == single


@pytest.mark.parametrize("story", STATUSES)
def test_a_batch_leaves_the_rows_that_the_single_routes_leave(told: Any, story: str) -> None:
    single, batch = (told["stories"][story][how]["rows"] for how in ("single", "batch"))

    assert batch == single


@pytest.mark.parametrize("story", STATUSES)
def test_regular_calls_are_done_by_our_statements_and_only_those(told: Any, story: str) -> None:
    assert told["stories"][story]["left"] == LEFT.get(story, [])


def test_a_batch_takes_as_many_statements_for_three_tasks_as_for_one(told: Any) -> None:
    assert told["statements"] == {"one start": 2, "three starts": 2, "one end": 4, "three ends": 4}


def test_a_lost_connection_costs_a_batch_no_call(told: Any) -> None:
    kept, found, states = told["cut_off"]

    assert kept == 1
    # Airflow's pool tries a connection before it lends it; the kept one is replaced by one of those.
    assert found == [[200, [0]], [200, []]]
    assert states == ["running", "running", "running", "queued"]


def test_another_airflow_is_left_to_its_own_functions_and_that_is_said_once(told: Any) -> None:
    why = {
        "VERSION": "this is Airflow 3.3.2, the statements are those of 3.3.3",
        "DIGEST": "the files of Airflow 3.3.2 were changed",
        "_FUNCTIONS": "ti_run was replaced",
    }
    for difference, (statuses, left, said) in told["other_airflow"].items():
        assert (statuses, left) == ([200, 204], [0, 0])
        assert len(said) == 1
        assert said[0].endswith(why[difference])


def test_a_task_that_announces_assets_is_left_to_the_single_route(told: Any) -> None:
    assert told["assets"] == [[421, 204], ["running", "success", "queued", "queued"]]


def test_calls_of_a_batch_share_a_transaction(told: Any) -> None:
    # Ours, and one for what is left to Airflow's functions, when there is any.
    assert told["transactions"] == {
        "four starts": 1,
        "each kind of call": 2,
        "rare ones": 1,
        "a bad rare one": 2,
    }


def test_a_batch_gives_way_before_a_deadlock_and_does_the_rest(told: Any) -> None:
    statuses, got, states = told["deadlock"]

    assert got == ["both"]
    assert statuses == [421, 421, 200, 204]
    assert states.count("deferred") == 1


def test_a_row_that_somebody_holds_delays_no_other_call(told: Any) -> None:
    statuses, states, left = told["held"]

    assert statuses == [200, 421, 421, 200]
    assert states == ["running", "queued", "running", "queued"]
    assert left == [1, 2]


def test_no_task_ends_well_whose_xcom_is_not_stored(told: Any) -> None:
    statuses, states = told["dependent"]

    assert statuses == [201, 204, 201, 400, 421, 422, 421, 201, 421]
    assert states == ["success", "running", "running", "running"]


def test_what_is_no_batch_is_refused(told: Any) -> None:
    assert told["refusals"] == {
        "not a batch": 400,
        "too many": 400,
        "no list": 400,
        "empty": 200,
        "GET": 405,
        "beside": 404,
    }


def test_airflow_has_the_route_functions_that_a_batch_calls(told: Any) -> None:
    # One that needs what a batch does not provide would be missing here, and go by the single route.
    assert told["taken"] == ["set_xcom", "ti_heartbeat", "ti_put_rtif", "ti_run", "ti_update_state"]


def test_what_the_server_has_loaded_is_left_alone_by_the_collector(told: Any) -> None:
    # Else it would wait for a quarter of it in garbage before it looks at what is old.
    loaded, rest = told["left_alone"]

    assert loaded > 2 * rest
