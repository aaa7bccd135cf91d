"""What cannot be left to memory when the triggers change."""

from __future__ import annotations

import hashlib
from pathlib import Path

from orrery import database
from orrery.database import triggers
from orrery.local.migrations import orrery_revisions

#: `orrery up` and `airflow db check-migrations` look at the revision: triggers that changed without a new
#: one would stay as they were in every database that is there already.
AT_REVISION = "a17f0c5d0003"
DIGEST = "f76b69a6ffdef1dd"


def test_other_triggers_need_another_revision() -> None:
    written = hashlib.sha256("\n".join(triggers.statements()).encode()).hexdigest()[:16]
    _, head = orrery_revisions(Path(database.__file__).parents[1])
    assert (head, written) == (AT_REVISION, DIGEST), (
        "The triggers have changed: add a revision to database/migrations (it may do nothing),"
        " then write both down here."
    )


def test_each_trigger_has_a_function_of_its_own() -> None:
    functions = [wake.function for wake in triggers.WAKES]
    assert len(set(functions)) == len(functions)
    # Longer names PostgreSQL cuts off, silently.
    assert all(len(name) < 64 for name in functions)
