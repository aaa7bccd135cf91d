"""All permissions: a resource and an action. Pure data; a custom role names them, the matrix gives them.

What Airflow asks (`GET` of a Dag's `XCOM`) is translated here, in one table. What the table does not
know, such as an entity of a newer Airflow, has no permission: nobody but the organization's owner has it.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Permissions on what belongs to one Dag. They can be granted on some Dags only.
DAG_PERMISSIONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "dag.read": "See a Dag: its grid, graph, schedule and details.",
        "dag.update": "Pause and unpause a Dag, mark it as favourite for others, parse its file again.",
        "dag.delete": "Delete a Dag and its history.",
        "dag_run.read": "See runs and backfills.",
        "dag_run.create": "Trigger runs, start backfills, materialize assets.",
        "dag_run.update": "Clear and mark runs, pause and cancel backfills, edit notes.",
        "dag_run.delete": "Delete runs.",
        "task.read": "See tasks as they are written.",
        "task_instance.read": "See tries of tasks.",
        "task_instance.update": "Clear and mark tasks, edit notes.",
        "task_instance.delete": "Delete tries of tasks.",
        "task_log.read": "Read tasks' logs.",
        "dag_code.read": "Read a Dag's code.",
        "dag_version.read": "See a Dag's versions.",
        "dag_dependency.read": "See what depends on a Dag.",
        "dag_warning.read": "See warnings about a Dag.",
        "audit_log.read": "Read Airflow's log of events.",
        "hitl.read": "See what waits for a person's answer.",
        "hitl.update": "Answer a task that waits for a person.",
        "xcom.read": "Read XComs.",
        "xcom.create": "Add XComs.",
        "xcom.update": "Change XComs.",
        "xcom.delete": "Delete XComs.",
    }
)

#: Permissions on what belongs to the deployment as a whole.
DEPLOYMENT_PERMISSIONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "asset.read": "See assets and their events.",
        "asset.create": "Create asset events, materialize assets.",
        "asset.update": "Change assets.",
        "asset.delete": "Delete queued asset events.",
        "asset_alias.read": "See asset aliases.",
        "connection.read": "See connections, without their passwords.",
        "connection.create": "Create and test connections.",
        "connection.update": "Change connections.",
        "connection.delete": "Delete connections.",
        "variable.read": "Read variables.",
        "variable.create": "Create variables.",
        "variable.update": "Change variables.",
        "variable.delete": "Delete variables.",
        "pool.read": "See pools.",
        "pool.create": "Create pools.",
        "pool.update": "Change pools.",
        "pool.delete": "Delete pools.",
        "configuration.read": "Read Airflow's configuration, where it is exposed at all.",
        "website.read": "Open the user interface.",
        "docs.read": "Open the documentation.",
        "plugin.read": "Load the plug-ins of the user interface.",
        "provider.read": "See which providers are installed.",
        "cluster_activity.read": "See the page 'Cluster activity'.",
        "import_error.read": "See why Dag files of one's Dags could not be imported.",
        "job.read": "See schedulers, processors and workers.",
        "trigger.read": "See triggers and triggerers.",
        "custom_view.read": "Open views that plug-ins bring.",
        "custom_view.update": "Change what such views show.",
        "system_dag.create": "Trigger Orrery's own Dags. Nobody may change them.",
    }
)

#: Permissions on access itself, and on what is above the deployment.
ACCESS_PERMISSIONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "user.read": "See who there is.",
        "user.create": "Create and invite people and service accounts.",
        "user.update": "Change, disable and sign out people; reset passwords.",
        "user.delete": "Remove people.",
        "team.read": "See teams and their members.",
        "team.create": "Create teams.",
        "team.update": "Change teams and who is in them.",
        "team.delete": "Remove teams.",
        "role.read": "See roles and what they may.",
        "role.create": "Create custom roles.",
        "role.update": "Change custom roles.",
        "role.delete": "Remove custom roles.",
        "binding.read": "See who has which role.",
        "binding.create": "Give roles, none above one's own.",
        "binding.delete": "Take roles.",
        "token.read": "See all API tokens, never their secret.",
        "token.create": "Create API tokens for service accounts.",
        "token.update": "Rotate API tokens of others.",
        "token.delete": "Revoke API tokens of others.",
        "access_audit.read": "Read the audit of access.",
        "billing.read": "See what the organization costs.",
        "billing.update": "Change billing settings.",
    }
)

PERMISSIONS: Final[Mapping[str, str]] = MappingProxyType(
    {**DAG_PERMISSIONS, **DEPLOYMENT_PERMISSIONS, **ACCESS_PERMISSIONS}
)

#: What everybody who is signed in may: open the interface, and load its plug-ins, or it lacks parts.
OF_EVERYBODY: Final = frozenset({"website.read", "docs.read", "plugin.read"})

_ACTIONS: Final = MappingProxyType({"GET": "read", "POST": "create", "PUT": "update", "DELETE": "delete"})

#: Airflow's name of a Dag's part, and ours; '' is the Dag itself.
DAG_ENTITIES: Final = MappingProxyType(
    {
        "": "dag",
        "AUDIT_LOG": "audit_log",
        "CODE": "dag_code",
        "DEPENDENCIES": "dag_dependency",
        "HITL_DETAIL": "hitl",
        "RUN": "dag_run",
        "TASK": "task",
        "TASK_INSTANCE": "task_instance",
        "TASK_LOGS": "task_log",
        "VERSION": "dag_version",
        "WARNING": "dag_warning",
        "XCOM": "xcom",
    }
)

#: Airflow's name of a read-only view, and our permission.
VIEWS: Final = MappingProxyType(
    {
        "CLUSTER_ACTIVITY": "cluster_activity.read",
        "DOCS": "docs.read",
        "IMPORT_ERRORS": "import_error.read",
        "JOBS": "job.read",
        "PLUGINS": "plugin.read",
        "PROVIDERS": "provider.read",
        "TRIGGERS": "trigger.read",
        "WEBSITE": "website.read",
    }
)

#: Entries of Airflow's menu, and the permission that shows them.
MENU: Final = MappingProxyType(
    {
        "REQUIRED_ACTIONS": "hitl.read",
        "ASSETS": "asset.read",
        "AUDIT_LOG": "audit_log.read",
        "CONFIG": "configuration.read",
        "CONNECTIONS": "connection.read",
        "DAGS": "dag.read",
        "DEADLINES": "dag_run.read",
        "DOCS": "docs.read",
        "JOBS": "job.read",
        "PLUGINS": "provider.read",
        "POOLS": "pool.read",
        "PROVIDERS": "provider.read",
        "VARIABLES": "variable.read",
        "XCOMS": "xcom.read",
    }
)


def of_dag(method: str, entity: str | None) -> str | None:
    """Return the permission that Airflow asks for on a Dag or a part of it; None: we know of none."""
    return _known(DAG_ENTITIES.get(entity or ""), method)


def of_resource(method: str, resource: str) -> str | None:
    """Return the permission on `connection`, `variable`, `pool`, `asset`, ...; None: we know of none."""
    return _known(resource, method)


def of_view(view: str) -> str | None:
    """Return the permission on a read-only view; None: we know of none."""
    return VIEWS.get(view)


def parse(action: str, resource: str) -> str | None:
    """Read what a person asks: `GET variable`, `PUT XCOM`, `read pool`; None: there is no such permission."""
    name = resource.strip().lower().replace("-", "_").removesuffix("s") or "dag"
    verb = action.strip()
    wanted = _ACTIONS.get(verb.upper(), verb.lower())
    wanted = {"pause": "update", "trigger": "create", "clear": "update", "mark": "update"}.get(wanted, wanted)
    for resource_name in (DAG_ENTITIES.get(resource.strip().upper()), name, f"{name}s"):
        if resource_name and f"{resource_name}.{wanted}" in PERMISSIONS:
            return f"{resource_name}.{wanted}"
    return None


def _known(resource: str | None, method: str) -> str | None:
    permission = f"{resource}.{_ACTIONS.get(method)}"
    return permission if permission in PERMISSIONS else None
