"""Nothing of a hidden Dag is told: in lists, counts, search, graphs, wildcards, bulk routes, errors."""

from __future__ import annotations

from typing import Any

import pytest
from tests.integration.auth import people
from tests.integration.auth.test_attacks import bearer

pytestmark = pytest.mark.integration

OF_OWN = [
    f"{role}-{kind}" for role in ("dag-viewer", "dag-author") for kind in ("dag", "dag-tag", "dag-bundle")
]
LISTS = [
    "/api/v2/dags",
    "/api/v2/dags?dag_id_pattern=%",
    "/api/v2/dags?dag_id_pattern=other",
    "/api/v2/dagTags",
    "/api/v2/dags/~/dagRuns",
    "/api/v2/dags/~/dagRuns/~/taskInstances",
    "/api/v2/dagWarnings",
    "/api/v2/dags/~/dagVersions",
    "/api/v2/importErrors",
    "/api/v2/dags/~/dagRuns/~/hitlDetails",
    "/ui/dags",
    "/ui/dependencies",
    "/ui/dashboard/dag_stats",
    "/ui/backfills",
    "/ui/dashboard/historical_metrics_data?start_date=2026-01-01T00:00:00Z",
]


@pytest.fixture(scope="module", autouse=True)
def run_of_each(airflow_app: Any, tokens: dict[str, str]) -> None:
    """A run and an XCom-bearing try of every Dag would need its code: a run and a warning are enough."""
    from datetime import UTC, datetime

    from airflow.models.dagrun import DagRun
    from airflow.models.dagwarning import DagWarning
    from airflow.utils.session import create_session
    from airflow.utils.types import DagRunType

    with create_session(scoped=False) as session:
        people.write_dags(session)
        people.write_backfills(session)
        for dag in people.DAGS:
            session.merge(DagWarning(dag.id, "non-existent pool", f"warning of {dag.id}"))
            session.add(
                DagRun(
                    dag_id=dag.id,
                    run_id=f"run-of-{dag.id}",
                    run_type=DagRunType.MANUAL,
                    run_after=datetime(2026, 1, 1, tzinfo=UTC),
                    state="success",
                )
            )
    airflow_app.state.auth_manager.cache.refresh_dags()


@pytest.mark.parametrize("who", OF_OWN)
@pytest.mark.parametrize("path", LISTS)
def test_a_list_tells_nothing_of_hidden_dags(
    client: Any, tokens: dict[str, str], who: str, path: str
) -> None:
    answer = client.get(path, headers=bearer(tokens[who]))
    assert answer.status_code == 200, answer.text
    for hidden in (people.OTHER, people.SYSTEM, "theirs", "their-bundle"):
        assert f'"{hidden}"' not in answer.text
        assert f"run-of-{hidden}" not in answer.text
    body = answer.json()
    if "total_entries" in body and not path.startswith(("/api/v2/importErrors", "/api/v2/dags/~/dagV")):
        assert body["total_entries"] <= 1 or "backfills" in body


def test_the_lists_do_tell_of_all_to_a_member(client: Any, tokens: dict[str, str]) -> None:
    headers = bearer(tokens["workspace-member-workspace"])
    assert {each["dag_id"] for each in client.get("/api/v2/dags", headers=headers).json()["dags"]} == {
        dag.id for dag in people.DAGS
    }
    assert client.get("/api/v2/dags/~/dagRuns", headers=headers).json()["total_entries"] == len(people.DAGS)


def test_a_part_that_may_be_read_on_one_dag_is_listed_for_that_one(
    client: Any, airflow_app: Any, as_owner: Any
) -> None:
    """Members see all Dags and no XComs; as author of one Dag they see its XComs, and no others in a list."""
    from tests.integration.auth.test_attacks import new_user, token_of

    name = new_user(as_owner, "workspace-member")
    given = {"user": name, "role": "dag-author", "scope": f"dag:{people.OWN}"}
    assert as_owner.post("/orrery/v1/access/bindings", json=given).status_code == 201
    headers = bearer(token_of(client, name))
    write_xcoms()
    path = "/api/v2/dags/~/dagRuns/~/taskInstances/~/xcomEntries"
    # Counts only: to show an entry Airflow wants its task.
    answer = client.get(path, params={"limit": 0}, headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.json()["total_entries"] == 1
    assert as_owner.get(path, params={"limit": 0}).json()["total_entries"] == len(people.DAGS)
    named = f"/api/v2/dags/{people.OTHER}/dagRuns/~/taskInstances/~/xcomEntries"
    assert client.get(named, headers=headers).status_code == 403


def write_xcoms() -> None:
    import sqlalchemy as sa
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session

    with create_session(scoped=False) as session:
        session.execute(sa.text("SET LOCAL session_replication_role = replica"))  # no task behind them
        for dag_id, run in session.execute(
            sa.text("SELECT dag_id, id FROM dag_run WHERE run_id LIKE 'run-of-%'")
        ):
            session.execute(
                sa.insert(XComModel).values(
                    dag_run_id=run,
                    task_id="t",
                    map_index=-1,
                    key="k",
                    dag_id=dag_id,
                    run_id=f"run-of-{dag_id}",
                    value="1",
                )
            )


def test_pausing_by_pattern_changes_own_dags_only(client: Any, tokens: dict[str, str], as_owner: Any) -> None:
    headers = bearer(tokens["dag-author-dag-tag"])
    answer = client.patch("/api/v2/dags?dag_id_pattern=%", json={"is_paused": True}, headers=headers)
    assert answer.status_code == 200, answer.text
    paused = {
        each["dag_id"]: each["is_paused"]
        for each in as_owner.get("/api/v2/dags?exclude_stale=false").json()["dags"]
    }
    assert paused == {people.OWN: True, people.OTHER: False, people.SYSTEM: False}
    answer = as_owner.patch("/api/v2/dags?dag_id_pattern=%", json={"is_paused": True})
    assert answer.status_code == 200
    paused = {each["dag_id"]: each["is_paused"] for each in as_owner.get("/api/v2/dags").json()["dags"]}
    assert paused[people.SYSTEM] is False
    as_owner.patch("/api/v2/dags?dag_id_pattern=%", json={"is_paused": False})


def test_errors_do_not_tell_hidden_from_absent(client: Any, tokens: dict[str, str]) -> None:
    headers = bearer(tokens["dag-author-dag"])
    for ending in ("", "/details", "/dagRuns/run-of-{}", "/tasks"):
        answers = [
            client.get(f"/api/v2/dags/{dag_id}{ending.format(dag_id)}", headers=headers)
            for dag_id in (people.OTHER, "there-is-none")
        ]
        assert {(each.status_code, each.text) for each in answers} == {(403, answers[0].text)}


def test_nobody_changes_our_pool(as_owner: Any) -> None:
    for path in ("/api/v2/pools/orrery_system",):
        assert as_owner.patch(path, json={"pool": "orrery_system", "slots": 0}).status_code == 403
        assert as_owner.delete(path).status_code == 403
    actions = [{"action": "delete", "entities": ["orrery_system"], "action_on_non_existence": "skip"}]
    assert as_owner.patch("/api/v2/pools", json={"actions": actions}).status_code == 403
