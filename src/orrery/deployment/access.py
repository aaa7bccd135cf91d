"""access.yaml: who should have what, for people who keep access in git; and what is missing of it.

The file adds and changes. It takes nothing, but with `prune`: then bindings that it does not name, except
those of owners, so that a file can lock nobody out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from orrery.deployment.document import read_document
from orrery.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from orrery.deployment.document import Document

OWNER: Final = "organization-owner"
Name = Annotated[str, Field(min_length=1, max_length=250)]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class User(_Entry):
    """A person or a service account; passwords stand in no file."""

    username: Name
    email: Name | None = None
    full_name: Name | None = None
    service_account: bool = False
    active: bool = True

    @property
    def key(self) -> str:
        """The name as it is kept."""
        return self.username.strip().lower()


class Team(_Entry):
    """A team, with all of its members."""

    name: Name
    description: str = ""
    members: tuple[Name, ...] = ()
    groups: tuple[Name, ...] = ()


class Role(_Entry):
    """A custom role."""

    name: Name
    title: Name | None = None
    permissions: tuple[Name, ...]
    scopes: tuple[Name, ...] = ("deployment",)


class Binding(_Entry):
    """A role for exactly one of user, team and group."""

    user: Name | None = None
    team: Name | None = None
    group: Name | None = None
    role: Name
    scope: Name | None = None

    @property
    def principal(self) -> tuple[str, str]:
        """Kind and name."""
        if self.user is not None:
            return "user", self.user.strip().lower()
        return ("team", self.team) if self.team is not None else ("group", str(self.group))


class Access(_Entry):
    """The whole file."""

    users: tuple[User, ...] = ()
    teams: tuple[Team, ...] = ()
    roles: tuple[Role, ...] = ()
    bindings: tuple[Binding, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One call below /orrery/v1/access, and what it does in words."""

    sign: Literal["+", "~", "-"]
    text: str
    method: str
    path: str
    body: dict[str, Any] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Present:
    """What there is, as the routes tell it."""

    users: Sequence[Mapping[str, Any]]
    teams: Sequence[Mapping[str, Any]]
    roles: Sequence[Mapping[str, Any]]
    bindings: Sequence[Mapping[str, Any]]
    #: `organization`, `workspace` and `deployment`: where a role is given unless one says.
    place: Mapping[str, str]


def load(file: Path) -> Access:
    """Read the file.

    Raises:
        InputError: it is not what it should be; all that is wrong is told, each with its line.
        MachineError: it cannot be read.
    """
    document = read_document(file)
    problems = [f"{file}:{each.line}: {each.text}" for each in document.problems]
    try:
        access = Access.model_validate(document.values)
    except ValidationError as error:
        problems += [
            f"{file}:{document.line(each['loc'])}: {'.'.join(map(str, each['loc']))}: {each['msg']}"
            for each in error.errors()
        ]
    else:
        problems += [f"{file}:{line}: {text}" for line, text in _contradictions(access, document)]
    if problems:
        raise InputError("\n".join(problems), hint="Nothing was changed. See docs/access/as-code.md")
    return access


def _contradictions(access: Access, document: Document) -> Iterator[tuple[int, str]]:
    taken: dict[tuple[str, str], str] = {}
    for section, kind, values in (
        ("users", "user name", [user.key for user in access.users]),
        ("users", "e-mail", [(user.email or "").strip().lower() for user in access.users]),
        ("teams", "team", [team.name for team in access.teams]),
        ("roles", "role", [role.name for role in access.roles]),
    ):
        for index, value in enumerate(values):
            if value and (kind, value) in taken:
                yield document.line((section, index)), f"two {section} have the {kind} '{value}'"
            taken[kind, value] = value
    for index, binding in enumerate(access.bindings):
        if sum(each is not None for each in (binding.user, binding.team, binding.group)) != 1:
            yield document.line(("bindings", index)), "a binding is for exactly one of user, team and group"


def difference(wanted: Access, present: Present, *, prune: bool = False) -> tuple[Step, ...]:
    """Return the steps from what there is to what is wanted, in the order in which they can be done.

    Raises:
        InputError: it names a role, a user or a team that is neither there nor in the file, or an e-mail
            that somebody else has.
    """
    _check(wanted, present)
    return (
        *_users(wanted, present),
        *_roles(wanted, present),
        *_teams(wanted, present),
        *_bindings(wanted, present, prune=prune),
    )


def _check(wanted: Access, present: Present) -> None:
    users = {user.key for user in wanted.users} | {each["username"] for each in present.users}
    teams = {team.name for team in wanted.teams} | {each["name"] for each in present.teams}
    roles = {role.name for role in wanted.roles} | {each["name"] for each in present.roles}
    addresses = {each["email"]: each["username"] for each in present.users if each["email"]}
    problems = []
    for user in wanted.users:
        owner = addresses.get((user.email or "").strip().lower())
        if owner not in (None, user.key):
            problems.append(f"The e-mail {user.email} of '{user.key}' is that of '{owner}'.")
    for team in wanted.teams:
        problems += [
            f"There is no user '{name}', a member of team '{team.name}'."
            for name in team.members
            if name.strip().lower() not in users
        ]
    for binding in wanted.bindings:
        kind, name = binding.principal
        if binding.role not in roles:
            problems.append(f"There is no role '{binding.role}', which is given to {kind} '{name}'.")
        if (kind == "user" and name not in users) or (kind == "team" and name not in teams):
            problems.append(f"There is no {kind} '{name}', who is given '{binding.role}'.")
    if problems:
        raise InputError("\n".join(problems), hint="Nothing was changed. See: orrery auth roles list")


def _users(wanted: Access, present: Present) -> Iterator[Step]:
    known = {each["username"]: each for each in present.users}
    for user in wanted.users:
        there = known.get(user.key)
        if there is None:
            body: dict[str, Any] = {"username": user.key, "is_service_account": user.service_account}
            body |= _given(email=user.email, full_name=user.full_name)
            yield Step(sign="+", text=f"user {user.key}", method="POST", path="/users", body=body)
        email = user.email.strip().lower() if user.email else None
        now = there or {"email": email, "full_name": user.full_name, "is_active": True}
        changed = {
            name: value
            for name, value in _given(email=email, full_name=user.full_name, is_active=user.active).items()
            if now[name] != value
        }
        if changed:
            text = f"user {user.key}: " + ", ".join(f"{name} {value}" for name, value in changed.items())
            yield Step(sign="~", text=text, method="PATCH", path=f"/users/{_part(user.key)}", body=changed)


def _roles(wanted: Access, present: Present) -> Iterator[Step]:
    known = {each["name"]: each for each in present.roles}
    for role in wanted.roles:
        there = known.get(role.name)
        title = role.title or role.name
        body = {"title": title, "permissions": sorted(set(role.permissions)), "scopes": list(role.scopes)}
        if there is None or any(
            (sorted(set(there[name])) if name == "permissions" else there[name]) != value
            for name, value in body.items()
        ):
            sign: Literal["+", "~"] = "+" if there is None else "~"
            yield Step(
                sign=sign,
                text=f"role {role.name}",
                method="PUT",
                path=f"/roles/{_part(role.name)}",
                body=body,
            )


def _teams(wanted: Access, present: Present) -> Iterator[Step]:
    known = {each["name"]: each for each in present.teams}
    for team in wanted.teams:
        there = known.get(team.name)
        if there is None:
            created = {"name": team.name, "description": team.description}
            yield Step(sign="+", text=f"team {team.name}", method="POST", path="/teams", body=created)
        who = {
            "members": sorted({name.strip().lower() for name in team.members}),
            "groups": sorted(set(team.groups)),
        }
        now = there or {"members": [], "groups": []}
        if any(sorted(now[name]) != value for name, value in who.items()):
            text = f"team {team.name}: {', '.join([*who['members'], *who['groups']]) or 'nobody'}"
            yield Step(sign="~", text=text, method="PATCH", path=f"/teams/{_part(team.name)}", body=who)


def _bindings(wanted: Access, present: Present, *, prune: bool) -> Iterator[Step]:
    scopes = {each["name"]: each["scopes"] for each in present.roles}
    scopes |= {role.name: list(role.scopes) for role in wanted.roles}
    there = {_key(each): each for each in present.bindings}
    named = set()
    for binding in wanted.bindings:
        kind, name = binding.principal
        default = scopes[binding.role][0]
        scope = binding.scope or f"{default}:{present.place.get(default, '')}"
        key = (kind, name, binding.role, scope)
        if key not in there and key not in named:
            body = {kind: name, "role": binding.role} | _given(scope=binding.scope)
            text = f"{binding.role} at {scope} for {kind} {name}"
            yield Step(sign="+", text=text, method="POST", path="/bindings", body=body)
        named.add(key)
    if prune:
        for key, each in there.items():
            if key not in named and each["role"] != OWNER:
                text = f"{each['role']} at {each['scope']} for {key[0]} {key[1]}"
                yield Step(sign="-", text=text, method="DELETE", path=f"/bindings/{_part(each['id'])}")


def _key(binding: Mapping[str, Any]) -> tuple[str, str, str, str]:
    kind = "user" if binding["principal_kind"] == "service_account" else binding["principal_kind"]
    return kind, binding["principal"], binding["role"], binding["scope"]


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _part(name: str) -> str:
    return quote(name, safe="")
