"""A cron expression is put into words once, not each time that a timetable is made of it.

Airflow makes a timetable anew for each look at a serialized DAG, a dozen times while it stores one, and
each describes itself in English with `cron-descriptor`, which reads its file of translations from disk each
time. The words follow from the expression.

Private name of Airflow used here: `CronMixin._describe_with_dom_dow_fix`, which looks at nothing but its
argument.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from orrery.backports.patch import wrap

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

_MOST_EXPRESSIONS = 1024


def apply(cron: ModuleType) -> None:
    """Mend `airflow.timetables._cron`."""
    wrap(cron.CronMixin, "_describe_with_dom_dow_fix", _once)


def _once(describe: Callable[[Any, str], str]) -> Callable[[Any, str], str]:
    @functools.lru_cache(_MOST_EXPRESSIONS)
    def words(expression: str) -> str:
        return describe(None, expression)

    def _describe_with_dom_dow_fix(_: Any, expression: str) -> str:
        return words(expression)

    return _describe_with_dom_dow_fix
