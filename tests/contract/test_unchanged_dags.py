"""The early fix `unchanged-dags`: whatever has happened, the rows are those that stock Airflow leaves.

The stories (`backports/unchanged_dags.py`) are told on a real PostgreSQL, with the fix and without it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.contract.conftest import TellBoth

pytestmark = pytest.mark.contract

PROGRAM = Path(__file__).parent / "backports" / "unchanged_dags.py"

#: Of the second time: with what between them all is stored again.
STORED = {
    "nothing": False,
    "paused": False,
    "a run was made": False,
    "its run was deleted": True,
    "a next run by hand": True,
    "a description by hand": True,
    "a limit that is none": True,
    "as many runs as may be": True,
    "stale": True,
    "deleted": True,
    "another source": True,
    "another DAG": True,
    "an error that is over": True,
    "a warning that is over": True,
    "a source by another": True,
    "a form by another": True,
    "another bundle": True,
    "a bundle's version": True,
    "an asset": True,
    "a warning": True,
    "five minutes later": True,
    "soon after": False,
}


@pytest.fixture(scope="module")
def told(tell_both: TellBoth) -> tuple[dict[str, Any], dict[str, Any]]:
    """The stories without early fixes, and with all."""
    stock, ours = tell_both(PROGRAM)
    return stock["stories"], ours["stories"]


Told = tuple[dict[str, Any], dict[str, Any]]


def test_stock_airflow_stores_a_file_each_time(told: Told) -> None:
    assert {name: story["stored"] for name, story in told[0].items()} == dict.fromkeys(STORED, 1)


def test_a_file_that_is_what_it_was_is_not_stored_again(told: Told) -> None:
    assert {name: bool(story["stored"]) for name, story in told[1].items()} == STORED


@pytest.mark.parametrize("name", STORED)
def test_the_rows_are_those_that_stock_airflow_leaves(told: Told, name: str) -> None:
    stock, ours = (dict(stories[name], stored=None) for stories in told)
    assert ours == stock
    assert ours["is_noted"] == [[True], [True]]
