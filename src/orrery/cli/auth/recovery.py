"""`orrery auth bootstrap` and `reset-password`: straight in the database, without a sign-in."""

from __future__ import annotations

import click

from orrery.cli.auth import common
from orrery.cli.output import Format, output_option


@click.command()
@click.option("--username", default="admin", show_default=True, help="The owner's name.")
@click.option("--email", help="The e-mail address.")
@common.password_options
@output_option
def bootstrap(
    *, username: str, email: str | None, password: str | None, from_stdin: bool, output: Format
) -> None:
    """Make the organization's first owner, straight in the database."""
    _recover("bootstrap", username, password, from_stdin, output, email=email)


@click.command("reset-password")
@click.argument("name")
@common.password_options
@output_option
def reset_password(*, name: str, password: str | None, from_stdin: bool, output: Format) -> None:
    """Set a forgotten password, straight in the database; it also enables the account."""
    _recover("password", name, password, from_stdin, output)


def _recover(
    action: str,
    name: str,
    password: str | None,
    from_stdin: bool,
    output: Format,
    *,
    email: str | None = None,
) -> None:
    from orrery.cli.context import local_deployment
    from orrery.local import access

    secret = common.password(password, from_stdin=from_stdin)
    assert secret is not None  # noqa: S101 - it is needed
    made = access.recover(local_deployment(quiet=True), action, name, secret, email=email)
    common.done(output, made, f"Done: '{name}' signs in with the new password.")
