"""What a local deployment is asked to be: one frozen value, made by the commands from a project."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from orrery.local.state import State

#: Variables of the shell that belong to the tools' own Python or to another deployment.
_NOT_INHERITED = (
    "AIRFLOW_HOME",
    "AIRFLOW_CONFIG",
    "ORRERY_DEFAULTS_APPLIED",
    "PYTHONDONTWRITEBYTECODE",
    "PYTHONHOME",
    "VIRTUAL_ENV",
    "__PYVENV_LAUNCHER__",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Seeds:
    """Connections, variables and pools to have in the deployment, as bodies of Airflow's REST API."""

    connections: tuple[dict[str, Any], ...] = ()
    variables: tuple[dict[str, Any], ...] = ()
    pools: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """A project, the settings of its deployment, and the environment of the user."""

    name: str
    root: Path
    dags: Path
    plugins: Path
    requirements: Path
    state: State
    runtime: str
    python: str
    providers: Literal["slim", "full"]
    #: None: the embedded PostgreSQL.
    database_url: str | None
    port: int
    #: The shell's environment, over the project's `.env`.
    environment: Mapping[str, str]
    cache: Path
    seeds: Seeds = field(default_factory=Seeds)
    #: What the deployment file says of tasks, as variables of Airflow's.
    task_settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def user_environment(self) -> dict[str, str]:
        """The environment of the user without what belongs to the tools' own Python."""
        return {name: value for name, value in self.environment.items() if name not in _NOT_INHERITED}


@dataclass(frozen=True, kw_only=True, slots=True)
class Ports:
    """The ports of a running deployment."""

    api_server: int
    postgres: int | None


def component_environment(
    plan: Plan, *, ports: Ports, database_url: str, connection_url: str | None
) -> dict[str, str]:
    """Return the environment of the components: the user's settings over what a local deployment needs.

    `database_url` is Airflow's metadata database. `connection_url`, if there is one, becomes the
    connection `orrery_postgres`: the deployment's own server, for pipelines.
    """
    state = plan.state
    user = plan.user_environment
    base_url = f"http://localhost:{ports.api_server}"
    ours = {
        "AIRFLOW__API__BASE_URL": base_url,
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{ports.api_server}/execution/",
        "AIRFLOW__API__INSTANCE_NAME": plan.name,
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(state.sign_in),
        "AIRFLOW__ORRERY_AUTH__BOOTSTRAP_FILE": str(state.sign_in),
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(state.task_logs),
        "AIRFLOW__LOGGING__DAG_PROCESSOR_CHILD_PROCESS_LOG_DIRECTORY": str(state.logs / "dag-processor"),
        **plan.task_settings,
    }
    if connection_url:
        ours["AIRFLOW_CONN_ORRERY_POSTGRES"] = connection_url
    # What the layout of a local deployment fixes: another value would tear it apart.
    fixed = {
        "AIRFLOW_HOME": str(state.airflow_home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(plan.dags),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(plan.plugins),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database_url,
        "AIRFLOW__ORRERY_EXECUTOR__SOCKET": str(state.worker_socket),
        "ORRERY_DEPLOYMENT": state.deployment_id,
        "ORRERY_PROFILE": "local",
        "ORRERY_SECRETS_DIR": str(state.secrets),
        # The project's root first: DAGs say `from include.x import y`, as in the image.
        "PYTHONPATH": ":".join(filter(None, [str(plan.root), user.get("PYTHONPATH", "")])),
        "PYTHONUNBUFFERED": "1",
        # Process titles must not overwrite the environment by which `down` finds every process.
        "SPT_NOENV": "1",
    }
    if (configuration := plan.root / "airflow.cfg").is_file():
        fixed["AIRFLOW_CONFIG"] = str(configuration)
    return {**ours, **user, **fixed}


def has_worker(environment: Mapping[str, str]) -> bool:
    """Whether a deployment with this environment has a worker: the packing executor's agent."""
    return "PackingExecutor" in environment.get("AIRFLOW__CORE__EXECUTOR", "")
