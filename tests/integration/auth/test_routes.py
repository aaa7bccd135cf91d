"""The routes of access, against whatever a client may send: an answer, never an error of ours."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from tests.integration.auth.test_attacks import ACCESS, bearer, new_user, token_of

from orrery.auth import api

pytestmark = pytest.mark.integration

schema = schemathesis.openapi.from_dict(
    {**api.create_app().openapi(), "servers": [{"url": "http://testserver/orrery/v1/access"}]}
)


@schema.exclude(path="/me/sign-out").parametrize()
@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_request_makes_it_fail(case: Any, as_owner: Any) -> None:
    given = case.as_transport_kwargs(base_url="http://testserver/orrery/v1/access")
    given = {key: value for key, value in given.items() if key not in ("cookies", "headers")}
    if isinstance(given.get("data"), bytes | str):
        given["content"] = given.pop("data")
    answer = as_owner.request(**given)
    assert answer.status_code < 500, (case.method, case.path, answer.text)


@pytest.mark.parametrize("body", [b"\x80", b'{"current": "hunter2", "password": 1}', b"hunter2", b"[]"])
def test_a_body_that_cannot_be_read_is_not_repeated(as_owner: Any, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    for method, path in (("PUT", f"{ACCESS}/me/password"), ("POST", "/auth/token"), ("POST", "/auth/login")):
        answer = as_owner.request(method, path, content=body, headers=headers)
        assert answer.status_code in (400, 422), answer.text
        assert "hunter2" not in answer.text


def test_an_explanation_names_binding_and_team(client: Any, as_owner: Any) -> None:
    name = new_user(as_owner)
    team = f"analysts-{name[-6:]}"
    as_owner.post(f"{ACCESS}/teams", json={"name": team, "members": [name]})
    as_owner.post(f"{ACCESS}/bindings", json={"team": team, "role": "workspace-operator"})
    asked = {"user": name, "action": "PUT", "resource": "variable"}
    said = as_owner.get(f"{ACCESS}/explain", params=asked).json()
    assert said["is_allowed"] is True
    assert said["permission"] == "variable.update"
    assert said["by"]["through"] == f"team {team}"
    assert said["reason"] == f"Workspace Operator at workspace:default through team {team} allows this."
    headers = bearer(token_of(client, name))
    mine = client.get(f"{ACCESS}/explain", params={"action": "pause", "dag_id": "own"}, headers=headers)
    assert mine.json()["is_allowed"] is True
    others = {"action": "GET", "resource": "dag", "user": "owner"}
    plain = bearer(token_of(client, new_user(as_owner, "workspace-member")))
    assert client.get(f"{ACCESS}/explain", params=others, headers=plain).status_code == 403


def test_a_group_reaches_bindings_and_teams(as_owner: Any, airflow_app: Any) -> None:
    from datetime import UTC, datetime

    from airflow.utils.session import create_session

    from orrery.auth import store

    manager = airflow_app.state.auth_manager
    name = new_user(as_owner)
    account = manager.cache.policy.by_username[name]
    as_owner.post(f"{ACCESS}/bindings", json={"group": f"data-{name}", "role": "workspace-author"})
    as_owner.post(f"{ACCESS}/teams", json={"name": f"team-{name}", "groups": [f"ops-{name}"]})
    with create_session(scoped=False) as session:
        store.save_identity(
            session,
            provider="test",
            subject=name,
            user_id=account.id,
            groups=[f"data-{name}", f"ops-{name}"],
            now=datetime.now(UTC),
        )
    policy = manager.cache.refresh()
    assert [grant.through for grant in policy.grants(account.id)] == [f"group data-{name}"]
    assert [team.name for team in policy.teams_of(account.id)] == [f"team-{name}"]


def test_a_binding_to_a_dag_that_is_not_there_is_kept_and_told(as_owner: Any) -> None:
    name = new_user(as_owner, "dag-viewer", scope="dag:not-yet")
    found = {each["principal"]: each for each in as_owner.get(f"{ACCESS}/bindings").json()["bindings"]}
    assert found[name]["is_dangling"] is True
    assert found["dag-viewer-dag"]["is_dangling"] is False
