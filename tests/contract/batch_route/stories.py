"""Tells each story twice on a real PostgreSQL, by single calls and in a batch, and prints what came of it.

Run by test_batch_route.py in a process of its own; Airflow's settings come from the environment.
"""

from __future__ import annotations

import contextlib
import datetime
import gc
import json
import logging
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

from orrery.executor import batch_api, batch_compat, batch_sets
from orrery.executor import batch_regular_compat as compat
from orrery.executor.batch_protocol import MEDIA_TYPE, NOT_BATCHED, PATH, Answer, Call, answers, pack
from orrery.executor.old_fields import OldFields

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

TRACE = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}


def start(**changes: Any) -> bytes:
    body = {"state": "running", "unixname": "u", "start_date": START, **HOST}
    return json.dumps(body | changes).encode()


def mapped(key: str, value: Any, index: int, query: str = "") -> Step:
    """An XCom of a task of the story 'a mapped task'."""
    path = f"xcoms/{{dag}}/run/task_0/{key}?map_index={index}{query}"
    return Step(index, "POST", path, value)


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
    "a third try with another left": [[run()], [fields(), success()]],
    "a last try": [[run()], [state("failed")]],
    "no retries at all": [[run()], [state("failed")]],
    "a mapped task": [
        [run(0), run(1), run(2), run(3)],
        [
            mapped("return_value", 1, 0),
            fields(0),
            success(0),
            mapped("other", 2, 2, "&mapped_length=3"),
            fields(2),
            state("skipped", 2),
            state("success", 3, {"rendered_map_index": "third"}),
        ],
    ],
    "XComs of an earlier try": [run(0), run(1)],
    "XComs of an earlier try of a mapped task": [run(0), run(1)],
    "a run with all its dates": [run(0), run(1)],
    "a run without dates": [[run(0)], [success(0)]],
    "a run with a note": [run()],
    "a run of asset events": [run()],
    "rescheduled before": [run(0), run(1)],
    "restarting": [[run()], [success()]],
    "resumed after a deferral": [[run()], [success()]],
    "waiting for nothing any more": [[run()], [success()]],
    "nobody's task": [[run()], [success()]],
    "fields of many runs": [[run(0), run(1)], [fields(0), fields(1), success(0)]],
    "fields of an old run": [[run()], [fields()]],
    "no host": [[run(raw=start(hostname=""))], [beat(body={"hostname": ""}), success()]],
    "a process number too large": [run(0, raw=start(pid=2**40)), run(1)],
    "a host name too long": [run(0, raw=start(hostname="x" * 1001)), run(1)],
    "numbers as text": [[run(raw=start(pid="7"))], [beat(body={"pid": "7"})]],
    "dates as they may be written": [
        [
            run(0, raw=start(start_date="2001-01-01T02:00:00.123456+02:00")),
            run(1, raw=start(start_date=978307200)),
            run(2, raw=start(start_date="2001-01-01T00:00:00")),
        ],
        [
            state("success", 0, {"end_date": "2000-12-31T19:00:09.5-05:00"}),
            state("failed", 1, {"end_date": 978307207.25}),
        ],
    ],
    "an end without a map index": [[run()], [state("success", body={"rendered_map_index": None})]],
    "failed upstream": [[run()], [state("upstream_failed", body={"rendered_map_index": "u"})]],
    "begun and failed in one batch": [run(), fields(), xcom("k", 1), beat(), state("failed")],
    "calls after the end": [[run()], [success(), beat(), fields()]],
    "a start after the end in one batch": [[run()], [success(), run()]],
    "a fault in one task of many": [
        [run(0), run(1)],
        [fields(0), success(0), beat(1, body=OTHER_BODY)],
        [beat(1)],
    ],
    "a plain and a rare end": [[run(0), run(1)], [success(0), state("deferred", 1, DEFERRED)]],
    "fields of all kinds": [
        [run()],
        [fields(raw=json.dumps({"a": {"b": [1.5, True, None, "\u00fc\U0001f600"]}, "token": "x"}).encode())],
        [fields(raw=b'{"nul": "\\u0000", "twice": 1, "twice": 2, "big": 1e2}')],
    ],
    "fields that are none": [[run()], [fields(raw=b"{}")], [fields(raw=b"[]")]],
    "fields that are no JSON": [[run()], [fields(raw=b'{"a": NaN}'), fields(raw=b'{"a": 1e999}')]],
    "fields before the start": [fields()],
    "XComs of all kinds": [
        [run()],
        [
            xcom("numbers", [1.0, 100, 1e2, 2**70, -0.0, 1.25]),
            xcom("text", "\u00fc \U0001f600 \n"),
            xcom("deep", {"a": {"b": [[], {}, [None, False]]}}),
            xcom("twice", None, raw=b'{"a": 1, "a": 2}'),
            xcom("return_value", [1, 2, 3], query="?dag_result=true"),
            xcom("return_value", [1, 2], query="?mapped_length=2&dag_result=false"),
        ],
        [xcom("return_value", [1], query="?mapped_length=1"), xcom("return_value", 5), success()],
        [xcom("after", "the end")],
    ],
    "an XCom that the database refuses": [[run(0), run(1)], [xcom("nul", "a\0b"), success(1)]],
    "an XCom of a broken character": [[run()], [xcom("half", None, raw=b'"\\ud800"')]],
    "an XCom that is no number": [[run()], [xcom("nan", None, raw=b"NaN")]],
    "XComs asked strangely": [
        [run()],
        [
            xcom("k", 1, query="?dag_result=yes"),
            xcom("k", 2, query="?mapped_length=-1"),
            xcom("k", 3, query="?map_index=-1"),
            xcom("k", 4, query="?unknown=1"),
        ],
        [xcom("k" * 600, 1)],
    ],
    "an XCom of another task": [[run(0), run(1)], [xcom("k", 1, 1, of=0), success(1)]],
    "an XCom too deep": [[run()], [xcom("deep", None, raw=b"[" * 300 + b"]" * 300)]],
    "a trace of a whole life": [
        run(headers=TRACE),
        fields(headers=TRACE),
        success(headers=TRACE | {"correlation-id": "xyz"}),
    ],
    "workload and execution token in one batch": [run(token="workload"), fields(), success()],
    "an ending token and a good one in one batch": [run(token="ending"), beat(), success()],
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
_ALL_ONE = (
    "UPDATE task_instance SET task_id = 'task_0', map_index = right(task_id, 1)::int WHERE dag_id = :dag"
)
_XCOM = """INSERT INTO xcom (dag_run_id, task_id, map_index, key, dag_id, run_id, value, timestamp)
    SELECT r.id, t.task_id, t.map_index, key, t.dag_id, t.run_id, '1', now()
    FROM task_instance t JOIN dag_run r USING (dag_id, run_id), unnest(ARRAY['b', 'a', 'c']) AS key
    WHERE t.dag_id = :dag AND right(t.task_id, 1)::int + t.map_index IN (-1, 1, 2)"""
_RUNS = """INSERT INTO dag_run (dag_id, run_id, run_type, run_after, clear_number, span_status, conf, state)
    SELECT dag_id, 'run ' || n, run_type, run_after + n * interval '1 day', 0, span_status, '{{}}', 'success'
    FROM dag_run, generate_series({first}, {last}) AS n WHERE dag_id = :dag AND run_id = 'run' AND n <> 0"""
_THEIR_TASKS = """INSERT INTO task_instance
    (id, dag_id, task_id, run_id, map_index, pool, pool_slots, try_number)
    SELECT gen_random_uuid(), dag_id, 'task_' || n, run_id, m, 'default_pool', 1, 1
    FROM dag_run, generate_series(0, 2) AS n, generate_series(-1, 0) AS m
    WHERE dag_id = :dag AND run_id <> 'run'"""
_THEIR_FIELDS = """INSERT INTO rendered_task_instance_fields
    (dag_id, task_id, run_id, map_index, rendered_fields)
    SELECT dag_id, task_id, run_id, map_index, '{}' FROM task_instance
    WHERE dag_id = :dag AND run_id <> 'run'"""
_TRY = """UPDATE task_instance SET try_number = {0}, max_tries = {1}, retry_reason = 'r',
    retry_delay_override = 3.5, end_date = '2000-01-01Z', start_date = '2000-01-01Z',
    rendered_map_index = 'old' WHERE dag_id = :dag"""
_QUEUED = "UPDATE task_instance SET {0} WHERE dag_id = :dag"

#: story -> what is done to its rows before it is told.
BEFORE: dict[str, list[str]] = {
    "a third try with another left": [_TRY.format(3, 3)],
    "a last try": [_TRY.format(3, 2)],
    "no retries at all": [_TRY.format(1, 0)],
    "a mapped task": [_ALL_ONE],
    "XComs of an earlier try": [_XCOM],
    "XComs of an earlier try of a mapped task": [_ALL_ONE, _XCOM],
    "a run with all its dates": [
        """UPDATE dag_run SET data_interval_start = '2001-01-01 03:00:00.5+03', end_date = '2001-02-01Z',
        run_type = 'scheduled', clear_number = 2, triggering_user_name = 'somebody', partition_key = 'p',
        partition_date = '2001-01-02Z', conf = '{"a": {"b": [1.0, null, "\u00fc"]}}', state = 'failed'
        WHERE dag_id = :dag"""
    ],
    "a run without dates": [
        """UPDATE dag_run SET logical_date = NULL, data_interval_start = NULL, data_interval_end = NULL,
        start_date = NULL, conf = NULL WHERE dag_id = :dag"""
    ],
    "a run with a note": [
        """INSERT INTO dag_run_note (dag_run_id, content, created_at, updated_at)
        SELECT id, 'a note', now(), now() FROM dag_run WHERE dag_id = :dag"""
    ],
    "a run of asset events": [
        """INSERT INTO asset (name, uri, "group", extra, created_at, updated_at)
        VALUES (:dag, :dag, 'asset', '{}', now(), now())""",
        """INSERT INTO asset_event (asset_id, extra, source_map_index, timestamp)
        SELECT id, '{}', -1, '2001-01-01Z' FROM asset WHERE name = :dag""",
        """INSERT INTO dagrun_asset_event (dag_run_id, event_id)
        SELECT r.id, e.id FROM dag_run r, asset_event e JOIN asset a ON a.id = e.asset_id
        WHERE r.dag_id = :dag AND a.name = :dag""",
    ],
    "rescheduled before": [
        """INSERT INTO task_reschedule (ti_id, start_date, end_date, duration, reschedule_date)
        SELECT id, now(), '2001-01-01Z', 1, '2001-01-01Z' FROM task_instance, generate_series(1, 2)
        WHERE dag_id = :dag AND task_id = 'task_1'"""
    ],
    "restarting": [_QUEUED.format("state = 'restarting'")],
    "resumed after a deferral": [
        _QUEUED.format(
            "next_method = 'm', next_kwargs = jsonb_build_object('a', 1), start_date = '2000-12-31Z'"
        )
    ],
    "waiting for nothing any more": [_QUEUED.format("next_kwargs = 'null', trigger_timeout = '2001-01-01Z'")],
    "nobody's task": ["UPDATE dag SET owners = NULL, fail_fast = false WHERE dag_id = :dag"],
    "fields of many runs": [_RUNS.format(first=-40, last=-1), _THEIR_TASKS, _THEIR_FIELDS],
    "fields of an old run": [_RUNS.format(first=-3, last=40), _THEIR_TASKS, _THEIR_FIELDS],
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
            with create_session() as session:
                for sql in [_QUEUED.format("updated_at = '2001-01-01Z'"), *BEFORE.get(story, [])]:
                    session.execute(text(sql), {"dag": self.dag(story)})

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


def as_workers_do(client: TestClient, asked: Sequence[Call]) -> list[Answer]:
    """In a batch; what it gives back, by itself."""
    found = together(client, asked)
    return [
        singly(client, [call])[0] if answer.status == NOT_BATCHED else answer
        for call, answer in zip(asked, found, strict=True)
    ]


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
        retry_delay_override, retry_reason, last_heartbeat_at > '2010-01-01Z', trigger_timeout IS NOT NULL,
        updated_at > '2010-01-01Z', map_index, run_id
        FROM task_instance WHERE dag_id = :dag ORDER BY run_id, 1, map_index""",
    "dag_run": """SELECT run_id, state, start_date, end_date, clear_number, conf::text
        FROM dag_run WHERE dag_id = :dag ORDER BY 1""",
    "task_instance_history": """SELECT task_id, state, try_number, end_date, duration, retry_reason
        FROM task_instance_history WHERE dag_id = :dag ORDER BY 1, 3""",
    "log": """SELECT task_id, event, map_index, try_number, owner, owner_display_name, extra, logical_date,
        run_id, dttm > '2010-01-01Z' FROM log WHERE dag_id = :dag ORDER BY 1, map_index, id""",
    "rendered fields": """SELECT run_id, task_id, map_index, rendered_fields::text, k8s_pod_yaml::text
        FROM rendered_task_instance_fields WHERE dag_id = :dag ORDER BY 1, 2, 3""",
    "xcom": """SELECT x.task_id, key, map_index, value::text, dag_result, x.run_id, r.run_id,
        timestamp > '2010-01-01Z' FROM xcom x JOIN dag_run r ON r.id = x.dag_run_id
        WHERE x.dag_id = :dag ORDER BY 1, 2, 3""",
    "task_map": """SELECT task_id, map_index, length, keys::text
        FROM task_map WHERE dag_id = :dag ORDER BY 1, 2""",
    "task_reschedule": """SELECT t.task_id, r.end_date, r.reschedule_date
        FROM task_reschedule r JOIN task_instance t ON t.id = r.ti_id WHERE t.dag_id = :dag ORDER BY 1""",
    "trigger": """SELECT t.task_id, g.classpath, g.queue
        FROM trigger g JOIN task_instance t ON t.trigger_id = g.id WHERE t.dag_id = :dag ORDER BY 1""",
}


def rows(side: Side, story: str) -> Any:
    batch_sets._old_fields.sweep()
    with create_session() as session:
        found = {
            name: [list(row) for row in session.execute(text(sql), {"dag": side.dag(story)})]
            for name, sql in TABLES.items()
        }
    # When a failure has no end of its own, the server's clock is the end.
    for row in found["task_instance"] + found["task_instance_history"] + found["dag_run"]:
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
            "batch": {
                "answers": tell(other, story, client, tokens, as_workers_do),
                "rows": rows(other, story),
            },
            "left": left_to_airflow.copy(),
        }
        left_to_airflow.clear()
    return found


#: The numbers (in their batches) of the calls that were not done by statements of ours.
left_to_airflow: list[int] = []


def watch() -> None:
    """Note which calls of a batch are left to Airflow's functions; old fields go when `rows` says so."""
    original = batch_api.Batch._check

    async def noting(self: Any, number: int, services: Any) -> Any:
        left_to_airflow.append(number)
        return await original(self, number, services)

    batch_api.Batch._check = noting  # type: ignore[method-assign]
    # No statement at a time of its own among those that are counted.
    batch_sets._old_fields = OldFields(batch_sets._forget_fields, wait_seconds=10_000)


def statements(client: TestClient, tokens: Tokens) -> Any:
    """How many statements a batch takes, whatever the number of tasks."""
    side, counted = _extra("statements"), {}
    batches = {
        "one start": [run(0)],
        "three starts": [run(1), run(2), run(3)],
        "one end": [fields(0), Step(0, "POST", "xcoms/statements/run/task_0/key", 1), success(0)],
        "three ends": [
            step
            for number in (1, 2, 3)
            for step in (
                fields(number),
                Step(number, "POST", f"xcoms/statements/run/task_{number}/key", 1),
                success(number),
            )
        ],
    }
    for name, steps in batches.items():
        made: list[str] = []

        def note(_c: Any, _k: Any, statement: str, *_others: Any, made: list[str] = made) -> None:
            made.append(statement)

        event.listen(settings.engine, "before_cursor_execute", note)
        together(client, calls(side, "statements", steps, tokens))
        event.remove(settings.engine, "before_cursor_execute", note)
        counted[name] = len(made)
    return counted


def other_airflow(client: TestClient, tokens: Tokens) -> Any:
    """What batches do on another Airflow: version, changed files, a function that was replaced."""
    side, found = _extra("otherone"), {}
    heard: list[str] = []

    class Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            heard.append(record.getMessage())

    ear = Ear()
    logging.getLogger(compat.__name__).addHandler(ear)

    def ti_run() -> None: ...

    ti_run.__module__ = compat._FUNCTIONS[0].__module__
    replaced = (ti_run, *compat._FUNCTIONS)
    for number, (name, value) in enumerate(
        {"VERSION": "3.3.3", "DIGEST": "0", "_FUNCTIONS": replaced}.items()
    ):
        kept = getattr(compat, name)
        setattr(compat, name, value)
        compat.is_known.cache_clear()
        left_to_airflow.clear()
        heard.clear()
        statuses = [
            answer.status for answer in together(client, calls(side, "otherone", [run(number)], tokens))
        ]
        statuses += [
            answer.status for answer in together(client, calls(side, "otherone", [beat(number)], tokens))
        ]
        found[name] = [statuses, left_to_airflow.copy(), heard.copy()]
        setattr(compat, name, kept)
    compat.is_known.cache_clear()
    logging.getLogger(compat.__name__).removeHandler(ear)
    return found


def cut_off(client: TestClient, tokens: Tokens) -> Any:
    """The database ends the connection that is kept between batches: the next batch is done all the same."""
    side = _extra("cut_off")
    together(client, calls(side, "cut_off", [run(0)], tokens))
    kept = len(batch_sets._connections._idle)
    with create_session() as session:
        session.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
                " AND datname = current_database()"
            )
        )
    found = []
    for number in (1, 2):
        left_to_airflow.clear()
        answered = together(client, calls(side, "cut_off", [run(number)], tokens))
        found.append([answered[0].status, left_to_airflow.copy()])
    return kept, found, _states("cut_off")


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
        "rare ones": [success(0), state("deferred", 3, DEFERRED)],
        "a bad rare one": [success(0), beat(2, body=OTHER_BODY), state("deferred", 3, DEFERRED)],
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
    # What is deferred is done by Airflow's functions, which wait for rows.
    steps = [
        step
        for each in (last, first)
        for step in (run(ids.index(each)), state("deferred", ids.index(each), DEFERRED))
    ]
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
        left_to_airflow.clear()
        found = together(client, calls(side, "held", steps, tokens))
        connection.rollback()
    return [answer.status for answer in found], _states("held"), sorted(set(left_to_airflow))


def dependent(client: TestClient, tokens: Tokens) -> Any:
    """What follows an XCom that is not stored is given back; so is an odd end before one is stored."""
    side = _extra("dependent")

    def push(number: int, value: Any, query: str = "") -> Step:
        return Step(number, "POST", f"xcoms/dependent/run/task_{number}/return_value{query}", value)

    together(client, calls(side, "dependent", [run(number) for number in range(4)], tokens))
    steps = [
        push(0, 1),
        success(0),
        fields(1),
        push(1, [1], "?mapped_length=99999"),
        success(1),
        push(2, "\0"),
        success(2),
        push(3, 1, "?map_index=-1"),
        state("success", 3, {"end_date": "no date"}),
    ]
    found = together(client, calls(side, "dependent", steps, tokens))
    return [answer.status for answer in found], _states("dependent")


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


def left_alone(client: TestClient, tokens: Tokens) -> Any:
    """Whether the collector looks at what the server has loaded, and how much it looks at."""
    return gc.get_freeze_count(), len(gc.get_objects())


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
        statements,
        cut_off,
        other_airflow,
        deadlock,
        held,
        dependent,
        refusals,
        taken,
        left_alone,
    )
    tokens = Tokens()
    watch()
    with TestClient(create_app(), raise_server_exceptions=False) as client:
        found = {"stories": compare(client, tokens)} | {each.__name__: each(client, tokens) for each in extra}
    sys.stdout.write("ANSWER" + json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
