"""Changes of access, each one transaction with its audit: refused where they would give more than one has.

    with changes.change(manager, user) as made:
        made.give(kind=..., principal=..., role=..., scope=...)

While one is made no other is, on any API server. It ends with the check that the organization still has an
owner, and with a policy in this process that knows of it; the others hear of it.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from airflow.utils.session import create_session

from orrery.auth import passwords, request, store, tokens
from orrery.auth.roles import Grant, PrincipalKind, Role, RoleError, Scope, ScopeKind, custom_role, exceeds
from orrery.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sqlalchemy.orm import Session

    from orrery.auth.manager import OrreryAuthManager
    from orrery.auth.policy import Account, Policy, Rights, Team, Token
    from orrery.auth.user import OrreryUser

_USERNAME: Final = re.compile(r"[a-z0-9][a-z0-9._@+-]{0,99}")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,99}")
_ROLE: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,99}")
EMAIL: Final = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
LONGEST_TOKEN_DAYS: Final = 3650
INVITATION: Final = timedelta(days=7)


class ChangeError(Exception):
    """A change that is refused, and the HTTP status that tells so."""

    status = 409

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class UnknownError(ChangeError):
    """What is to be changed is not there."""

    status = 404


class ForbiddenError(ChangeError):
    """It would give or take more than one has oneself."""

    status = 403


class MalformedError(ChangeError):
    """What is wished for cannot be."""

    status = 422


@contextmanager
def change(manager: OrreryAuthManager, user: OrreryUser) -> Iterator[Change]:
    """Open a change of the policy by a user, and commit it at the end.

    Raises:
        ChangeError: it would leave the organization without an owner, or what the change itself refuses.
    """
    with create_session(scoped=False) as session:
        store.lock_policy(session)
        policy = store.load_policy_here(session, manager.settings.place)
        # By what is locked: this process may not have heard yet what was taken from the user.
        yield (made := Change(session, policy, user.username, user.id, manager.rights(user, policy)))
        if policy.owners and not store.load_policy_here(session, policy.place).owners:
            raise ChangeError("The organization would be left without an owner.")
        for event, subject, detail in made.events:
            store.record(
                session,
                event,
                now=made.now,
                actor=user.username,
                subject=subject,
                address=request.address(),
                **detail,
            )
    manager.cache.refresh()


@dataclass(slots=True)
class Change:
    """One change that is being made: the policy as it was, and by whom."""

    session: Session
    policy: Policy
    actor: str
    actor_id: str
    rights: Rights
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    events: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)

    def _note(self, event: str, subject: str, **detail: Any) -> None:
        self.events.append((event, subject, detail))

    # -- people -----------------------------------------------------------------------------------

    def account(self, name: str) -> Account:
        """Return an account by name, address or id."""
        found = self.policy.find(name)
        if found is None:
            raise UnknownError(f"There is no user '{name}'.")
        return found

    def create_account(
        self,
        *,
        username: str,
        email: str | None = None,
        full_name: str | None = None,
        password: str | None = None,
        kind: PrincipalKind = PrincipalKind.USER,
    ) -> str:
        """Create a person or a service account, and return its id."""
        name = username.strip().lower()
        if not _USERNAME.fullmatch(name):
            raise MalformedError("A user name has up to 100 letters, digits and . _ @ + -")
        address = email.strip().lower() if email else None
        if address and not EMAIL.fullmatch(address):
            raise MalformedError(f"'{email}' is no e-mail address.")
        for taken in filter(None, (name, address)):
            if self.policy.find(taken) is not None:
                raise ChangeError(f"There is a user '{taken}' already.")
        if kind is PrincipalKind.SERVICE_ACCOUNT and password:
            raise MalformedError("A service account has no password: give it an API token.")
        account_id = store.create_account(
            self.session,
            kind=kind,
            username=name,
            email=address,
            full_name=(full_name or name)[:250],
            password_hash=_hashed(password, name) if password else None,
            now=self.now,
        )
        self._note("user.created", name, kind=str(kind))
        return account_id

    def update_account(
        self,
        name: str,
        *,
        full_name: str | None = None,
        email: str | None = None,
        is_active: bool | None = None,
    ) -> None:
        """Change an account; a disabled one is signed out at once."""
        account = self.account(name)
        self._require_not_above(account)
        values: dict[str, Any] = {}
        if full_name is not None:
            values["full_name"] = full_name[:250]
        if email is not None:
            address = email.strip().lower()
            if not EMAIL.fullmatch(address):
                raise MalformedError(f"'{email}' is no e-mail address.")
            if (other := self.policy.find(address)) is not None and other.id != account.id:
                raise ChangeError(f"There is a user '{address}' already.")
            values["email"] = address
        if is_active is not None:
            values["is_active"] = is_active
            values["epoch"] = account.epoch + 1
        if values:
            store.update_account(self.session, account.id, **values)
            self._note("user.updated", account.username, changed=sorted(values))

    def set_password(self, name: str, password: str, *, is_own: bool = False) -> None:
        """Give somebody another password, and sign them out everywhere."""
        account = self.account(name)
        if account.kind is not PrincipalKind.USER:
            raise MalformedError("A service account has no password: give it an API token.")
        if not is_own:
            self._require_not_above(account)
        hashed = _hashed(password, account.username)
        store.update_account(self.session, account.id, password_hash=hashed, epoch=account.epoch + 1)
        self._note("user.password", account.username, by="user" if is_own else "administrator")

    def sign_out(self, name: str) -> None:
        """Void all sessions and access tokens of somebody."""
        account = self.account(name)
        if account.id != self.actor_id:
            self._require_not_above(account)
        store.sign_out_everywhere(self.session, account.id)
        self._note("user.signed-out", account.username)

    def delete_account(self, name: str) -> None:
        """Remove somebody, with bindings and tokens; the audit stays."""
        account = self.account(name)
        self._require_not_above(account)
        store.delete_account(self.session, account.id)
        self._note("user.deleted", account.username)

    # -- teams ------------------------------------------------------------------------------------

    def team(self, name: str) -> Team:
        """Return a team by name or id."""
        found = self.policy.find_team(name)
        if found is None:
            raise UnknownError(f"There is no team '{name}'.")
        return found

    def create_team(
        self,
        name: str,
        description: str = "",
        *,
        members: Iterable[str] = (),
        groups: Iterable[str] = (),
    ) -> str:
        """Create a team, which has no role yet, and return its id."""
        if not _NAME.fullmatch(name):
            raise MalformedError("A team's name has up to 100 letters, digits, spaces and . _ -")
        if self.policy.find_team(name) is not None:
            raise ChangeError(f"There is a team '{name}' already.")
        team_id = store.create_team(self.session, name=name, description=description, now=self.now)
        self._note("team.created", name)
        self._fill(team_id, name, members=members or None, groups=groups or None)
        return team_id

    def update_team(
        self,
        name: str,
        *,
        members: Iterable[str] | None = None,
        groups: Iterable[str] | None = None,
    ) -> None:
        """Say who is in a team: who changes that gives and takes all that the team has."""
        team = self.team(name)
        for binding in self.policy.bindings:
            if binding.principal_kind is PrincipalKind.TEAM and binding.principal == team.id:
                self._require_mine(self.policy.roles.get(binding.role), binding.scope)
        self._fill(team.id, team.name, members=members, groups=groups)

    def _fill(
        self, team_id: str, name: str, *, members: Iterable[str] | None, groups: Iterable[str] | None
    ) -> None:
        if members is not None:
            accounts = [self.account(each) for each in members]
            store.set_members(self.session, team_id, (account.id for account in accounts))
            names = sorted(account.username for account in accounts)
            self._note("team.members", name, members=names)
        if groups is not None:
            wanted = sorted({group.strip()[:250] for group in groups if group.strip()})
            store.set_team_groups(self.session, team_id, wanted)
            self._note("team.groups", name, groups=wanted)

    def delete_team(self, name: str) -> None:
        """Remove a team and its bindings."""
        team = self.team(name)
        for binding in self.policy.bindings:
            if binding.principal_kind is PrincipalKind.TEAM and binding.principal == team.id:
                self._require_mine(self.policy.roles.get(binding.role), binding.scope)
        store.delete_team(self.session, team.id)
        self._note("team.deleted", team.name)

    # -- roles and bindings -----------------------------------------------------------------------

    def save_role(self, name: str, *, title: str, permissions: Iterable[str], scopes: Iterable[str]) -> Role:
        """Create a custom role or change it, for all who have it."""
        if not _ROLE.fullmatch(name):
            raise MalformedError("A role's name has up to 100 lower-case letters, digits and hyphens.")
        try:
            role = custom_role(name, title[:250], permissions, scopes)
        except RoleError as error:
            raise MalformedError(str(error)) from error
        self._require_mine(role, Scope(ScopeKind.DEPLOYMENT, self.policy.place.deployment))
        store.save_role(self.session, role, self.now)
        self._note("role.saved", name, permissions=sorted(role.permissions), scopes=list(role.scopes))
        return role

    def delete_role(self, name: str) -> None:
        """Remove a custom role; bindings that name it give nothing from then on."""
        role = self.policy.roles.get(name)
        if role is None:
            raise UnknownError(f"There is no role '{name}'.")
        if not role.is_custom:
            raise ChangeError(f"'{name}' is a built-in role.")
        store.delete_role(self.session, name)
        self._note("role.deleted", name)

    def give(self, *, kind: PrincipalKind, principal: str, role: str, scope: Scope | None) -> str | None:
        """Give a role and return the binding's id; None where it is given already."""
        wanted, where = self._role_at(role, scope)
        self._require_mine(wanted, where)
        name = principal.strip()
        match kind:
            case PrincipalKind.TEAM:
                key = self.team(name).id
            case PrincipalKind.GROUP:
                key = name[:250]
            case _:
                account = self.account(name)
                key, kind = account.id, account.kind
        binding_id = store.create_binding(
            self.session,
            kind=kind,
            principal=key,
            role=wanted.name,
            scope=where,
            created_by=self.actor,
            now=self.now,
        )
        if binding_id is not None:
            self._note("binding.created", name, role=wanted.name, scope=str(where), principal_kind=str(kind))
        return binding_id

    def take(self, binding_id: str) -> None:
        """Take a role."""
        binding = next((each for each in self.policy.bindings if each.id == binding_id), None)
        if binding is None:
            raise UnknownError("There is no such binding.")
        self._require_mine(self.policy.roles.get(binding.role), binding.scope)
        store.delete_binding(self.session, binding_id)
        self._note("binding.deleted", binding.principal, role=binding.role, scope=str(binding.scope))

    def _role_at(self, name: str, scope: Scope | None) -> tuple[Role, Scope]:
        role = self.policy.roles.get(name)
        if role is None:
            raise MalformedError(f"There is no role '{name}'.")
        where = scope or self.policy.place.default_scope(role)
        if where is None:
            raise MalformedError(
                f"Say on which Dags '{name}' is given: dag:ID, dag_tag:TAG or dag_bundle:NAME."
            )
        if where.kind not in role.scopes:
            kinds = ", ".join(role.scopes)
            raise MalformedError(f"'{name}' is given at {kinds}, not at {where.kind}.")
        return role, where

    # -- tokens and invitations -------------------------------------------------------------------

    def create_token(
        self,
        *,
        name: str,
        owner: str | None,
        role: str | None,
        scope: Scope | None,
        days: int | None,
    ) -> tuple[str, tokens.NewToken]:
        """Create an API token, and return its id and its text, which nobody sees again."""
        account = self.account(owner) if owner else self.account(self.actor_id)
        self._require_token_of(account)
        if not name.strip():
            raise MalformedError("A token needs a name, by which you will know it.")
        if days is not None and not 1 <= days <= LONGEST_TOKEN_DAYS:
            raise MalformedError(f"A token lives from 1 to {LONGEST_TOKEN_DAYS} days, or for ever.")
        limit = self._role_at(role, scope) if role else None
        made = tokens.new()
        token_id = store.create_token(
            self.session,
            owner_id=account.id,
            name=name.strip()[:250],
            prefix=made.prefix,
            hashed=made.hash,
            role=limit[0].name if limit else None,
            scope=limit[1] if limit else None,
            expires_at=self.now + timedelta(days=days) if days else None,
            created_by=self.actor,
            now=self.now,
        )
        self._note("token.created", account.username, prefix=made.prefix, name=name, role=role, days=days)
        return token_id, made

    def rotate_token(self, token_id: str) -> tokens.NewToken:
        """Give a token another secret; the old one is void at once."""
        token = self._token(token_id)
        account = self.account(token.owner_id)
        self._require_token_of(account)
        if not token.is_valid(self.now):
            raise ChangeError("The token is over: create another one.")
        made = tokens.new()
        store.rotate_token(self.session, token_id, prefix=made.prefix, hashed=made.hash)
        self._note("token.rotated", account.username, before=token.prefix, prefix=made.prefix)
        return made

    def revoke_token(self, token_id: str) -> None:
        """Void a token at once, on every API server."""
        token = self._token(token_id)
        if not token.is_revoked:
            store.revoke_token(self.session, token_id, self.now)
        self._note("token.revoked", self.account(token.owner_id).username, prefix=token.prefix)

    def invite(self, *, email: str, role: str | None, scope: Scope | None) -> tuple[str, tokens.NewToken]:
        """Invite somebody, with a role to begin with; return the invitation's id and its secret."""
        address = email.strip().lower()
        if not EMAIL.fullmatch(address):
            raise MalformedError(f"'{email}' is no e-mail address.")
        if self.policy.find(address) is not None:
            raise ChangeError(f"There is a user '{address}' already.")
        limit = self._role_at(role, scope) if role else None
        if limit:
            self._require_mine(*limit)
        made = tokens.new(tokens.INVITATION_PREFIX)
        invitation_id = store.create_invitation(
            self.session,
            email=address,
            hashed=made.hash,
            role=limit[0].name if limit else None,
            scope=limit[1] if limit else None,
            created_by=self.actor,
            now=self.now,
            expires_at=self.now + INVITATION,
        )
        self._note("user.invited", address, role=role)
        return invitation_id, made

    def withdraw_invitation(self, invitation_id: str) -> None:
        """Withdraw an invitation; one that was accepted stays, as does whom it let in."""
        email = store.withdraw_invitation(self.session, invitation_id)
        if email is None:
            raise UnknownError("There is no such invitation, or it was accepted.")
        self._note("invitation.withdrawn", email)

    def _token(self, token_id: str) -> Token:
        token = self.policy.tokens.get(token_id)
        if token is None:
            raise UnknownError("There is no such token.")
        return token

    # -- what may not be --------------------------------------------------------------------------

    def _require_mine(self, role: Role | None, scope: Scope) -> None:
        """Refuse what is above one's own; of a limited token, above that too."""
        if role is None:
            return
        for mine in (self.rights.grants, (self.rights.limit,) if self.rights.limit else None):
            if mine is None:
                continue
            if (lacks := exceeds(role, scope, mine, place=self.policy.place)) is not None:
                raise ForbiddenError(f"{role.title} at {scope} is above your own role: you lack {lacks}.")

    def _require_not_above(self, account: Account) -> None:
        grants: Iterable[Grant] = self.policy.grants(account.id)
        for grant in grants:
            self._require_mine(grant.role, grant.binding.scope)

    def _require_token_of(self, account: Account) -> None:
        """Refuse a token for another person, and for a service account that may more than oneself."""
        if self.rights.limit is not None:
            raise ForbiddenError("A token that is limited to a role makes no tokens.")
        if account.id == self.actor_id:
            return
        if account.kind is not PrincipalKind.SERVICE_ACCOUNT:
            raise ForbiddenError("Nobody makes tokens of another person: create a service account.")
        self._require_not_above(account)


def parse_scope(text: str | None) -> Scope | None:
    """Read `workspace:default`, `dag:sales`, `dag_tag:finance`.

    Raises:
        MalformedError: it is none.
    """
    if not text:
        return None
    kind, _, name = text.partition(":")
    try:
        return Scope(ScopeKind(kind.strip().lower().replace("-", "_")), _named(name))
    except ValueError as error:
        kinds = ", ".join(ScopeKind)
        raise MalformedError(f"'{text}' is no scope: write KIND:NAME with one of {kinds}.") from error


def _named(name: str) -> str:
    if not name.strip() or len(name) > 250:
        raise ValueError(name)
    return name.strip()


def _hashed(password: str, username: str) -> str:
    try:
        passwords.check_strength(password, username=username)
    except InputError as error:
        raise MalformedError(f"{error.message} {error.hint or ''}".strip()) from error
    return passwords.hashed(password)
