"""`orrery deployment`: this project's deployment as files of other tools."""

from __future__ import annotations

import os
from pathlib import Path

import click


@click.group()
def deployment() -> None:
    """Render this project's deployment for other tools."""


@deployment.command()
@click.option("--target", type=click.Choice(["compose"]), required=True, help="What to render for.")
@click.option(
    "--output",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the rendered files. Default: .orrery/compose in the project.",
)
@click.option(
    "--image", metavar="NAME:TAG", help="The project's image. Default: what `orrery image build` names it."
)
def render(*, target: str, folder: Path | None, image: str | None) -> None:
    """Write compose.yaml, with its secrets beside it; secrets that are there stay."""
    from orrery.deployment import compose
    from orrery.deployment.file import load_deployment
    from orrery.deployment.variables import airflow_variables
    from orrery.project.dotenv import read_env_file
    from orrery.project.layout import find_project

    project = find_project(Path())
    folder = folder or project.state / target
    env_file = read_env_file(project.env_file, os.environ)
    found = load_deployment(project, {**env_file.values, **os.environ})
    wanted = compose.Wanted(
        name=found.name,
        image=image or f"{project.name}:latest",
        port=found.local.port,
        user=compose.user(),
        settings=airflow_variables(found),
        env_file=os.path.relpath(project.env_file, folder) if project.env_file.is_file() else None,
    )
    for path in compose.write(folder, wanted):
        click.echo(str(path))
    click.echo(f"Start it: docker compose --file {folder / compose.FILE} up --detach --wait", err=True)
