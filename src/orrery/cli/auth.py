"""`orrery auth`: people, teams, roles, bindings, tokens, explanations, the audit of the local deployment."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import click

from orrery.cli.output import Format, output_option, print_facts, print_json, print_table
from orrery.errors import InputError, OrreryError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


@click.group()
def auth() -> None:
    """Manage people, teams, roles, bindings and tokens.

    The commands act on the running deployment of the project around this folder, as its 'admin'.
    """


def _call(method: str, path: str, **options: Any) -> dict[str, Any]:
    from orrery.cli.context import local_deployment
    from orrery.local import access

    return access.call(local_deployment(quiet=True), method, path, **options)


def _part(name: str) -> str:
    return quote(name, safe="")


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _done(output: Format, value: dict[str, Any], text: str) -> None:
    if output == "json":
        print_json(value)
    else:
        click.echo(text)


def _listed(output: Format, rows: Sequence[dict[str, Any]], columns: dict[str, str]) -> None:
    if output == "json":
        print_json(rows)
        return
    print_table(list(columns), [[_cell(row[name]) for name in columns.values()] for row in rows])


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, list) else value


def _password_options(command: Callable[..., Any]) -> Callable[..., Any]:
    command = click.option(
        "--password-stdin", "from_stdin", is_flag=True, help="Read the password from standard input."
    )(command)
    return click.option(
        "--password", help="The password; others on this machine can see it: prefer --password-stdin."
    )(command)


def _password(given: str | None, *, from_stdin: bool, is_needed: bool = True) -> str | None:
    if given is not None and from_stdin:
        raise InputError("--password and --password-stdin exclude one another.")
    if from_stdin:
        given = sys.stdin.readline().rstrip("\r\n")
    elif given is None and is_needed:
        if not sys.stdin.isatty():
            raise InputError("A password is needed.", hint="Pipe it: ... --password-stdin < FILE")
        given = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    if given == "":
        raise InputError("The password is empty.", hint="Pipe it: ... --password-stdin < FILE")
    return given


# -- people -------------------------------------------------------------------------------------


@auth.group()
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
    _listed(output, _call("GET", "/users")["users"], _USER_COLUMNS)


@users.command("show")
@click.argument("name")
@output_option
def show_user(name: str, output: Format) -> None:
    """Show somebody and what they may, by which binding."""
    found = _call("GET", f"/users/{_part(name)}")
    if output == "json":
        print_json(found)
        return
    _print_access(found)


def _print_access(found: dict[str, Any]) -> None:
    print_facts((title.capitalize(), _cell(found[name])) for title, name in _USER_COLUMNS.items())
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
@_password_options
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
    secret = _password(password, from_stdin=from_stdin, is_needed=False)
    body = {"username": username, "is_service_account": service_account}
    made = _call("POST", "/users", body=body | _given(email=email, full_name=full_name, password=secret))
    _done(output, made, f"Created '{made['username']}'. Give a role: orrery auth bindings create")


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
    body = _given(email=email, full_name=full_name, is_active=is_active)
    if not body:
        raise InputError("Nothing to change was given.", hint="See: orrery auth users update --help")
    made = _call("PATCH", f"/users/{_part(name)}", body=body)
    _done(output, made, f"Changed '{made['username']}'.")


@users.command("sign-out")
@click.argument("name")
@output_option
def sign_out(name: str, output: Format) -> None:
    """End all sessions and access tokens of somebody."""
    _done(output, _call("POST", f"/users/{_part(name)}/sign-out"), f"Signed out '{name}' everywhere.")


@users.command("delete")
@click.argument("name")
@output_option
def delete_user(name: str, output: Format) -> None:
    """Remove somebody, with bindings and tokens; the audit stays."""
    _call("DELETE", f"/users/{_part(name)}")
    _done(output, {"deleted": name}, f"Removed '{name}'.")


# -- teams --------------------------------------------------------------------------------------


@auth.group()
def teams() -> None:
    """Teams of people."""


@teams.command("list")
@output_option
def list_teams(output: Format) -> None:
    """List teams, their members and groups."""
    columns = {"TEAM": "name", "MEMBERS": "members", "GROUPS": "groups", "DESCRIPTION": "description"}
    _listed(output, _call("GET", "/teams")["teams"], columns)


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
    made = _call("POST", "/teams", body=body)
    _done(output, made, f"Created team '{made['name']}'.")


@teams.command("update")
@click.argument("name")
@click.option("--add", "added", multiple=True, help="A user to add.")
@click.option("--remove", "removed", multiple=True, help="A user to remove.")
@output_option
def update_team(name: str, added: tuple[str, ...], removed: tuple[str, ...], output: Format) -> None:
    """Change who is in a team."""
    there = next((each for each in _call("GET", "/teams")["teams"] if each["name"] == name), None)
    if there is None:
        raise InputError(f"There is no team '{name}'.", hint="See: orrery auth teams list")
    if unknown := sorted(set(removed) - set(there["members"])):
        raise InputError(f"Not in team '{name}': {', '.join(unknown)}.", hint="See: orrery auth teams list")
    members = sorted((set(there["members"]) | set(added)) - set(removed))
    made = _call("PATCH", f"/teams/{_part(name)}", body={"members": members})
    _done(output, made, f"In team '{name}': {', '.join(made['members']) or 'nobody'}.")


@teams.command("delete")
@click.argument("name")
@output_option
def delete_team(name: str, output: Format) -> None:
    """Remove a team and its bindings."""
    _call("DELETE", f"/teams/{_part(name)}")
    _done(output, {"deleted": name}, f"Removed team '{name}'.")


# -- roles and bindings -------------------------------------------------------------------------


@auth.group()
def roles() -> None:
    """Roles, built in and custom."""


@roles.command("list")
@output_option
def list_roles(output: Format) -> None:
    """List roles and where they can be given."""
    columns = {"ROLE": "name", "TITLE": "title", "GIVEN AT": "scopes", "CUSTOM": "is_custom"}
    _listed(output, _call("GET", "/roles")["roles"], columns)


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
    _done(output, _call("PUT", f"/roles/{_part(name)}", body=body), f"Saved role '{name}'.")


@roles.command("delete")
@click.argument("name")
@output_option
def delete_role(name: str, output: Format) -> None:
    """Remove a custom role; who has it loses it."""
    _call("DELETE", f"/roles/{_part(name)}")
    _done(output, {"deleted": name}, f"Removed role '{name}'.")


@auth.group()
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
    _listed(output, _call("GET", "/bindings")["bindings"], columns)


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
    body = _given(user=user, team=team, group=group, role=role, scope=scope)
    made = _call("POST", "/bindings", body=body)
    who = user or team or group
    _done(output, made, f"'{who}' has '{role}'{'' if made['is_new'] else ' already'}.")


@bindings.command("delete")
@click.argument("binding_id", metavar="ID")
@output_option
def delete_binding(binding_id: str, output: Format) -> None:
    """Take a role."""
    _call("DELETE", f"/bindings/{_part(binding_id)}")
    _done(output, {"deleted": binding_id}, "Taken.")


# -- tokens -------------------------------------------------------------------------------------


@auth.group()
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
    _listed(output, _call("GET", "/tokens", query={"all": "true"})["tokens"], columns)


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
    body = {"name": name} | _given(owner=owner, role=role, scope=scope, days=days)
    made = _call("POST", "/tokens", body=body)
    _done(output, made, made["token"])


@tokens.command("rotate")
@click.argument("token_id", metavar="ID")
@output_option
def rotate_token(token_id: str, output: Format) -> None:
    """Give a token another text, which is printed now; the old one ends at once."""
    made = _call("POST", f"/tokens/{_part(token_id)}/rotate")
    _done(output, made, made["token"])


@tokens.command("revoke")
@click.argument("token_id", metavar="ID")
@output_option
def revoke_token(token_id: str, output: Format) -> None:
    """End a token at once, on every API server."""
    _call("DELETE", f"/tokens/{_part(token_id)}")
    _done(output, {"revoked": token_id}, "Revoked.")


# -- explanations and the audit -----------------------------------------------------------------


@auth.command()
@click.argument("user")
@click.argument("action")
@click.argument("resource")
@click.option("--dag", "dag_id", help="On this DAG.")
@output_option
def explain(*, user: str, action: str, resource: str, dag_id: str | None, output: Format) -> None:
    """Tell whether USER may do ACTION (PUT, read, pause) on RESOURCE (variable, dag), and why."""
    query = {"user": user, "action": action, "resource": resource, "dag_id": dag_id}
    found = _call("GET", "/explain", query=query)
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


@auth.command()
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True, help="How many.")
@click.option("--event", help="Only events that begin so: sign-in, binding, token.")
@click.option("--actor", help="Only what this user did.")
@output_option
def audit(limit: int, event: str | None, actor: str | None, output: Format) -> None:
    """Show the audit of access, the newest first."""
    found = _call("GET", "/audit", query={"limit": limit, "event": event, "actor": actor})["events"]
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
    _listed(output, found, columns)


# -- without a sign-in --------------------------------------------------------------------------


@auth.command()
@click.option("--username", default="admin", show_default=True, help="The owner's name.")
@click.option("--email", help="The e-mail address.")
@_password_options
@output_option
def bootstrap(
    *, username: str, email: str | None, password: str | None, from_stdin: bool, output: Format
) -> None:
    """Make the organization's first owner, straight in the database."""
    _recover("bootstrap", username, password, from_stdin, output, email=email)


@auth.command("reset-password")
@click.argument("name")
@_password_options
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

    secret = _password(password, from_stdin=from_stdin)
    assert secret is not None  # noqa: S101 - it is needed
    made = access.recover(local_deployment(quiet=True), action, name, secret, email=email)
    _done(output, made, f"Done: '{name}' signs in with the new password.")


# -- as code ------------------------------------------------------------------------------------


@auth.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--dry-run", is_flag=True, help="Only show what would be changed.")
@click.option("--prune", is_flag=True, help="Take bindings that the file does not name, but no owner's.")
@output_option
def apply(*, file: Path, dry_run: bool, prune: bool, output: Format) -> None:
    """Make users, teams, roles and bindings as FILE (access.yaml) says."""
    from orrery.deployment import access

    wanted = access.load(file)
    present = _present()
    steps = access.difference(wanted, present, prune=prune)
    for number, step in enumerate(steps):
        if output == "table":
            colour = {"+": "green", "-": "red"}.get(step.sign, "yellow")
            click.echo(click.style(f"{step.sign} {step.text}", fg=colour))
        if not dry_run:
            try:
                _call(step.method, step.path, body=step.body)
            except OrreryError as error:
                raise type(error)(
                    f"{step.text}: {error.message} {number} of {len(steps)} changes were made.",
                    hint="Mend the file and apply it again: what is done is not done twice.",
                ) from error
    dangling = [each for each in (present.bindings if dry_run else _rows("bindings")) if each["is_dangling"]]
    if output == "json":
        changes = [{"sign": step.sign, "text": step.text} for step in steps]
        print_json({"changes": changes, "is_dry_run": dry_run, "dangling": dangling})
        return
    for each in dangling:
        click.echo(f"Dangling: {each['role']} at {each['scope']} for {each['principal']}: no such DAG yet.")
    verb = "to make" if dry_run else "made"
    click.echo(f"Changes {verb}: {len(steps)}." if steps else "Nothing to change.")


def _rows(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = _call("GET", f"/{name}")[name]
    return found


def _present() -> Any:
    from orrery.cli.context import local_deployment
    from orrery.deployment.access import Present

    _, environment = local_deployment(quiet=True).launch()
    kinds = ("organization", "workspace", "deployment")
    return Present(
        users=_rows("users"),
        teams=_rows("teams"),
        roles=_rows("roles"),
        bindings=_rows("bindings"),
        place={kind: environment.get(f"AIRFLOW__ORRERY_AUTH__{kind.upper()}") or "default" for kind in kinds},
    )
