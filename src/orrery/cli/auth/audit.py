"""`orrery auth audit`: what has happened."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from orrery.cli.auth import common
from orrery.cli.output import Format, output_option

if TYPE_CHECKING:
    from collections.abc import Iterator

#: As many as the route gives at once.
_PAGE = 1000


@click.command()
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True, help="How many.")
@click.option("--event", help="Only events that begin so: sign-in, binding, token.")
@click.option("--actor", help="Only what this user did.")
@click.option("--export", is_flag=True, help="Print all events there are, as lines of JSON.")
@output_option
def audit(*, limit: int, event: str | None, actor: str | None, export: bool, output: Format) -> None:
    """Show the audit of access, the newest first."""
    if export:
        for each in _all(event, actor):
            click.echo(json.dumps(each))
        return
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


def _all(event: str | None, actor: str | None) -> Iterator[dict[str, Any]]:
    query: dict[str, Any] = {"limit": _PAGE, "event": event, "actor": actor}
    while True:
        page = common.call("GET", "/audit", query=query)
        yield from page["events"]
        if page["next"] is None:
            return
        query["before"] = page["next"]
