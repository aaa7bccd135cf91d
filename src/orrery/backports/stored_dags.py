"""The rows of stored DAGs: whether they still are what a store has left, and that they were parsed again.

Compared are whole rows, so that a column which somebody adds or writes counts, but for what changes nothing
of a store (paused or not) and what it writes anew each time. With them go the DAG's latest version, its
source, and what of its runs decides about the next one.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

if TYPE_CHECKING:
    from orrery.backports.parsed_dags import ParsedFile

_ROWS = """
    SELECT dag.dag_id, serialized.dag_hash, md5(jsonb_build_array(
        to_jsonb(dag) - '{is_paused,last_parsed_time,last_parse_duration}'::text[],
        to_jsonb(version), serialized.id, serialized.dag_hash, serialized.last_updated,
        code.id, code.source_code_hash, to_jsonb(last), active.number >= dag.max_active_runs
    )::text) AS digest
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
        SELECT id, logical_date, run_after, data_interval_start, data_interval_end FROM dag_run
        WHERE dag_run.dag_id = dag.dag_id AND run_type IN ('backfill', 'scheduled')
            AND logical_date IS NOT NULL
        ORDER BY logical_date DESC LIMIT 1
    ) last ON true
    LEFT JOIN LATERAL (
        SELECT count(*) AS number FROM dag_run
        WHERE dag_run.dag_id = dag.dag_id AND state IN ('running', 'queued') AND run_type <> 'backfill'
    ) active ON true
    WHERE dag.dag_id = ANY(:ids)"""

_ROWS_OF = sa.text(_ROWS)

#: A row that is due, or stale, is to be stored; so are DAGs beside an error or a warning that is over.
_NOTE = sa.text(f"""
    WITH found AS ({_ROWS}),
    whole AS (
        SELECT md5(string_agg(dag_id || ' ' || digest, E'\\n' ORDER BY dag_id COLLATE "C")) AS digest FROM found
    )
    UPDATE dag SET last_parsed_time = :now, last_parse_duration = :seconds
    WHERE dag_id = ANY(:ids) AND (SELECT digest FROM whole) = :digest
        AND NOT EXISTS (SELECT FROM dag WHERE dag_id = ANY(:ids) AND (
            is_stale OR has_import_errors OR bundle_name <> :bundle OR next_dagrun_create_after <= :now
        ))
        AND NOT EXISTS (SELECT FROM dag_warning WHERE dag_id = ANY(:ids))
        AND NOT EXISTS (SELECT FROM import_error WHERE bundle_name = :bundle AND filename = :file)
    """)  # noqa: S608 - of constants


def can_tell(session: Any) -> bool:
    """Whether the database is one that these statements are for."""
    return bool(session.get_bind().dialect.name == "postgresql")


def digest(session: Any, found: ParsedFile) -> str | None:
    """Return the digest of the rows of a file's DAGs; None: they do not hold what was parsed.

    Just after a change Airflow leaves the older form for a while.
    """
    rows = session.execute(_ROWS_OF, {"ids": list(found.hashes)}).all()
    if {row.dag_id: row.dag_hash for row in rows} != found.hashes:
        return None
    text = "\n".join(f"{row.dag_id} {row.digest}" for row in sorted(rows, key=_in_bytes))
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def note_parsed(session: Any, found: ParsedFile, *, rows: str, parse_seconds: float) -> bool:
    """Write that a file was parsed, now; False: its rows have to be stored, and nothing was written."""
    bundle, file = found.file
    asked = {
        "ids": list(found.hashes),
        "digest": rows,
        "bundle": bundle,
        "file": file,
        "now": datetime.now(UTC),
        "seconds": parse_seconds,
    }
    return bool(session.execute(_NOTE, asked).rowcount == len(found.hashes))


def _in_bytes(row: Any) -> bytes:
    return str(row.dag_id).encode()
