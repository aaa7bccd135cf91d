"""`orrery auth explain`: may somebody do something, and why."""

from __future__ import annotations

import click

from orrery.cli.auth import common
from orrery.cli.output import Format, output_option, print_facts, print_json


@click.command()
@click.argument("user")
@click.argument("action")
@click.argument("resource")
@click.option("--dag", "dag_id", help="On this DAG.")
@output_option
def explain(*, user: str, action: str, resource: str, dag_id: str | None, output: Format) -> None:
    """Tell whether USER may do ACTION (PUT, read, pause) on RESOURCE (variable, dag), and why."""
    query = {"user": user, "action": action, "resource": resource, "dag_id": dag_id}
    found = common.call("GET", "/explain", query=query)
    if output == "json":
        print_json(found)
        return
    verdict = click.style("allowed", fg="green") if found["is_allowed"] else click.style("denied", fg="red")
    click.echo(f"{found['user']} {action} {resource}{f' of {dag_id}' if dag_id else ''}: {verdict}")
    print_facts(
        [
            ("Permission", found["permission"]),
            ("Why", found["reason"]),
            ("Also by", "; ".join(f"{each['title']} at {each['scope']}" for each in found["also_by"])),
            ("Note", None if found["is_active"] else "The account is disabled: it may do nothing."),
        ]
    )
