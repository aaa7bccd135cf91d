"""The rows of stored DAGs: whether they still are what a store has left, and that they were parsed again.

Compared are whole rows, so that a column which somebody adds or writes counts, but for what changes nothing
of a store (paused or not) and what it writes anew each time; with them the DAG's latest version and its
source. A DAG's next run moves on by itself, each time that the scheduler makes one: where it has, it is
computed again, by Airflow's own code, and has to be the one that is there.

Private names of Airflow used here: `DagModel.calculate_dagrun_date_fields`, the columns that it sets, and
what `DagModelOperation.update_dags` makes of runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orrery.backports.parsed_dags import ParsedFile

_NEXT = (
    "next_dagrun",
    "next_dagrun_data_interval_start",
    "next_dagrun_data_interval_end",
    "next_dagrun_create_after",
    "next_dagrun_partition_key",
    "next_dagrun_partition_date",
)
_ROWS = sa.text(f"""
    SELECT dag.dag_id, serialized.dag_hash, last.id AS run_id, active.number AS active,
        dag.max_active_runs, dag.exceeds_max_non_backfill AS exceeds, {", ".join(_NEXT)},
        md5(jsonb_build_array(
            to_jsonb(dag) - CAST(:moving AS text[]), to_jsonb(version),
            serialized.id, serialized.dag_hash, serialized.last_updated, code.id, code.source_code_hash
        )::text) AS kept
    FROM dag
    LEFT JOIN LATERAL (
        SELECT * FROM dag_version WHERE dag_version.dag_id = dag.dag_id ORDER BY version_number DESC LIMIT 1
    ) version ON true
    LEFT JOIN LATERAL (
        SELECT id, dag_hash, last_updated FROM serialized_dag WHERE dag_version_id = version.id LIMIT 1
    ) serialized ON true
    LEFT JOIN LATERAL (
        SELECT id, source_code_hash FROM dag_code WHERE dag_code.dag_id = dag.dag_id
        ORDER BY last_updated DESC LIMIT 1
    ) code ON true
    LEFT JOIN LATERAL (
        SELECT id FROM dag_run
        WHERE dag_run.dag_id = dag.dag_id AND run_type IN ('backfill', 'scheduled')
            AND logical_date IS NOT NULL
        ORDER BY logical_date DESC LIMIT 1
    ) last ON true
    LEFT JOIN LATERAL (
        SELECT count(*) AS number FROM dag_run
        WHERE dag_run.dag_id = dag.dag_id AND state IN ('running', 'queued') AND run_type <> 'backfill'
    ) active ON true
    WHERE dag.dag_id = ANY(:ids)""")  # noqa: S608 - of constants
_MOVING = (*_NEXT, "exceeds_max_non_backfill", "is_paused", "last_parsed_time", "last_parse_duration")

#: Warnings and errors that are over are taken away by a store.
_NOTE = sa.text("""
    UPDATE dag SET last_parsed_time = :now, last_parse_duration = :seconds
    WHERE dag_id = ANY(:ids) AND NOT is_stale
        AND NOT EXISTS (SELECT FROM dag_warning WHERE dag_id = ANY(:ids))
        AND NOT EXISTS (SELECT FROM import_error WHERE bundle_name = :bundle AND filename = :file)""")


@dataclass(frozen=True, kw_only=True, slots=True)
class Rows:
    """What the rows of a file's DAGs are."""

    #: By DAG: the digest of what only a store writes.
    kept: dict[str, str]
    #: By DAG: what of its runs it follows from, and its next one.
    moving: dict[str, tuple[Any, ...]]


def can_tell(session: Any) -> bool:
    """Whether the database is one that these statements are for."""
    return bool(session.get_bind().dialect.name == "postgresql")


def after_store(session: Any, found: ParsedFile) -> Rows | None:
    """Return the rows of a file's DAGs; None: they do not hold what was parsed.

    Just after a change Airflow leaves the older form for a while.
    """
    rows = _read(session, found)
    hashes = {dag_id: dag.hash for dag_id, dag in found.dags.items()}
    return _rows(rows) if {row.dag_id: row.dag_hash for row in rows} == hashes else None


def unless_changed(session: Any, found: ParsedFile, last: Rows) -> Rows | None:
    """Return the rows of a file's DAGs now; None: a store would change them, or perhaps."""
    rows = _read(session, found)
    now = datetime.now(UTC)
    seen = _rows(rows)
    if seen.kept != last.kept or any(_is_due(row, now) for row in rows):
        return None
    moved = [row for row in rows if seen.moving[row.dag_id] != last.moving[row.dag_id]]
    return seen if all(_follow(session, found, moved)) else None


def note_parsed(session: Any, found: ParsedFile, parse_seconds: float) -> bool:
    """Write that a file was parsed, now; False: its rows have to be stored."""
    bundle, file = found.file
    asked = {
        "ids": list(found.dags),
        "bundle": bundle,
        "file": file,
        "now": datetime.now(UTC),
        "seconds": parse_seconds,
    }
    return bool(session.execute(_NOTE, asked).rowcount == len(found.dags))


def _read(session: Any, found: ParsedFile) -> list[Any]:
    return list(session.execute(_ROWS, {"ids": list(found.dags), "moving": list(_MOVING)}))


def _rows(rows: list[Any]) -> Rows:
    return Rows(
        kept={row.dag_id: row.kept for row in rows},
        moving={
            row.dag_id: (
                row.run_id,
                row.active >= (row.max_active_runs or 0),
                row.exceeds,
                *(getattr(row, name) for name in _NEXT),
            )
            for row in rows
        },
    )


def _is_due(row: Any, now: datetime) -> bool:
    # Until then its next run stays the same; from then on that may depend on the time.
    return row.next_dagrun_create_after is not None and row.next_dagrun_create_after <= now


def _follow(session: Any, found: ParsedFile, moved: list[Any]) -> Iterator[bool]:
    """Tell of each of these rows whether it is what a store would compute from the DAG's runs."""
    from airflow.models.dag import DagModel  # noqa: PLC0415 - with Airflow, not before it
    from airflow.models.dagrun import DagRun  # noqa: PLC0415 - likewise

    ids = [row.run_id for row in moved if row.run_id is not None]
    runs = (
        {run.id: run for run in session.scalars(sa.select(DagRun).where(DagRun.id.in_(ids)))} if ids else {}
    )
    for row in moved:
        dag = found.dags[row.dag_id]
        can_be_scheduled = dag.timetable.can_be_scheduled
        computed = DagModel(dag_id=row.dag_id)
        computed.calculate_dagrun_date_fields(
            dag, reference_run=runs.get(row.run_id) if can_be_scheduled else None
        )
        active = row.active if can_be_scheduled else 0
        yield row.exceeds == (active >= row.max_active_runs) and all(
            getattr(row, name) == getattr(computed, name) for name in _NEXT
        )
