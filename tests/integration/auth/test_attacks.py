"""What an attacker tries: each must fail, and say no more than that."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import jwt
import pytest
import sqlalchemy as sa
from tests.integration.auth import people
from tests.integration.auth.conftest import OWNER, PASSWORD

pytestmark = pytest.mark.integration

ACCESS = "/orrery/v1/access"
SECRET = "0123456789abcdef" * 4
LONG = "a password that is long enough"


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def new_user(as_owner: Any, role: str | None = None, *, scope: str | None = None, **given: Any) -> str:
    name = f"user-{uuid4().hex[:12]}"
    body = {"username": name, "password": LONG, **given}
    if given.get("is_service_account"):
        del body["password"]
    answer = as_owner.post(f"{ACCESS}/users", json=body)
    assert answer.status_code == 201, answer.text
    if role:
        given_role = as_owner.post(f"{ACCESS}/bindings", json={"user": name, "role": role, "scope": scope})
        assert given_role.status_code == 201, given_role.text
    return name


def token_of(client: Any, name: str, password: str = LONG) -> str:
    answer = client.post("/auth/token", json={"username": name, "password": password})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["access_token"])


@pytest.mark.parametrize(
    ("claims", "key", "algorithm"),
    [
        ({}, "another secret" * 6, "HS512"),
        ({"exp": -3600}, SECRET, "HS512"),
        ({"aud": "another-deployment"}, SECRET, "HS512"),
        ({"epoch": 99}, SECRET, "HS512"),
        ({"sub": "nobody"}, SECRET, "HS512"),
        ({"sid": "a session without a beginning"}, SECRET, "HS512"),
        ({"tok": "no such token"}, SECRET, "HS512"),
        ({}, None, "none"),
        ({}, SECRET, "HS256"),
    ],
)
def test_a_token_that_is_not_ours_is_refused(
    client: Any, tokens: dict[str, str], claims: dict[str, Any], key: Any, algorithm: str
) -> None:
    good = jwt.decode(
        tokens["organization-owner-organization"], SECRET, algorithms=["HS512"], audience="apache-airflow"
    )
    bad = {**good, **claims}
    if "exp" in claims:
        bad["exp"] = int(datetime.now(UTC).timestamp()) - 3600
    forged = jwt.encode(bad, key, algorithm=algorithm)
    assert client.get("/api/v2/dags", headers=bearer(forged)).status_code in (401, 403)
    client.cookies.set("_token", forged)
    assert client.get("/ui/auth/me").status_code in (401, 403)


def test_a_token_in_the_address_signs_nobody_in(client: Any, tokens: dict[str, str]) -> None:
    token = tokens["organization-owner-organization"]
    assert client.get(f"/api/v2/dags?token={token}&access_token={token}&_token={token}").status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "http://testserver"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "null"},
    ],
)
def test_another_site_cannot_write_with_the_cookie(client: Any, headers: dict[str, str]) -> None:
    client.post("/auth/login", data={"username": OWNER, "password": PASSWORD})
    body = {"key": "csrf", "value": "1"}
    assert client.post("/api/v2/variables", json=body, headers=headers).status_code == 403
    assert client.post(f"{ACCESS}/me/sign-out", headers=headers).status_code == 403
    assert client.get("/ui/auth/me").status_code == 200
    login = {"username": OWNER, "password": PASSWORD}
    assert client.post("/auth/login", data=login, headers=headers).status_code == 403
    same = {"Origin": "http://testserver", "Sec-Fetch-Site": "same-origin"}
    assert client.post("/api/v2/variables", json=body, headers=same).status_code == 201
    assert client.delete("/api/v2/variables/csrf", headers=same).status_code == 204


def test_a_session_that_was_planted_is_not_the_one_that_is_signed_in(client: Any) -> None:
    client.post("/auth/login", data={"username": OWNER, "password": PASSWORD})
    planted = client.cookies["_token"]
    client.post("/auth/login", data={"username": OWNER, "password": PASSWORD})
    ids = [
        jwt.decode(each, SECRET, algorithms=["HS512"], audience="apache-airflow")["sid"]
        for each in (planted, client.cookies["_token"])
    ]
    assert ids[0] != ids[1]


@pytest.mark.parametrize(
    "wanted",
    [
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "javascript:x",
        "http://testserver//evil.example",
        "http://testserver/\\evil.example",
    ],
)
def test_nobody_is_sent_elsewhere_after_signing_in(client: Any, wanted: str) -> None:
    answer = client.post(
        "/auth/login", params={"next": wanted}, data={"username": OWNER, "password": PASSWORD}
    )
    assert answer.status_code == 303
    assert answer.headers["location"] in {"/", "/evil.example", "/%5Cevil.example"}


def test_as_much_is_done_for_a_name_that_does_not_exist(
    client: Any, as_owner: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from orrery.auth import passwords

    hashed: list[str] = []
    hasher = passwords._HASHER

    class Counting:
        def __getattr__(self, name: str) -> Any:
            return getattr(hasher, name)

        def verify(self, kept: str, given: str) -> bool:
            hashed.append(kept)
            return hasher.verify(kept, given)

    monkeypatch.setattr(passwords, "_HASHER", Counting())
    known = new_user(as_owner)
    service = new_user(as_owner, is_service_account=True)
    answers = [
        client.post("/auth/token", json={"username": name, "password": "wrong"})
        for name in (known, f"nobody-{uuid4().hex}", service)
    ]
    assert {(answer.status_code, answer.text) for answer in answers} == {(401, answers[0].text)}
    parameters = {kept.rpartition("$")[0].rpartition("$")[0] for kept in hashed}
    assert len(hashed) == 3
    assert len(parameters) == 1


def test_guessing_is_limited_over_two_api_servers_and_at_once(airflow_app: Any, as_owner: Any) -> None:
    from orrery.auth import signin
    from orrery.auth.cache import PolicyCache

    name = new_user(as_owner)
    servers = [PolicyCache(people.PLACE) for _ in range(2)]
    outcomes: list[str] = []

    def guess(number: int) -> None:
        try:
            signin.sign_in(servers[number % 2].policy, name, f"wrong {number}", address="192.0.2.7")
        except signin.SignInError:
            outcomes.append("wrong")
        except signin.TooManyAttemptsError:
            outcomes.append("limited")

    threads = [threading.Thread(target=guess, args=(number,)) for number in range(20)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert outcomes.count("wrong") == signin.MOST_OF_NAME_AND_ADDRESS
    assert outcomes.count("limited") == 20 - signin.MOST_OF_NAME_AND_ADDRESS
    # The right password does not help there, and its owner signs in elsewhere all the same.
    with pytest.raises(signin.TooManyAttemptsError):
        signin.sign_in(servers[0].policy, name, LONG, address="192.0.2.7")
    assert signin.sign_in(servers[1].policy, name, LONG, address="198.51.100.1").username == name
    for server in servers:
        server.close()


def test_many_strangers_cannot_lock_somebody_out(
    airflow_app: Any, as_owner: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from orrery.auth import signin

    policy = airflow_app.state.auth_manager.cache
    name = new_user(as_owner)
    signin.sign_in(policy.policy, name, LONG, address="198.51.100.9")
    monkeypatch.setattr(signin, "MOST_OF_NAME", 3)
    for number in range(5):
        with pytest.raises((signin.SignInError, signin.TooManyAttemptsError)):
            signin.sign_in(policy.policy, name, "wrong", address=f"203.0.113.{number}")
    with pytest.raises(signin.TooManyAttemptsError):
        signin.sign_in(policy.policy, name, LONG, address="203.0.113.200")
    assert signin.sign_in(policy.policy, name, LONG, address="198.51.100.9").username == name


def test_nobody_rises_above_their_own_role(client: Any, as_owner: Any) -> None:
    boss = new_user(as_owner, "workspace-owner")
    headers = bearer(token_of(client, boss))
    team = f"team-{uuid4().hex[:8]}"
    as_owner.post(f"{ACCESS}/teams", json={"name": team})
    as_owner.post(f"{ACCESS}/bindings", json={"team": team, "role": "organization-owner"})
    robot = new_user(as_owner, "organization-owner", is_service_account=True)
    tries = [
        ("POST", "/bindings", {"user": boss, "role": "organization-owner"}),
        ("POST", "/bindings", {"group": "everybody", "role": "organization-owner"}),
        ("POST", "/bindings", {"user": boss, "role": "organization-billing-admin"}),
        ("POST", "/bindings", {"user": boss, "role": "workspace-member", "scope": "workspace:other"}),
        ("PATCH", f"/teams/{team}", {"members": [boss]}),
        ("PATCH", f"/teams/{team}", {"groups": ["everybody"]}),
        ("POST", "/tokens", {"name": "robot", "owner": robot}),
        ("POST", "/tokens", {"name": "owner", "owner": OWNER}),
        ("POST", "/invitations", {"email": f"{boss}@example.org", "role": "organization-owner"}),
        ("PUT", f"/users/{OWNER}/password", {"password": LONG}),
        ("PATCH", f"/users/{OWNER}", {"is_active": False}),
        ("DELETE", f"/users/{OWNER}", None),
    ]
    for method, path, body in tries:
        answer = client.request(method, f"{ACCESS}{path}", json=body, headers=headers)
        assert answer.status_code == 403, (method, path, body, answer.text)
    for each in as_owner.get(f"{ACCESS}/bindings").json()["bindings"]:
        if each["role"] == "organization-owner":
            answer = client.delete(f"{ACCESS}/bindings/{each['id']}", headers=headers)
            assert answer.status_code == 403
    given = {"user": boss, "role": "workspace-author"}
    assert client.post(f"{ACCESS}/bindings", json=given, headers=headers).status_code == 201


def test_a_custom_role_with_an_unknown_permission_is_refused(as_owner: Any) -> None:
    for wrong in ("dag.fly", "user.update", "*", ""):
        body = {"title": "Wrong", "permissions": [wrong]}
        assert as_owner.put(f"{ACCESS}/roles/wrong", json=body).status_code == 422
    assert "wrong" not in {each["name"] for each in as_owner.get(f"{ACCESS}/roles").json()["roles"]}


def test_the_last_owner_stays(as_owner: Any, airflow_app: Any) -> None:
    from orrery.auth import changes

    manager = airflow_app.state.auth_manager
    policy = manager.cache.policy
    last = min(policy.owners)
    user = manager.user_of(policy.accounts[last])
    with pytest.raises(changes.ChangeError, match="without an owner"), changes.change(manager, user) as made:
        for owner in policy.owners:
            made.delete_account(owner)
    assert manager.cache.refresh().owners == policy.owners


def test_an_api_token_is_limited_and_revoked_at_once(client: Any, as_owner: Any) -> None:
    body = {"name": "ci", "role": "dag-viewer", "scope": f"dag:{people.OWN}", "days": 1}
    made = as_owner.post(f"{ACCESS}/tokens", json=body).json()
    headers = bearer(made["token"])
    assert made["token"].startswith("orrery_pat_")
    assert {each["dag_id"] for each in client.get("/api/v2/dags", headers=headers).json()["dags"]} == {
        people.OWN
    }
    assert client.get("/api/v2/variables", headers=headers).status_code == 403
    # It makes nothing that may more than itself.
    assert client.post(f"{ACCESS}/tokens", json={"name": "more"}, headers=headers).status_code == 403
    other = client.post("/ui/auth/token", json={"token_type": "api"}, headers=headers)
    short = bearer(other.json()["access_token"])
    assert client.get("/api/v2/variables", headers=short).status_code == 403
    rotated = as_owner.post(f"{ACCESS}/tokens/{made['id']}/rotate").json()
    assert client.get("/api/v2/dags", headers=headers).status_code == 403
    headers = bearer(rotated["token"])
    assert client.get("/api/v2/dags", headers=headers).status_code == 200
    assert as_owner.delete(f"{ACCESS}/tokens/{made['id']}").status_code == 204
    for void in (headers, short):
        assert client.get("/api/v2/dags", headers=void).status_code == 403
    shown = as_owner.get(f"{ACCESS}/tokens?all=true").text
    assert made["token"] not in shown
    assert rotated["token"] not in shown


def test_another_api_server_hears_of_a_change(as_owner: Any, airflow_app: Any) -> None:
    from orrery.auth import store
    from orrery.auth.cache import PolicyCache

    other = PolicyCache(people.PLACE, open_listener=store.open_listener)
    assert other.policy.version
    name = new_user(as_owner)
    heard = threading.Event()
    for _ in range(200):
        if name in other.policy.by_username:
            heard.set()
            break
        heard.wait(0.05)
    other.close()
    assert heard.is_set()


def test_a_new_password_and_disabling_end_what_was_signed_in(client: Any, as_owner: Any) -> None:
    name = new_user(as_owner, "workspace-member")
    before = bearer(token_of(client, name))
    assert client.get("/api/v2/dags", headers=before).status_code == 200
    other = "another password, long enough"
    assert as_owner.put(f"{ACCESS}/users/{name}/password", json={"password": other}).status_code == 200
    assert client.get("/api/v2/dags", headers=before).status_code == 403
    after = bearer(token_of(client, name, other))
    assert as_owner.patch(f"{ACCESS}/users/{name}", json={"is_active": False}).status_code == 200
    assert client.get("/api/v2/dags", headers=after).status_code == 403
    assert client.post("/auth/token", json={"username": name, "password": other}).status_code == 401


def test_no_secret_is_in_the_log_or_the_audit(
    client: Any, as_owner: Any, caplog: pytest.LogCaptureFixture
) -> None:
    secret = f"a secret {uuid4().hex}"
    name = new_user(as_owner)
    client.post("/auth/token", json={"username": name, "password": secret})
    as_owner.put(f"{ACCESS}/users/{name}/password", json={"password": secret})
    token = as_owner.post(f"{ACCESS}/tokens", json={"name": "kept"}).json()["token"]
    client.get("/api/v2/dags", headers=bearer(token))
    written = caplog.text + as_owner.get(f"{ACCESS}/audit/export").text
    assert secret not in written
    assert token not in written
    assert name in written


@pytest.mark.parametrize("statement", ["UPDATE {} SET actor = 'x'", "DELETE FROM {}", "TRUNCATE {}"])
def test_the_audit_cannot_be_changed(as_owner: Any, statement: str) -> None:
    from airflow.utils.session import create_session

    with pytest.raises(sa.exc.DBAPIError, match="append-only"), create_session(scoped=False) as session:
        session.execute(sa.text(statement.format("orrery_access_audit")))


def test_the_audit_ends_with_its_retention(as_owner: Any) -> None:
    from airflow.utils.session import create_session

    from orrery.auth import store

    now = datetime.now(UTC)
    with create_session(scoped=False) as session:
        store.record(session, "old", now=now - timedelta(days=400), actor="x")
        store.purge(session, now, audit_days=365)
    with create_session(scoped=False) as session:
        assert store.read_audit(session, limit=1000, event="old") == []
        assert store.read_audit(session, limit=1) != []


def test_refused_writes_are_in_the_audit(
    client: Any, airflow_app: Any, tokens: dict[str, str], as_owner: Any
) -> None:
    headers = bearer(tokens["workspace-member-workspace"])
    assert client.delete("/api/v2/variables/kept", headers=headers).status_code == 403
    airflow_app.state.auth_manager.recorder.drain()
    found = as_owner.get(f"{ACCESS}/audit", params={"event": "denied", "actor": "workspace-member-workspace"})
    assert "variable.delete" in {each["detail"]["permission"] for each in found.json()["events"]}


def test_a_team_is_made_with_its_members_or_not_at_all(as_owner: Any) -> None:
    name = f"team-{uuid4().hex[:8]}"
    body = {"name": name, "members": ["nobody-of-that-name"]}
    assert as_owner.post(f"{ACCESS}/teams", json=body).status_code == 404
    assert name not in {each["name"] for each in as_owner.get(f"{ACCESS}/teams").json()["teams"]}


def test_rows_of_a_newer_release_give_nothing_and_stop_nothing(as_owner: Any, airflow_app: Any) -> None:
    from airflow.utils.session import create_session

    from orrery.database import access_tables as t

    name = new_user(as_owner)
    cache = airflow_app.state.auth_manager.cache
    account = cache.refresh().find(name)
    row = {
        "id": uuid4().hex,
        "principal_kind": "planet",
        "principal": account.id,
        "role": "organization-owner",
        "scope_kind": "galaxy",
        "scope_name": "default",
        "created_by": "a newer release",
        "created_at": datetime.now(UTC),
    }
    with create_session(scoped=False) as session:
        session.execute(sa.insert(t.bindings).values(row))
    try:
        assert row["id"] not in {binding.id for binding in cache.refresh().bindings}
        # And what is changed from then on acts.
        new_user(as_owner, "workspace-member")
    finally:
        with create_session(scoped=False) as session:
            session.execute(sa.delete(t.bindings).where(t.bindings.c.id == row["id"]))


def test_a_token_of_which_half_a_limit_is_known_may_do_nothing(client: Any, as_owner: Any) -> None:
    from airflow.utils.session import create_session

    from orrery.database import access_tables as t

    body = {"name": "half", "role": "dag-viewer", "scope": f"dag:{people.OWN}", "days": 1}
    made = as_owner.post(f"{ACCESS}/tokens", json=body).json()
    head = bearer(made["token"])
    # Allowed: that there is no such Dag in full is another matter.
    assert client.get(f"/api/v2/dags/{people.OWN}", headers=head).status_code == 404
    with create_session(scoped=False) as session:
        session.execute(sa.update(t.tokens).where(t.tokens.c.id == made["id"]).values(scope_name=None))
    as_owner.post(f"{ACCESS}/teams", json={"name": f"team-{uuid4().hex[:8]}"})  # so that it is read anew
    assert client.get(f"/api/v2/dags/{people.OWN}", headers=head).status_code == 403
    assert client.get("/api/v2/variables", headers=head).status_code == 403
