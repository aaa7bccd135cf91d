"""Invitations: accepted once, by whoever has the secret, with no more than the giver may still give."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa
from airflow.utils.session import create_session
from tests.integration.auth.test_attacks import ACCESS, bearer, new_user, token_of

from orrery.auth import invitations, store
from orrery.database import access_tables

pytestmark = pytest.mark.integration

LONG = "a long enough sentence"
PAGE = "/auth/invitation"


@pytest.fixture(autouse=True)
def _no_attempts_of_other_tests(airflow_app: Any) -> None:
    with create_session(scoped=False) as session:
        attempts = access_tables.login_attempts
        session.execute(sa.delete(attempts).where(attempts.c.key.startswith("invitation:")))


def invited(by: Any, **given: Any) -> dict[str, Any]:
    answer = by.post(f"{ACCESS}/invitations", json={"email": f"{uuid4().hex[:12]}@example.org", **given})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def accepted(client: Any, secret: str, **given: Any) -> Any:
    body = {"token": secret, "username": f"guest-{uuid4().hex[:12]}", "password": LONG, **given}
    return client.post(PAGE, data=body)


def events(by: Any, event: str) -> list[dict[str, Any]]:
    return list(by.get(f"{ACCESS}/audit", params={"event": event, "limit": 20}).json()["events"])


def test_the_page_lets_nothing_run_but_its_own_script(client: Any) -> None:
    answer = client.get(PAGE)
    policy = answer.headers["content-security-policy"]
    assert answer.status_code == 200
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"


def test_whoever_is_invited_chooses_name_and_password_and_is_signed_in(client: Any, as_owner: Any) -> None:
    made = invited(as_owner, role="workspace-member")
    name = f"guest-{uuid4().hex[:12]}"
    answer = accepted(client, made["secret"], username=name, full_name="A Guest")
    assert answer.status_code == 303, answer.text
    assert answer.headers["location"] == "/"
    mine = client.get(f"{ACCESS}/me").json()
    assert (mine["username"], mine["email"], mine["full_name"]) == (name, made["email"], "A Guest")
    assert [each["role"] for each in mine["bindings"]] == ["workspace-member"]
    assert token_of(client, name, LONG)
    found = events(as_owner, "invitation.accepted")[0]
    assert (found["actor"], found["subject"]) == (name, made["email"])


def test_it_is_accepted_once(client: Any, as_owner: Any) -> None:
    secret = invited(as_owner)["secret"]
    assert accepted(client, secret).status_code == 303
    client.cookies.clear()
    assert accepted(client, secret).status_code == 403


def test_used_over_withdrawn_and_invented_ones_get_one_same_answer(client: Any, as_owner: Any) -> None:
    used, over, withdrawn = (invited(as_owner) for _ in range(3))
    assert accepted(client, used["secret"]).status_code == 303
    client.cookies.clear()
    with create_session(scoped=False) as session:
        table = access_tables.invitations
        session.execute(
            sa.update(table)
            .where(table.c.id == over["id"])
            .values(expires_at=datetime.now(UTC) - timedelta(seconds=1))
        )
    assert as_owner.delete(f"{ACCESS}/invitations/{withdrawn['id']}").status_code == 204
    secrets = [used["secret"], over["secret"], withdrawn["secret"], "orrery_inv_invented", "é"]
    answers = [accepted(client, secret, username="somebody") for secret in secrets]
    assert {answer.status_code for answer in answers} == {403}
    assert len({answer.text for answer in answers}) == 1
    assert "set-cookie" not in answers[0].headers


def test_a_withdrawal_is_in_the_audit_and_an_accepted_one_stays(client: Any, as_owner: Any) -> None:
    made = invited(as_owner)
    assert as_owner.delete(f"{ACCESS}/invitations/{made['id']}").status_code == 204
    assert events(as_owner, "invitation.withdrawn")[0]["subject"] == made["email"]
    assert as_owner.delete(f"{ACCESS}/invitations/{made['id']}").status_code == 404
    kept = invited(as_owner)
    assert accepted(client, kept["secret"]).status_code == 303
    client.cookies.clear()
    assert as_owner.delete(f"{ACCESS}/invitations/{kept['id']}").status_code == 404


@pytest.mark.parametrize(
    ("given", "said", "status"),
    [
        ({"password": "short"}, "characters", 422),
        ({"password": ""}, "", 422),
        ({"username": "owner"}, "already", 409),
        ({"username": "<b>"}, "user name", 422),
        ({"username": "a\x00b"}, "cannot be read", 422),
    ],
)
def test_what_cannot_be_is_told_and_the_invitation_stays(
    client: Any, as_owner: Any, given: dict[str, str], said: str, status: int
) -> None:
    secret = invited(as_owner)["secret"]
    answer = accepted(client, secret, **given)
    assert answer.status_code == status, answer.text
    assert said in answer.text
    assert "<b>" not in answer.text
    assert accepted(client, secret).status_code == 303


def test_nobody_learns_which_names_there_are_without_an_invitation(client: Any) -> None:
    answers = [accepted(client, "orrery_inv_x", username=name) for name in ("owner", "nobody-at-all")]
    texts = {answer.text.replace("owner", "").replace("nobody-at-all", "") for answer in answers}
    assert len(texts) == 1


def test_a_role_that_the_giver_has_lost_is_not_given(client: Any, as_owner: Any) -> None:
    giver = new_user(as_owner, "workspace-owner")
    by = {"headers": bearer(token_of(client, giver))}
    body = {"email": f"{uuid4().hex[:12]}@example.org", "role": "workspace-operator"}
    secret = client.post(f"{ACCESS}/invitations", json=body, **by).json()["secret"]
    [mine] = as_owner.get(f"{ACCESS}/users/{giver}").json()["bindings"]
    as_owner.delete(f"{ACCESS}/bindings/{mine['binding']}")
    assert accepted(client, secret).status_code == 403
    as_owner.post(f"{ACCESS}/bindings", json={"user": giver, "role": "workspace-owner"})
    assert accepted(client, secret).status_code == 303


def test_guessing_is_limited_and_told_when_to_come_again(client: Any, as_owner: Any) -> None:
    for number in range(invitations.MOST_OF_ADDRESS):
        assert accepted(client, f"orrery_inv_{number}").status_code == 403
    answer = accepted(client, invited(as_owner)["secret"])
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) > 0


def test_another_site_cannot_sign_somebody_in_as_its_own_guest(client: Any, as_owner: Any) -> None:
    secret = invited(as_owner)["secret"]
    body = {"token": secret, "username": f"guest-{uuid4().hex[:8]}", "password": LONG}
    foreign = client.post(PAGE, data=body, headers={"Sec-Fetch-Site": "cross-site"})
    assert foreign.status_code == 403
    assert accepted(client, secret).status_code == 303


def test_the_secret_is_in_no_log_and_not_in_the_database(
    client: Any, as_owner: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        secret = invited(as_owner)["secret"]
        answer = accepted(client, secret)
    assert answer.status_code == 303
    assert secret not in caplog.text
    with create_session(scoped=False) as session:
        rows = [*store.list_invitations(session), *store.read_audit(session, limit=50)]
    assert secret not in str(rows)
