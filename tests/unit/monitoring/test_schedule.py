"""When the monitoring DAG runs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orrery.config.settings import MONITORING_SCHEDULE
from orrery.monitoring.schedule import DEFAULT_CRON, Schedule, cron_fault, schedule_from


@pytest.mark.parametrize("wish", [None, "", "  "])
def test_without_a_wish_it_runs_every_five_minutes(wish: str | None) -> None:
    assert schedule_from(wish) == Schedule(cron="*/5 * * * *", problem=None)


@pytest.mark.parametrize("wish", ["*/2 * * * *", "0 4 * * 1-5", "@hourly", " 7 * * * * "])
def test_a_cron_expression_is_granted(wish: str) -> None:
    assert schedule_from(wish) == Schedule(cron=wish.strip(), problem=None)


@pytest.mark.parametrize(
    "wish",
    [
        "every five minutes",
        "*/5 * * *",
        "61 * * * *",
        "*/5 * * * * *",  # a sixth field would be seconds
        "0 0 30 2 *",  # parses, but 30 February never comes
        "@once",
        "@continuous",
        "timedelta(minutes=5)",
    ],
)
def test_a_wrong_wish_is_reported_and_the_default_used(wish: str) -> None:
    schedule = schedule_from(wish)

    assert schedule.cron == DEFAULT_CRON
    assert schedule.problem is not None
    assert MONITORING_SCHEDULE in schedule.problem
    assert repr(wish) in schedule.problem
    assert DEFAULT_CRON in schedule.problem


@given(st.text(max_size=40))
def test_whatever_the_variable_holds_there_is_a_usable_schedule(wish: str) -> None:
    assert cron_fault(schedule_from(wish).cron) is None
