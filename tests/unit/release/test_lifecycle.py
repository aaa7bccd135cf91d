"""The dates of a line follow from its first release and the policy."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orrery.release.lifecycle import Change, Lifecycle, Support, lifecycle, month_end

SUPPORT = Support(bugfix_months=24, security_months=6)
LIFE = lifecycle(date(2026, 11, 23), SUPPORT)
ORDER = ["feature", "bugfix", "security", "end-of-life"]
days = st.dates(min_value=date(2020, 1, 1), max_value=date(2040, 12, 31))


def test_fixes_last_24_months_and_security_6_more_to_the_end_of_a_month() -> None:
    assert LIFE.bugfix_ends == date(2028, 11, 30)
    assert LIFE.security_ends == date(2029, 5, 31)


@pytest.mark.parametrize(
    ("day", "state"),
    [
        (date(2026, 11, 22), "feature"),
        (date(2026, 11, 23), "bugfix"),
        (date(2028, 11, 30), "bugfix"),
        (date(2028, 12, 1), "security"),
        (date(2029, 5, 31), "security"),
        (date(2029, 6, 1), "end-of-life"),
    ],
)
def test_an_end_is_the_last_day_on_which_a_state_holds(day: date, state: str) -> None:
    assert LIFE.state_on(day) == state


def test_days_left_count_down_to_the_end_of_life_and_never_below_zero() -> None:
    assert LIFE.days_left(date(2029, 5, 1)) == 30
    assert LIFE.days_left(date(2029, 5, 31)) == 0
    assert LIFE.days_left(date(2030, 1, 1)) == 0


def test_a_line_without_security_phase_goes_from_bugfix_to_end_of_life() -> None:
    life = Lifecycle(
        released=date(2023, 8, 18), bugfix_ends=date(2025, 1, 31), security_ends=date(2025, 1, 31)
    )
    assert life.next_change(date(2024, 1, 1)) == Change(day=date(2025, 2, 1), state="end-of-life")


@pytest.mark.parametrize(
    ("day", "months", "end"),
    [
        (date(2023, 8, 30), 6, date(2024, 2, 29)),
        (date(2026, 12, 31), 24, date(2028, 12, 31)),
        (date(2026, 1, 1), 0, date(2026, 1, 31)),
    ],
)
def test_a_month_ends_on_its_own_last_day(day: date, months: int, end: date) -> None:
    assert month_end(day, months) == end


@given(released=days, day=days, bugfix=st.integers(0, 60), security=st.integers(0, 24))
def test_states_only_go_forward_and_change_exactly_on_the_announced_day(
    released: date, day: date, bugfix: int, security: int
) -> None:
    life = lifecycle(released, Support(bugfix_months=bugfix, security_months=security))
    change = life.next_change(day)
    if change is None:
        assert life.state_on(day) == "end-of-life"
        return
    assert change.day > day
    assert life.state_on(change.day - timedelta(days=1)) == life.state_on(day)
    assert life.state_on(change.day) == change.state
    assert ORDER.index(change.state) > ORDER.index(life.state_on(day))


@given(released=days, bugfix=st.integers(0, 60), security=st.integers(0, 24))
def test_every_end_is_the_last_day_of_a_month(released: date, bugfix: int, security: int) -> None:
    life = lifecycle(released, Support(bugfix_months=bugfix, security_months=security))
    for end in (life.bugfix_ends, life.security_ends):
        assert (end + timedelta(days=1)).day == 1
    assert released <= life.bugfix_ends <= life.security_ends
