"""Percentiles, medians, gains and the table."""

from __future__ import annotations

import math

import pytest
from benchmarks.lab.figures import (
    Observation,
    Row,
    Spread,
    Target,
    load_targets,
    number,
    percentile,
    rows,
    spread,
    table,
)
from hypothesis import given
from hypothesis import strategies as st

NUMBERS = st.lists(st.floats(-1e6, 1e6), min_size=1)


def observed(side: str, figure: str, *values: float) -> list[Observation]:
    return [Observation(round=n, side=side, figure=figure, value=value) for n, value in enumerate(values)]


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [
        ([7.0], 99, 7.0),
        ([1.0, 2.0, 3.0], 50, 2.0),
        ([1.0, 2.0], 50, 1.5),
        ([3.0, 1.0, 2.0], 100, 3.0),
        ([3.0, 1.0, 2.0], 0, 1.0),
        ([float(n) for n in range(101)], 95, 95.0),
    ],
)
def test_a_percentile_lies_between_its_neighbours(
    values: list[float], percent: float, expected: float
) -> None:
    assert percentile(values, percent) == pytest.approx(expected)


def test_a_percentile_of_nothing_is_no_number() -> None:
    assert math.isnan(percentile([], 50))
    assert math.isnan(percentile([math.nan], 50))


def test_a_percentile_leaves_out_what_was_not_measured() -> None:
    assert percentile([1.0, math.nan, 3.0], 50) == 2.0


@given(NUMBERS, st.floats(0, 100), st.floats(0, 100))
def test_percentiles_grow_with_the_percent_and_stay_in_range(values: list[float], a: float, b: float) -> None:
    low, high = percentile(values, min(a, b)), percentile(values, max(a, b))
    slack = 1e-6
    assert min(values) - slack <= low <= high + slack
    assert high <= max(values) + slack


def test_a_spread_is_median_and_range() -> None:
    assert spread([3.0, 1.0, 8.0]) == Spread(median=3.0, lowest=1.0, highest=8.0, rounds=3)


def test_a_spread_of_failed_rounds_is_none_and_of_some_counts_the_rest() -> None:
    assert spread([math.nan]) is None
    assert spread([math.nan, 2.0]) == Spread(median=2.0, lowest=2.0, highest=2.0, rounds=1)


def test_one_round_shows_no_range() -> None:
    assert str(spread([2.0])) == "2.00"
    assert str(spread([1.0, 2.0, 4.0])) == "2.00 [1.00-4.00]"


@pytest.mark.parametrize(
    ("value", "written"),
    [(0, "0"), (0.01234, "0.0123"), (1.234, "1.23"), (43.75, "43.8"), (1098.4, "1098"), (-2.5, "-2.50")],
)
def test_a_number_has_three_significant_digits(value: float, written: str) -> None:
    assert number(value) == written


def test_the_gain_says_how_many_times_less_a_cost_is() -> None:
    (row,) = rows(observed("stock", "wall s", 10, 12, 11) + observed("orrery", "wall s", 2, 2.2, 2.4), {})
    assert row.gain == pytest.approx(5)


def test_the_gain_of_a_rate_turns_the_ratio_round() -> None:
    targets = {"tasks/s": Target(figure="tasks/s", higher_is_better=True)}
    (row,) = rows(observed("stock", "tasks/s", 8) + observed("orrery", "tasks/s", 40), targets)
    assert row.gain == pytest.approx(5)


def test_a_side_that_was_not_measured_gives_no_gain() -> None:
    (row,) = rows(observed("orrery", "wall s", 2), {})
    assert row.gain is None
    assert rows(observed("stock", "s", 1) + observed("orrery", "s", 0), {})[0].gain is None


@pytest.mark.parametrize(
    ("value", "higher", "verdict"),
    [
        (0.9, False, "goal"),
        (1.0, False, "goal"),
        (2.5, False, "milestone"),
        (2.6, False, "missed"),
        (100, True, "goal"),
        (40, True, "milestone"),
        (39, True, "missed"),
    ],
)
def test_the_verdict_is_the_best_target_reached(value: float, higher: bool, verdict: str) -> None:
    target = Target(
        figure="f", milestone=40 if higher else 2.5, goal=100 if higher else 1, higher_is_better=higher
    )
    row = Row(figure="f", spreads={"orrery": spread([value])}, target=target)  # type: ignore[dict-item]
    assert row.verdict == verdict


def test_stock_alone_has_no_verdict() -> None:
    target = Target(figure="f", milestone=1)
    assert Row(figure="f", spreads={"stock": spread([0.5])}, target=target).verdict == ""  # type: ignore[dict-item]


def test_rows_keep_the_order_of_measurement() -> None:
    made = rows(observed("stock", "b", 1) + observed("stock", "a", 1) + observed("orrery", "b", 1), {})
    assert [row.figure for row in made] == ["b", "a"]


def test_the_table_has_a_line_per_figure_and_columns_that_align() -> None:
    made = rows(
        observed("stock", "chain, wall s", 44) + observed("orrery", "chain, wall s", 2), load_targets()
    )
    lines = table(made, ("stock", "orrery")).splitlines()
    assert len(lines) == 3
    assert len({len(line) for line in lines}) == 1
    assert [cell.strip() for cell in lines[2].split("|")] == [
        *("", "chain, wall s", "44.0", "2.00", "22.0x", "2.50", "1.00", "milestone", "")
    ]


def test_a_figure_that_one_side_lacks_is_shown_as_missing() -> None:
    made = rows(observed("orrery", "f", 2), {})
    assert "| -" in table(made, ("stock", "orrery"))


def test_one_side_alone_has_no_column_of_gains() -> None:
    assert "times better" not in table(rows(observed("orrery", "f", 2), {}), ("orrery",))


def test_every_target_has_a_milestone_that_the_goal_does_not_relax() -> None:
    for target in load_targets().values():
        assert target.milestone is not None
        assert target.goal is not None
        better = (
            target.goal >= target.milestone if target.higher_is_better else target.goal <= target.milestone
        )
        assert better, target
