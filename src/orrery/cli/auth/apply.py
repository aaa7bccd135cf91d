"""`orrery auth apply`: access as a file says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from orrery.cli.auth import common
from orrery.cli.output import Format, output_option, print_json
from orrery.errors import OrreryError


@click.command()
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
                common.call(step.method, step.path, body=step.body)
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
    found: list[dict[str, Any]] = common.call("GET", f"/{name}")[name]
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
