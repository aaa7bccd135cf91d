"""How Airflow 3.3 uses what an auth manager answers: guarded by tests/contract/test_auth_compat.py."""

from __future__ import annotations

from typing import Any

from airflow.models.dag import DagModel
from sqlalchemy import select
from sqlalchemy.orm import aliased


class EveryDag(set[str]):
    """The ids of all Dags, which stands in SQL as 'those that are in the table', not as thousands of values.

    Airflow writes `dag_id.in_(ids)` with the set that it is given.
    """

    def __clause_element__(self) -> Any:
        """Return what stands in SQL."""
        return select(aliased(DagModel).dag_id)


def every_dag(ids: frozenset[str]) -> set[str]:
    """Return a set of all ids there are."""
    return EveryDag(ids)


def is_expected_of_some(method: str, entity: str | None) -> bool:
    """Tell whether Airflow, asking without a Dag, filters afterwards: a list, or many at once each by itself.

    `PATCH /dags` changes those on which the permission holds; the bulk route of task instances asks again for
    each Dag. All else that writes names its Dag, and without one it must hold on all.
    """
    return method == "GET" or (method == "PUT" and entity in (None, "TASK_INSTANCE"))
