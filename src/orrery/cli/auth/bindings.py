"""`orrery auth bindings`: who has which role, where."""

from __future__ import annotations

import click

from orrery.cli.auth import common
from orrery.cli.output import Format, output_option


@click.group()
def bindings() -> None:
    """Who has which role, where."""


@bindings.command("list")
@output_option
def list_bindings(output: Format) -> None:
    """List who has which role; 'dangling' is one on a DAG that does not exist."""
    columns = {
        "ID": "id",
        "KIND": "principal_kind",
        "FOR": "principal",
        "ROLE": "role",
        "SCOPE": "scope",
        "DANGLING": "is_dangling",
    }
    common.listed(output, common.call("GET", "/bindings")["bindings"], columns)


@bindings.command("create")
@click.option("--user", help="A user or a service account.")
@click.option("--team", help="A team.")
@click.option("--group", help="A group of the identity provider.")
@click.option("--role", required=True, help="The role: orrery auth roles list")
@click.option("--scope", help="KIND:NAME, such as dag:sales; without it here.")
@output_option
def create_binding(
    *, user: str | None, team: str | None, group: str | None, role: str, scope: str | None, output: Format
) -> None:
    """Give a role to exactly one user, team or group."""
    body = common.given(user=user, team=team, group=group, role=role, scope=scope)
    made = common.call("POST", "/bindings", body=body)
    who = user or team or group
    common.done(output, made, f"'{who}' has '{role}'{'' if made['is_new'] else ' already'}.")


@bindings.command("delete")
@click.argument("binding_id", metavar="ID")
@output_option
def delete_binding(binding_id: str, output: Format) -> None:
    """Take a role."""
    common.call("DELETE", f"/bindings/{common.part(binding_id)}")
    common.done(output, {"deleted": binding_id}, "Taken.")
