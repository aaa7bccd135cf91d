"""The batch route and Airflow's single routes: the same calls, the same answers, the same rows.

The stories (`batch_route/stories.py`) are told on a real PostgreSQL by Airflow's real application, in a
process of its own; here is what must come of them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from orrery.local import ports, postgres
from orrery.local.postgres import Postgres

if TYPE_CHECKING:
    from collections.abc import Iterator

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
    "a commit that fails": [200, 500, 200, 204],
}


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of an empty database on a server of its own."""
    folder = tmp_path_factory.mktemp("postgres")
    (folder / "secrets").mkdir()
    server = Postgres(
        postgres.programs(Path(sysconfig.get_path("purelib"))),
        folder / "data",
        folder / "secrets",
        ports.free_port(),
    )
    server.initialise()
    log = folder / "log"
    with (
        log.open("wb") as output,
        subprocess.Popen(server.command(), stdout=output, stderr=output) as process,
    ):
        try:
            server.wait_until_ready(is_alive=lambda: process.poll() is None, log=log)
            server.ensure_roles()
            server.ensure_database()
            yield server.url()
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def told(database: str, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What the stories' program tells."""
    home = tmp_path_factory.mktemp("airflow")
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "ORRERY"))
    }
    environment = inherited | {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__FERNET_KEY": "",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database,
        "AIRFLOW__API_AUTH__JWT_SECRET": "0123456789abcdef" * 4,
        # A path before everything: the batch route lies beside the execution API, wherever that is.
        "AIRFLOW__API__BASE_URL": "http://testserver/base",
    }
    for command in (["-m", "airflow", "db", "migrate"], [str(PROGRAM)]):
        done = subprocess.run(
            [sys.executable, "-W", "ignore", *command],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
        assert done.returncode == 0, done.stderr[-4000:]
    [answer] = [line for line in done.stdout.splitlines() if line.startswith("ANSWER")]
    return json.loads(answer.removeprefix("ANSWER"))


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


def test_a_task_that_announces_assets_is_left_to_the_single_route(told: Any) -> None:
    assert told["assets"] == [[421, 204], ["running", "success", "queued", "queued"]]


def test_good_calls_share_one_transaction_and_a_bad_one_parts_them(told: Any) -> None:
    assert told["transactions"] == {"four starts": 1, "each kind of call": 1, "a bad one in the middle": 2}


def test_a_batch_gives_way_before_a_deadlock_and_does_the_rest(told: Any) -> None:
    statuses, got, states = told["deadlock"]

    assert got == ["both"]
    assert statuses == [421, 421, 200]
    assert states.count("running") == 1


def test_a_row_that_somebody_holds_delays_no_other_call(told: Any) -> None:
    assert told["held"] == [[200, 421, 421, 200], ["running", "queued", "running", "queued"]]


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
