"""Somebody of each role, and the Dags that roles on some Dags are about."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from airflow.utils.session import create_session

from orrery.auth import store
from orrery.auth.roles import (
    BUILT_IN,
    DAG_SCOPES,
    Dag,
    Place,
    PrincipalKind,
    Role,
    Scope,
    ScopeKind,
    custom_role,
)

OWN, OTHER, SYSTEM = "own", "other", "orrery_monitoring_dag"
DAGS = (
    Dag(OWN, frozenset({"mine"}), "mine-bundle"),
    Dag(OTHER, frozenset({"theirs"}), "their-bundle"),
    Dag(SYSTEM, frozenset(), "their-bundle"),
)
PLACE = Place("default", "default", "default")
SCOPES_OF_OWN = {
    ScopeKind.DAG: Scope(ScopeKind.DAG, OWN),
    ScopeKind.DAG_TAG: Scope(ScopeKind.DAG_TAG, "mine"),
    ScopeKind.DAG_BUNDLE: Scope(ScopeKind.DAG_BUNDLE, "mine-bundle"),
}
CUSTOM = custom_role(
    "variables-only", "Variables only", ["variable.read", "variable.update", "dag.read"], ["deployment"]
)


@dataclass(frozen=True)
class Person:
    """Somebody with one role, or none."""

    username: str
    role: Role | None
    scope: Scope | None

    def may(self, permission: str, dag_id: str | None = None) -> bool:
        """Say what the matrix says, without `decide`: is it in the set, is the Dag in the scope."""
        if permission in ("website.read", "docs.read", "plugin.read"):
            return True
        if self.role is None or self.scope is None:
            return False
        if dag_id == SYSTEM and not permission.endswith(".read"):
            return permission == "dag_run.create" and self.role.grants("system_dag.create")
        if not self.role.grants(permission):
            return False
        if self.scope.kind not in DAG_SCOPES:
            return True
        return dag_id == OWN

    def may_list(self, permission: str) -> bool:
        """Say whether a list of parts of Dags is given, be it a short one."""
        return self.may(permission) or (permission != "audit_log.read" and self.may(permission, OWN))


def everybody() -> list[Person]:
    """One for each role and kind of scope."""
    people = [Person("no-role", None, None)]
    for role in (*BUILT_IN.values(), CUSTOM):
        people += [
            Person(
                f"{role.name}-{kind.replace('_', '-')}",
                role,
                SCOPES_OF_OWN.get(kind) or Scope(kind, "default"),
            )
            for kind in role.scopes
        ]
    return people


def seed(manager: Any) -> dict[str, str]:
    """Write Dags and people; return a token of each."""
    now = datetime.now(UTC)
    with create_session(scoped=False) as session:
        write_dags(session)
        store.save_role(session, CUSTOM, now)
        for person in everybody():
            user_id = store.create_account(
                session,
                kind=PrincipalKind.USER,
                username=person.username,
                email=None,
                full_name=person.username,
                password_hash=None,
                now=now,
            )
            if person.role is not None and person.scope is not None:
                store.create_binding(
                    session,
                    kind=PrincipalKind.USER,
                    principal=user_id,
                    role=person.role.name,
                    scope=person.scope,
                    created_by="test",
                    now=now,
                )
    policy = manager.cache.refresh()
    manager.cache.refresh_dags()
    return {
        person.username: manager.generate_jwt(
            manager.user_of(policy.by_username[person.username]), expiration_time_in_seconds=3600
        )
        for person in everybody()
    }


def write_dags(session: Any) -> None:
    """Write the Dags that are not there, with their tags and bundles."""
    from airflow.models.dag import DagModel, DagTag
    from airflow.models.dagbundle import DagBundleModel

    for dag in DAGS:
        if session.get(DagBundleModel, dag.bundle) is None:
            session.add(DagBundleModel(name=dag.bundle))
            session.flush()
        if session.get(DagModel, dag.id) is not None:
            continue
        session.add(
            DagModel(
                dag_id=dag.id,
                bundle_name=dag.bundle,
                fileloc=f"/{dag.id}.py",
                relative_fileloc=f"{dag.id}.py",
                is_stale=False,
                is_paused=False,
                max_active_tasks=1,
                max_active_runs=1,
                max_consecutive_failed_dag_runs=0,
                has_task_concurrency_limits=False,
                tags=[DagTag(name=tag, dag_id=dag.id) for tag in dag.tags],
            )
        )
    session.flush()


def write_backfills(session: Any) -> dict[str, int]:
    """Write a backfill of each Dag, and return their ids."""
    from airflow.models.backfill import Backfill

    ids = {}
    for dag in DAGS:
        backfill = Backfill(
            dag_id=dag.id,
            from_date=datetime(2026, 1, 1, tzinfo=UTC),
            to_date=datetime(2026, 1, 2, tzinfo=UTC),
            reprocess_behavior="none",
            max_active_runs=1,
        )
        session.add(backfill)
        session.flush()
        ids[dag.id] = backfill.id
    return ids
