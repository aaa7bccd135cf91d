"""`orrery config`: what is set, by whom, and why."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orrery.cli.output import Format, output_option, print_facts, print_json, print_table

if TYPE_CHECKING:
    from orrery.config.explain import Configuration


@click.group()
def config() -> None:
    """List and explain settings: the user's, Orrery's defaults and Airflow's.

    Inside a project this is what its local deployment runs with: the shell's environment over the
    project's .env, its airflow.cfg, and the defaults of the local profile.
    """


profile_option = click.option(
    "--profile",
    type=click.Choice(["none", "local"]),
    help="Whose defaults to use. Default: local in a project, else ORRERY_PROFILE.",
)


@config.command("list")
@click.option("--changed", is_flag=True, help="Only options that you or Orrery have set.")
@profile_option
@output_option
def list_(*, changed: bool, profile: str | None, output: Format) -> None:
    """List every option of Airflow with its value and who has set it."""
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
    from orrery.config import capacity
    from orrery.config.applied import users_environment
    from orrery.config.explain import configuration
    from orrery.config.settings import load_settings

    environment = users_environment(os.environ)
    root = _project_root()
    if root is not None:
        environment = _project_environment(root, environment)
    settings = load_settings(environment)
    chosen = profile or ("local" if root is not None else settings.profile)
    return configuration(
        environment,
        settings,
        profile=None if chosen == "none" else chosen,
        machine=capacity.machine(),
    )


def _project_root() -> Path | None:
    from orrery.errors import InputError
    from orrery.project.layout import find_project

    try:
        return find_project(Path.cwd()).root
    except InputError:
        return None


def _project_environment(root: Path, environment: dict[str, str]) -> dict[str, str]:
    """Return the user's part of the environment that `orrery up` gives to the project's components."""
    from orrery.project.dotenv import read_env_file

    whole = {**read_env_file(root / ".env", environment).values, **environment}
    # A local deployment has its own home, whatever the shell says.
    whole.pop("AIRFLOW_CONFIG", None)
    whole["AIRFLOW_HOME"] = str(root / ".orrery" / "airflow")
    if (root / "airflow.cfg").is_file():
        whole["AIRFLOW_CONFIG"] = str(root / "airflow.cfg")
    return whole


def _one_line(value: str | None) -> str:
    text = " ".join((value or "").split())
    return text if len(text) <= 100 else text[:99] + "…"
