"""`orrery auth teams`: teams of people."""

from __future__ import annotations

import click

from orrery.cli.auth import common
from orrery.cli.output import Format, output_option
from orrery.errors import InputError


@click.group()
def teams() -> None:
    """Teams of people."""


@teams.command("list")
@output_option
def list_teams(output: Format) -> None:
    """List teams, their members and groups."""
    columns = {"TEAM": "name", "MEMBERS": "members", "GROUPS": "groups", "DESCRIPTION": "description"}
    common.listed(output, common.call("GET", "/teams")["teams"], columns)


@teams.command("create")
@click.option("--name", required=True, help="The team's name.")
@click.option("--description", default="", help="What it is for.")
@click.option("--member", "members", multiple=True, help="A user; give it again for more.")
@click.option("--group", "groups", multiple=True, help="A group of the identity provider.")
@output_option
def create_team(
    *, name: str, description: str, members: tuple[str, ...], groups: tuple[str, ...], output: Format
) -> None:
    """Create a team."""
    body = {"name": name, "description": description, "members": list(members), "groups": list(groups)}
    made = common.call("POST", "/teams", body=body)
    common.done(output, made, f"Created team '{made['name']}'.")


@teams.command("update")
@click.argument("name")
@click.option("--add", "added", multiple=True, help="A user to add.")
@click.option("--remove", "removed", multiple=True, help="A user to remove.")
@output_option
def update_team(name: str, added: tuple[str, ...], removed: tuple[str, ...], output: Format) -> None:
    """Change who is in a team."""
    there = next((each for each in common.call("GET", "/teams")["teams"] if each["name"] == name), None)
    if there is None:
        raise InputError(f"There is no team '{name}'.", hint="See: orrery auth teams list")
    if unknown := sorted(set(removed) - set(there["members"])):
        raise InputError(f"Not in team '{name}': {', '.join(unknown)}.", hint="See: orrery auth teams list")
    members = sorted((set(there["members"]) | set(added)) - set(removed))
    made = common.call("PATCH", f"/teams/{common.part(name)}", body={"members": members})
    common.done(output, made, f"In team '{name}': {', '.join(made['members']) or 'nobody'}.")


@teams.command("delete")
@click.argument("name")
@output_option
def delete_team(name: str, output: Format) -> None:
    """Remove a team and its bindings."""
    common.call("DELETE", f"/teams/{common.part(name)}")
    common.done(output, {"deleted": name}, f"Removed team '{name}'.")
