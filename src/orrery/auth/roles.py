"""Who may do what, decided purely: roles as sets of permissions, bindings at scopes, decisions with reasons.

Everything is denied that no binding allows. Bindings add up: the best one wins. `decide` gives the manager
its yes or no and `explain` its reasons; there is no second way.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Self

from orrery.auth.permissions import (
    DAG_PERMISSIONS,
    DEPLOYMENT_PERMISSIONS,
    OF_EVERYBODY,
    PERMISSIONS,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

#: Dags and pools of ours begin with it. Nobody changes them, owners neither.
SYSTEM_PREFIX: Final = "orrery_"


class ScopeKind(StrEnum):
    """Where a binding holds; the last three select Dags of this deployment."""

    ORGANIZATION = "organization"
    WORKSPACE = "workspace"
    DEPLOYMENT = "deployment"
    DAG = "dag"
    DAG_TAG = "dag_tag"
    DAG_BUNDLE = "dag_bundle"

    @property
    def selects_dags(self) -> bool:
        """Whether it is narrower than a deployment."""
        return self in (ScopeKind.DAG, ScopeKind.DAG_TAG, ScopeKind.DAG_BUNDLE)


#: The narrower, the higher.
_DEPTH: Final = {kind: min(number, 3) for number, kind in enumerate(ScopeKind)}


@dataclass(frozen=True, slots=True)
class Scope:
    """A place where a role is given: a kind, and the name of the organization, ..., Dag, tag or bundle."""

    kind: ScopeKind
    name: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}"


class PrincipalKind(StrEnum):
    """To whom a role is given."""

    USER = "user"
    TEAM = "team"
    #: A group of an identity provider, by the name that its claim has.
    GROUP = "group"
    #: Signs in by API tokens only.
    SERVICE_ACCOUNT = "service_account"


@dataclass(frozen=True, slots=True)
class Role:
    """A named set of permissions, for one kind of scope."""

    name: str
    title: str
    #: Kinds of scope at which it may be given.
    scopes: tuple[ScopeKind, ...]
    permissions: frozenset[str]
    #: Also what is not in the table: entities and views of a newer Airflow.
    is_unlimited: bool = False
    is_custom: bool = False

    def grants(self, permission: str | None) -> bool:
        """Tell whether it has the permission; None is one that we do not know."""
        return self.is_unlimited or permission in self.permissions


def _reads(*resources: str) -> frozenset[str]:
    return frozenset(f"{resource}.read" for resource in resources)


def _edits(*resources: str) -> frozenset[str]:
    return frozenset(permission for permission in PERMISSIONS if permission.partition(".")[0] in resources)


_DAG_VIEWER = OF_EVERYBODY | _reads(
    "dag",
    "dag_run",
    "task",
    "task_instance",
    "task_log",
    "dag_code",
    "dag_version",
    "dag_dependency",
    "dag_warning",
    "hitl",
    "import_error",
)
_DAG_AUTHOR = (
    _DAG_VIEWER
    | _reads("xcom")
    | {"dag.update", "dag_run.create", "dag_run.update", "task_instance.update", "hitl.update"}
)
_ORGANIZATION_MEMBER = OF_EVERYBODY | _reads("user", "team", "role")
_MEMBER = (
    _DAG_VIEWER | _ORGANIZATION_MEMBER | _reads("asset", "asset_alias", "cluster_activity", "custom_view")
)
_AUTHOR = (
    _MEMBER
    | _DAG_AUTHOR
    | _reads("connection", "variable", "pool", "provider", "job", "trigger")
    | {"asset.create", "custom_view.update"}
)
_OPERATOR = (
    _AUTHOR
    | _edits("connection", "variable", "pool", "xcom", "asset", "dag", "dag_run", "task_instance")
    | _reads("configuration", "audit_log")
)
_DEPLOYMENT_ADMIN = _OPERATOR | {"system_dag.create", "binding.read"}
_WORKSPACE_OWNER = (
    _DEPLOYMENT_ADMIN
    | _edits("binding", "token", "role")
    | {"user.create", "team.create", "team.update", "access_audit.read"}
)

_ORGANIZATION = (ScopeKind.ORGANIZATION,)
_WORKSPACE = (ScopeKind.WORKSPACE,)
_DEPLOYMENT = (ScopeKind.DEPLOYMENT,)
DAG_SCOPES: Final = (ScopeKind.DAG, ScopeKind.DAG_TAG, ScopeKind.DAG_BUNDLE)

#: The roles that are always there, the mightiest of each scope first.
BUILT_IN: Final[Mapping[str, Role]] = MappingProxyType(
    {
        role.name: role
        for role in (
            Role(
                "organization-owner",
                "Organization Owner",
                _ORGANIZATION,
                frozenset(PERMISSIONS),
                is_unlimited=True,
            ),
            Role(
                "organization-billing-admin",
                "Organization Billing Admin",
                _ORGANIZATION,
                _ORGANIZATION_MEMBER | _edits("billing"),
            ),
            Role("organization-member", "Organization Member", _ORGANIZATION, _ORGANIZATION_MEMBER),
            Role("workspace-owner", "Workspace Owner", _WORKSPACE, _WORKSPACE_OWNER),
            Role("workspace-operator", "Workspace Operator", _WORKSPACE, _OPERATOR),
            Role("workspace-author", "Workspace Author", _WORKSPACE, _AUTHOR),
            Role("workspace-member", "Workspace Member", _WORKSPACE, _MEMBER),
            Role("workspace-accessor", "Workspace Accessor", _WORKSPACE, OF_EVERYBODY),
            Role("deployment-admin", "Deployment Admin", _DEPLOYMENT, _DEPLOYMENT_ADMIN),
            Role("dag-author", "Dag Author", DAG_SCOPES, _DAG_AUTHOR),
            Role("dag-viewer", "Dag Viewer", DAG_SCOPES, _DAG_VIEWER),
        )
    }
)
OWNER: Final = "organization-owner"

#: What a custom role may hold: nothing of the organization's, and nothing that gives access to others.
CUSTOM_PERMISSIONS: Final = frozenset({*DAG_PERMISSIONS, *DEPLOYMENT_PERMISSIONS}) | _reads(
    "user", "team", "role", "binding"
)
#: What still means something where only some Dags are selected.
_OF_SOME_DAGS: Final = frozenset(DAG_PERMISSIONS) | OF_EVERYBODY | {"import_error.read"}
#: Airflow shows events without a Dag to whoever may read the log: never to those who see some Dags only.
_NEVER_OF_SOME_DAGS: Final = frozenset({"audit_log.read"})


class RoleError(ValueError):
    """A custom role that cannot be."""


def custom_role(name: str, title: str, permissions: Iterable[str], scopes: Iterable[str]) -> Role:
    """Return a custom role.

    Raises:
        RoleError: its name is taken, it holds an unknown permission or one that custom roles may not hold, or
            it is for scopes other than deployment and Dags.
    """
    held = frozenset(permissions)
    if name in BUILT_IN:
        raise RoleError(f"The name '{name}' is that of a built-in role.")
    if unknown := sorted(held - PERMISSIONS.keys()):
        raise RoleError(f"There is no permission '{unknown[0]}'.")
    if refused := sorted(held - CUSTOM_PERMISSIONS):
        raise RoleError(f"A custom role may not hold '{refused[0]}'.")
    try:
        kinds = tuple(ScopeKind(kind) for kind in scopes)
    except ValueError as error:
        raise RoleError(f"There is no such scope: {error}.") from error
    if not kinds or any(kind in (ScopeKind.ORGANIZATION, ScopeKind.WORKSPACE) for kind in kinds):
        raise RoleError("A custom role is for deployments or for Dags.")
    return Role(name, title, kinds, held, is_custom=True)


@dataclass(frozen=True, slots=True)
class Place:
    """Where this deployment stands: bindings elsewhere do not count here."""

    organization: str
    workspace: str
    deployment: str

    def holds(self, scope: Scope) -> bool:
        """Tell whether a binding at that scope counts in this deployment."""
        return scope.kind.selects_dags or scope.name == getattr(self, scope.kind)

    def default_scope(self, role: Role) -> Scope | None:
        """Return where a role is given unless one says; None where Dags have to be named."""
        kind = role.scopes[0]
        return None if kind.selects_dags else Scope(kind, getattr(self, kind))


@dataclass(frozen=True, slots=True)
class Binding:
    """A role, given to a principal at a scope."""

    id: str
    principal_kind: PrincipalKind
    principal: str
    role: str
    scope: Scope

    def __str__(self) -> str:
        return f"{self.role} at {self.scope} for {self.principal_kind}:{self.principal}"


@dataclass(frozen=True, slots=True)
class Grant:
    """A binding as it reaches one user: straight, or through a team or an identity provider's group."""

    binding: Binding
    role: Role
    #: `team analysts`, `group data`; None: it is the user's own.
    through: str | None = None


@dataclass(frozen=True, slots=True)
class Dag:
    """What selects a Dag."""

    id: str
    tags: frozenset[str] = frozenset()
    bundle: str | None = None

    @property
    def is_system(self) -> bool:
        """Whether it is one of ours, which nobody changes."""
        return self.id.startswith(SYSTEM_PREFIX)

    def is_in(self, scope: Scope) -> bool:
        """Tell whether a scope selects it; a deployment and what is above holds all its Dags."""
        match scope.kind:
            case ScopeKind.DAG:
                return scope.name == self.id
            case ScopeKind.DAG_TAG:
                return scope.name in self.tags
            case ScopeKind.DAG_BUNDLE:
                return scope.name == self.bundle
        return True


@dataclass(frozen=True, slots=True)
class Decision:
    """Yes or no, and why."""

    is_allowed: bool
    #: For people: one sentence.
    reason: str
    #: What allowed it.
    grant: Grant | None = None


def decide(
    grants: Iterable[Grant],
    permission: str | None,
    *,
    place: Place,
    dag: Dag | None = None,
    of_some: bool = False,
) -> Decision:
    """Decide whether these grants allow something.

    Args:
        grants: those that reach the user, in any order.
        permission: what is asked for; None: something that we do not know, such as a view of a newer Airflow.
        place: where we are.
        dag: the Dag concerned.
        of_some: without a Dag: whether it is enough to have it on some Dags, as for lists that are filtered.
    """
    if permission in OF_EVERYBODY:
        return Decision(is_allowed=True, reason="Everybody who is signed in may do this.")
    if dag is not None and dag.is_system and not str(permission).endswith(".read"):
        if permission != "dag_run.create":
            return Decision(is_allowed=False, reason="Nobody may change Orrery's own Dags.")
        permission = "system_dag.create"
    best: Grant | None = None
    for grant in grants:
        if not applies(grant, permission, place=place):
            continue
        scope = grant.binding.scope
        if dag is not None:
            if not dag.is_in(scope):
                continue
        elif scope.kind.selects_dags and not (of_some and permission in _OF_SOME_DAGS):
            continue
        if best is None or _order(grant) < _order(best):
            best = grant
    if best is None:
        return Decision(is_allowed=False, reason="No role allows this.")
    way = f" through {best.through}" if best.through else ""
    return Decision(
        is_allowed=True, reason=f"{best.role.title} at {best.binding.scope}{way} allows this.", grant=best
    )


def applies(grant: Grant, permission: str | None, *, place: Place) -> bool:
    """Tell whether a grant gives the permission here, at least on some Dags."""
    scope = grant.binding.scope
    if not place.holds(scope) or not grant.role.grants(permission):
        return False
    return not (scope.kind.selects_dags and permission in _NEVER_OF_SOME_DAGS)


def _order(grant: Grant) -> tuple[int, bool, str]:
    """Explain by the widest scope, and by what is straight rather than through others."""
    return (_DEPTH[grant.binding.scope.kind], grant.through is not None, grant.binding.id)


@dataclass(frozen=True, slots=True)
class DagIndex:
    """All Dags of the deployment, by what selects them."""

    all: frozenset[str] = frozenset()
    by_tag: Mapping[str, frozenset[str]] = field(default_factory=dict)
    by_bundle: Mapping[str, frozenset[str]] = field(default_factory=dict)
    dags: Mapping[str, Dag] = field(default_factory=dict)

    @classmethod
    def of(cls, dags: Iterable[Dag]) -> Self:
        """Index Dags."""
        known = {dag.id: dag for dag in dags}
        by_tag: dict[str, set[str]] = {}
        by_bundle: dict[str, set[str]] = {}
        for dag in known.values():
            for tag in dag.tags:
                by_tag.setdefault(tag, set()).add(dag.id)
            if dag.bundle is not None:
                by_bundle.setdefault(dag.bundle, set()).add(dag.id)
        return cls(
            all=frozenset(known),
            by_tag={tag: frozenset(ids) for tag, ids in by_tag.items()},
            by_bundle={bundle: frozenset(ids) for bundle, ids in by_bundle.items()},
            dags=known,
        )

    def get(self, dag_id: str) -> Dag:
        """Return a Dag; one that is not known has neither tags nor bundle."""
        return self.dags.get(dag_id) or Dag(dag_id)

    def selected(self, scope: Scope) -> frozenset[str]:
        """Return the ids of the Dags that a scope selects."""
        match scope.kind:
            case ScopeKind.DAG:
                return self.all & {scope.name}
            case ScopeKind.DAG_TAG:
                return self.by_tag.get(scope.name, frozenset())
            case ScopeKind.DAG_BUNDLE:
                return self.by_bundle.get(scope.name, frozenset())
        return self.all

    @property
    def system(self) -> frozenset[str]:
        """Return the ids of our own."""
        return frozenset(dag_id for dag_id in self.all if dag_id.startswith(SYSTEM_PREFIX))


def has_everywhere(grants: Iterable[Grant], permission: str | None, *, place: Place) -> bool:
    """Tell whether the permission holds on all Dags, so that none has to be looked at."""
    return any(
        not grant.binding.scope.kind.selects_dags and applies(grant, permission, place=place)
        for grant in grants
    )


def authorized_dag_ids(
    grants: Iterable[Grant], permission: str | None, *, place: Place, index: DagIndex
) -> frozenset[str]:
    """Return on which Dags the permission holds, by set algebra: no Dag is looked at by itself."""
    known = list(grants)
    is_read = str(permission).endswith(".read")
    if has_everywhere(known, permission, place=place):
        found = index.all
    else:
        scopes = {grant.binding.scope for grant in known if applies(grant, permission, place=place)}
        found = frozenset().union(*(index.selected(scope) for scope in scopes))
    if is_read or not (own := found & index.system):
        return found
    may_trigger = permission == "dag_run.create" and has_everywhere(known, "system_dag.create", place=place)
    return found if may_trigger else found - own


def exceeds(role: Role, scope: Scope, mine: Iterable[Grant], *, place: Place) -> str | None:
    """Return a permission of the role that the giver lacks at that scope; None: it may be given.

    Nobody gives what is above their own. At a scope of Dags, what one has everywhere counts.
    """
    known = list(mine)
    if role.is_unlimited:
        is_mine = any(grant.role.is_unlimited and place.holds(grant.binding.scope) for grant in known)
        return None if is_mine else "everything"
    for permission in sorted(role.permissions - OF_EVERYBODY):
        if not any(_covers(grant, permission, scope, place=place) for grant in known):
            return permission
    return None


def _covers(grant: Grant, permission: str, scope: Scope, *, place: Place) -> bool:
    own = grant.binding.scope
    if not applies(grant, permission, place=place):
        return False
    if own == scope or grant.role.is_unlimited:
        return True
    return _DEPTH[own.kind] < _DEPTH[scope.kind] and place.holds(scope)
