"""Tells each story twice on a real PostgreSQL, by single calls and in a batch, and prints what came of it.

Run by test_batch_route.py in a process of its own; Airflow's settings come from the environment.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow import settings
from airflow.api_fastapi.app import create_app
from airflow.api_fastapi.auth.tokens import JWTGenerator, get_signing_args
from airflow.api_fastapi.execution_api.app import _jwt_generator
from airflow.models.dagbundle import DagBundleModel
from airflow.models.serialized_dag import SerializedDagModel
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG
from airflow.serialization.definitions.dag import SerializedDAG
from airflow.serialization.serialized_objects import LazyDeserializedDAG
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState
from airflow.utils.types import DagRunTriggeredByType, DagRunType
from sqlalchemy import event, text
from starlette.testclient import TestClient

from orrery.executor import batch_compat
from orrery.executor.batch_protocol import MEDIA_TYPE, PATH, Answer, Call, answers, pack

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

BASE = "/base"
VERSION = "2026-06-30"
START = "2001-01-01T00:00:00Z"
END = "2001-01-01T00:00:07Z"
HOST = {"hostname": "host", "pid": 7}
TASKS = 4
UNKNOWN = "01a209c8-3b49-798e-9254-973d5bb0411f"


@dataclass(frozen=True)
class Step:
    """One call; `task` counts within the story."""

    task: int
    method: str
    path: str
    body: Any
    token: str | None = "execution"
    headers: dict[str, str] = field(default_factory=dict)
    raw: bytes | None = None
    of: int | None = None
    """Whose token it carries, if not the task's own."""


def run(task: int = 0, **changes: Any) -> Step:
    body = {"state": "running", "unixname": "user", "start_date": START, **HOST}
    return _step(task, "PATCH", "run", body, **changes)


def state(name: str, task: int = 0, body: dict[str, Any] | None = None, **changes: Any) -> Step:
    whole = {"state": name, "end_date": END, **(body or {})}
    return _step(task, "PATCH", "state", {k: v for k, v in whole.items() if v is not None}, **changes)


def success(task: int = 0, **changes: Any) -> Step:
    return state("success", task, {"task_outlets": [], "outlet_events": []}, **changes)


def beat(task: int = 0, body: dict[str, Any] | None = None, **changes: Any) -> Step:
    return _step(task, "PUT", "heartbeat", HOST | (body or {}), **changes)


def fields(task: int = 0, **changes: Any) -> Step:
    return _step(task, "PUT", "rtif", {"bash_command": "echo", "password": "hidden", "env": None}, **changes)


def xcom(key: str, value: Any, task: int = 0, query: str = "", **changes: Any) -> Step:
    return Step(task, "POST", f"xcoms/{{dag}}/run/{{task}}/{key}{query}", value, **changes)


def _step(task: int, method: str, action: str, body: Any, *, key: str = "{id}", **changes: Any) -> Step:
    return Step(task, method, f"task-instances/{key}/{action}", body, **changes)


DEFERRED = {
    "end_date": None,
    "classpath": "a.B",
    "trigger_kwargs": {"x": 1},
    "trigger_timeout": "P1D",
    "next_method": "execute_complete",
    "next_kwargs": {"y": 2},
}
LATE = {"reschedule_date": "2001-02-01T00:00:00Z"}
ASSET = {"task_outlets": [{"name": "a", "uri": "s3://a", "type": "Asset"}], "outlet_events": []}
AWAITING: dict[str, Any] = {"end_date": None, "next_method": "m", "next_kwargs": {}}
OTHER_BODY = {"hostname": "elsewhere"}

UNLUCKY = json.dumps(
    {"state": "running", "hostname": "unlucky", "unixname": "u", "pid": 1, "start_date": START}
).encode()

#: name -> the steps; in the batch they are one HTTP call, unless a list divides them.
STORIES: dict[str, list[Step] | list[list[Step]]] = {
    "a task from start to success": [[run()], [fields()], [beat()], [success()]],
    "a whole life in one batch": [run(), fields(), beat(), success()],
    "rendered fields and the success that follows": [[run()], [fields(), success()]],
    "fields twice": [[run()], [fields(), fields()]],
    "four tasks at a time": [
        [run(3), run(1), run(0), run(2)],
        [fields(2), success(2), success(0), fields(3), success(3), success(1)],
    ],
    "a start repeated by the same process": [[run()], [run()]],
    "a start repeated by another process": [
        [run()],
        [
            run(
                raw=json.dumps(
                    {"state": "running", "hostname": "h2", "unixname": "u", "pid": 1, "start_date": START}
                ).encode()
            )
        ],
    ],
    "a start after the end": [[run(), success()], [run()]],
    "an end before the start": [success()],
    "a success repeated": [[run(), success()], [success()]],
    "a heartbeat before the start": [beat()],
    "a heartbeat after the end": [[run(), success()], [beat()]],
    "a heartbeat of another process": [[run()], [beat(body=OTHER_BODY)]],
    "unknown task instance": [
        run(key=UNKNOWN, token=UNKNOWN),
        success(key=UNKNOWN, token=UNKNOWN),
        beat(key=UNKNOWN, token=UNKNOWN),
        fields(key=UNKNOWN, token=UNKNOWN),
    ],
    "archived task instance": [[run(), state("up_for_retry")], [beat(), fields(), success()]],
    "no token": [run(token=None)],
    "not a token": [run(token="garbage")],
    "an expired token": [run(token="expired")],
    "a token that ends soon": [[run(token="ending")], [beat(token="ending"), success(token="ending")]],
    "another task's token": [run(of=1)],
    "a token of an unknown scope": [run(token="strange")],
    "a workload token starts": [run(token="workload")],
    "a workload token ends": [
        [run()],
        [success(token="workload"), beat(token="workload"), fields(token="workload")],
    ],
    "a body without its fields": [run(raw=b'{"state": "running"}')],
    "a body with a field too many": [beat(body={"more": 1})],
    "a body that is not JSON": [run(raw=b"{")],
    "no body": [run(raw=b"")],
    "a body that is null": [run(raw=b"null")],
    "a body of another media type": [run(headers={"content-type": "text/plain"})],
    "an unknown state": [state("excellent")],
    "not a task instance's id": [run(key="not-an-id")],
    "a value that the database refuses": [
        [run()],
        [state("success", body={"task_outlets": [], "outlet_events": [], "rendered_map_index": "x" * 400})],
    ],
    "one bad call among good ones": [run(0), run(1, key=UNKNOWN, token=UNKNOWN), run(2), beat(3), run(1)],
    "many bad calls among good ones": [
        beat(0),
        run(0),
        success(1),
        run(1),
        run(2),
        success(2),
        beat(2),
        beat(3),
    ],
    "retry": [[run()], [state("up_for_retry", body={"retry_delay_seconds": 3.5, "retry_reason": "because"})]],
    "failed": [[run()], [state("failed")]],
    "failed, and all others with it": [[run(0), run(1)], [state("failed", 0)]],
    "skipped": [[run()], [state("skipped")]],
    "removed": [[run()], [state("removed")]],
    "rescheduled": [[run()], [state("up_for_reschedule", body=LATE)]],
    "deferred": [[run()], [state("deferred", body=DEFERRED)]],
    "deferred twice": [[run()], [state("deferred", body=DEFERRED)], [state("deferred", body=DEFERRED)]],
    "awaiting a person": [[run()], [state("awaiting_input", body=AWAITING)]],
    "a map index": [
        [run()],
        [state("success", body={"task_outlets": [], "outlet_events": [], "rendered_map_index": "first"})],
    ],
    "an older version of the API": [run(headers={"airflow-api-version": "2025-11-05"})],
    "no version of the API": [run(headers={"airflow-api-version": ""})],
    "a correlation id": [run(headers={"correlation-id": "abc"}), beat(1, headers={"correlation-id": "def"})],
    "a trace": [run(headers={"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"})],
    "XComs": [
        [run()],
        [
            xcom("return_value", {"a": [1, None]}),
            xcom("a%2Fb%20c", "text"),
            xcom("k", 1, query="?map_index=3"),
            xcom("k", 2, query="?mapped_length=2"),
            xcom("k", 2, query="?mapped_length=99999"),
            xcom("k", 2, query="?map_index=x"),
            xcom("none", None),
            xcom("k", 5),
            success(),
        ],
    ],
    "an XCom without a token": [xcom("k", 1, token=None)],
    "an XCom with a workload token": [xcom("k", 1, token="workload")],
    "a call that is not batched": [Step(0, "GET", "task-instances/{id}/previous-successful-dagrun", None)],
    "a path that is not there": [Step(0, "PUT", "task-instances/{id}/nothing", {})],
    "an archive that fails": [
        [run(0), run(1, raw=UNLUCKY), run(2)],
        [fields(0), state("up_for_retry", 1), success(2)],
    ],
    "fields that lose a deadlock once": [
        [run(0), run(1), run(2)],
        [success(0), fields(1, raw=b'{"field": "unlucky"}'), success(1), success(2)],
    ],
    "a commit that fails": [
        run(0),
        run(
            1,
            raw=json.dumps(
                {"state": "running", "hostname": "doomed", "unixname": "u", "pid": 1, "start_date": START}
            ).encode(),
        ),
        run(2),
        beat(2),
    ],
}
FAIL_FAST = frozenset({"failed, and all others with it"})

DOOM = """
CREATE FUNCTION doom() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN IF NEW.hostname = 'doomed' THEN RAISE EXCEPTION 'doomed'; END IF; RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER doom AFTER UPDATE ON task_instance DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW EXECUTE FUNCTION doom();
CREATE FUNCTION misfortune() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN IF NEW.hostname = 'unlucky' THEN RAISE EXCEPTION 'unlucky'; END IF; RETURN NEW; END $$;
CREATE TRIGGER misfortune BEFORE INSERT ON task_instance_history
FOR EACH ROW EXECUTE FUNCTION misfortune();
CREATE SEQUENCE luck;
CREATE FUNCTION bad_luck() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.rendered_fields::text LIKE '%unlucky%' AND nextval('luck') % 2 = 1 THEN
    RAISE EXCEPTION 'unlucky' USING ERRCODE = 'deadlock_detected';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER bad_luck BEFORE INSERT ON rendered_task_instance_fields
FOR EACH ROW EXECUTE FUNCTION bad_luck();
"""


class Side:
    """One telling of all stories, on DAGs of its own whose names have the same length."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.ids: dict[str, list[str]] = {}
        with create_session() as session:
            if session.get(DagBundleModel, "tests") is None:
                session.add(DagBundleModel(name="tests"))
        for number, story in enumerate(STORIES):
            self.ids[story] = self._seed(f"{name}_{number}", is_fail_fast=story in FAIL_FAST)

    def dag(self, story: str) -> str:
        return f"{self.name}_{list(STORIES).index(story)}"

    def _seed(self, dag_id: str, *, is_fail_fast: bool) -> list[str]:
        when = datetime.datetime(2001, 1, 1, tzinfo=datetime.UTC)
        with DAG(dag_id, schedule=None, start_date=when, fail_fast=is_fail_fast) as dag:
            for number in range(TASKS):
                EmptyOperator(task_id=f"task_{number}", retries=0 if is_fail_fast else 2)
        with create_session() as session:
            lazy = LazyDeserializedDAG.from_dag(dag)
            SerializedDAG.bulk_write_to_db("tests", None, [lazy], session=session)
            SerializedDagModel.write_dag(lazy, bundle_name="tests", session=session)
        with create_session() as session:
            run = SerializedDagModel.get_dag(dag_id, session=session).create_dagrun(
                run_id="run",
                logical_date=when,
                data_interval=(when, when),
                run_after=when,
                run_type=DagRunType.MANUAL,
                triggered_by=DagRunTriggeredByType.TEST,
                state=DagRunState.RUNNING,
                start_date=when,
                conf={"key": ["value"]},
                session=session,
            )
            found = sorted(run.get_task_instances(session=session), key=lambda each: each.task_id)
            for each in found:
                each.state, each.try_number = "queued", 1
            return [str(each.id) for each in found]


class Tokens:
    """Tokens of all kinds; the same task and kind always get the same."""

    def __init__(self) -> None:
        self._usual = _jwt_generator()

    def make(self, kind: str, task: str) -> str:
        if kind == "garbage":
            return "a.b.c"
        if kind in ("execution", "workload", "strange"):
            return str(self._usual.generate(extras={"sub": task, "scope": kind}))
        if kind in ("ending", "expired"):
            seconds = {"ending": 20, "expired": -100}[kind]
            brief = JWTGenerator(
                valid_for=seconds,
                audience=self._usual.audience,
                **get_signing_args(make_secret_key_if_needed=False),
            )
            return str(brief.generate(extras={"sub": task, "scope": "execution"}))
        return str(self._usual.generate(extras={"sub": kind, "scope": "execution"}))


def calls(side: Side, story: str, steps: Sequence[Step], tokens: Tokens) -> list[Call]:
    made = []
    for step in steps:
        ids = side.ids[story]
        own = ids[step.task]
        headers = {"airflow-api-version": VERSION, "content-type": "application/json"} | step.headers
        if step.token is not None:
            headers["authorization"] = "Bearer " + tokens.make(
                step.token, ids[step.of if step.of is not None else step.task]
            )
        path = step.path.format(id=own, dag=side.dag(story), task=f"task_{step.task}")
        body = step.raw if step.raw is not None else json.dumps(step.body).encode()
        made.append(Call(step.method, path, headers, body))
    return made


def singly(client: TestClient, asked: Sequence[Call]) -> list[Answer]:
    found = []
    for call in asked:
        response = client.request(
            call.method, f"{BASE}/execution/{call.path}", headers=call.headers, content=call.body
        )
        found.append(Answer(response.status_code, dict(response.headers), response.content))
    return found


def together(client: TestClient, asked: Sequence[Call]) -> list[Answer]:
    response = client.post(f"{BASE}/{PATH}", content=pack(list(asked)), headers={"content-type": MEDIA_TYPE})
    assert response.status_code == 200, response.text
    return answers(response.content, expected=len(asked))


def tell(side: Side, story: str, client: TestClient, tokens: Tokens, how: Any) -> list[Any]:
    chapters = STORIES[story]
    divided: list[list[Step]] = chapters if isinstance(chapters[0], list) else [chapters]
    found = []
    for steps in divided:
        found += [plain(side, story, answer) for answer in how(client, calls(side, story, steps, tokens))]
    return found


def plain(side: Side, story: str, answer: Answer) -> Any:
    """An answer without what differs from one telling to the next."""
    from jwt import decode

    headers = {name.lower(): value for name, value in answer.headers.items()}
    told: dict[str, Any] = {
        name: headers.get(name)
        for name in ("content-type", "correlation-id", "airflow-api-version", "www-authenticate")
    }
    if (renewed := headers.get("refreshed-api-token")) is not None:
        claims = decode(renewed, options={"verify_signature": False})
        told["renewed"] = {name: claims[name] for name in ("sub", "scope", "aud")}
    body = answer.body.decode()
    with contextlib.suppress(ValueError):
        document = json.loads(body)
        detail = document.get("detail") if isinstance(document, dict) else None
        if isinstance(detail, dict) and "when you look for ID" in str(detail.get("message")):
            detail["message"] = "an id in the log"
        body = json.dumps(document)
    return json.loads(
        _neutral(side, story, json.dumps({"status": answer.status, "headers": told, "body": body}))
    )


TABLES = {
    "task_instance": """SELECT task_id, state, try_number, max_tries, hostname, pid, unixname, start_date,
        end_date, duration, next_method, next_kwargs::text, trigger_id IS NOT NULL, rendered_map_index,
        retry_delay_override, retry_reason, last_heartbeat_at IS NOT NULL, trigger_timeout IS NOT NULL
        FROM task_instance WHERE dag_id = :dag ORDER BY 1""",
    "task_instance_history": """SELECT task_id, state, try_number, end_date, duration, retry_reason
        FROM task_instance_history WHERE dag_id = :dag ORDER BY 1, 3""",
    "log": """SELECT task_id, event, map_index, try_number, owner, extra, logical_date
        FROM log WHERE dag_id = :dag ORDER BY 1, id""",
    "rendered fields": """SELECT task_id, map_index, rendered_fields::text
        FROM rendered_task_instance_fields WHERE dag_id = :dag ORDER BY 1, 2""",
    "xcom": """SELECT task_id, key, map_index, value::text FROM xcom WHERE dag_id = :dag ORDER BY 1, 2, 3""",
    "task_map": """SELECT task_id, map_index, length FROM task_map WHERE dag_id = :dag ORDER BY 1, 2""",
    "task_reschedule": """SELECT t.task_id, r.end_date, r.reschedule_date
        FROM task_reschedule r JOIN task_instance t ON t.id = r.ti_id WHERE t.dag_id = :dag ORDER BY 1""",
    "trigger": """SELECT t.task_id, g.classpath, g.queue
        FROM trigger g JOIN task_instance t ON t.trigger_id = g.id WHERE t.dag_id = :dag ORDER BY 1""",
}


def rows(side: Side, story: str) -> Any:
    with create_session() as session:
        found = {
            name: [list(row) for row in session.execute(text(sql), {"dag": side.dag(story)})]
            for name, sql in TABLES.items()
        }
    # When a failure has no end of its own, the server's clock is the end.
    for row in found["task_instance"] + found["task_instance_history"]:
        for number, value in enumerate(row):
            if isinstance(value, datetime.datetime) and value.year > 2001:
                row[number] = "now"
    return json.loads(_neutral(side, story, json.dumps(found, default=str)))


def _neutral(side: Side, story: str, document: str) -> str:
    for number, each in enumerate(side.ids[story]):
        document = document.replace(each, f"<id {number}>")
    return document.replace(side.dag(story), "<dag>")


def compare(client: TestClient, tokens: Tokens) -> dict[str, Any]:
    one, other = Side("aaaaaa"), Side("bbbbbb")
    with create_session() as session:
        session.execute(text(DOOM))
    found = {}
    for story in STORIES:
        found[story] = {
            "single": {"answers": tell(one, story, client, tokens, singly), "rows": rows(one, story)},
            "batch": {"answers": tell(other, story, client, tokens, together), "rows": rows(other, story)},
        }
    return found


def assets(client: TestClient, tokens: Tokens) -> Any:
    """An end that announces an asset is left to its single route, and does nothing here."""
    side = _extra("assets")
    together(client, calls(side, "assets", [run(0), run(1)], tokens))
    steps = [state("success", 0, ASSET), success(1)]
    found = together(client, calls(side, "assets", steps, tokens))
    return [answer.status for answer in found], _states("assets")


def transactions(client: TestClient, tokens: Tokens) -> Any:
    """How many transactions the database commits for one batch."""
    side, counted = _extra("counted"), {}
    batches = {
        "four starts": [run(number) for number in range(4)],
        "each kind of call": [
            fields(0),
            success(0),
            beat(1),
            Step(2, "POST", "xcoms/counted/run/task_2/key", 1),
            state("deferred", 3, DEFERRED),
        ],
        "a bad one in the middle": [beat(1), beat(2, body=OTHER_BODY), fields(3)],
    }
    for name, steps in batches.items():
        commits: list[object] = []

        def note(connection: object, commits: list[object] = commits) -> None:
            commits.append(connection)

        event.listen(settings.engine, "commit", note)
        together(client, calls(side, "counted", steps, tokens))
        event.remove(settings.engine, "commit", note)
        counted[name] = len(commits)
    return counted


def deadlock(client: TestClient, tokens: Tokens) -> Any:
    """The batch holds one row and wants the other, another transaction the reverse: the batch gives way."""
    side = _extra("deadlock")
    ids = side.ids["deadlock"]
    first, last = sorted(ids)[:: TASKS - 1]
    holds, got = threading.Event(), []

    def rival() -> None:
        with settings.engine.connect() as connection:
            lock = text("SELECT 1 FROM task_instance WHERE id = :id FOR UPDATE")
            connection.execute(lock, {"id": last})
            holds.set()
            _until_somebody_waits()
            connection.execute(lock, {"id": first})
            got.append("both")
            connection.rollback()

    thread = threading.Thread(target=rival)
    thread.start()
    holds.wait()
    # Asked in the other order: a batch takes rows in the order of their ids.
    steps = [run(ids.index(last)), beat(ids.index(last)), run(ids.index(first))]
    found = together(client, calls(side, "deadlock", steps, tokens))
    thread.join()
    return [answer.status for answer in found], got, sorted(_states("deadlock"))


def held(client: TestClient, tokens: Tokens) -> Any:
    """Somebody holds a row for long: its call is given back, the others are done."""
    side = _extra("held")
    with settings.engine.connect() as connection:
        lock = text("SELECT 1 FROM task_instance WHERE id = :id FOR UPDATE")
        connection.execute(lock, {"id": side.ids["held"][1]})
        steps = [run(0), run(1), fields(1), run(2)]
        found = together(client, calls(side, "held", steps, tokens))
        connection.rollback()
    return [answer.status for answer in found], _states("held")


def _until_somebody_waits() -> None:
    waiting = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
    with settings.engine.connect() as watch:
        while not watch.execute(waiting).scalar():
            watch.rollback()
            time.sleep(0.01)


def refusals(client: TestClient, tokens: Tokens) -> Any:
    """What is not a batch is refused as a whole."""
    post = {"not a batch": b"{}", "too many": pack([Call("PUT", "x", {}, b"")] * 65), "no list": b"\x80"}
    found = {name: client.post(f"{BASE}/{PATH}", content=body).status_code for name, body in post.items()}
    found["empty"] = client.post(f"{BASE}/{PATH}", content=pack([])).status_code
    found["GET"] = client.get(f"{BASE}/{PATH}").status_code
    found["beside"] = client.post(f"{BASE}/{PATH}/more").status_code
    return found


def taken(client: TestClient, tokens: Tokens) -> Any:
    """Which of Airflow's route functions are served in a batch."""
    return sorted(route.endpoint.__name__ for route in batch_compat.routes())


def _extra(name: str) -> Side:
    side = Side.__new__(Side)
    side.name = name
    side.ids = {name: side._seed(name, is_fail_fast=False)}
    side.dag = lambda story: story  # type: ignore[method-assign]
    return side


def _states(dag: str) -> list[Any]:
    with create_session() as session:
        return list(
            session.scalars(
                text("SELECT state FROM task_instance WHERE dag_id = :dag ORDER BY task_id"), {"dag": dag}
            )
        )


def main() -> None:
    extra: tuple[Callable[[TestClient, Tokens], Any], ...] = (
        assets,
        transactions,
        deadlock,
        held,
        refusals,
        taken,
    )
    tokens = Tokens()
    with TestClient(create_app(), raise_server_exceptions=False) as client:
        found = {"stories": compare(client, tokens)} | {each.__name__: each(client, tokens) for each in extra}
    sys.stdout.write("ANSWER" + json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
