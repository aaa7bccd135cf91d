"""What is regular: calls that change a task's rows in the one plain way, decided from the rows alone.

Pure: values in, values out. Regular calls of many tasks are done together, in a few statements
(`batch_store`). Whatever is not plainly regular is not refused here: it goes to Airflow's own functions.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class Start:
    """A queued task begins to run."""

    number: int
    hostname: str
    unixname: str
    pid: int
    start_date: datetime


@dataclass(frozen=True, slots=True)
class Fields:
    """A task's rendered fields, as the JSON that is stored."""

    number: int
    text: str


@dataclass(frozen=True, slots=True)
class Push:
    """An XCom; `value` is the JSON that is stored, `length` what a mapped task after it expands into."""

    number: int
    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    key: str
    value: str
    is_dag_result: bool
    length: int | None


@dataclass(frozen=True, slots=True)
class Beat:
    """A running task is alive."""

    number: int
    hostname: str
    pid: int


@dataclass(frozen=True, slots=True)
class End:
    """A running task ends for good; `label` is the rendered map index, where one is told."""

    number: int
    state: str
    end_date: datetime
    is_labelled: bool
    label: str | None


RegularCall = Start | Fields | Push | Beat | End


@dataclass(frozen=True, slots=True)
class Row:
    """What the database says of a task instance whose row is locked."""

    id: str
    state: str | None
    dag_id: str
    task_id: str
    run_id: str
    map_index: int
    try_number: int
    max_tries: int
    hostname: str | None
    pid: int | None
    is_resumed: bool
    """It comes back from a deferral: it has a method to go on with."""
    run_key: int
    logical_date: datetime | None
    owner: str | None
    fails_fast: bool


@dataclass(frozen=True, slots=True)
class Run:
    """What else a start tells its task; read for starts only."""

    fields: Mapping[str, Any]
    xcom_keys: Sequence[str]
    reschedules: int
    has_asset_events: bool


Work = tuple[Row, RegularCall]


def judge(row: Row, calls: Sequence[RegularCall], *, run: Run | None, longest_map: int) -> list[Work] | None:
    """Return the calls of one task, each with the row that it finds; None if one is not plainly allowed."""
    works: list[Work] = []
    has_ended = False
    for call in calls:
        # What comes after the end, or before the start in the same batch, is for Airflow to judge.
        if has_ended or not _is_allowed(row, call, run, longest_map, is_first=not works):
            return None
        works.append((row, call))
        if isinstance(call, Start):
            row = replace(row, state="running", hostname=call.hostname, pid=call.pid)
        elif isinstance(call, End):
            has_ended = True
    return works


def should_retry(row: Row) -> bool:
    """Whether a queued task that fails is to be tried again: Airflow's rule."""
    return row.max_tries != 0 and row.try_number <= row.max_tries


def _is_allowed(row: Row, call: RegularCall, run: Run | None, longest_map: int, *, is_first: bool) -> bool:
    match call:
        case Start():
            return (
                is_first
                and row.state == "queued"
                and not row.is_resumed
                and run is not None
                and not run.has_asset_events
            )
        case Fields():
            return True
        case Push():
            is_own = (call.dag_id, call.run_id, call.task_id, call.map_index) == (
                row.dag_id,
                row.run_id,
                row.task_id,
                row.map_index,
            )
            return is_own and (call.length is None or 0 <= call.length <= longest_map)
        case Beat():
            return row.state == "running" and (row.hostname, row.pid) == (call.hostname, call.pid)
        case End():
            return row.state == "running" and not (call.state == "failed" and row.fails_fast)
