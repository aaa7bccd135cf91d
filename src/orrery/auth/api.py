"""The routes under `/orrery/v1/access`: people, teams, roles, bindings, tokens, the audit, explanations.

Each asks for one permission, which the table `ROUTES` names; `None` is for everybody who is signed in, about
themselves. What is refused beyond that (above one's own role, the last owner) is refused by `changes`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime  # noqa: TC003 - FastAPI reads it
from typing import TYPE_CHECKING, Annotated, Any, Final

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.core_api.security import get_user
from airflow.utils.session import create_session
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Path, Query, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from orrery.auth import complaints, passwords, permissions, request, store
from orrery.auth.changes import ChangeError, change, parse_scope
from orrery.auth.explain import access_of, explain
from orrery.auth.manager import OrreryAuthManager
from orrery.auth.roles import PrincipalKind
from orrery.auth.user import OrreryUser

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from orrery.auth.policy import Account, Policy, Team, Token
    from orrery.auth.roles import Binding, Role

Name = Annotated[str, Field(min_length=1, max_length=250, pattern=r"^[^\x00]*$")]
Text = Annotated[str, Field(max_length=1000, pattern=r"^[^\x00]*$")]
Password = Annotated[SecretStr, Field(min_length=1, max_length=1024)]
InPath = Annotated[str, Path(min_length=1, max_length=250, pattern=r"^[^\x00]*$")]
InQuery = Annotated[str | None, Query(max_length=250, pattern=r"^[^\x00]*$")]


class Body(BaseModel):
    """What a client sends: unknown keys are errors."""

    model_config = ConfigDict(extra="forbid")


class NewUser(Body):
    """A person or a service account to be created."""

    username: Name
    email: Name | None = None
    full_name: Name | None = None
    password: Password | None = None
    is_service_account: bool = False


class UserChange(Body):
    """What to change of an account."""

    email: Name | None = None
    full_name: Name | None = None
    is_active: bool | None = None


class NewPassword(Body):
    """A password for somebody."""

    password: Password


class OwnPassword(Body):
    """Another password for oneself."""

    current: Password
    password: Password


class NewTeam(Body):
    """A team to be created."""

    name: Name
    description: Text = ""
    members: list[Name] = Field(default_factory=list, max_length=1000)
    groups: list[Name] = Field(default_factory=list, max_length=1000)


class TeamChange(Body):
    """Who is in a team."""

    members: list[Name] | None = Field(default=None, max_length=1000)
    groups: list[Name] | None = Field(default=None, max_length=1000)


class RoleBody(Body):
    """A custom role."""

    title: Name
    permissions: list[Name] = Field(max_length=200)
    scopes: list[Name] = Field(default=["deployment"], max_length=10)


class NewBinding(Body):
    """A role to be given: exactly one of user, team and group."""

    user: Name | None = None
    team: Name | None = None
    group: Name | None = None
    role: Name
    #: `KIND:NAME`; without it here: this organization, workspace or deployment.
    scope: Name | None = None


class NewToken(Body):
    """An API token to be created; without an owner one's own."""

    name: Name
    owner: Name | None = None
    role: Name | None = None
    scope: Name | None = None
    days: int | None = Field(default=None, ge=1, le=3650)


class NewInvitation(Body):
    """Somebody to be invited."""

    email: Name
    role: Name | None = None
    scope: Name | None = None


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, and the manager that let them in."""

    manager: OrreryAuthManager
    user: OrreryUser

    @property
    def policy(self) -> Policy:
        """The policy at this moment."""
        return self.manager.cache.policy

    def may(self, permission: str) -> bool:
        """Tell whether the caller has a permission."""
        return self.manager.rights(self.user).decide(permission).is_allowed


def caller(user: Annotated[Any, Depends(get_user)]) -> Caller:
    """Return who calls."""
    manager = get_auth_manager()
    if not isinstance(manager, OrreryAuthManager) or not isinstance(user, OrreryUser):
        raise HTTPException(409, "This deployment uses another auth manager than Orrery's.")
    return Caller(manager, user)


def needs(permission: str) -> Callable[[Caller], Caller]:
    """Return what lets only those in who have a permission."""

    def check(who: Annotated[Caller, Depends(caller)]) -> Caller:
        decision = who.manager.rights(who.user).decide(permission)
        if not decision.is_allowed:
            if not permission.endswith(".read"):
                who.manager.recorder.denied(
                    who.user.username, permission, "", decision.reason, request.current()
                )
            raise HTTPException(403, f"This needs the permission {permission}.")
        return who

    return check


def create_app() -> FastAPI:
    """Build the application that Airflow mounts."""
    app = FastAPI(title="Orrery access", docs_url=None, redoc_url=None, openapi_url=None)
    app.add_exception_handler(ChangeError, _refused)
    complaints.install(app)
    router = APIRouter()
    for method, path, permission, route, status in ROUTES:
        who = Depends(caller if permission is None else needs(permission))
        router.add_api_route(
            path,
            route,
            methods=[method],
            status_code=status,
            response_model=None,
            dependencies=[who],
            responses={403: {"description": f"It needs {permission or 'to be signed in'}."}},
        )
    app.include_router(router)
    return app


def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, ChangeError)  # noqa: S101 - registered for it
    return JSONResponse({"detail": error.message}, status_code=error.status)


By = Annotated[Caller, Depends(caller)]


# -- oneself ------------------------------------------------------------------------------------


def me(by: By) -> dict[str, Any]:
    """Return who one is and what one may, and by what."""
    account = by.policy.accounts[by.user.id]
    return {**_account(account, by.policy), **access_of(by.manager.rights(by.user))}


def change_own_password(by: By, body: OwnPassword) -> dict[str, Any]:
    """Give oneself another password: signs out everywhere."""
    with create_session(scoped=False) as session:
        kept = store.password_hash(session, by.user.id)
    if by.user.token_id is not None or not passwords.verify(body.current.get_secret_value(), kept):
        raise HTTPException(403, "The current password does not fit.")
    with change(by.manager, by.user) as made:
        made.set_password(by.user.id, body.password.get_secret_value(), is_own=True)
    return {"changed": True}


def sign_out_everywhere(by: By) -> dict[str, Any]:
    """Void all of one's sessions and access tokens, this one too."""
    with change(by.manager, by.user) as made:
        made.sign_out(by.user.id)
    return {"signed_out": True}


def explain_route(
    by: By,
    action: Annotated[str, Query(min_length=1, max_length=50)],
    resource: Annotated[str, Query(min_length=1, max_length=100)] = "dag",
    user: InQuery = None,
    dag_id: InQuery = None,
) -> dict[str, Any]:
    """Tell whether somebody may do something, and why; about others it needs `binding.read`."""
    account = by.policy.accounts[by.user.id]
    if user is not None and (found := by.policy.find(user)) != account:
        if not by.may("binding.read"):
            raise HTTPException(403, "This needs the permission binding.read.")
        if found is None:
            raise HTTPException(404, f"There is no user '{user}'.")
        account = found
    return explain(by.policy, by.manager.cache.dags, account, action, resource, dag_id=dag_id)


# -- people -------------------------------------------------------------------------------------


def users(by: By) -> dict[str, Any]:
    """Return all accounts."""
    found = sorted(by.policy.accounts.values(), key=lambda each: each.username)
    return {"users": [_account(each, by.policy) for each in found], "total": len(found)}


def user(by: By, name: InPath) -> dict[str, Any]:
    """Return an account; with `binding.read` also what it may."""
    account = by.policy.find(name)
    if account is None:
        raise HTTPException(404, f"There is no user '{name}'.")
    found = _account(account, by.policy)
    if by.may("binding.read"):
        from orrery.auth.policy import Rights  # noqa: PLC0415

        found |= access_of(Rights(by.policy.grants(account.id), None, by.policy.place))
    return found


def create_user(by: By, body: NewUser) -> dict[str, Any]:
    """Create a person or a service account, without a role."""
    kind = PrincipalKind.SERVICE_ACCOUNT if body.is_service_account else PrincipalKind.USER
    with change(by.manager, by.user) as made:
        account_id = made.create_account(
            username=body.username,
            email=body.email,
            full_name=body.full_name,
            password=body.password.get_secret_value() if body.password else None,
            kind=kind,
        )
    return _account(by.policy.accounts[account_id], by.policy)


def update_user(by: By, name: InPath, body: UserChange) -> dict[str, Any]:
    """Change an account."""
    with change(by.manager, by.user) as made:
        account_id = made.account(name).id
        made.update_account(name, **body.model_dump())
    return _account(by.policy.accounts[account_id], by.policy)


def set_password(by: By, name: InPath, body: NewPassword) -> dict[str, Any]:
    """Give somebody another password."""
    with change(by.manager, by.user) as made:
        made.set_password(name, body.password.get_secret_value())
    return {"changed": True}


def sign_out_user(by: By, name: InPath) -> dict[str, Any]:
    """Void all sessions and access tokens of somebody."""
    with change(by.manager, by.user) as made:
        made.sign_out(name)
    return {"signed_out": True}


def delete_user(by: By, name: InPath) -> Response:
    """Remove an account."""
    with change(by.manager, by.user) as made:
        made.delete_account(name)
    return Response(status_code=204)


def invitations(by: By) -> dict[str, Any]:
    """Return all invitations."""
    del by
    with create_session(scoped=False) as session:
        return {"invitations": store.list_invitations(session)}


def invite(by: By, body: NewInvitation) -> dict[str, Any]:
    """Invite somebody; the secret is shown once, to be sent to them."""
    with change(by.manager, by.user) as made:
        invitation_id, secret = made.invite(email=body.email, role=body.role, scope=parse_scope(body.scope))
    return {"id": invitation_id, "email": body.email, "secret": secret.text}


def withdraw_invitation(by: By, invitation_id: InPath) -> Response:
    """Withdraw an invitation."""
    with change(by.manager, by.user) as made:
        made.withdraw_invitation(invitation_id)
    return Response(status_code=204)


# -- teams, roles, bindings ---------------------------------------------------------------------


def teams(by: By) -> dict[str, Any]:
    """Return all teams."""
    found = sorted(by.policy.teams.values(), key=lambda each: each.name)
    return {"teams": [_team(each, by.policy) for each in found], "total": len(found)}


def create_team(by: By, body: NewTeam) -> dict[str, Any]:
    """Create a team."""
    with change(by.manager, by.user) as made:
        team_id = made.create_team(
            body.name, body.description, members=body.members or (), groups=body.groups or ()
        )
    return _team(by.policy.teams[team_id], by.policy)


def update_team(by: By, name: InPath, body: TeamChange) -> dict[str, Any]:
    """Say who is in a team."""
    with change(by.manager, by.user) as made:
        team_id = made.team(name).id
        made.update_team(team_id, members=body.members, groups=body.groups)
    return _team(by.policy.teams[team_id], by.policy)


def delete_team(by: By, name: InPath) -> Response:
    """Remove a team."""
    with change(by.manager, by.user) as made:
        made.delete_team(name)
    return Response(status_code=204)


def permission_list(by: By) -> dict[str, Any]:
    """Return all permissions, for whoever makes a custom role."""
    del by
    tables = {
        "dag": permissions.DAG_PERMISSIONS,
        "deployment": permissions.DEPLOYMENT_PERMISSIONS,
        "access": permissions.ACCESS_PERMISSIONS,
    }
    return {
        "permissions": [
            {"name": name, "meaning": meaning, "of": kind}
            for kind, table in tables.items()
            for name, meaning in table.items()
        ]
    }


def roles(by: By) -> dict[str, Any]:
    """Return all roles and what they may."""
    return {"roles": [_role(each) for each in by.policy.roles.values()]}


def save_role(by: By, name: InPath, body: RoleBody) -> dict[str, Any]:
    """Create a custom role or change it."""
    with change(by.manager, by.user) as made:
        role = made.save_role(name, title=body.title, permissions=body.permissions, scopes=body.scopes)
    return _role(role)


def delete_role(by: By, name: InPath) -> Response:
    """Remove a custom role."""
    with change(by.manager, by.user) as made:
        made.delete_role(name)
    return Response(status_code=204)


def bindings(by: By) -> dict[str, Any]:
    """Return who has which role."""
    index = by.manager.cache.dags
    return {
        "bindings": [
            {**_binding(each, by.policy), "is_dangling": by.policy.dangling(each, index)}
            for each in by.policy.bindings
        ],
        "total": len(by.policy.bindings),
    }


def create_binding(by: By, body: NewBinding) -> dict[str, Any]:
    """Give a role; where it is given already, return that."""
    given = [
        (kind, name)
        for kind, name in (
            (PrincipalKind.USER, body.user),
            (PrincipalKind.TEAM, body.team),
            (PrincipalKind.GROUP, body.group),
        )
        if name is not None
    ]
    if len(given) != 1:
        raise HTTPException(422, "Give the role to exactly one of user, team and group.")
    [(kind, name)] = given
    with change(by.manager, by.user) as made:
        binding_id = made.give(kind=kind, principal=name, role=body.role, scope=parse_scope(body.scope))
    for each in by.policy.bindings:
        if each.id == binding_id:
            return {**_binding(each, by.policy), "is_new": True}
    return {"id": None, "is_new": False}


def delete_binding(by: By, binding_id: InPath) -> Response:
    """Take a role."""
    with change(by.manager, by.user) as made:
        made.take(binding_id)
    return Response(status_code=204)


# -- tokens -------------------------------------------------------------------------------------


def token_list(by: By, all: bool = False) -> dict[str, Any]:  # noqa: A002 - as people write it
    """Return one's own API tokens; all with `token.read`."""
    if all and not by.may("token.read"):
        raise HTTPException(403, "This needs the permission token.read.")
    with create_session(scoped=False) as session:
        uses = store.token_uses(session)
    found = [
        {**_token(each, by.policy), "last_used_at": uses.get(each.id)}
        for each in by.policy.tokens.values()
        if all or each.owner_id == by.user.id
    ]
    return {"tokens": sorted(found, key=lambda each: str(each["created_at"])), "total": len(found)}


def create_token(by: By, body: NewToken) -> dict[str, Any]:
    """Create an API token; its text is in this answer and nowhere else."""
    if body.owner is not None and by.policy.find(body.owner) != by.policy.accounts[by.user.id]:
        needs("token.create")(by)
    with change(by.manager, by.user) as made:
        token_id, secret = made.create_token(
            name=body.name,
            owner=body.owner,
            role=body.role,
            scope=parse_scope(body.scope),
            days=body.days,
        )
    return {**_token(by.policy.tokens[token_id], by.policy), "token": secret.text}


def rotate_token(by: By, token_id: InPath) -> dict[str, Any]:
    """Give a token another text."""
    _require_own_or(by, token_id, "token.update")
    with change(by.manager, by.user) as made:
        secret = made.rotate_token(token_id)
    return {**_token(by.policy.tokens[token_id], by.policy), "token": secret.text}


def revoke_token(by: By, token_id: InPath) -> Response:
    """Void a token."""
    _require_own_or(by, token_id, "token.delete")
    with change(by.manager, by.user) as made:
        made.revoke_token(token_id)
    return Response(status_code=204)


def _require_own_or(by: Caller, token_id: str, permission: str) -> None:
    token = by.policy.tokens.get(token_id)
    if token is None or token.owner_id != by.user.id:
        needs(permission)(by)


# -- audit --------------------------------------------------------------------------------------


def audit(
    by: By,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    before: Annotated[int | None, Query(ge=1, le=2**63 - 1)] = None,
    event: InQuery = None,
    actor: InQuery = None,
) -> dict[str, Any]:
    """Return events, the newest first; `before` is the id that the next page begins at."""
    del by
    with create_session(scoped=False) as session:
        found = store.read_audit(session, limit=limit, before=before, event=event, actor=actor)
    return {"events": found, "next": found[-1]["id"] if len(found) == limit else None}


def export_audit(by: By, since: datetime | None = None) -> StreamingResponse:
    """Return all events since a moment as lines of JSON, the newest first."""
    del by

    def lines() -> Iterator[str]:
        before = None
        while True:
            with create_session(scoped=False) as session:
                page = store.read_audit(session, limit=1000, before=before, since=since)
            for event in page:
                yield json.dumps(event, default=str) + "\n"
            if len(page) < 1000:
                return
            before = page[-1]["id"]

    return StreamingResponse(lines(), media_type="application/x-ndjson")


# -- how things are told ------------------------------------------------------------------------


def _account(account: Account, policy: Policy) -> dict[str, Any]:
    return {
        "id": account.id,
        "username": account.username,
        "email": account.email,
        "full_name": account.full_name,
        "is_service_account": account.kind is PrincipalKind.SERVICE_ACCOUNT,
        "is_active": account.is_active,
        "has_password": account.has_password,
        "teams": sorted(team.name for team in policy.teams_of(account.id)),
        "groups": sorted(policy.groups.get(account.id, ())),
    }


def _team(team: Team, policy: Policy) -> dict[str, Any]:
    names = (policy.accounts[each].username for each in team.members if each in policy.accounts)
    return {
        "id": team.id,
        "name": team.name,
        "description": team.description,
        "members": sorted(names),
        "groups": sorted(team.groups),
    }


def _role(role: Role) -> dict[str, Any]:
    return {
        "name": role.name,
        "title": role.title,
        "scopes": list(role.scopes),
        "permissions": sorted(role.permissions),
        "is_custom": role.is_custom,
        "is_unlimited": role.is_unlimited,
    }


def _binding(binding: Binding, policy: Policy) -> dict[str, Any]:
    name = binding.principal
    if binding.principal_kind is PrincipalKind.TEAM:
        name = policy.teams[name].name if name in policy.teams else name
    elif name in policy.accounts:
        name = policy.accounts[name].username
    return {
        "id": binding.id,
        "principal_kind": str(binding.principal_kind),
        "principal": name,
        "role": binding.role,
        "scope": str(binding.scope),
    }


def _token(token: Token, policy: Policy) -> dict[str, Any]:
    return {
        "id": token.id,
        "name": token.name,
        "owner": policy.accounts[token.owner_id].username,
        "prefix": token.prefix,
        "role": token.role,
        "scope": str(token.scope) if token.scope else None,
        "created_at": token.created_at,
        "expires_at": token.expires_at,
        "is_revoked": token.is_revoked,
    }


#: Method, path, permission (None: everybody signed in, about themselves), function, status of success.
ROUTES: Final[tuple[tuple[str, str, str | None, Callable[..., Any], int], ...]] = (
    ("GET", "/me", None, me, 200),
    ("PUT", "/me/password", None, change_own_password, 200),
    ("POST", "/me/sign-out", None, sign_out_everywhere, 200),
    ("GET", "/explain", None, explain_route, 200),
    ("GET", "/permissions", "role.read", permission_list, 200),
    ("GET", "/users", "user.read", users, 200),
    ("POST", "/users", "user.create", create_user, 201),
    ("GET", "/users/{name}", "user.read", user, 200),
    ("PATCH", "/users/{name}", "user.update", update_user, 200),
    ("DELETE", "/users/{name}", "user.delete", delete_user, 204),
    ("PUT", "/users/{name}/password", "user.update", set_password, 200),
    ("POST", "/users/{name}/sign-out", "user.update", sign_out_user, 200),
    ("GET", "/invitations", "user.create", invitations, 200),
    ("POST", "/invitations", "user.create", invite, 201),
    ("DELETE", "/invitations/{invitation_id}", "user.create", withdraw_invitation, 204),
    ("GET", "/teams", "team.read", teams, 200),
    ("POST", "/teams", "team.create", create_team, 201),
    ("PATCH", "/teams/{name}", "team.update", update_team, 200),
    ("DELETE", "/teams/{name}", "team.delete", delete_team, 204),
    ("GET", "/roles", "role.read", roles, 200),
    ("PUT", "/roles/{name}", "role.update", save_role, 200),
    ("DELETE", "/roles/{name}", "role.delete", delete_role, 204),
    ("GET", "/bindings", "binding.read", bindings, 200),
    ("POST", "/bindings", "binding.create", create_binding, 201),
    ("DELETE", "/bindings/{binding_id}", "binding.delete", delete_binding, 204),
    ("GET", "/tokens", None, token_list, 200),
    ("POST", "/tokens", None, create_token, 201),
    ("POST", "/tokens/{token_id}/rotate", None, rotate_token, 200),
    ("DELETE", "/tokens/{token_id}", None, revoke_token, 204),
    ("GET", "/audit", "access_audit.read", audit, 200),
    ("GET", "/audit/export", "access_audit.read", export_audit, 200),
)
