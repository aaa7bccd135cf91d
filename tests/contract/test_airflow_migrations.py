"""What we read from Airflow's migration files is what Airflow itself says of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest

from orrery.local.migrations import known_revisions, verdict

pytestmark = pytest.mark.contract

ASK = """
import json
from airflow.migrations import __path__ as place
from airflow.utils.db import _REVISION_HEADS_MAP
from alembic.script import ScriptDirectory
scripts = ScriptDirectory(list(place)[0])
print(json.dumps({
    "heads": list(scripts.get_heads()),
    "revisions": sorted(script.revision for script in scripts.walk_revisions()),
    "newest_of_releases": list(_REVISION_HEADS_MAP.values())[-1],
    "of_releases": list(_REVISION_HEADS_MAP.values()),
}))
"""


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What Airflow says, asked in a process of its own."""
    environment = {**os.environ, "AIRFLOW_HOME": str(tmp_path_factory.mktemp("airflow"))}
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", ASK],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def read() -> tuple[frozenset[str], str]:
    return known_revisions(Path(sysconfig.get_path("purelib")))


def test_the_newest_revision_is_alembics_head(airflow: Any, read: tuple[frozenset[str], str]) -> None:
    assert [read[1]] == airflow["heads"]


def test_every_revision_is_known(airflow: Any, read: tuple[frozenset[str], str]) -> None:
    assert sorted(read[0]) == airflow["revisions"]


def test_the_newest_revision_is_the_one_that_airflow_migrates_to(
    airflow: Any, read: tuple[frozenset[str], str]
) -> None:
    # Airflow's own table of releases: what `airflow db check-migrations` and `db downgrade` go by.
    assert read[1] == airflow["newest_of_releases"]


def test_a_database_of_any_earlier_release_is_migrated_never_refused(
    airflow: Any, read: tuple[frozenset[str], str]
) -> None:
    known, head = read
    for revision in airflow["of_releases"]:
        assert verdict(revision, known, head) == ("current" if revision == head else "migrate")
