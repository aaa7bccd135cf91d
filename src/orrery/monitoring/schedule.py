"""When the monitoring DAG runs: a cron expression from the environment, or the default."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from croniter import CroniterError, croniter  # type: ignore[import-untyped]

from orrery.config.settings import MONITORING_SCHEDULE

DEFAULT_CRON = "*/5 * * * *"


@dataclass(frozen=True, kw_only=True, slots=True)
class Schedule:
    """A cron expression that is known to be valid; `problem` says why the wish was not granted."""

    cron: str = DEFAULT_CRON
    problem: str | None = None


def schedule_from(wish: str | None) -> Schedule:
    """Return the schedule that is wished for; a wrong wish never stops the monitoring."""
    wish = (wish or "").strip()
    if not wish:
        return Schedule()
    fault = cron_fault(wish)
    if fault is None:
        return Schedule(cron=wish)
    return Schedule(
        problem=f"{MONITORING_SCHEDULE} is {wish!r}, which is not a usable cron expression ({fault}). "
        f"The default {DEFAULT_CRON!r} is used; correct or remove the variable and restart the DAG processor."
    )


def cron_fault(expression: str) -> str | None:
    """Return what is wrong with a cron expression of five fields, or None.

    An expression that parses but never comes (30 February) is wrong too: it would stop the scheduling.
    """
    try:
        fields, _ = croniter.expand(expression)
        if len(fields) != 5:
            return f"it has {len(fields)} fields, not 5"
        croniter(expression, datetime(2026, 1, 1, tzinfo=UTC)).get_next(datetime)
    except CroniterError as error:
        return str(error)
    return None
