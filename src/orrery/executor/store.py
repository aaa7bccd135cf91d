"""All SQL of the executor: what tasks used, what schedulers know, and the ear for what wakes them.

Sessions are the caller's, such as Airflow's `create_session()`; nothing here commits.
"""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from dataclasses import fields
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

import sqlalchemy as sa
from airflow import settings
from airflow.configuration import conf
from sqlalchemy.dialects.postgresql import insert

from orrery.database.listener import Listener
from orrery.database.tables import executor_snapshot, task_usage
from orrery.executor.advice import NEWEST_TRIES, Usage, UsageSummary, summary
from orrery.executor.resources import FIELDS, Resources
from orrery.executor.snapshot import Snapshot, SnapshotError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from sqlalchemy.engine import CursorResult
    from sqlalchemy.orm import Session

__all__ = [
    "Listener",
    "open_listener",
    "purge",
    "read_snapshots",
    "save_snapshot",
    "save_usage",
    "usage_of",
    "usage_of_try",
]

log = logging.getLogger(__name__)

#: A Dag and a task of it.
TaskKey = tuple[str, str]

#: PostgreSQL takes 65535 parameters in one statement.
_MOST_ROWS = 1000

# One parameter for all rows: a text that stays the same need not be put together for each time.
_NAMES = ", ".join(column.name for column in task_usage.c)
_MERGED = ", ".join(
    f"{column.name} = coalesce(EXCLUDED.{column.name}, {task_usage.name}.{column.name})"
    for column in task_usage.c
    if not column.primary_key
)
_SAVE_USAGE = sa.text(
    f"INSERT INTO {task_usage.name} ({_NAMES})"  # noqa: S608 - of names of ours only
    f" SELECT {_NAMES} FROM jsonb_populate_recordset(NULL::{task_usage.name}, CAST(:rows AS jsonb))"
    f" ON CONFLICT (ti_id, try_number) DO UPDATE SET {_MERGED}"
)

# What is kept of each task's tries.
_MOST_TRIES = 100
_KEEP = timedelta(days=30)
#: Also of a task that runs once a month there is something to say.
_KEEP_NEWEST = timedelta(days=400)
#: Of a scheduler that is gone.
_KEEP_SNAPSHOT = timedelta(days=1)


def open_listener(listen_url: str | None = None) -> Listener:
    """Return an ear for notifications, of that database URL or, without one, of Airflow's.

    Raises:
        InputError: that is no URL of a PostgreSQL.
    """
    if listen_url:
        return Listener(listen_url)
    arguments = conf.getimport("database", "sql_alchemy_connect_args", fallback=None)
    return Listener(settings.SQL_ALCHEMY_CONN, connect_args=arguments)


def save_usage(session: Session, tries: Iterable[Usage]) -> None:
    """Write what tries used, in one statement. What is None does not overwrite what is known."""
    rows = list({(each.ti_id, each.try_number): _row(each) for each in tries}.values())
    if rows:
        session.execute(_SAVE_USAGE, {"rows": json.dumps(rows, default=str)})


def usage_of(session: Session, tasks: Iterable[TaskKey]) -> dict[TaskKey, UsageSummary]:
    """Return a summary of the newest tries of each task; tasks of which nothing is known are left out."""
    keys = list(set(tasks))
    found: dict[TaskKey, list[Usage]] = defaultdict(list)
    for start in range(0, len(keys), _MOST_ROWS):
        mine = sa.tuple_(task_usage.c.dag_id, task_usage.c.task_id).in_(keys[start : start + _MOST_ROWS])
        ranked = sa.select(task_usage, _rank()).where(mine, task_usage.c.ended_at.is_not(None)).subquery()
        newest = sa.select(ranked).where(ranked.c.rank <= NEWEST_TRIES).order_by(ranked.c.rank)
        for row in session.execute(newest).mappings():
            usage = _usage(row)
            found[usage.dag_id, usage.task_id].append(usage)
    return {key: summary(tries) for key, tries in found.items()}


def usage_of_try(session: Session, ti_id: str, try_number: int) -> Usage | None:
    """Return what one try used, None where nothing is known."""
    asked = sa.select(task_usage).where(
        task_usage.c.ti_id == UUID(ti_id), task_usage.c.try_number == try_number
    )
    row = session.execute(asked).mappings().one_or_none()
    return None if row is None else _usage(row)


def save_snapshot(session: Session, snapshot: Snapshot) -> None:
    """Write what a scheduler knows, in the place of what it knew before."""
    written = insert(executor_snapshot).values(
        scheduler=snapshot.scheduler, taken_at=snapshot.taken_at, body=snapshot.to_mapping()
    )
    session.execute(
        written.on_conflict_do_update(
            index_elements=["scheduler"],
            set_={"taken_at": written.excluded.taken_at, "body": written.excluded.body},
        )
    )


def read_snapshots(session: Session, newer_than: datetime) -> list[Snapshot]:
    """Return what each scheduler has written since then, by name; what cannot be read is left out."""
    asked = (
        sa.select(executor_snapshot.c.scheduler, executor_snapshot.c.body)
        .where(executor_snapshot.c.taken_at > newer_than)
        .order_by(executor_snapshot.c.scheduler)
    )
    snapshots = []
    for scheduler, body in session.execute(asked):
        try:
            snapshots.append(Snapshot.from_mapping(body))
        except SnapshotError as error:
            log.warning("The snapshot of scheduler %s is left out: %s", scheduler, error)
    return snapshots


def purge(session: Session, now: datetime) -> int:
    """Delete what is too old to say anything, and return how many rows that was. Once an hour is enough.

    Of each task the newest hundred tries of 30 days are kept, and the newest twenty of 400 days.
    """
    age = sa.func.coalesce(*_moments())
    ranked = sa.select(
        task_usage.c.ti_id, task_usage.c.try_number, age.label("moment"), _rank(age)
    ).subquery()
    too_old = sa.select(ranked.c.ti_id, ranked.c.try_number).where(
        sa.or_(
            ranked.c.rank > _MOST_TRIES,
            sa.and_(ranked.c.rank > NEWEST_TRIES, ranked.c.moment < now - _KEEP),
            ranked.c.moment < now - _KEEP_NEWEST,
        )
    )
    key = sa.tuple_(task_usage.c.ti_id, task_usage.c.try_number)
    deleted = (
        session.execute(sa.delete(task_usage).where(key.in_(too_old))),
        session.execute(
            sa.delete(executor_snapshot).where(executor_snapshot.c.taken_at < now - _KEEP_SNAPSHOT)
        ),
    )
    return sum(cast("CursorResult[Any]", each).rowcount for each in deleted)


def _moments() -> Sequence[sa.ColumnElement[Any]]:
    """Return when a try was last heard of, the best first."""
    columns = task_usage.c
    return (columns.ended_at, columns.started_at, columns.placed_at, columns.queued_at)


def _rank(moment: sa.ColumnElement[Any] = task_usage.c.ended_at) -> sa.Label[int]:
    """Number the tries of each task, the newest first."""
    return (
        sa.func.row_number()
        .over(
            partition_by=[task_usage.c.dag_id, task_usage.c.task_id],
            order_by=[moment.desc().nulls_last(), task_usage.c.try_number.desc()],
        )
        .label("rank")
    )


def _row(usage: Usage) -> dict[str, Any]:
    row = {field.name: getattr(usage, field.name) for field in fields(Usage) if field.name != "resources"}
    return {**row, **usage.resources.as_mapping()}


def _usage(row: sa.RowMapping) -> Usage:
    known = {field.name: row[field.name] for field in fields(Usage) if field.name != "resources"}
    resources = Resources.from_mapping({name: row[name] for name in FIELDS})
    return Usage(**{**known, "ti_id": str(row["ti_id"]), "resources": resources})
