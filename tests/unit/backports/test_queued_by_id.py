"""Which queries the early fix `queued-by-id` changes, and which it leaves alone."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from orrery.backports.queued_by_id import joined_by_id

NAMES = ("dag_id", "task_id", "run_id", "map_index")
TASKS = sa.table("task", sa.column("id"), sa.column("state"), *(sa.column(name) for name in NAMES))
RANKED = sa.select(TASKS, sa.func.row_number().over().label("row_num")).subquery("ranked")


def joined(ranked: Any, *names: str, together: Any = sa.and_) -> sa.Select[Any]:
    condition = together(*(TASKS.c[name] == ranked.c[name] for name in names))
    return sa.select(TASKS.c.id).select_from(ranked).join(TASKS, condition).limit(5)


def test_a_join_by_all_four_becomes_one_by_id() -> None:
    found = str(joined_by_id(joined(RANKED, *NAMES)))

    assert "JOIN task ON task.id = ranked.id" in found
    assert found.endswith(str(joined(RANKED, *NAMES)).rpartition("\n")[2]), "the rest stays"


@pytest.mark.parametrize(
    "query",
    [
        joined(RANKED, "dag_id", "run_id"),
        joined(RANKED, *NAMES, "state"),
        joined(RANKED, *NAMES, together=sa.or_),
        joined(sa.select(TASKS).subquery("ranked"), *NAMES),
        sa.select(TASKS).where(TASKS.c.state == "scheduled"),
        sa.text("SELECT 1"),
    ],
    ids=["other columns", "more columns", "any of them", "no ranks", "no join", "no select"],
)
def test_any_other_query_is_the_same_object(query: Any) -> None:
    assert joined_by_id(query) is query
