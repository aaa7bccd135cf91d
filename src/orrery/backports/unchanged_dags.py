"""DAGs that have been parsed again and are what they were are not stored again.

Every 30 s Airflow parses each file and stores what it finds, changed or not: some five statements for each
DAG, all of whose rows are locked meanwhile, so that the scheduler creates none of their runs. Here a file
whose DAGs and source are those of the last time, and whose rows are those that this process left there, has
only its time of parsing written, in one statement. In doubt, and every few minutes anyhow, all is stored.

What it gives up: nothing that is known. PostgreSQL only: elsewhere everything stays as it is.

Private name of Airflow used here: `DagFileProcessorManager.persist_parsing_result`. See `parsed_dags` and
`stored_dags` for others.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from orrery.backports import parsed_dags, stored_dags
from orrery.backports.patch import wrap

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from orrery.backports.parsed_dags import ParsedFile
    from orrery.backports.stored_dags import Rows

#: After so long a file is stored in full, whatever it looks like.
_LONGEST_SECONDS = 300.0
#: Files that are remembered.
_MOST_FILES = 50_000

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Stored:
    """What the last full store of a file has left, and what became of that."""

    parsed: bytes
    rows: Rows
    #: Monotonic seconds, of the store.
    at: float


def apply(manager: ModuleType) -> None:
    """Mend `airflow.dag_processing.manager`."""
    wrap(manager.DagFileProcessorManager, "persist_parsing_result", _when_changed)


def _when_changed(persist: Callable[..., None]) -> Callable[..., None]:
    # By bundle and file. A process has one manager.
    memory: dict[tuple[str, str], _Stored] = {}

    def persist_parsing_result(self: Any, **given: Any) -> None:
        session = given["session"]
        found = _read(session, given)
        last = None if found is None else memory.pop(found.file, None)
        if found and last and (rows := _unless_changed(session, found, last, given["run_duration"])):
            memory[found.file] = replace(last, rows=rows)
            return
        persist(self, **given)
        if found and (rows := _after_store(session, found)):
            if len(memory) >= _MOST_FILES:
                memory.clear()
            memory[found.file] = _Stored(parsed=found.digest, rows=rows, at=time.monotonic())

    return persist_parsing_result


def _read(session: Any, given: dict[str, Any]) -> ParsedFile | None:
    try:
        return parsed_dags.read(**given) if stored_dags.can_tell(session) else None
    except Exception:
        # Whatever has a form that is not expected here is Airflow's to store.
        log.warning("What was parsed cannot be compared; it is stored in full", exc_info=True)
        return None


def _unless_changed(session: Any, found: ParsedFile, last: _Stored, seconds: float) -> Rows | None:
    """Note that the file was parsed and return its rows, if that is all there is to store."""
    if found.digest != last.parsed or time.monotonic() - last.at > _LONGEST_SECONDS:
        return None
    try:
        rows = stored_dags.unless_changed(session, found, last.rows)
        return rows if rows and stored_dags.note_parsed(session, found, seconds) else None
    except Exception:
        log.warning("Whether %s is stored cannot be told; it is stored in full", found.file, exc_info=True)
        session.rollback()
        return None


def _after_store(session: Any, found: ParsedFile) -> Rows | None:
    try:
        with session.begin_nested():
            return stored_dags.after_store(session, found)
    except Exception:
        log.warning("What %s has left cannot be told; it will be stored again", found.file, exc_info=True)
        return None
