"""`orrery status`: what the deployment is doing now."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orrery.cli.output import (
    Format,
    duration,
    is_terminal,
    output_option,
    print_facts,
    print_json,
    print_table,
)

if TYPE_CHECKING:
    from orrery.local.status import Status

_COLOURS = {"healthy": "green", "starting": "yellow", "stopped": "bright_black"}


@click.command()
@output_option
def status(output: Format) -> None:
    """Show the deployment: URL, sign-in, components.

    Exit code 0 when healthy, 3 when it runs but not all is well (or it still starts), 4 when it does
    not run.
    """
    from orrery.cli.context import local_deployment

    found = local_deployment(quiet=True).status()
    if output == "json":
        print_json(asdict(found))
    else:
        print_status(found, with_password=True)
    if found.state == "stopped":
        sys.exit(4)
    if found.state != "healthy":
        sys.exit(3)


def print_status(found: Status, *, with_password: bool) -> None:
    """Print a deployment's status for people; the password only on a terminal."""
    if found.state == "stopped":
        click.echo(f"{found.name} does not run. Start it: orrery up")
        if found.leftovers:
            click.echo(f"{found.leftovers} processes of an earlier run are left: orrery down ends them.")
        return
    print_facts(
        [
            ("Deployment", found.name),
            ("State", click.style(found.state, fg=_COLOURS.get(found.state, "red"))),
            ("URL", found.url),
            ("User", found.username),
            ("Password", _password(found) if with_password else None),
            ("Runtime", found.runtime),
        ]
    )
    print_table(
        ["COMPONENT", "STATE", "PID", "MEMORY", "UP", "CRASHES"],
        [
            (
                component.name,
                component.state,
                component.pid,
                f"{component.memory_bytes / 2**20:.0f} MB" if component.memory_bytes else None,
                duration(component.uptime_seconds),
                component.crashes or None,
            )
            for component in found.components
        ],
    )
    for component in found.components:
        if component.why:
            click.echo(f"{click.style(component.name, fg='red')}: {component.why}")
    for problem in found.import_errors or ():
        click.echo(f"{click.style('does not import', fg='red')}: {problem.file}: {problem.error}")


def _password(found: Status) -> str:
    """Show the password to a person; to a pipe or a log only where it is."""
    file = Path(found.password_file)
    if is_terminal(sys.stdout) and file.exists():
        return file.read_text().strip()
    return f"in {file}"
