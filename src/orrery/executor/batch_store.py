"""Do the regular calls of a batch in one transaction, with a statement for each kind (`batch_statements`).

Task instances that somebody else holds are not waited for: their calls are left out.
"""

from __future__ import annotations

import json
import time
from collections import deque
from contextlib import contextmanager
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from airflow import settings
from sqlalchemy.pool import NullPool

from orrery.executor import batch_statements as sql
from orrery.executor.batch_regular import Beat, End, Fields, Push, Row, Run, Start, Work, judge

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy.engine import Connection

    from orrery.executor.batch_regular import RegularCall

#: A connection is given back to Airflow's pool from time to time: it knows how old one may become.
_LONGEST_HOLD_SECONDS = 30.0
_MOST_HELD = 2

_ROW = len(fields(Row))


class ChangedMeanwhileError(Exception):
    """A statement did not change the rows that it was made for: the transaction must not be committed."""


class Connections:
    """Connections of Airflow's pool, kept between batches: no ping before each, no rollback after it."""

    def __init__(self) -> None:
        self._idle: deque[tuple[Connection, float]] = deque()

    @contextmanager
    def one(self) -> Iterator[Connection]:
        """Lend a connection that has no transaction; what fails on it ends its keeping."""
        connection, until = self._take()
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
        if time.monotonic() < until and len(self._idle) < _MOST_HELD:
            self._idle.append((connection, until))
        else:
            connection.close()

    def _take(self) -> tuple[Connection, float]:
        engine = settings.engine
        while self._idle:
            try:
                connection, until = self._idle.pop()
            except IndexError:  # another thread was faster
                break
            if connection.engine is engine:
                return connection, until
            connection.close()
        held = 0.0 if isinstance(engine.pool, NullPool) else _LONGEST_HOLD_SECONDS
        return engine.connect(), time.monotonic() + held


def transact(
    connection: Connection,
    asked: Mapping[str, Sequence[RegularCall]],
    *,
    now: datetime,
    longest_map: int,
    patience: float,
) -> tuple[list[Work], dict[str, Run]]:
    """Do what is plainly allowed of the calls of each task (by its id), and commit it.

    Return what was done and, for the tasks that started, their runs. A task of which one call is not plainly
    allowed is not touched at all.
    """
    has_starts = any(isinstance(call, Start) for calls in asked.values() for call in calls)
    found = connection.exec_driver_sql(
        sql.LOCK_STARTS if has_starts else sql.LOCK_TASKS,
        {"ids": list(asked), "patience": f"{round(patience * 1000)}ms"},
    )
    works: list[Work] = []
    runs: dict[str, Run] = {}
    for values in found:
        row = Row(*values[:_ROW])
        run = _run(values) if has_starts else None
        done = judge(row, asked[row.id], run=run, longest_map=longest_map)
        if done is None:
            continue
        works += done
        if run is not None:
            runs[row.id] = run
    if works:
        _write(connection, works, now)
        connection.commit()
    else:
        connection.rollback()
    return works, runs


def forget_fields(connection: Connection, dags: Mapping[str, Sequence[str]], *, keep: int) -> None:
    """Delete these tasks' rendered fields of all but each Dag's newest runs, a transaction for each Dag."""
    for dag_id, task_ids in dags.items():
        connection.exec_driver_sql(
            sql.FORGET_FIELDS, {"dag_id": dag_id, "task_ids": list(task_ids), "keep": keep}
        )
        connection.commit()


def _write(connection: Connection, works: Sequence[Work], now: datetime) -> None:
    starts = [(row, call) for row, call in works if isinstance(call, Start)]
    # Of two of the same name the later one stays.
    rendered = {row.id: (row, call) for row, call in works if isinstance(call, Fields)}
    pushes = {(row.id, call.key): (row, call) for row, call in works if isinstance(call, Push)}
    lengths = {
        row.id: (row, call) for row, call in works if isinstance(call, Push) and call.length is not None
    }
    beats = {row.id for row, call in works if isinstance(call, Beat)}
    ends = [(row, call) for row, call in works if isinstance(call, End)]
    if starts:
        _do(connection, sql.START, starts, _named(starts, "hostname unixname pid start_date"), now)
    if rendered:
        told = list(rendered.values())
        _do(connection, sql.FIELDS, told, _placed(told) | _named(told, "text"), now)
    if lengths:
        mapped = list(lengths.values())
        _do(connection, sql.LENGTH, mapped, _placed(mapped) | _named(mapped, "length"), now)
    if pushes:
        pushed = list(pushes.values())
        keys = {"run_key": [row.run_key for row, _ in pushed]}
        named = _named(pushed, "key value is_dag_result")
        _do(connection, sql.PUSH, pushed, _placed(pushed) | keys | named, now)
    if beats:
        connection.exec_driver_sql(sql.BEAT, {"now": now, "id": list(beats)})
    if ends:
        _do(connection, sql.END, ends, _named(ends, "state end_date is_labelled label"), now)


def _do(
    connection: Connection,
    statement: str,
    works: Sequence[Work],
    told: Mapping[str, list[Any]],
    now: datetime,
) -> None:
    common = {
        "now": now,
        "id": [row.id for row, _ in works],
        "logical_date": [row.logical_date for row, _ in works],
        "owner": [row.owner for row, _ in works],
        "extra": [_extra(row, call) for row, call in works],
    }
    if connection.exec_driver_sql(statement, {**common, **told}).rowcount != len(works):
        raise ChangedMeanwhileError


def _extra(row: Row, call: RegularCall) -> str | None:
    hostname = call.hostname if isinstance(call, Start) else row.hostname
    return json.dumps({"host_name": hostname}) if hostname else None


def _named(works: Iterable[Work], names: str) -> dict[str, list[Any]]:
    return {name: [getattr(call, name) for _, call in works] for name in names.split()}


def _placed(works: Iterable[Work]) -> dict[str, list[Any]]:
    names = ("dag_id", "task_id", "run_id", "map_index")
    return {name: [getattr(row, name) for row, _ in works] for name in names}


def _run(values: Sequence[Any]) -> Run:
    told = values[_ROW:]
    end = len(sql.RUN_FIELDS)
    known = dict(zip(sql.RUN_FIELDS, told, strict=False))
    conf, keys, reschedules, has_events = told[end:]
    known["conf"] = None if conf is None else json.loads(conf)
    return Run(known, keys, reschedules, has_asset_events=has_events)
