"""`orrery auth tokens`: API tokens."""

from __future__ import annotations

import click

from orrery.cli.auth import common
from orrery.cli.output import Format, output_option


@click.group()
def tokens() -> None:
    """API tokens."""


@tokens.command("list")
@output_option
def list_tokens(output: Format) -> None:
    """List all API tokens, without their text."""
    columns = {
        "ID": "id",
        "NAME": "name",
        "OWNER": "owner",
        "BEGINS": "prefix",
        "LIMITED TO": "role",
        "EXPIRES": "expires_at",
        "LAST USED": "last_used_at",
        "REVOKED": "is_revoked",
    }
    common.listed(output, common.call("GET", "/tokens", query={"all": "true"})["tokens"], columns)


@tokens.command("create")
@click.option("--name", required=True, help="By which you will know it.")
@click.option("--owner", help="A service account; without it 'admin'.")
@click.option("--role", help="Limit it to what this role may.")
@click.option("--scope", help="Limit that role to KIND:NAME.")
@click.option("--days", type=click.IntRange(1, 3650), help="How long it lives; without it for ever.")
@output_option
def create_token(
    *, name: str, owner: str | None, role: str | None, scope: str | None, days: int | None, output: Format
) -> None:
    """Create an API token. Its text is printed now and never again."""
    body = {"name": name} | common.given(owner=owner, role=role, scope=scope, days=days)
    made = common.call("POST", "/tokens", body=body)
    common.done(output, made, made["token"])


@tokens.command("rotate")
@click.argument("token_id", metavar="ID")
@output_option
def rotate_token(token_id: str, output: Format) -> None:
    """Give a token another text, which is printed now; the old one ends at once."""
    made = common.call("POST", f"/tokens/{common.part(token_id)}/rotate")
    common.done(output, made, made["token"])


@tokens.command("revoke")
@click.argument("token_id", metavar="ID")
@output_option
def revoke_token(token_id: str, output: Format) -> None:
    """End a token at once, on every API server."""
    common.call("DELETE", f"/tokens/{common.part(token_id)}")
    common.done(output, {"revoked": token_id}, "Revoked.")
