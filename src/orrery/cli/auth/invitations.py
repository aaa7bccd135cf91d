"""`orrery auth invitations`: people who are asked to choose a name and a password themselves."""

from __future__ import annotations

import click

from orrery.cli.auth import common
from orrery.cli.output import Format, output_option


@click.group()
def invitations() -> None:
    """Invitations: a link with which somebody makes an account."""


@invitations.command("list")
@output_option
def list_invitations(output: Format) -> None:
    """List invitations, those that were accepted too."""
    columns = {
        "ID": "id",
        "E-MAIL": "email",
        "ROLE": "role",
        "BY": "created_by",
        "EXPIRES": "expires_at",
        "ACCEPTED": "accepted_at",
    }
    common.listed(output, common.call("GET", "/invitations")["invitations"], columns)


@invitations.command("create")
@click.option("--email", required=True, help="Whom to invite.")
@click.option("--role", help="A role to begin with: orrery auth roles list")
@click.option("--scope", help="KIND:NAME, such as dag:sales; without it here.")
@output_option
def create_invitation(*, email: str, role: str | None, scope: str | None, output: Format) -> None:
    """Invite somebody. The link is printed now and never again; it works once, for seven days."""
    body = {"email": email} | common.given(role=role, scope=scope)
    made = common.call("POST", "/invitations", body=body)
    # In the fragment, which browsers send to nobody: it gets into no log.
    link = f"{common.address()}auth/invitation#{made['secret']}"
    common.done(output, made | {"link": link}, link)


@invitations.command("withdraw")
@click.argument("invitation_id", metavar="ID")
@output_option
def withdraw_invitation(invitation_id: str, output: Format) -> None:
    """Withdraw an invitation that was not accepted yet: its link stops working."""
    common.call("DELETE", f"/invitations/{common.part(invitation_id)}")
    common.done(output, {"withdrawn": invitation_id}, "Withdrawn.")
