"""`orrery logs`: what components wrote."""

from __future__ import annotations

import click

from orrery.components import COMPONENTS


@click.command()
@click.argument("component", type=click.Choice([component.name for component in COMPONENTS]), required=False)
@click.option("-f", "--follow", is_flag=True, help="Go on as they write, until Ctrl-C.")
@click.option(
    "-n",
    "--lines",
    type=click.IntRange(min=0),
    default=100,
    show_default=True,
    help="How many of the last lines per component.",
)
def logs(component: str | None, *, follow: bool, lines: int) -> None:
    """Show what one COMPONENT wrote, or all of them."""
    from orrery.cli.context import local_deployment
    from orrery.errors import StateError
    from orrery.local.tail import tail

    deployment = local_deployment(quiet=True)
    names = [component] if component else [item.name for item in COMPONENTS]
    files = {name: deployment.state.log(name) for name in names}
    if not any(file.exists() for file in files.values()):
        raise StateError("There are no logs: the deployment has never run.", hint="Start it: orrery up")
    width = max(map(len, names)) if len(names) > 1 else 0
    for name, line in tail(files, lines=lines, follow=follow):
        prefix = click.style(f"{name:<{width}} | ", dim=True) if width else ""
        click.echo(f"{prefix}{line}")
