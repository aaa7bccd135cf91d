"""The login page, and what a sign-in counts."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from tests.integration.auth.conftest import OWNER, PASSWORD
from tests.integration.auth.test_attacks import LONG, new_user

pytestmark = pytest.mark.integration


def attempts(key: str) -> int:
    import sqlalchemy as sa
    from airflow.utils.session import create_session

    from orrery.database import access_tables as tables

    table = tables.login_attempts
    with create_session(scoped=False) as session:
        return session.execute(sa.select(table.c.failures).where(table.c.key == key)).scalar() or 0


def test_the_page_runs_no_script_and_is_not_framed(client: Any) -> None:
    answer = client.get("/auth/login")
    assert answer.status_code == 200
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert "<script" not in answer.text


def test_a_wrong_password_is_said_on_the_page(client: Any) -> None:
    answer = client.post("/auth/login", data={"username": '"><script>x', "password": "wrong secret"})
    assert answer.status_code == 401
    assert 'role="alert"' in answer.text
    assert "Name and password do not fit." in answer.text
    assert "<script" not in answer.text
    assert "&quot;&gt;&lt;script&gt;x" in answer.text
    assert "wrong secret" not in answer.text
    assert "set-cookie" not in answer.headers


def test_too_many_attempts_are_said_on_the_page(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from orrery.auth import signin

    monkeypatch.setattr(signin, "MOST_OF_NAME_AND_ADDRESS", 0)
    answer = client.post("/auth/login", data={"username": f"no-{uuid4().hex}", "password": "x"})
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) > 0
    assert "Try again in 15 minutes." in answer.text


def test_next_is_where_a_sign_in_leads(client: Any) -> None:
    given = {"username": OWNER, "password": PASSWORD}
    answer = client.post("/auth/login", params={"next": "http://testserver/dags"}, data=given)
    assert answer.headers["location"] == "/dags"


def test_a_sign_out_is_said(client: Any) -> None:
    answer = client.get("/auth/logout")
    assert "you are signed out." in client.get(answer.headers["location"]).text


@pytest.mark.parametrize("name", ["a\0b", "\0", "n" * 251, "n" * 100_000, "\ud800"])
def test_a_name_that_nobody_can_have_is_no_fault_of_the_server(client: Any, name: str) -> None:
    import json

    body = json.dumps({"username": name, "password": "x"})
    headers = {"Content-Type": "application/json"}
    assert client.post("/auth/token", content=body, headers=headers).status_code in (401, 422)
    form = {"username": name.encode("utf-8", "replace").decode(), "password": "x"}
    assert client.post("/auth/login", data=form).status_code in (401, 422)


def test_the_first_limit_that_refuses_counts_alone(
    airflow_app: Any, as_owner: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from orrery.auth import signin

    policy = airflow_app.state.auth_manager.cache.policy
    name = f"nobody-{uuid4().hex}"
    monkeypatch.setattr(signin, "MOST_OF_NAME_AND_ADDRESS", 1)
    with pytest.raises(signin.SignInError):
        signin.sign_in(policy, name, "wrong", address="203.0.113.71")
    for _ in range(3):
        with pytest.raises(signin.TooManyAttemptsError):
            signin.sign_in(policy, name, "wrong", address="203.0.113.71")
    assert attempts("address:203.0.113.71") == 1
    assert attempts(f"name:{name}") == 1


def test_a_limit_that_was_not_taken_is_not_given_back(airflow_app: Any, as_owner: Any) -> None:
    from orrery.auth import signin

    cache = airflow_app.state.auth_manager.cache
    name = new_user(as_owner)
    signin.sign_in(cache.policy, name, LONG, address="203.0.113.81")
    with pytest.raises(signin.SignInError):
        signin.sign_in(cache.policy, name, "wrong", address="203.0.113.82")
    assert attempts(f"name:{name}") == 1
    signin.sign_in(cache.policy, name, LONG, address="203.0.113.81")
    assert attempts(f"name:{name}") == 1


def test_a_newer_hash_does_not_undo_a_password_change(airflow_app: Any, as_owner: Any) -> None:
    from airflow.utils.session import create_session

    from orrery.auth import store

    name = new_user(as_owner)
    account = airflow_app.state.auth_manager.cache.policy.find(name)
    with create_session(scoped=False) as session:
        before = store.password_hash(session, account.id)
        assert before is not None
        store.replace_hash(session, account.id, before, "changed meanwhile")
        store.replace_hash(session, account.id, before, "the old one, hashed anew")
        assert store.password_hash(session, account.id) == "changed meanwhile"
