"""`orrery auth roles`: roles, built in and custom."""

from __future__ import annotations

import click

from orrery.cli.auth import common
from orrery.cli.output import Format, output_option


@click.group()
def roles() -> None:
    """Roles, built in and custom."""


@roles.command("list")
@output_option
def list_roles(output: Format) -> None:
    """List roles and where they can be given."""
    columns = {"ROLE": "name", "TITLE": "title", "GIVEN AT": "scopes", "CUSTOM": "is_custom"}
    common.listed(output, common.call("GET", "/roles")["roles"], columns)


@roles.command("save")
@click.argument("name")
@click.option("--title", help="The name for people.")
@click.option("--permission", "permissions", multiple=True, required=True, help="Such as dag.read.")
@click.option("--scope", "scopes", multiple=True, default=["deployment"], help="A kind of scope.")
@output_option
def save_role(
    name: str, title: str | None, permissions: tuple[str, ...], scopes: tuple[str, ...], output: Format
) -> None:
    """Create a custom role, or change it for all who have it."""
    body = {"title": title or name, "permissions": list(permissions), "scopes": list(scopes)}
    common.done(output, common.call("PUT", f"/roles/{common.part(name)}", body=body), f"Saved role '{name}'.")


@roles.command("delete")
@click.argument("name")
@output_option
def delete_role(name: str, output: Format) -> None:
    """Remove a custom role; who has it loses it."""
    common.call("DELETE", f"/roles/{common.part(name)}")
    common.done(output, {"deleted": name}, f"Removed role '{name}'.")
