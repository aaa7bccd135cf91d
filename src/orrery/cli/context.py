"""From the folder a command runs in to the plan of its local deployment."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from orrery.deployment.model import Deployment
    from orrery.local.deployment import LocalDeployment
    from orrery.local.plan import Plan, Seeds
    from orrery.local.start import Starter
    from orrery.project.airflow_settings import AirflowSettings
    from orrery.project.layout import Project


def local_deployment(*, quiet: bool = False) -> LocalDeployment:
    """Return the local deployment of the project around the current folder, whatever its files say.

    Raises:
        InputError: there is no project.
    """
    from orrery.project.layout import find_project

    return _deployment(find_project(Path()), quiet=quiet)


def starter() -> Starter:
    """Return what starts the deployment of the project around the current folder.

    Raises:
        InputError: there is no project, or one of its files is wrong.
    """
    from orrery.local.start import Starter
    from orrery.project.layout import find_project
    from orrery.project.notices import notices

    project = find_project(Path())
    wanted = plan(project)
    deployment = _deployment(project, name=wanted.name)
    for notice in notices(project, runtime=wanted.runtime):
        deployment.progress.note(notice)
    return Starter(deployment, wanted)


def _deployment(project: Project, *, name: str | None = None, quiet: bool = False) -> LocalDeployment:
    from orrery.cli.output import colours_wanted
    from orrery.local.deployment import LocalDeployment
    from orrery.local.output import Progress
    from orrery.local.state import State

    progress = Progress(quiet=quiet, colours=colours_wanted(os.environ))
    return LocalDeployment(State(project.state), name=name or project.name, progress=progress)


def plan(project: Project) -> Plan:
    """Read a project's files and return the plan of its local deployment.

    Raises:
        InputError: one of the files is wrong; nothing was changed.
    """
    from orrery.config.applied import users_environment
    from orrery.config.settings import load_settings
    from orrery.deployment.file import load_deployment
    from orrery.deployment.variables import airflow_variables
    from orrery.local.plan import Plan
    from orrery.local.state import State
    from orrery.project.airflow_settings import read_airflow_settings
    from orrery.project.dotenv import read_env_file
    from orrery.project.requirements import check_requirements
    from orrery.release import catalogue

    # The shell wins over the file, as everywhere: a variable can be tried without an edit.
    env_file = read_env_file(project.env_file, os.environ)
    for notice in env_file.notices:
        click.echo(notice, err=True)
    environment = {**env_file.values, **users_environment(os.environ)}
    deployment = load_deployment(project, environment)
    _check_secrets(project.root, deployment)
    release = catalogue.load().release(deployment.runtime)
    check_requirements(
        project.requirements, runtime=str(release.version), airflow=release.airflow or "its own"
    )
    return Plan(
        name=deployment.name,
        root=project.root,
        dags=project.dags,
        plugins=project.plugins,
        requirements=project.requirements,
        state=State(project.state),
        runtime=str(release.version),
        python=deployment.python or _python_for(deployment.runtime),
        providers=deployment.providers,
        database_url=deployment.database.url.get_secret_value() if deployment.database else None,
        port=deployment.local.port,
        environment=environment,
        cache=load_settings(os.environ).cache_dir,
        seeds=_seeds(read_airflow_settings(project.airflow_settings)),
        task_settings=airflow_variables(
            deployment,
            executor_is_set=_airflow_cfg_names(project.root, "core", "executor"),
            auth_manager_is_set=_airflow_cfg_names(project.root, "core", "auth_manager"),
            root=project.root,
        ),
    )


def _check_secrets(root: Path, deployment: Deployment) -> None:
    from orrery.errors import InputError

    for provider in deployment.auth.providers:
        if provider.client_secret_file and not (root / provider.client_secret_file).is_file():
            raise InputError(
                f"auth.providers: '{provider.id}' has its client secret in {provider.client_secret_file},"
                " which is not there.",
                hint=f"Write the secret, and nothing else, into that file; then: chmod 600 "
                f"{provider.client_secret_file}",
            )


def _airflow_cfg_names(root: Path, section: str, option: str) -> bool:
    """Tell whether the project's own airflow.cfg gives an option."""
    from orrery.config import airflow_file
    from orrery.config.user import UserSettings

    file = airflow_file.read(root / "airflow.cfg")
    return UserSettings(environment={}, file=file).given(section, option) is not None


def _python_for(runtime: str) -> str:
    """Choose the Python that runs the tools where the runtime supports it, else the runtime's default."""
    from orrery.release import catalogue

    known = catalogue.load()
    line = known.line(known.release(runtime).version.major)
    ours = f"{sys.version_info.major}.{sys.version_info.minor}"
    return ours if ours in (line.python_supported or ()) else (line.python_default or ours)


def _seeds(settings: AirflowSettings) -> Seeds:
    """Put Astro's file into the words of Airflow's REST API."""
    from orrery.local.plan import Seeds

    return Seeds(
        connections=tuple(
            _without_none(
                connection_id=connection.id,
                conn_type=connection.type,
                host=connection.host,
                schema=connection.schema,
                login=connection.login,
                password=connection.password,
                port=connection.port,
                extra=connection.extra,
            )
            for connection in settings.connections
        ),
        variables=tuple({"key": variable.name, "value": variable.value} for variable in settings.variables),
        pools=tuple(
            {
                "name": pool.name,
                "slots": pool.slots,
                "description": pool.description,
                "include_deferred": pool.include_deferred,
            }
            for pool in settings.pools
        ),
    )


def _without_none(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
