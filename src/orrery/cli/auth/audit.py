"""`orrery auth audit`: what has happened."""

from __future__ import annotations

import json

import click

from orrery.cli.auth import common
from orrery.cli.output import Format, output_option


@click.command()
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True, help="How many.")
@click.option("--event", help="Only events that begin so: sign-in, binding, token.")
@click.option("--actor", help="Only what this user did.")
@output_option
def audit(limit: int, event: str | None, actor: str | None, output: Format) -> None:
    """Show the audit of access, the newest first."""
    found = common.call("GET", "/audit", query={"limit": limit, "event": event, "actor": actor})["events"]
    if output == "table":
        found = [{**each, "detail": json.dumps(each["detail"])} for each in found]
    columns = {
        "AT": "at",
        "EVENT": "event",
        "BY": "actor",
        "WHOM": "subject",
        "FROM": "address",
        "DETAIL": "detail",
    }
    common.listed(output, found, columns)
