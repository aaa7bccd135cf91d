"""What a run leaves: a table on the terminal, and CSV, table, facts and picture in a folder."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.lab import figures, picture, results

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.lab.figures import Observation

RESULTS = Path(__file__).parents[1] / "results"


def publish(
    name: str, observations: Sequence[Observation], sides: Sequence[str], facts: Mapping[str, str]
) -> None:
    """Print the table and keep everything in benchmarks/results/."""
    made = figures.rows(observations, figures.load_targets())
    text = f"{figures.table(made, sides)}\n\n{results.facts_text(facts)}\n"
    RESULTS.mkdir(exist_ok=True)
    stem = f"{name}-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    results.write(RESULTS / f"{stem}.csv", observations)
    (RESULTS / f"{stem}.md").write_text(text)
    (RESULTS / f"{stem}.svg").write_text(picture.svg(made, sides, title=title(name, facts)))
    print(f"\n{text}\nKept in {RESULTS / stem}.csv, .md and .svg")


def title(name: str, facts: Mapping[str, str]) -> str:
    told = [facts[key] for key in ("processor", "git", "date") if key in facts]
    return ", ".join([name, *told])


def show(files: Sequence[Path]) -> None:
    """Print the table of several runs together, as one."""
    observations = [one for file in files for one in results.read(file)]
    sides = tuple(dict.fromkeys(one.side for one in observations))
    order = sorted(sides, key=lambda side: (side == "orrery", side != "stock"))
    print(figures.table(figures.rows(observations, figures.load_targets()), order))
