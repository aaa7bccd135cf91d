"""Figures of several rounds and sides: percentiles, medians and ranges, and the table that compares them.

Pure: what was measured comes in as values.
"""

from __future__ import annotations

import math
import statistics
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

TARGETS = Path(__file__).with_name("targets.toml")


@dataclass(frozen=True, kw_only=True, slots=True)
class Observation:
    """One figure of one side in one round. NaN: it could not be had."""

    round: int
    side: str
    figure: str
    value: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """What a figure is wanted to be."""

    figure: str
    milestone: float | None = None
    goal: float | None = None
    higher_is_better: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Spread:
    """Median and range over the rounds."""

    median: float
    lowest: float
    highest: float
    rounds: int

    def __str__(self) -> str:
        if self.rounds == 1:
            return number(self.median)
        return f"{number(self.median)} [{number(self.lowest)}-{number(self.highest)}]"


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One line of the table. `spreads` has an entry per side that was measured."""

    figure: str
    spreads: dict[str, Spread]
    target: Target

    @property
    def gain(self) -> float | None:
        """How many times better than stock ours is; None where one of the two is missing or 0."""
        stock, ours = self.spreads.get("stock"), self.spreads.get("orrery")
        if stock is None or ours is None:
            return None
        above, below = (ours, stock) if self.target.higher_is_better else (stock, ours)
        return above.median / below.median if below.median > 0 else None

    @property
    def verdict(self) -> str:
        """What ours has reached: goal, milestone, or neither."""
        ours = self.spreads.get("orrery")
        if ours is None or self.target.milestone is None:
            return ""
        for word, wanted in (("goal", self.target.goal), ("milestone", self.target.milestone)):
            if wanted is not None and self._reaches(ours.median, wanted):
                return word
        return "missed"

    def _reaches(self, value: float, wanted: float) -> bool:
        return value >= wanted if self.target.higher_is_better else value <= wanted


def percentile(values: Iterable[float], percent: float) -> float:
    """Return the percentile by linear interpolation; NaN of nothing. NaN values are left out."""
    ordered = sorted(value for value in values if not math.isnan(value))
    if not ordered:
        return math.nan
    place = (len(ordered) - 1) * percent / 100
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def spread(values: Sequence[float]) -> Spread | None:
    """Return median and range; None when no round has a value."""
    known = [value for value in values if not math.isnan(value)]
    if not known:
        return None
    return Spread(median=statistics.median(known), lowest=min(known), highest=max(known), rounds=len(known))


def load_targets(file: Path = TARGETS) -> dict[str, Target]:
    """Return the targets by the name of their figure."""
    with file.open("rb") as opened:
        return {entry["figure"]: Target(**entry) for entry in tomllib.load(opened)["target"]}


def rows(observations: Sequence[Observation], targets: dict[str, Target]) -> list[Row]:
    """Return a row per figure, in the order in which the figures were first seen."""
    made = []
    for figure in dict.fromkeys(one.figure for one in observations):
        of_side: dict[str, list[float]] = {}
        for one in observations:
            if one.figure == figure:
                of_side.setdefault(one.side, []).append(one.value)
        spreads = {side: found for side, values in of_side.items() if (found := spread(values))}
        made.append(Row(figure=figure, spreads=spreads, target=targets.get(figure, Target(figure=figure))))
    return made


def table(made: Sequence[Row], sides: Sequence[str]) -> str:
    """Return the table as Markdown, aligned for a terminal too."""
    head = ["figure", *(f"{side}: median [min-max]" for side in sides)]
    compared = len(sides) > 1
    head += (["times better"] if compared else []) + ["milestone", "goal", "reached"]
    lines = [head]
    for row in made:
        cells = [row.figure, *(str(row.spreads.get(side, "-")) for side in sides)]
        if compared:
            cells.append("-" if row.gain is None else f"{number(row.gain)}x")
        wanted = (row.target.milestone, row.target.goal)
        cells += ["" if value is None else number(value) for value in wanted]
        lines.append([*cells, row.verdict])
    widths = [max(len(line[n]) for line in lines) for n in range(len(head))]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |"
        for line in lines
    )


def number(value: float) -> str:
    """Write a number with three significant digits, and none of them behind the point above 100."""
    if value == 0 or math.isnan(value):
        return "0" if value == 0 else "-"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:.{digits}f}"
