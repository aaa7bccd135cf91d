"""What the commands of access share: the call, how it is told, and passwords."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import click

from orrery.cli.output import Format, print_json, print_table
from orrery.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


#: Where a command's context keeps it.
_ACCESS = "orrery.access"


def call(method: str, path: str, **options: Any) -> dict[str, Any]:
    """Call a route of access of the deployment around this folder; a command signs in once."""
    from orrery.cli.context import local_deployment
    from orrery.local.access import Access

    context = click.get_current_context()
    if _ACCESS not in context.meta:
        context.meta[_ACCESS] = context.with_resource(Access(local_deployment(quiet=True)))
    access: Access = context.meta[_ACCESS]
    return access.call(method, path, **options)


def part(name: str) -> str:
    """Return a name as a part of a path."""
    return quote(name, safe="")


def given(**values: Any) -> dict[str, Any]:
    """Return the values that were given."""
    return {name: value for name, value in values.items() if value is not None}


def done(output: Format, value: dict[str, Any], text: str) -> None:
    """Say what was done."""
    if output == "json":
        print_json(value)
    else:
        click.echo(text)


def listed(output: Format, rows: Sequence[dict[str, Any]], columns: dict[str, str]) -> None:
    """Print rows, with a heading for each column."""
    if output == "json":
        print_json(rows)
        return
    print_table(list(columns), [[cell(row[name]) for name in columns.values()] for row in rows])


def cell(value: Any) -> Any:
    """Return a value as people read it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, list) else value


def password_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the two ways to give a password."""
    command = click.option(
        "--password-stdin", "from_stdin", is_flag=True, help="Read the password from standard input."
    )(command)
    return click.option(
        "--password", help="The password; others on this machine can see it: prefer --password-stdin."
    )(command)


def password(given: str | None, *, from_stdin: bool, is_needed: bool = True) -> str | None:
    """Return the password that was given in one of the ways, or asked for on a terminal.

    Raises:
        InputError: there is none, or two.
    """
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


def address() -> str:
    """Return where the deployment answers browsers, with a slash at its end."""
    from orrery.cli.context import local_deployment
    from orrery.local.status import url_of

    return f"{(url_of(local_deployment(quiet=True).state) or '').rstrip('/')}/"
