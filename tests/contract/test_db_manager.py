"""Our tables in the form that Airflow's manager of external tables wants."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orrery import __version__
from orrery import database as package
from orrery.local.migrations import orrery_revisions, verdict

pytestmark = pytest.mark.contract


@pytest.fixture(scope="module")
def manager() -> Any:
    from orrery.database.manager import OrreryDBManager

    return OrreryDBManager


def test_airflow_accepts_it(manager: Any) -> None:
    from airflow.utils.db_manager import RunDBManager

    RunDBManager._validate(manager)


def test_airflow_finds_it_by_the_providers_manifest(manager: Any) -> None:
    from airflow.providers_manager import ProvidersManager

    assert f"{manager.__module__}.{manager.__name__}" in ProvidersManager().db_managers


def test_the_files_say_what_alembic_says(manager: Any) -> None:
    scripts = manager(None).get_script_object()
    known, head = orrery_revisions(Path(package.__file__).parents[1])
    assert [head] == scripts.get_heads()
    assert known == {script.revision for script in scripts.walk_revisions()}


def test_the_newest_release_has_the_newest_revision(manager: Any) -> None:
    known, head = orrery_revisions(Path(package.__file__).parents[1])
    assert list(manager.revision_heads_map.values())[-1] == head
    assert __version__ in manager.revision_heads_map
    for revision in manager.revision_heads_map.values():
        assert verdict(revision, known, head) in ("current", "migrate")


def test_every_table_bears_our_prefix(manager: Any) -> None:
    assert [name for name in manager.metadata.tables if not name.startswith("orrery_")] == []
    assert manager.version_table_name.startswith("orrery_")
