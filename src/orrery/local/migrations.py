"""The state of Airflow's schema, told from files and one query instead of a process that imports Airflow."""

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
    revisions: set[str] = set()
    parents: set[str] = set()
    folder = site_packages / "airflow" / "migrations" / "versions"
    for file in folder.glob("*.py"):
        text = file.read_text(encoding="utf-8")
        revisions.update(_REVISION.findall(text))
        parents.update(_DOWN_REVISION.findall(text))
    heads = revisions - parents
    if len(heads) != 1:
        raise MachineError(
            f"Airflow's migrations in {folder} have {len(heads)} newest revisions, not one.",
            hint="The runtime's environment is damaged: remove it and run 'orrery up' again.",
        )
    return frozenset(revisions), heads.pop()


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


def verdict(found: str | None, known: frozenset[str], head: str) -> Literal["current", "migrate"]:
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
        f" (newest known: {head}).",
        hint="Set 'runtime:' in orrery.yaml to the version that made it, "
        "or give this project another database.",
    )


def migrate(python: Path, environment: Mapping[str, str], *, log: Path) -> None:
    """Bring the database's schema to the newest revision with Airflow's own command.

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
