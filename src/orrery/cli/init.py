"""`orrery init`: make a new project folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from orrery.cli.output import Format, output_option, print_json

if TYPE_CHECKING:
    from orrery.project.scaffold import Plan


@click.command()
@click.argument("directory", metavar="[DIR]", default=".", type=click.Path(path_type=Path))
@click.option("--name", help="Name of the deployment.  [default: the folder's name]")
@click.option("--python", metavar="X.Y", help="Python of the runtime.  [default: the runtime's choice]")
@click.option(
    "--providers",
    type=click.Choice(["slim", "full"]),
    default="slim",
    show_default=True,
    help="How many providers the runtime brings.",
)
@click.option("--force", is_flag=True, help="Overwrite files that exist and differ, and list them.")
@click.option("--dry-run", is_flag=True, help="Show what would be done; write nothing.")
@output_option
def init(
    *,
    directory: Path,
    name: str | None,
    python: str | None,
    providers: str,
    force: bool,
    dry_run: bool,
    output: Format,
) -> None:
    """Make a project in DIR, by default here.

    Files that exist are kept. In a folder that has DAGs already, such as an Astro project, only what
    is missing is added.
    """
    from orrery.project.choices import choose
    from orrery.project.scaffold import make_project, plan_project

    choices = choose(directory, name=name, python=python, providers=providers)
    plan = plan_project(directory, choices, force=force)
    if not dry_run:
        make_project(plan)
    if output == "json":
        print_json(
            {
                "project": plan.root,
                "dry_run": dry_run,
                "created": plan.labels("create"),
                "kept": plan.labels("keep"),
                "overwritten": plan.labels("overwrite"),
            }
        )
    else:
        _show(plan, directory, dry_run=dry_run)


def _show(plan: Plan, directory: Path, *, dry_run: bool) -> None:
    click.echo(f"{'Would make' if dry_run else 'Made'} a project in {plan.root}")
    for heading, labels in (
        ("create" if dry_run else "created", plan.labels("create")),
        ("overwrite" if dry_run else "overwritten", plan.labels("overwrite")),
        ("keep" if dry_run else "kept", plan.labels("keep")),
    ):
        for label in labels:
            click.echo(f"  {heading:<11}  {label}")
    if plan.has_own_work:
        click.echo("The folder has files of its own, so no example DAGs are added.")
    if not dry_run:
        click.echo(f"\n{click.style('Next:', bold=True)}")
        if directory.absolute() != Path.cwd():
            import shlex

            click.echo(f"  cd {shlex.quote(str(directory))}")
        click.echo("  orrery up")
