"""`orrery release`: the catalogue, its parity table and its policy. Offline."""

from __future__ import annotations

import sys
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import click

from orrery.cli.output import Format, output_option, print_facts, print_json, print_table

if TYPE_CHECKING:
    from orrery.release.catalogue import Catalogue
    from orrery.release.line import Line, Provider, Release
    from orrery.release.version import Version


@click.group()
def release() -> None:
    """Look things up in the catalogue of releases, which ships with orrery."""


@release.command("list")
@output_option
def list_lines(output: Format) -> None:
    """List the lines, each with its newest known release."""
    from orrery.release import catalogue

    today = _today()
    lines = [_line_facts(line, today) for line in reversed(catalogue.load().lines)]
    if output == "json":
        print_json(lines)
        return
    print_table(
        ("Line", "Airflow", "Newest", "State", "First release", "Ends", "Python"),
        (
            (
                line["line"],
                line["airflow"],
                line["newest"],
                line["lifecycle"]["state"] or line["status"],
                line["first_release"] if line["dates_certain"] else f"~ {line['first_release']}",
                line["lifecycle"]["ends"]["security"],
                line["pythons"]["default"],
            )
            for line in lines
        ),
    )


@release.command()
@click.argument("version")
@output_option
def show(version: str, output: Format) -> None:
    """Show a release: 17.0.0, or the newest of a line (17) or of a minor (17.0)."""
    from orrery.release import catalogue

    known = catalogue.load()
    line, found = _resolved(version, known)
    facts = _facts(line, found, known, _today())
    if output == "json":
        print_json(facts)
        return
    _print_release(facts)


@release.command()
@output_option
def parity(output: Format) -> None:
    """Show which line follows which Airflow minor."""
    from orrery.release import catalogue

    rows = [
        {"runtime": line.number, "airflow": line.airflow, "status": line.status}
        for line in catalogue.load().lines
    ]
    if output == "json":
        print_json(rows)
        return
    print_table(("Runtime", "Airflow", "Status"), (tuple(row.values()) for row in rows))


@release.command()
@output_option
def policy(output: Format) -> None:
    """Show what a version number promises, and for how long a line is supported."""
    from orrery.release import catalogue
    from orrery.release.lifecycle import MEANING

    known = catalogue.load().policy
    support = known.support
    if output == "json":
        print_json(
            {
                "support": {
                    "bugfix_months": support.bugfix_months,
                    "security_months": support.security_months,
                    "ends": known.ends,
                },
                "states": MEANING,
                "versioning": dict(known.versioning),
                "fixes": dict(known.fixes),
            }
        )
        return
    print_facts(
        [
            ("Bugfix", f"{support.bugfix_months} months from the first release of a line"),
            ("Security", f"{support.security_months} months more"),
            ("Ends", known.ends),
        ]
    )
    for title, facts in (("States", MEANING), ("Versions", known.versioning), ("Fixes", known.fixes)):
        click.echo(f"\n{click.style(title, bold=True)}")
        print_facts((name.replace("_", "-"), meaning) for name, meaning in facts.items())


@release.command("may-upgrade")
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
@output_option
def may_upgrade(source: str, target: str, output: Format) -> None:
    """Say whether a deployment may go from one release to another; exit 1 when it may not.

    A version that is not in the catalogue is a wrong input: exit 2.
    """
    from orrery.errors import OrreryError
    from orrery.release import catalogue, upgrade

    known = catalogue.load()
    verdict = upgrade.may_upgrade(_version(source, known), _version(target, known), known)
    steps = [str(step) for step in verdict.steps]
    if output == "json":
        print_json(
            {
                "allowed": verdict.allowed,
                "needs_stop": verdict.needs_stop,
                "why": verdict.why,
                "steps": steps,
            }
        )
        if not verdict.allowed:
            sys.exit(1)
        return
    if not verdict.allowed:
        hint = (
            f"Go in steps: {source} -> {' -> '.join(steps)}."
            if steps
            else "See what there is: orrery release list; and what a version promises: orrery release policy"
        )
        raise OrreryError(f"Not allowed: {verdict.why}", hint=hint)
    click.echo(f"{click.style('Allowed.', fg='green', bold=True)} {verdict.why}")


def _today() -> date:
    # UTC, so that two machines of one team agree on the day.
    return datetime.now(UTC).date()


def _resolved(text: str, known: Catalogue) -> tuple[Line, Release | None]:
    """Return the line and the release; no release where a line is named of which no release is known."""
    if text.isdecimal() and (line := known.lines_by_number.get(int(text))) and not line.releases:
        return line, None
    found = known.release(text)
    return known.line(found.version.major), found


def _version(text: str, known: Catalogue) -> Version:
    """Resolve a version; one of a line that was not built here need not be known: the verdict says so."""
    from orrery.errors import InputError
    from orrery.release.version import Version

    try:
        version = Version.parse(text)
    except InputError:
        return known.release(text).version
    line = known.lines_by_number.get(version.major)
    return version if line and not line.is_built else known.get(version).version


def _facts(line: Line, found: Release | None, known: Catalogue, today: date) -> dict[str, Any]:
    providers = found.providers if found and found.providers is not None else line.providers
    return {
        "version": found and str(found.version),
        "line": line.number,
        "status": line.status,
        # Of many releases in history only the minor is known.
        "airflow_version": (found and found.airflow) or line.airflow,
        "task_sdk_version": found and found.task_sdk,
        "released": found and found.date,
        "dates_certain": line.dates_certain,
        "pythons": _pythons(line),
        "os": line.os,
        "architectures": line.architectures,
        "providers": None if providers is None else [_provider(provider) for provider in providers],
        "lifecycle": _lifecycle(line, today),
        "early_fixes": _early_fixes(found),
        "database_migration": found and found.database_migration,
        "needs_stop": found and found.needs_stop,
        "yanked": found and found.yanked,
        "newest_patch": found and str(known.newest_patch(found).version),
        "note": line.note,
    }


def _line_facts(line: Line, today: date) -> dict[str, Any]:
    return {
        "line": line.number,
        "airflow": line.airflow,
        "status": line.status,
        "newest": line.newest and str(line.newest.version),
        "releases": [str(release.version) for release in line.releases],
        "yanked": {str(release.version): release.yanked for release in line.releases if release.yanked},
        "first_release": line.first_release,
        "dates_certain": line.dates_certain,
        "pythons": _pythons(line),
        "lifecycle": _lifecycle(line, today),
    }


def _pythons(line: Line) -> dict[str, Any]:
    return {"default": line.python_default, "supported": line.python_supported}


def _provider(provider: Provider) -> dict[str, str | None]:
    return {"name": provider.name, "version": provider.version, "set": provider.set}


def _early_fixes(found: Release | None) -> list[dict[str, Any]] | None:
    from dataclasses import asdict

    if found is None or found.early_fixes is None:
        return None
    return [asdict(fix) for fix in found.early_fixes]


def _lifecycle(line: Line, today: date) -> dict[str, Any]:
    dates = line.lifecycle
    change = dates.next_change(today) if dates else None
    return {
        "state": line.state_on(today),
        "days_left": dates.days_left(today) if dates else None,
        "ends": {
            "bugfix": dates.bugfix_ends if dates else None,
            "security": dates.security_ends if dates else None,
        },
        "next_change": change and {"date": change.day, "state": change.state},
    }


def _print_release(facts: dict[str, Any]) -> None:
    life, pythons, fixes = facts["lifecycle"], facts["pythons"], facts["early_fixes"]
    change = life["next_change"]
    migrates = {True: "yes", False: "no", None: None}[facts["database_migration"]]
    newest = facts["newest_patch"]
    patch_known = facts["airflow_version"].count(".") == 2
    print_facts(
        [
            ("Release", facts["version"] or f"line {facts['line']}, no release known"),
            ("Status", facts["status"]),
            ("Yanked", facts["yanked"]),
            ("Released", facts["released"]),
            ("Airflow", facts["airflow_version"] + ("" if patch_known else " (patch unknown)")),
            ("Task SDK", facts["task_sdk_version"]),
            ("Python", f"{pythons['default']} (supported: {', '.join(pythons['supported'] or ['unknown'])})"),
            ("System", ", ".join(facts["os"] or [])),
            ("Architectures", ", ".join(facts["architectures"] or [])),
            ("State today", life["state"] or "none: this line was not built"),
            ("Bug fixes until", life["ends"]["bugfix"]),
            ("Security fixes until", life["ends"]["security"]),
            ("Days left", life["days_left"]),
            ("Next change", change and f"{change['state']} from {change['date']}"),
            ("Newer release", newest if newest != facts["version"] else None),
            ("Migrates the database", migrates),
            ("Note", facts["note"]),
            ("Early fixes", "none" if fixes == [] else None),
        ]
    )
    if fixes:
        print_table(
            ("Early fix", "Pull request", "Title", "Why", "Applied to"),
            (
                (fix["id"], fix["pull_request"] or "none yet", fix["title"], fix["why"], fix["guard"])
                for fix in fixes
            ),
        )
    if facts["providers"]:
        print_table(
            ("Provider", "Version", "Set"), (tuple(provider.values()) for provider in facts["providers"])
        )
