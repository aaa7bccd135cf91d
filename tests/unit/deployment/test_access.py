"""access.yaml: what is wrong in it is told with its line, and applying it twice changes nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from orrery.deployment.access import Access, Present, difference, load
from orrery.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

PLACE = {"organization": "default", "workspace": "default", "deployment": "here"}
MEMBER = {
    "name": "workspace-member",
    "title": "Workspace Member",
    "permissions": [],
    "scopes": ["workspace"],
    "is_custom": False,
}
NOTHING = Present(users=(), teams=(), roles=(MEMBER,), bindings=(), place=PLACE)
ADA: dict[str, Any] = {"username": "ada", "email": "ada@example.org", "full_name": "Ada", "is_active": True}
GIVEN = {
    "id": "b1",
    "principal_kind": "user",
    "principal": "ada",
    "role": "workspace-member",
    "scope": "workspace:default",
}


def access(**parts: Any) -> Access:
    return Access.model_validate(parts)


def texts(wanted: Access, present: Present = NOTHING, *, prune: bool = False) -> list[str]:
    return [f"{step.sign} {step.text}" for step in difference(wanted, present, prune=prune)]


EVERYTHING = access(
    users=[{"username": "Ada", "email": "Ada@Example.org"}],
    teams=[{"name": "data", "members": ["ada"]}],
    roles=[{"name": "reader", "permissions": ["dag.read"], "scopes": ["dag"]}],
    bindings=[
        {"user": "ada", "role": "workspace-member"},
        {"team": "data", "role": "reader", "scope": "dag:not-there-yet"},
    ],
)


def test_what_is_missing_is_made_in_an_order_in_which_it_can_be() -> None:
    assert texts(EVERYTHING) == [
        "+ user ada",
        "+ role reader",
        "+ team data",
        "~ team data: ada",
        "+ workspace-member at workspace:default for user ada",
        "+ reader at dag:not-there-yet for team data",
    ]


def test_what_is_there_is_not_made_again() -> None:
    reader = {"name": "reader", "title": "reader", "permissions": ["dag.read"], "scopes": ["dag"]}
    team = {"name": "data", "members": ["ada"], "groups": []}
    dag = GIVEN | {
        "id": "b2",
        "principal_kind": "team",
        "principal": "data",
        "role": "reader",
        "scope": "dag:not-there-yet",
    }
    there = Present(users=(ADA,), teams=(team,), roles=(MEMBER, reader), bindings=(GIVEN, dag), place=PLACE)

    assert texts(EVERYTHING, there, prune=True) == []


def test_the_same_role_at_another_place_is_another_binding() -> None:
    wanted = access(bindings=[{"user": "ada", "role": "workspace-member"}])
    elsewhere = GIVEN | {"scope": "workspace:other"}

    assert texts(wanted, replace(NOTHING, users=(ADA,), bindings=(elsewhere,))) == [
        "+ workspace-member at workspace:default for user ada"
    ]


def test_an_inactive_account_is_made_and_then_disabled() -> None:
    assert texts(access(users=[{"username": "bob", "active": False}])) == [
        "+ user bob",
        "~ user bob: is_active False",
    ]


def test_only_prune_takes_and_never_from_owners() -> None:
    owner = GIVEN | {"id": "b0", "role": "organization-owner", "scope": "organization:default"}
    there = replace(NOTHING, users=(ADA,), bindings=(owner, GIVEN))

    assert texts(access(), there) == []
    assert texts(access(), there, prune=True) == ["- workspace-member at workspace:default for user ada"]


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"bindings": [{"user": "ada", "role": "boss"}]}, "no role 'boss'"),
        ({"bindings": [{"user": "bob", "role": "workspace-member"}]}, "no user 'bob'"),
        ({"bindings": [{"team": "data", "role": "workspace-member"}]}, "no team 'data'"),
        ({"teams": [{"name": "data", "members": ["bob"]}]}, "no user 'bob', a member"),
        ({"users": [{"username": "eve", "email": "ADA@example.org"}]}, "is that of 'ada'"),
    ],
)
def test_what_names_nothing_is_refused_before_anything_is_changed(wanted: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        difference(access(**wanted), replace(NOTHING, users=(ADA,)))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "users:\n  - username: a\n    email: x@y.org\n  - username: b\n    email: X@y.org\n",
            ":4: two users have the e-mail",
        ),
        ("users:\n  - username: a\n    password: secret\n", ":3: users.0.password: Extra inputs"),
        ("bindings:\n  - {user: a, team: b, role: r}\n", ":2: a binding is for exactly one"),
        ("people: []\n", ":1: people: Extra inputs"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "access.yaml"
    file.write_text(text)

    with pytest.raises(InputError) as error:
        load(file)

    assert said in error.value.message
    assert "secret" not in error.value.message
