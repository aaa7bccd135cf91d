"""Explanations: what somebody may, whether they may do one thing, and by which binding. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orrery.auth import permissions
from orrery.auth.policy import Rights
from orrery.auth.roles import applies

if TYPE_CHECKING:
    from orrery.auth.policy import Account, Policy
    from orrery.auth.roles import DagIndex, Grant


def access_of(rights: Rights) -> dict[str, Any]:
    """Return what somebody has: the bindings that reach them, and where which permission holds."""
    everywhere = sorted(name for name in permissions.PERMISSIONS if rights.decide(name).is_allowed)
    return {
        "bindings": [_grant(grant) for grant in rights.grants],
        "permissions": everywhere,
        "on_some_dags": sorted(
            name
            for name in permissions.DAG_PERMISSIONS
            if name not in everywhere and rights.decide(name, of_some=True).is_allowed
        ),
        "limit": _grant(rights.limit) if rights.limit else None,
    }


def explain(
    policy: Policy,
    index: DagIndex,
    account: Account,
    action: str,
    resource: str,
    *,
    dag_id: str | None = None,
) -> dict[str, Any]:
    """Tell whether an account may do something, by which binding, and which others would do.

    `action` is a method (`PUT`), a verb (`pause`) or an action (`read`); what is unknown is for owners.
    """
    permission = permissions.parse(action, resource)
    rights = Rights(policy.grants(account.id), None, policy.place)
    dag = index.get(dag_id) if dag_id is not None else None
    of_some = dag is None and permission in permissions.DAG_PERMISSIONS and str(permission).endswith(".read")
    decision = rights.decide(permission, dag=dag, of_some=of_some)
    also = [
        grant
        for grant in rights.grants
        if grant != decision.grant
        and applies(grant, permission, place=policy.place)
        and (dag is None or dag.is_in(grant.binding.scope))
    ]
    return {
        "user": account.username,
        "action": action,
        "resource": resource,
        "dag_id": dag_id,
        "permission": permission,
        "is_allowed": decision.is_allowed,
        "reason": decision.reason
        if permission
        else f"{decision.reason} There is no permission of that name: only owners may do what has none.",
        "by": _grant(decision.grant) if decision.grant else None,
        "also_by": [_grant(grant) for grant in also] if decision.is_allowed else [],
        "is_active": account.is_active,
    }


def _grant(grant: Grant) -> dict[str, Any]:
    return {
        "binding": grant.binding.id,
        "role": grant.role.name,
        "title": grant.role.title,
        "scope": str(grant.binding.scope),
        "through": grant.through,
    }
