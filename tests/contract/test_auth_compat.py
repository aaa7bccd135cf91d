"""What `orrery.auth.compat` relies on: how Airflow uses the set of Dags that it is given."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.contract


def test_a_set_of_all_dags_stands_in_sql_as_a_subquery_and_is_a_set() -> None:
    from airflow.api_fastapi.core_api.security import PermittedDagFilter, PermittedDagRunFilter
    from airflow.models.dag import DagModel, DagRun
    from sqlalchemy import select

    from orrery.auth.compat import every_dag

    ids = every_dag(frozenset(f"dag_{number}" for number in range(5000)))
    assert ids & {"dag_1", "other"} == {"dag_1"}
    for filter_class, model in ((PermittedDagFilter, DagModel), (PermittedDagRunFilter, DagRun)):
        statement = filter_class(ids).to_orm(select(model.dag_id))
        assert "IN (SELECT dag_1.dag_id" in str(statement)
        assert statement.compile().params == {}
    assert "IN (SELECT" not in str(PermittedDagFilter({"dag_1"}).to_orm(select(DagModel.dag_id)))
