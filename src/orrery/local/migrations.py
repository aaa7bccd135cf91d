"""The state of Airflow's schema and of ours, told from files and a query, without importing Airflow."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

from orrery.errors import MachineError, StateError
from orrery.local import process

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

_REVISION = re.compile(r"^revision(?:\s*:\s*str)?\s*=\s*[\"']([0-9A-Za-z_]+)[\"']", re.MULTILINE)
_DOWN_REVISION = re.compile(r"^down_revision(?:\s*:[^=]+)?\s*=\s*[\"']([0-9A-Za-z_]+)[\"']", re.MULTILINE)


def known_revisions(site_packages: Path) -> tuple[frozenset[str], str]:
    """Return all schema revisions that the installed Airflow knows, and the newest of them.

    Raises:
        MachineError: the environment's migrations are not a chain with one end.
    """
    folder = site_packages / "airflow" / "migrations" / "versions"
    revisions, heads = _chain(folder)
    if len(heads) != 1:
        raise MachineError(
            f"Airflow's migrations in {folder} have {len(heads)} newest revisions, not one.",
            hint="The runtime's environment is damaged: remove it and run 'orrery up' again.",
        )
    return revisions, heads.pop()


def orrery_revisions(package: Path) -> tuple[frozenset[str], str | None]:
    """Return all revisions of Orrery's own tables that an installed `orrery` knows, and the newest of them.

    A release that has no tables has no revisions.
    """
    revisions, heads = _chain(package / "database" / "migrations" / "versions")
    return revisions, heads.pop() if heads else None


def _chain(folder: Path) -> tuple[frozenset[str], set[str]]:
    """Return the revisions of a folder, and those of them that no other builds on."""
    revisions: set[str] = set()
    parents: set[str] = set()
    for file in folder.glob("*.py"):
        text = file.read_text(encoding="utf-8")
        revisions.update(_REVISION.findall(text))
        parents.update(_DOWN_REVISION.findall(text))
    return frozenset(revisions), revisions - parents


def found_revision(ask: Callable[[str], list[list[str]]]) -> str | None:
    """Return the schema revision of a database, asked through `ask`; None when it is empty.

    Raises:
        StateError: another program's tables are in it.
    """
    tables = "to_regclass('alembic_version') IS NOT NULL, to_regclass('dag_run') IS NOT NULL"
    [[has_version, has_runs]] = ask(f"SELECT {tables}")
    if has_version != "t":
        return None
    rows = ask("SELECT version_num FROM alembic_version")
    if rows and has_runs != "t":
        raise StateError(
            "The database belongs to another program: it has a schema version, but no tables of Airflow's.",
            hint="Give Airflow a database of its own: CREATE DATABASE airflow; and name it in orrery.yaml.",
        )
    return rows[0][0] if rows else None


def found_orrery_revision(ask: Callable[[str], list[list[str]]]) -> str | None:
    """Return the revision of Orrery's tables in a database; None when they are not there."""
    [[has_version]] = ask("SELECT to_regclass('orrery_alembic_version') IS NOT NULL")
    rows = ask("SELECT version_num FROM orrery_alembic_version") if has_version == "t" else []
    return rows[0][0] if rows else None


def verdict(found: str | None, known: frozenset[str], head: str | None) -> Literal["current", "migrate"]:
    """Say what a database at revision `found` (None: empty) needs.

    Raises:
        StateError: a newer runtime made it; this one must not touch it.
    """
    if found == head:
        return "current"
    if found is None or found in known:
        return "migrate"
    raise StateError(
        f"The database was made by a newer runtime: its schema revision {found} is unknown to this one"
        f" (newest known: {head or 'none'}).",
        hint="Set 'runtime:' in orrery.yaml to the version that made it, "
        "or give this project another database.",
    )


def stale(ask: Callable[[str], list[list[str]]], *, site_packages: Path, package: Path) -> list[str]:
    """Say what of a database is not at its newest revision, such as `Orrery's tables from empty to 3f2a`.

    `site_packages` has the Airflow that is to use it, `package` is the `orrery` that this one imports.

    Raises:
        MachineError: the environment's migrations are not a chain with one end.
        StateError: a newer runtime made it, or another program.
    """
    schemas = (
        ("Airflow's", found_revision(ask), *known_revisions(site_packages)),
        ("Orrery's", found_orrery_revision(ask), *orrery_revisions(package)),
    )
    return [
        f"{whose} tables from {found or 'empty'} to {head}"
        for whose, found, known, head in schemas
        if verdict(found, known, head) == "migrate"
    ]


def migrate(python: Path, environment: Mapping[str, str], *, log: Path) -> None:
    """Bring both schemas to their newest revision with Airflow's own command, which knows ours too.

    Raises:
        MachineError: it failed; its last words are told, all of them are in the log.
    """
    ended = process.run([python, "-m", "airflow", "db", "migrate"], env=environment, timeout=1800)
    log.write_text(f"{ended.stdout}\n{ended.stderr}")
    if ended.returncode != 0:
        words = (ended.stderr.strip() or ended.stdout.strip()).splitlines()
        raise MachineError(
            f"The database migration failed: {words[-1] if words else 'it said nothing'}",
            hint=f"Read {log}",
        )
