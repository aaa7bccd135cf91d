"""`orrery restart`: restart one component, or all."""

from __future__ import annotations

import click

from orrery.components import COMPONENTS

_NAMES = [component.name for component in COMPONENTS]


@click.command()
@click.argument("component", type=click.Choice(_NAMES), required=False)
def restart(component: str | None) -> None:
    """Restart one COMPONENT, or all of Airflow's.

    The restarted components see today's .env, orrery.yaml, requirements.txt and airflow_settings.yaml.
    """
    from orrery.cli.context import starter
    from orrery.cli.status import print_status
    from orrery.errors import UnhealthyError

    status = starter().restart([component] if component else _NAMES[1:])
    print_status(status, with_password=False)
    if status.state != "healthy":
        raise UnhealthyError("Not every component is healthy.", hint="See why: orrery logs COMPONENT")
