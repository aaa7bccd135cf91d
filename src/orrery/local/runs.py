"""A DAG run, started and followed to its end through Airflow's REST API."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from orrery.errors import InputError, OrreryError
from orrery.local.api import ApiError, NotFoundError
from orrery.local.status import import_problems

if TYPE_CHECKING:
    from collections.abc import Callable

    from orrery.local.api import Api

#: How long a DAG may take to appear after a start, in seconds.
_APPEAR_SECONDS = 30
_LOOK_SECONDS = 0.5
#: How long the api-server may be away while a run is followed, in seconds.
_SILENCE_SECONDS = 60
_ENDED = frozenset({"success", "failed"})


def trigger(dag_id: str, api: Api, *, report: Callable[[str], None]) -> str:
    """Unpause a DAG, start a run, report each task's state as it changes; return the run's outcome.

    Raises:
        InputError: there is no such DAG; import errors, if any, are told.
        ApiError: Airflow refused.
    """
    name = quote(dag_id, safe="")
    _await_dag(dag_id, f"/dags/{name}", api)
    api.patch(f"/dags/{name}", {"is_paused": False})
    run = api.post(f"/dags/{name}/dagRuns", {"logical_date": None})
    run_id = str(run["dag_run_id"])
    where = f"/dags/{name}/dagRuns/{quote(run_id, safe='')}"
    report(f"{dag_id}: run {run_id}")
    begun = heard = time.monotonic()
    seen: dict[tuple[str, int], str] = {}
    while True:
        try:
            # The run is read before its tasks: when it has ended, their last states are reported too.
            state, tasks = str(api.get(where)["state"]), _tasks(where, api)
            heard = time.monotonic()
        except NotFoundError:
            raise
        except ApiError:
            # The run goes on while the api-server restarts.
            if time.monotonic() - heard > _SILENCE_SECONDS:
                raise
            time.sleep(_LOOK_SECONDS)
            continue
        for task in tasks:
            key = (str(task["task_id"]), int(task["map_index"]))
            word = str(task["state"] or "none")
            if task["state"] and seen.get(key) != word:
                seen[key] = word
                report(f"  {time.monotonic() - begun:6.1f} s  {_label(task):<32} {word}")
        if state in _ENDED:
            report(f"{dag_id}: {state} after {time.monotonic() - begun:.1f} s")
            return state
        time.sleep(_LOOK_SECONDS)


def _await_dag(dag_id: str, path: str, api: Api) -> None:
    deadline = time.monotonic() + _APPEAR_SECONDS
    while api.find(path) is None:
        if time.monotonic() > deadline:
            problems = import_problems(api) or ()
            if problems:
                told = "; ".join(f"{problem.file}: {problem.error}" for problem in problems)
                raise InputError(f"There is no DAG '{dag_id}'. These files do not import: {told}")
            known = ", ".join(sorted(str(dag["dag_id"]) for dag in api.get("/dags", limit=20)["dags"]))
            raise InputError(f"There is no DAG '{dag_id}'.", hint=f"The first DAGs that are there: {known}")
        time.sleep(_LOOK_SECONDS)


def _tasks(run: str, api: Api) -> list[dict[str, Any]]:
    """Return all task instances of a run, page after page."""
    found: list[dict[str, Any]] = []
    while True:
        page = api.get(f"{run}/taskInstances", limit=100, offset=len(found))
        instances = page.get("task_instances", [])
        found.extend(instances)
        if not instances or len(found) >= int(page["total_entries"]):
            return found
        if len(found) > 100_000:
            raise OrreryError("The run has more than 100,000 task instances; follow it in the UI.")


def _label(task: dict[str, Any]) -> str:
    index = f" [{task['map_index']}]" if task["map_index"] >= 0 else ""
    attempt = f" (try {task['try_number']})" if task["try_number"] > 1 else ""
    return f"{task['task_id']}{index}{attempt}"
