"""The matrix, decisions and set algebra."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orrery.auth import permissions
from orrery.auth.permissions import DAG_PERMISSIONS, OF_EVERYBODY, PERMISSIONS
from orrery.auth.roles import (
    BUILT_IN,
    DAG_SCOPES,
    Binding,
    Dag,
    DagIndex,
    Grant,
    Place,
    PrincipalKind,
    RoleError,
    Scope,
    ScopeKind,
    authorized_dag_ids,
    custom_role,
    decide,
    exceeds,
)

HERE = Place("acme", "data", "prod")
AT = {
    ScopeKind.ORGANIZATION: Scope(ScopeKind.ORGANIZATION, "acme"),
    ScopeKind.WORKSPACE: Scope(ScopeKind.WORKSPACE, "data"),
    ScopeKind.DEPLOYMENT: Scope(ScopeKind.DEPLOYMENT, "prod"),
    ScopeKind.DAG: Scope(ScopeKind.DAG, "sales"),
    ScopeKind.DAG_TAG: Scope(ScopeKind.DAG_TAG, "finance"),
    ScopeKind.DAG_BUNDLE: Scope(ScopeKind.DAG_BUNDLE, "git"),
}
SALES = Dag("sales", frozenset({"finance"}), "git")
OTHER = Dag("other", frozenset({"hr"}), "local")
SYSTEM = Dag("orrery_monitoring_dag")


def grant(role: str, scope: Scope | None = None, through: str | None = None) -> Grant:
    where = scope or AT[BUILT_IN[role].scopes[0]]
    return Grant(Binding(role, PrincipalKind.USER, "ada", role, where), BUILT_IN[role], through)


@pytest.mark.parametrize(
    ("less", "more"),
    [
        ("workspace-accessor", "workspace-member"),
        ("workspace-member", "workspace-author"),
        ("workspace-author", "workspace-operator"),
        ("workspace-operator", "deployment-admin"),
        ("workspace-operator", "workspace-owner"),
        ("workspace-owner", "organization-owner"),
        ("organization-member", "organization-billing-admin"),
        ("organization-billing-admin", "organization-owner"),
        ("dag-viewer", "dag-author"),
        ("dag-author", "workspace-author"),
    ],
)
def test_a_higher_role_may_all_that_a_lower_one_may(less: str, more: str) -> None:
    assert BUILT_IN[less].permissions < BUILT_IN[more].permissions


@pytest.mark.parametrize(
    ("role", "permission", "expected"),
    [
        ("workspace-member", "task_log.read", True),
        ("workspace-member", "xcom.read", False),
        ("workspace-member", "dag.update", False),
        ("workspace-author", "dag.update", True),
        ("workspace-author", "dag_run.create", True),
        ("workspace-author", "dag.delete", False),
        ("workspace-author", "variable.read", True),
        ("workspace-author", "variable.update", False),
        ("workspace-operator", "variable.update", True),
        ("workspace-operator", "binding.create", False),
        ("deployment-admin", "binding.create", False),
        ("workspace-owner", "binding.create", True),
        ("workspace-owner", "user.update", False),
        ("organization-billing-admin", "dag.read", False),
        ("organization-owner", "user.delete", True),
    ],
)
def test_the_matrix_says(role: str, permission: str, expected: bool) -> None:
    assert decide([grant(role)], permission, place=HERE, dag=None).is_allowed is expected


def test_what_has_no_permission_is_for_owners_of_the_organization() -> None:
    allowed = {
        name
        for name in BUILT_IN
        if decide([grant(name)], permissions.of_dag("PUT", "NEXT_YEARS_ENTITY"), place=HERE).is_allowed
    }
    assert allowed == {"organization-owner"}
    assert permissions.of_view("NEXT_YEARS_VIEW") is None
    assert permissions.of_dag("PATCH", "RUN") is None


def test_everybody_may_load_plugins() -> None:
    assert decide([], "plugin.read", place=HERE).is_allowed
    assert not decide([], "provider.read", place=HERE).is_allowed


def test_a_binding_elsewhere_gives_nothing_here() -> None:
    elsewhere = grant("workspace-owner", Scope(ScopeKind.WORKSPACE, "marketing"))
    assert not decide([elsewhere], "dag.read", place=HERE).is_allowed


@pytest.mark.parametrize("kind", DAG_SCOPES)
def test_a_role_on_some_dags_holds_there_and_in_lists_only(kind: ScopeKind) -> None:
    mine = [grant("dag-author", AT[kind])]
    assert decide(mine, "dag.update", place=HERE, dag=SALES).is_allowed
    assert not decide(mine, "dag.update", place=HERE, dag=OTHER).is_allowed
    assert not decide(mine, "dag.update", place=HERE).is_allowed
    assert decide(mine, "dag.update", place=HERE, of_some=True).is_allowed
    assert not decide(mine, "variable.read", place=HERE, of_some=True).is_allowed


@pytest.mark.parametrize("role", BUILT_IN)
@pytest.mark.parametrize("permission", [p for p in DAG_PERMISSIONS if not p.endswith(".read")])
def test_nobody_changes_our_own_dags(role: str, permission: str) -> None:
    scope = Scope(ScopeKind.DAG, SYSTEM.id) if BUILT_IN[role].scopes[0].selects_dags else None
    allowed = decide([grant(role, scope)], permission, place=HERE, dag=SYSTEM).is_allowed
    may_trigger = role in ("deployment-admin", "workspace-owner", "organization-owner")
    assert allowed is (permission == "dag_run.create" and may_trigger)


def test_a_decision_names_the_widest_binding_and_the_team() -> None:
    mine = [grant("dag-author", AT[ScopeKind.DAG]), grant("workspace-author", through="team analysts")]
    decision = decide(mine, "dag.update", place=HERE, dag=SALES)
    assert decision.grant == mine[1]
    assert decision.reason == "Workspace Author at workspace:data through team analysts allows this."


@pytest.mark.parametrize(
    ("permissions_", "scopes", "complaint"),
    [
        (["dag.fly"], ["deployment"], "no permission 'dag.fly'"),
        (["binding.create"], ["deployment"], "may not hold 'binding.create'"),
        (["user.update"], ["dag"], "may not hold"),
        (["dag.read"], ["organization"], "for deployments or for Dags"),
        (["dag.read"], [], "for deployments or for Dags"),
        (["dag.read"], ["galaxy"], "no such scope"),
    ],
)
def test_a_custom_role_that_cannot_be_is_refused(
    permissions_: list[str], scopes: list[str], complaint: str
) -> None:
    with pytest.raises(RoleError, match=complaint):
        custom_role("mine", "Mine", permissions_, scopes)
    with pytest.raises(RoleError, match="built-in"):
        custom_role("dag-viewer", "Mine", ["dag.read"], ["dag"])


@pytest.mark.parametrize(
    ("mine", "role", "scope", "lacks"),
    [
        ("workspace-owner", "workspace-operator", AT[ScopeKind.WORKSPACE], None),
        ("workspace-owner", "dag-author", AT[ScopeKind.DAG_TAG], None),
        ("workspace-owner", "deployment-admin", AT[ScopeKind.DEPLOYMENT], None),
        ("workspace-owner", "organization-owner", AT[ScopeKind.ORGANIZATION], "everything"),
        ("workspace-owner", "organization-member", AT[ScopeKind.ORGANIZATION], "role.read"),
        ("workspace-author", "workspace-operator", AT[ScopeKind.WORKSPACE], "asset.delete"),
        ("deployment-admin", "workspace-operator", AT[ScopeKind.WORKSPACE], "asset.create"),
        ("workspace-owner", "workspace-member", Scope(ScopeKind.WORKSPACE, "marketing"), "asset.read"),
        ("organization-owner", "workspace-owner", Scope(ScopeKind.WORKSPACE, "marketing"), None),
        ("organization-owner", "organization-owner", AT[ScopeKind.ORGANIZATION], None),
    ],
)
def test_nobody_gives_what_is_above_their_own(mine: str, role: str, scope: Scope, lacks: str | None) -> None:
    assert exceeds(BUILT_IN[role], scope, [grant(mine)], place=HERE) == lacks


names = st.sampled_from(["a", "b", "c", "orrery_x"])
dags = st.builds(Dag, names, st.frozensets(st.sampled_from("tu")), st.sampled_from(["one", "two", None]))
scopes = st.one_of(
    st.sampled_from([AT[ScopeKind.ORGANIZATION], AT[ScopeKind.WORKSPACE], AT[ScopeKind.DEPLOYMENT]]),
    st.builds(Scope, st.just(ScopeKind.DAG), names),
    st.builds(Scope, st.just(ScopeKind.DAG_TAG), st.sampled_from("tuv")),
    st.builds(Scope, st.just(ScopeKind.DAG_BUNDLE), st.sampled_from(["one", "two", "three"])),
    st.just(Scope(ScopeKind.WORKSPACE, "elsewhere")),
)
grants = st.builds(grant, st.sampled_from(sorted(BUILT_IN)), scopes)


@given(
    st.lists(dags, unique_by=lambda dag: dag.id), st.lists(grants), st.sampled_from(sorted(DAG_PERMISSIONS))
)
def test_the_set_is_what_each_dag_by_itself_says(
    known: list[Dag], mine: list[Grant], permission: str
) -> None:
    one_by_one = {dag.id for dag in known if decide(mine, permission, place=HERE, dag=dag).is_allowed}
    assert authorized_dag_ids(mine, permission, place=HERE, index=DagIndex.of(known)) == one_by_one


@given(st.lists(grants), grants, st.sampled_from(sorted(PERMISSIONS)), st.one_of(st.none(), dags))
def test_one_more_binding_never_takes_anything(
    mine: list[Grant], more: Grant, permission: str, dag: Dag | None
) -> None:
    before = decide(mine, permission, place=HERE, dag=dag).is_allowed
    assert decide([*mine, more], permission, place=HERE, dag=dag).is_allowed >= before


@given(st.sampled_from(sorted(PERMISSIONS)), st.one_of(st.none(), dags))
def test_without_a_binding_only_what_is_everybodys(permission: str, dag: Dag | None) -> None:
    assert decide([], permission, place=HERE, dag=dag).is_allowed is (permission in OF_EVERYBODY)


@pytest.mark.parametrize(
    ("action", "resource", "permission"),
    [
        ("PUT", "variable", "variable.update"),
        ("get", "connections", "connection.read"),
        ("pause", "dag", "dag.update"),
        ("trigger", "run", "dag_run.create"),
        ("read", "XCOM", "xcom.read"),
        ("PUT", "TASK_INSTANCE", "task_instance.update"),
        ("fly", "dag", None),
        ("read", "rocket", None),
    ],
)
def test_what_people_ask_is_understood(action: str, resource: str, permission: str | None) -> None:
    assert permissions.parse(action, resource) == permission
