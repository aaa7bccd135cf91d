"""`orrery auth users`: people and service accounts."""

from __future__ import annotations

from typing import Any

import click

from orrery.cli.auth import common
from orrery.cli.output import Format, output_option, print_facts, print_json, print_table
from orrery.errors import InputError


@click.group()
def users() -> None:
    """People and service accounts."""


_USER_COLUMNS = {
    "NAME": "username",
    "E-MAIL": "email",
    "TEAMS": "teams",
    "SERVICE ACCOUNT": "is_service_account",
    "ACTIVE": "is_active",
}


@users.command("list")
@output_option
def list_users(output: Format) -> None:
    """List people and service accounts."""
    common.listed(output, common.call("GET", "/users")["users"], _USER_COLUMNS)


@users.command("show")
@click.argument("name")
@output_option
def show_user(name: str, output: Format) -> None:
    """Show somebody and what they may, by which binding."""
    found = common.call("GET", f"/users/{common.part(name)}")
    if output == "json":
        print_json(found)
        return
    _print_access(found)


def _print_access(found: dict[str, Any]) -> None:
    print_facts((title.capitalize(), common.cell(found[name])) for title, name in _USER_COLUMNS.items())
    print_table(
        ["ROLE", "SCOPE", "THROUGH"],
        [(each["title"], each["scope"], each["through"]) for each in found.get("bindings", ())],
    )
    print_facts(
        [
            ("May", ", ".join(found.get("permissions", ()))),
            ("On some DAGs", ", ".join(found.get("on_some_dags", ()))),
        ]
    )


@users.command("create")
@click.option("--username", required=True, help="The name to sign in with.")
@click.option("--email", help="The e-mail address.")
@click.option("--full-name", help="The name for people.")
@click.option("--service-account", is_flag=True, help="For a program: no password, only API tokens.")
@common.password_options
@output_option
def create_user(
    *,
    username: str,
    email: str | None,
    full_name: str | None,
    service_account: bool,
    password: str | None,
    from_stdin: bool,
    output: Format,
) -> None:
    """Create a person or a service account, without a role."""
    secret = common.password(password, from_stdin=from_stdin, is_needed=False)
    body = {"username": username, "is_service_account": service_account}
    made = common.call(
        "POST", "/users", body=body | common.given(email=email, full_name=full_name, password=secret)
    )
    common.done(output, made, f"Created '{made['username']}'. Give a role: orrery auth bindings create")


@users.command("update")
@click.argument("name")
@click.option("--email", help="Another e-mail address.")
@click.option("--full-name", help="Another name for people.")
@click.option("--enable/--disable", "is_active", default=None, help="May sign in or not.")
@output_option
def update_user(
    *, name: str, email: str | None, full_name: str | None, is_active: bool | None, output: Format
) -> None:
    """Change somebody; whom you disable is signed out at once."""
    body = common.given(email=email, full_name=full_name, is_active=is_active)
    if not body:
        raise InputError("Nothing to change was given.", hint="See: orrery auth users update --help")
    made = common.call("PATCH", f"/users/{common.part(name)}", body=body)
    common.done(output, made, f"Changed '{made['username']}'.")


@users.command("sign-out")
@click.argument("name")
@output_option
def sign_out(name: str, output: Format) -> None:
    """End all sessions and access tokens of somebody."""
    common.done(
        output,
        common.call("POST", f"/users/{common.part(name)}/sign-out"),
        f"Signed out '{name}' everywhere.",
    )


@users.command("delete")
@click.argument("name")
@output_option
def delete_user(name: str, output: Format) -> None:
    """Remove somebody, with bindings and tokens; the audit stays."""
    common.call("DELETE", f"/users/{common.part(name)}")
    common.done(output, {"deleted": name}, f"Removed '{name}'.")
