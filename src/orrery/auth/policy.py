"""The policy of a deployment, as each API server holds it in memory: people, teams, roles, bindings, tokens.

Pure and frozen: what changes makes a new one. Questions are answered from it without a database.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from orrery.auth.roles import (
    BUILT_IN,
    OWNER,
    Binding,
    Decision,
    Grant,
    Place,
    PrincipalKind,
    Role,
    RoleError,
    Scope,
    ScopeKind,
    authorized_dag_ids,
    custom_role,
    decide,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from orrery.auth.roles import Dag, DagIndex


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A person, or a service account."""

    id: str
    kind: PrincipalKind
    username: str
    email: str | None
    full_name: str
    is_active: bool
    epoch: int
    has_password: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Team:
    """People, by themselves or by groups of an identity provider."""

    id: str
    name: str
    description: str
    members: frozenset[str]
    groups: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """An API token; its secret is known to nobody."""

    id: str
    owner_id: str
    name: str
    prefix: str
    hash: str
    role: str | None
    scope: Scope | None
    created_at: datetime
    expires_at: datetime | None
    is_revoked: bool

    def is_valid(self, now: datetime) -> bool:
        """Tell whether it can be used."""
        return not self.is_revoked and (self.expires_at is None or now < self.expires_at)


@dataclass(frozen=True, kw_only=True)
class Policy:
    """All of it, at one version."""

    version: int
    place: Place
    accounts: Mapping[str, Account] = field(default_factory=dict)
    teams: Mapping[str, Team] = field(default_factory=dict)
    roles: Mapping[str, Role] = field(default_factory=lambda: dict(BUILT_IN))
    bindings: Sequence[Binding] = ()
    tokens: Mapping[str, Token] = field(default_factory=dict)
    #: Groups of each account, as its identity providers said last.
    groups: Mapping[str, frozenset[str]] = field(default_factory=dict)
    revoked: frozenset[str] = frozenset()

    @cached_property
    def _by_principal(self) -> Mapping[tuple[PrincipalKind, str], list[Binding]]:
        found: defaultdict[tuple[PrincipalKind, str], list[Binding]] = defaultdict(list)
        for binding in self.bindings:
            found[binding.principal_kind, binding.principal].append(binding)
        return dict(found)

    @cached_property
    def _grants(self) -> dict[str, tuple[Grant, ...]]:
        return {}

    @cached_property
    def by_username(self) -> Mapping[str, Account]:
        """Accounts by the name that they sign in with."""
        return {account.username: account for account in self.accounts.values()}

    @cached_property
    def by_token_hash(self) -> Mapping[str, Token]:
        """Tokens by their hash."""
        return {token.hash: token for token in self.tokens.values()}

    def find(self, name: str) -> Account | None:
        """Return the account with that user name, e-mail address or id."""
        wanted = name.strip().lower()
        found = self.by_username.get(wanted) or self.accounts.get(name)
        return found or next((each for each in self.accounts.values() if each.email == wanted), None)

    def find_team(self, name: str) -> Team | None:
        """Return the team of that name or id."""
        return self.teams.get(name) or next((each for each in self.teams.values() if each.name == name), None)

    def teams_of(self, account_id: str) -> list[Team]:
        """Return the teams that somebody is in, also by a group."""
        mine = self.groups.get(account_id, frozenset())
        return [team for team in self.teams.values() if account_id in team.members or team.groups & mine]

    def grants(self, account_id: str) -> tuple[Grant, ...]:
        """Return all that reaches an account: its own bindings, those of its teams, those of its groups.

        Empty for an account that is disabled or gone. A binding whose role is gone gives nothing.
        """
        known = self._grants.get(account_id)
        if known is None:
            known = self._grants[account_id] = tuple(self._reaching(account_id))
        return known

    def _reaching(self, account_id: str) -> Iterable[Grant]:
        account = self.accounts.get(account_id)
        if account is None or not account.is_active:
            return
        principals = [
            (account.kind, account_id),
            *((PrincipalKind.TEAM, team.id) for team in self.teams_of(account_id)),
            *((PrincipalKind.GROUP, group) for group in sorted(self.groups.get(account_id, ()))),
        ]
        for principal in principals:
            for binding in self._by_principal.get(principal, ()):
                if role := self.roles.get(binding.role):
                    yield Grant(binding, role, self._through(binding))

    def _through(self, binding: Binding) -> str | None:
        match binding.principal_kind:
            case PrincipalKind.TEAM:
                team = self.teams.get(binding.principal)
                return f"team {team.name if team else binding.principal}"
            case PrincipalKind.GROUP:
                return f"group {binding.principal}"
        return None

    def token_grant(self, token: Token) -> Grant | None:
        """Return to what a token is limited beside what its owner may; None: to nothing else."""
        if token.role is None and token.scope is None:
            return None
        # What only half says to what it is limited may do nothing.
        scope = token.scope or Scope(ScopeKind.DEPLOYMENT, self.place.deployment)
        name = token.role or "nothing"
        role = self.roles.get(name) if token.role and token.scope else None
        role = role or Role(name, name, (scope.kind,), frozenset())
        binding = Binding(token.id, PrincipalKind.SERVICE_ACCOUNT, token.owner_id, name, scope)
        return Grant(binding, role, f"token {token.name}")

    @property
    def owners(self) -> frozenset[str]:
        """Ids of the active accounts that own the organization, straight or through a team."""
        return frozenset(
            account_id
            for account_id, account in self.accounts.items()
            if account.kind is PrincipalKind.USER
            and any(
                grant.role.name == OWNER and self.place.holds(grant.binding.scope)
                for grant in self.grants(account_id)
            )
        )

    def dangling(self, binding: Binding, index: DagIndex) -> bool:
        """Tell whether a binding points to nothing: no such role, team, Dag, tag or bundle."""
        if binding.role not in self.roles:
            return True
        if binding.principal_kind is PrincipalKind.TEAM and binding.principal not in self.teams:
            return True
        return binding.scope.kind.selects_dags and not index.selected(binding.scope)


@dataclass(frozen=True, slots=True)
class Rights:
    """What one caller may: all that reaches the account, and no more than its token allows."""

    grants: tuple[Grant, ...]
    limit: Grant | None
    place: Place

    def decide(self, permission: str | None, *, dag: Dag | None = None, of_some: bool = False) -> Decision:
        """Decide, with the reason."""
        found = decide(self.grants, permission, place=self.place, dag=dag, of_some=of_some)
        if self.limit is None or not found.is_allowed:
            return found
        limited = decide((self.limit,), permission, place=self.place, dag=dag, of_some=of_some)
        if limited.is_allowed:
            return found
        return Decision(is_allowed=False, reason=f"The {self.limit.through} is limited to less.")

    def dag_ids(self, permission: str | None, index: DagIndex) -> frozenset[str]:
        """Return on which Dags the permission holds."""
        found = authorized_dag_ids(self.grants, permission, place=self.place, index=index)
        if self.limit is None or not found:
            return found
        return found & authorized_dag_ids((self.limit,), permission, place=self.place, index=index)


def role_of(row: Mapping[str, Any]) -> Role | None:
    """Return the custom role of a row; None where this release cannot read it, so that it gives nothing."""
    try:
        return custom_role(row["name"], row["title"], row["permissions"], row["scopes"])
    except RoleError:
        return None


def scope_of(kind: str | None, name: str | None) -> Scope | None:
    """Return the scope of two columns."""
    return None if kind is None or name is None else Scope(ScopeKind(kind), name)
