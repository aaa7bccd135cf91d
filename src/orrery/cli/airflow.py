"""`orrery airflow ARGS`: Airflow's own command in the deployment's environment."""

from __future__ import annotations

import os

import click


@click.command(
    context_settings={
        "ignore_unknown_options": True,
        "help_option_names": [],
        "allow_interspersed_args": False,
    }
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def airflow(arguments: tuple[str, ...]) -> None:
    """Run Airflow's own command with ARGUMENTS in the environment of the running deployment.

    Its exit code is passed on. It reaches the database directly, past every role.
    """
    from orrery.cli.context import local_deployment

    command, environment = local_deployment(quiet=True).launch()
    # We become the command: signals, terminal and exit code are its own.
    os.execve(command[0], [*command, *arguments], environment)  # noqa: S606
