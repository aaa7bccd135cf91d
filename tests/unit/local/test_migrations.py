"""The schema's state follows from files and one query."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from orrery.errors import MachineError, StateError
from orrery.local import migrations

if TYPE_CHECKING:
    from pathlib import Path

KNOWN = frozenset({"aaa1", "bbb2", "ccc3"})


def chain(folder: Path, *pairs: tuple[str, str | None], typed: bool = False) -> Path:
    versions = folder / "airflow" / "migrations" / "versions"
    versions.mkdir(parents=True)
    for revision, parent in pairs:
        quoted = f'"{parent}"' if parent else "None"
        mark = ": str" if typed else ""
        (versions / f"{revision}.py").write_text(
            f'"""Change.\n\nRevision ID: {revision}\nRevises: {parent}\n"""\n'
            f'revision{mark} = "{revision}"\ndown_revision{mark} = {quoted}\n'
        )
    return folder


@pytest.mark.parametrize("typed", [False, True])
def test_the_newest_revision_is_the_one_that_nobody_builds_on(tmp_path: Path, typed: bool) -> None:
    chain(tmp_path, ("bbb2", "aaa1"), ("aaa1", None), ("ccc3", "bbb2"), typed=typed)
    assert migrations.known_revisions(tmp_path) == (KNOWN, "ccc3")


@pytest.mark.parametrize(
    ("pairs", "count"),
    [((), 0), ((("aaa1", None), ("bbb2", None)), 2), ((("aaa1", "bbb2"), ("bbb2", "aaa1")), 0)],
    ids=["none", "two ends", "a circle"],
)
def test_a_damaged_chain_is_told_with_the_way_out(
    tmp_path: Path, pairs: tuple[tuple[str, str | None], ...], count: int
) -> None:
    chain(tmp_path, *pairs)
    with pytest.raises(MachineError, match=f"have {count} newest revisions") as caught:
        migrations.known_revisions(tmp_path)
    assert caught.value.hint is not None
    assert "remove it" in caught.value.hint


@pytest.mark.parametrize(
    ("found", "expected"), [("ccc3", "current"), ("bbb2", "migrate"), ("aaa1", "migrate"), (None, "migrate")]
)
def test_a_database_is_current_or_to_be_migrated(found: str | None, expected: str) -> None:
    assert migrations.verdict(found, KNOWN, "ccc3") == expected


def test_a_database_of_a_newer_runtime_is_never_touched() -> None:
    with pytest.raises(StateError, match=r"newer runtime.*ddd4.*newest known: ccc3") as caught:
        migrations.verdict("ddd4", KNOWN, "ccc3")
    assert caught.value.hint is not None
    assert "orrery.yaml" in caught.value.hint


class Database:
    """Answers as a database with these tables and this row would."""

    def __init__(self, *, version: str, runs: str, rows: list[list[str]]) -> None:
        self.tables = [[version, runs]]
        self.rows = rows

    def ask(self, sql: str) -> list[list[str]]:
        return self.tables if "to_regclass" in sql else self.rows


@pytest.mark.parametrize(
    ("database", "expected"),
    [
        (Database(version="t", runs="t", rows=[["ccc3"]]), "ccc3"),
        (Database(version="f", runs="f", rows=[]), None),
        # A migration that was killed at its beginning
        (Database(version="t", runs="f", rows=[]), None),
        (Database(version="t", runs="t", rows=[]), None),
    ],
    ids=["Airflow's", "empty", "begun", "no revision"],
)
def test_the_revision_of_a_database_is_found(database: Database, expected: str | None) -> None:
    assert migrations.found_revision(database.ask) == expected


def test_another_programs_schema_version_is_not_taken_for_airflows() -> None:
    foreign = Database(version="t", runs="f", rows=[["ccc3"]])
    with pytest.raises(StateError, match="belongs to another program") as caught:
        migrations.found_revision(foreign.ask)
    assert "CREATE DATABASE" in (caught.value.hint or "")


def program(folder: Path, code: str) -> Path:
    """Return an 'interpreter' that does this instead of running Airflow."""
    file = folder / "python"
    file.write_text(f"#!{sys.executable}\n{code}\n")
    file.chmod(0o755)
    return file


def test_a_failed_migration_tells_its_last_words_and_keeps_all_of_them(tmp_path: Path) -> None:
    python = program(tmp_path, "import sys; print('began'); sys.exit('first\\nDataError: too long')")
    with pytest.raises(MachineError, match="failed: DataError: too long") as caught:
        migrations.migrate(python, {}, log=tmp_path / "migrate.log")
    assert str(tmp_path / "migrate.log") in (caught.value.hint or "")
    assert "began" in (tmp_path / "migrate.log").read_text()


def test_a_migration_that_dies_silently_says_so(tmp_path: Path) -> None:
    python = program(tmp_path, "import os; os.kill(os.getpid(), 9)")
    with pytest.raises(MachineError, match="it said nothing"):
        migrations.migrate(python, {}, log=tmp_path / "migrate.log")


def test_a_migration_runs_airflows_own_command_in_the_given_environment(tmp_path: Path) -> None:
    python = program(tmp_path, "import os, sys; print(sys.argv[1:], os.environ['WHERE'])")
    migrations.migrate(python, {"WHERE": "here"}, log=tmp_path / "migrate.log")
    assert "['-m', 'airflow', 'db', 'migrate'] here" in (tmp_path / "migrate.log").read_text()


# -- Orrery's own tables ------------------------------------------------------------------------------


def ours(folder: Path, *pairs: tuple[str, str | None]) -> Path:
    chain(folder / "made", *pairs)
    package = folder / "orrery"
    (package / "database").mkdir(parents=True)
    (folder / "made" / "airflow" / "migrations").rename(package / "database" / "migrations")
    return package


class BothSchemas:
    """Answers as a database with these two revisions would; None: the tables are not there."""

    def __init__(self, *, airflow: str | None, orrery: str | None) -> None:
        self.revisions = {"alembic_version": airflow, "orrery_alembic_version": orrery}

    def ask(self, sql: str) -> list[list[str]]:
        table = "orrery_alembic_version" if "orrery" in sql else "alembic_version"
        revision = self.revisions[table]
        if "to_regclass" in sql:
            there = "f" if revision is None else "t"
            return [[there]] if "orrery" in sql else [[there, there]]
        assert revision is not None, "a table that is not there was asked"
        return [[revision]]


@pytest.mark.parametrize(
    ("airflow", "orrery", "expected"),
    [
        ("ccc3", "o2", []),
        (None, None, ["Airflow's tables from empty to ccc3", "Orrery's tables from empty to o2"]),
        ("ccc3", None, ["Orrery's tables from empty to o2"]),  # of stock Airflow, or of a release without
        ("ccc3", "o1", ["Orrery's tables from o1 to o2"]),
        ("bbb2", "o2", ["Airflow's tables from bbb2 to ccc3"]),
    ],
)
def test_a_database_is_migrated_when_either_schema_is_not_the_newest(
    tmp_path: Path, airflow: str | None, orrery: str | None, expected: list[str]
) -> None:
    chain(tmp_path, ("bbb2", "aaa1"), ("aaa1", None), ("ccc3", "bbb2"))
    package = ours(tmp_path, ("o1", None), ("o2", "o1"))
    database = BothSchemas(airflow=airflow, orrery=orrery)
    assert migrations.stale(database.ask, site_packages=tmp_path, package=package) == expected


def test_a_release_without_tables_of_orrerys_asks_for_none(tmp_path: Path) -> None:
    chain(tmp_path, ("aaa1", None))
    database = BothSchemas(airflow="aaa1", orrery=None)
    assert migrations.stale(database.ask, site_packages=tmp_path, package=tmp_path / "orrery") == []


@pytest.mark.parametrize("package", ["orrery", "older"])
def test_tables_of_a_newer_orrery_are_never_touched(tmp_path: Path, package: str) -> None:
    chain(tmp_path, ("aaa1", None))
    ours(tmp_path, ("o1", None))
    database = BothSchemas(airflow="aaa1", orrery="o9")
    with pytest.raises(StateError, match="made by a newer runtime: its schema revision o9"):
        migrations.stale(database.ask, site_packages=tmp_path, package=tmp_path / package)
