"""What the parsing of a DAG file has found, as far as a later parsing can be compared with it.

Only for files of which all that a store writes follows from what was found, from the rows of their DAGs and
from their runs. Not so: errors and warnings; assets and deadlines, whose rows belong to several DAGs;
timetables of others, which may follow anything; permissions that Airflow repairs at each store (FAB).

Private names of Airflow used here: `DagCode.get_code_from_file`, and the form of a serialized DAG.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

#: Those whose next run follows from the last one, and from the time no earlier than when it is due.
_TIMETABLES = frozenset(
    {
        "airflow.timetables.events.EventsTimetable",
        "airflow.timetables.interval.CronDataIntervalTimetable",
        "airflow.timetables.interval.DeltaDataIntervalTimetable",
        "airflow.timetables.simple.NullTimetable",
        "airflow.timetables.simple.OnceTimetable",
        "airflow.timetables.trigger.CronTriggerTimetable",
        "airflow.timetables.trigger.DeltaTriggerTimetable",
        "airflow.timetables.trigger.MultipleCronTriggerTimetable",
    }
)
#: An asset, or a reference to one, of whatever kind, in the JSON text of a serialized DAG.
_ASSET = '"__type": "asset'


@dataclass(frozen=True, kw_only=True, slots=True)
class ParsedFile:
    """A file without errors, and its DAGs."""

    #: Bundle, and path in it.
    file: tuple[str, str]
    #: Of everything that was parsed, the source included.
    digest: bytes
    #: By id, as Airflow's `LazyDeserializedDAG`.
    dags: dict[str, Any]


def read(
    *,
    bundle_name: str,
    bundle_version: str | None,
    version_data: Any,
    parsing_result: Any,
    relative_fileloc: str | None,
    **_: Any,
) -> ParsedFile | None:
    """Return what `persist_parsing_result` is given; None: only a full store does."""
    dags = parsing_result.serialized_dags
    if not dags or parsing_result.import_errors or parsing_result.warnings or relative_fileloc is None:
        return None
    if any(not _is_plain(dag.data["dag"]) for dag in dags) or _has_synced_permissions():
        return None
    # In no order: Airflow finds the DAGs of a file in one that changes.
    by_id = {dag.dag_id: dag for dag in dags}
    if len(by_id) < len(dags):
        return None
    text = _text([{dag_id: dag.data for dag_id, dag in by_id.items()}, bundle_version, version_data])
    if text is None or _ASSET in text:
        return None
    digest = hashlib.sha256(text.encode())
    for place in sorted({dag.fileloc for dag in dags}):
        source = _source(place)
        if source is None:
            return None
        digest.update(hashlib.sha256(source.encode(errors="surrogatepass")).digest())
    return ParsedFile(file=(bundle_name, relative_fileloc), digest=digest.digest(), dags=by_id)


def _is_plain(dag: dict[str, Any]) -> bool:
    return not dag.get("deadline") and dag["timetable"]["__type"] in _TIMETABLES


def _has_synced_permissions() -> bool:
    from airflow.configuration import conf  # noqa: PLC0415 - with Airflow, not before it

    # The condition under which a store repairs them.
    return "FabAuthManager" in conf.get("core", "auth_manager")


def _text(found: Any) -> str | None:
    try:
        return json.dumps(found, sort_keys=True)
    except (TypeError, ValueError):
        return None


def _source(place: str) -> str | None:
    from airflow.models.dagcode import DagCode  # noqa: PLC0415 - likewise

    try:
        return str(DagCode.get_code_from_file(place))
    except (OSError, ValueError, LookupError):
        return None
