"""The regular calls of a batch: recognised, done together in one transaction, and answered as Airflow does.

A task of which one call is not regular is left out with all its calls: they keep their order. So is
everything when the transaction fails, or when this is not the Airflow whose functions are stood for.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import anyio.to_thread

from orrery.executor import batch_compat
from orrery.executor import batch_regular_compat as compat
from orrery.executor.batch_protocol import Answer
from orrery.executor.batch_reading import read
from orrery.executor.batch_regular import End, Fields, Push, Start, should_retry
from orrery.executor.batch_store import Connections, forget_fields, transact
from orrery.executor.old_fields import OldFields

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pydantic import BaseModel

    from orrery.executor.batch_protocol import Call
    from orrery.executor.batch_regular import RegularCall, Row, Run, Work

log = logging.getLogger(__name__)

_JSON = {"content-type": "application/json"}
_FIELDS_STORED = b'{"message":"Rendered task instance fields successfully set"}'
_XCOM_STORED = b'{"message":"XCom successfully set"}'

_connections = Connections()
_identities = compat.Identities()


def _forget_fields(dags: Mapping[str, Sequence[str]]) -> None:
    with _connections.one() as connection:
        forget_fields(connection, dags, keep=compat.rules().runs_with_fields)


_old_fields = OldFields(_forget_fields)


async def answers(
    asked: Sequence[Call], services: Any, *, patience: float, version: str
) -> dict[int, Answer]:
    """Do the regular calls and return their answers by number; what is missing is for Airflow's functions."""
    if not compat.is_known():
        return {}
    regular, scopes = await _regular(asked, services, version)
    if not regular:
        return {}
    try:
        works, runs = await anyio.to_thread.run_sync(_transaction, regular, patience)
    except Exception:
        # What became of them, should the commit have failed, is for Airflow's functions to find out.
        log.debug("%d regular tasks are left to Airflow's functions", len(regular), exc_info=True)
        return {}
    if compat.rules().runs_with_fields > 0:
        _old_fields.note((row.dag_id, row.task_id) for row, call in works if isinstance(call, Fields))
    return _Answers(asked, services, scopes, version).of(works, runs)


async def _regular(
    asked: Sequence[Call], services: Any, version: str
) -> tuple[dict[str, list[RegularCall]], dict[int, str]]:
    """Return the calls of each task all of whose calls are regular, and the scopes of their tokens."""
    found: dict[str, list[RegularCall]] = {}
    scopes: dict[int, str] = {}
    left: set[str] = set()
    newest = batch_compat.newest_version()
    for number, call in enumerate(asked):
        headers = call.headers
        identity = await _identities.of(headers.get("authorization"), services)
        if identity is None:
            continue
        is_usual = (
            headers.get(version) == newest
            and headers.get("content-type") == "application/json"
            and not identity.is_to_be_renewed()
        )
        one = read(number, call, task=identity.task, scope=identity.scope) if is_usual else None
        if one is None:
            left.add(identity.task)
            continue
        scopes[number] = identity.scope
        found.setdefault(identity.task, []).append(one)
    return {task: calls for task, calls in found.items() if task not in left}, scopes


def _transaction(regular: Mapping[str, Sequence[RegularCall]], patience: float) -> Any:
    with _connections.one() as connection:
        return transact(
            connection,
            regular,
            now=datetime.now(UTC),
            longest_map=compat.rules().longest_map,
            patience=patience,
        )


class _Answers:
    """Write what Airflow's route functions answer."""

    def __init__(self, asked: Sequence[Call], services: Any, scopes: Mapping[int, str], version: str) -> None:
        self._asked = asked
        self._services = services
        self._scopes = scopes
        self._echoed = {version: batch_compat.newest_version()}
        self._runs: dict[tuple[str, str], BaseModel] = {}

    def of(self, works: Sequence[Work], runs: Mapping[str, Run]) -> dict[int, Answer]:
        return {call.number: self._answer(row, call, runs.get(row.id)) for row, call in works}

    def _answer(self, row: Row, call: RegularCall, run: Run | None) -> Answer:
        echoed = self._echoed
        correlation = self._asked[call.number].headers.get("correlation-id")
        if correlation:
            echoed = {**echoed, "correlation-id": correlation}
        match call:
            case Start():
                assert run is not None  # noqa: S101 - a start was judged by it
                compat.tell(
                    "Task started", row.id, correlation, previous_state=row.state, hostname=call.hostname
                )
                if self._scopes[call.number] == "workload":
                    echoed = {**echoed, "refreshed-api-token": compat.execution_token(self._services, row.id)}
                return Answer(200, {**_JSON, **echoed}, self._context(row, run))
            case Fields():
                return Answer(201, {**_JSON, **echoed}, _FIELDS_STORED)
            case Push():
                return Answer(201, {**_JSON, **echoed}, _XCOM_STORED)
            case End():
                compat.tell("Task instance state updated", row.id, correlation, new_state=call.state)
        return Answer(204, {**_JSON, **echoed}, b"")

    def _context(self, row: Row, run: Run) -> bytes:
        key = (row.dag_id, row.run_id)
        if key not in self._runs:
            self._runs[key] = compat.run_of(*key, run.fields)
        return compat.run_context(
            self._runs[key],
            reschedules=run.reschedules,
            max_tries=row.max_tries,
            xcom_keys=run.xcom_keys,
            should_retry=should_retry(row),
        )
