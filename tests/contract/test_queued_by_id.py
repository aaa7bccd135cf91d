"""The early fix `queued-by-id`: the same tasks are queued, and PostgreSQL looks at each of them once.

Told on a real PostgreSQL (`backports/queued_by_id.py`), with the fix and without it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.contract.conftest import TellBoth

pytestmark = pytest.mark.contract

PROGRAM = Path(__file__).parent / "backports" / "queued_by_id.py"
MAPPED = 300


@pytest.fixture(scope="module")
def told(tell_both: TellBoth) -> tuple[dict[str, Any], dict[str, Any]]:
    """What is told without early fixes, and with all."""
    return tell_both(PROGRAM)


Told = tuple[dict[str, Any], dict[str, Any]]


def test_the_same_tasks_are_queued_in_the_same_order(told: Told) -> None:
    stock, ours = told
    assert ours["chosen"] == stock["chosen"]
    assert ours["chosen"][:4] == [
        ["few", "f0", -1],  # one at a time
        ["weights", "w3", -1],
        ["weights", "w2", -1],
        ["large", "work", 0],
    ]
    assert len(ours["chosen"]) == 28


def test_no_task_is_looked_for_among_all_of_its_run(told: Told) -> None:
    stock, ours = told
    assert min(stock["dropped"]) > MAPPED * MAPPED / 4
    assert max(ours["dropped"]) < MAPPED
