"""The scheduler finds the tasks that it queues by their id.

Airflow ranks what is scheduled in a subquery, and joins the rows themselves by DAG, run, task and map index.
Where PostgreSQL knows little of the table (it is new, or a large run is) the index of runs looks as good to
it for that as the one of all four: each row is then looked for among all tasks of its run. A thousand mapped
tasks took 0.3 to 0.9 s each time that some of them were queued, on the scheduler's critical path. By id
there is one row and one index, whatever is known.

The rows are the same: the subquery has the id of each. One that a clearing gives a new id in the moment
between ranking and locking is left to the next time, instead of being looked at in its new state.

Private names of Airflow used here: `with_row_locks`, as `_executable_task_instances_to_queued` calls it, and
the column `row_num` of that one's subquery.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import Select
from sqlalchemy.sql.elements import BooleanClauseList, ColumnElement
from sqlalchemy.sql.operators import and_, eq
from sqlalchemy.sql.selectable import FromClause
from sqlalchemy.sql.visitors import replacement_traverse

from orrery.backports.patch import wrap

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

_NAMES = {"dag_id", "task_id", "run_id", "map_index"}
_RANK = "row_num"


def apply(scheduler: ModuleType) -> None:
    """Mend `airflow.jobs.scheduler_job_runner`."""
    wrap(scheduler, "with_row_locks", _by_id)


def _by_id(lock: Callable[..., Any]) -> Callable[..., Any]:
    def with_row_locks(query: Any, *arguments: Any, **keywords: Any) -> Any:
        return lock(joined_by_id(query), *arguments, **keywords)

    return with_row_locks


def joined_by_id(query: Any) -> Any:
    """Return the query with that join by id; any other query as it is."""
    if not isinstance(query, Select):
        return query
    found = []

    def replaced(element: Any, **_: Any) -> Any:
        """Return what stands in the place of a part; the part itself, which keeps what it holds, too."""
        if (by_id := _by_their_id(element)) is not None:
            found.append(by_id)
            return by_id
        return element if isinstance(element, ColumnElement | FromClause) else None

    changed = replacement_traverse(query, {}, replaced)
    return changed if found else query


def _by_their_id(element: Any) -> ColumnElement[bool] | None:
    """Return what joins tasks with their ranks by id, in the place of what does by four columns."""
    if not isinstance(element, BooleanClauseList) or element.operator is not and_:
        return None
    pairs = [(each.left, each.right) for each in element.clauses if getattr(each, "operator", None) is eq]
    names = {(getattr(left, "name", None), getattr(right, "name", None)) for left, right in pairs}
    if names != {(name, name) for name in _NAMES} or len(pairs) < len(element.clauses):
        return None
    rows, ranked = (getattr(side, "table", None) for side in pairs[0])
    if rows is None or ranked is None or not {"id", _RANK} <= set(ranked.c.keys()):
        return None
    by_id: ColumnElement[bool] = rows.c.id == ranked.c.id
    return by_id
