"""The route `GET /orrery/v1/workers`: nodes, what runs, what waits and why, what tasks should ask for.

It needs the permission to read jobs, as Airflow's own list of schedulers does. Tasks are named only where
their Dag may be read; they are counted for everybody, since sums of a node tell as much.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.base_user import BaseUser  # noqa: TC002 - FastAPI reads it
from airflow.api_fastapi.auth.managers.models.resource_details import AccessView, DagAccessEntity, DagDetails
from airflow.api_fastapi.common.db.common import SessionDep  # noqa: TC002 - FastAPI reads it
from airflow.api_fastapi.core_api.security import get_user, requires_access_view
from airflow.configuration import conf
from airflow.models.dag import DagModel
from fastapi import APIRouter, Depends

from orrery.executor import store
from orrery.ui.overview import FORGOTTEN_AFTER, Overview, for_reader, merged, with_advice

if TYPE_CHECKING:
    from collections.abc import Set


def router() -> APIRouter:
    """Return the route."""
    made = APIRouter()
    made.add_api_route(
        "/v1/workers",
        _workers,
        methods=["GET"],
        response_model=None,
        dependencies=[Depends(requires_access_view(AccessView.JOBS))],
    )
    return made


def _workers(user: Annotated[BaseUser, Depends(get_user)], session: SessionDep) -> Overview:
    now = datetime.now(UTC)
    overview = merged(
        store.read_snapshots(session, newer_than=now - FORGOTTEN_AFTER), executor=_executor(), now=now
    )
    dag_ids = {dag_id for dag_id, _ in overview.tasks}
    overview = for_reader(overview, _readable(dag_ids, user=user, session=session))
    return with_advice(overview, store.usage_of(session, overview.tasks))


def _executor() -> str:
    """Return the executor's own name, as the file orrery.yaml says it: LocalExecutor, PackingExecutor."""
    names = str(conf.get("core", "executor")).split(",")
    return ", ".join(name.rpartition(".")[2].strip() for name in names)


def _readable(dag_ids: Set[str], *, user: BaseUser, session: SessionDep) -> Set[str]:
    """Return which of these Dags the user may read: the same tasks as in Airflow's own list of them."""
    manager: Any = get_auth_manager()
    if not dag_ids or not manager.is_authorized_dag(
        method="GET", access_entity=DagAccessEntity.TASK_INSTANCE, details=DagDetails(), user=user
    ):
        return frozenset()
    teams = DagModel.get_dag_id_to_team_name_mapping(list(dag_ids), session=session)
    of_team: defaultdict[str | None, set[str]] = defaultdict(set)
    for dag_id in dag_ids:
        of_team[teams.get(dag_id)].add(dag_id)
    return frozenset().union(
        *(
            manager.filter_authorized_dag_ids(dag_ids=ids, user=user, method="GET", team_name=team)
            for team, ids in of_team.items()
        )
    )
