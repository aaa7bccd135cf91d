"""`orrery down`: stop the deployment."""

from __future__ import annotations

import click


@click.command()
def down() -> None:
    """Stop the deployment; its data stays."""
    from orrery.cli.context import local_deployment

    deployment = local_deployment()
    if deployment.down():
        click.echo(f"{deployment.name} is stopped. Its data is in {deployment.state.root}.")
    else:
        click.echo(f"{deployment.name} did not run.")
