"""`orrery config`: what is set, by whom, and why."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orrery.cli.output import Format, output_option, print_facts, print_json, print_table

if TYPE_CHECKING:
    from orrery.config.explain import Configuration
    from orrery.local.plan import Plan, Ports
    from orrery.project.layout import Project


@click.group()
def config() -> None:
    """List and explain settings: the user's, Orrery's defaults and Airflow's.

    Inside a project this is what its local deployment runs with: what the deployment itself sets, the
    shell's environment over the project's .env, its airflow.cfg, and the defaults of the local profile.
    """


profile_option = click.option(
    "--profile",
    type=click.Choice(["none", "local"]),
    help="Whose defaults to use; none leaves the project out. "
    "Default: local in a project, else ORRERY_PROFILE.",
)


@config.command("list")
@click.option("--changed", is_flag=True, help="Only options that you or Orrery have set.")
@profile_option
@output_option
def list_(*, changed: bool, profile: str | None, output: Format) -> None:
    """List every option of Airflow with its value and who has set it.

    Sources: environment and airflow.cfg are yours; deployment is what `orrery up` sets for its own
    layout; orrery and airflow are defaults.
    """
    explanations = [each for each in _configuration(profile).all() if each.is_changed or not changed]
    if output == "json":
        import dataclasses

        print_json([dataclasses.asdict(each) for each in explanations])
        return
    print_table(
        ("Option", "Value", "Source"),
        [(f"{each.section}.{each.option}", _one_line(each.value), each.source) for each in explanations],
    )


@config.command()
@click.argument("name", metavar="SECTION.OPTION")
@profile_option
@output_option
def explain(*, name: str, profile: str | None, output: Format) -> None:
    """Explain one option: its value, where it comes from, the defaults, and why."""
    explanation = _configuration(profile).explain(name)
    if output == "json":
        import dataclasses

        print_json(dataclasses.asdict(explanation))
        return
    print_facts(
        [
            ("Option", f"{explanation.section}.{explanation.option}"),
            ("Value", explanation.value),
            ("Source", explanation.source),
            ("Orrery's default", explanation.orrery_default),
            ("Why", explanation.why),
            ("Airflow's default", explanation.airflow_default),
            ("Set it with", explanation.variable),
            ("Note", explanation.note),
            ("Description", explanation.description),
        ]
    )


def _configuration(profile: str | None) -> Configuration:
    project = _project() if profile != "none" else None
    return _of_shell(profile) if project is None else _of_project(project)


def _project() -> Project | None:
    from orrery.project.layout import NoProject, find_project

    try:
        return find_project(Path())
    except NoProject:
        return None


def _of_shell(profile: str | None) -> Configuration:
    """Return what a process of this shell would have."""
    from orrery.config import capacity
    from orrery.config.applied import users_environment
    from orrery.config.explain import configuration
    from orrery.config.settings import load_settings

    environment = users_environment(os.environ)
    settings = load_settings(environment)
    chosen = profile or settings.profile
    return configuration(
        environment,
        settings,
        profile=None if chosen == "none" else chosen,
        machine=capacity.machine(),
    )


def _of_project(project: Project) -> Configuration:
    """Return what the components of a project's local deployment have, or would have if it were started.

    Raises:
        InputError: one of the project's files is wrong.
    """
    from orrery.cli.context import plan
    from orrery.config import capacity
    from orrery.config.applied import users_environment
    from orrery.config.explain import HIDDEN, Deployment, configuration
    from orrery.config.secrets import SECRETS
    from orrery.config.settings import load_settings
    from orrery.local.plan import component_environment

    wanted = plan(project)
    user = wanted.user_environment
    # The database's URL is never shown, so one that does not exist yet need not be made.
    whole = component_environment(wanted, ports=_ports(wanted), database_url=HIDDEN, connection_url=None)
    settings = load_settings(whole)
    if not settings.defaults_on:
        # The components must share their secrets even then: the deployment makes them.
        whole |= {secret.variable: HIDDEN for secret in SECRETS if secret.variable not in whole}
    laid_over = {
        name: value
        for name, value in whole.items()
        if name.startswith("AIRFLOW__") and user.get(name) != value
    }
    users = {name: value for name, value in whole.items() if name not in laid_over}
    users |= {name: user[name] for name in laid_over if name in user}
    return configuration(
        users,
        settings,
        profile=settings.profile,
        machine=capacity.machine(),
        deployment=Deployment(
            values=laid_over, env_file=frozenset(user.keys() - users_environment(os.environ).keys())
        ),
    )


def _ports(wanted: Plan) -> Ports:
    """Return the ports of the running deployment, else the planned ones."""
    from orrery.local.plan import Ports
    from orrery.local.record import Record
    from orrery.local.supervisor import Supervisor

    record = Record.read(wanted.state)
    if record is not None and Supervisor(wanted.state).is_running():
        return Ports(api_server=record.port, postgres=record.postgres_port)
    return Ports(api_server=wanted.port, postgres=None)


def _one_line(value: str | None) -> str:
    text = " ".join((value or "").split())
    return text if len(text) <= 100 else text[:99] + "…"
