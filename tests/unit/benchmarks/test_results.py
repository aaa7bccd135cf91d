"""Observations on disk."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
from benchmarks.lab import results
from benchmarks.lab.figures import Observation

if TYPE_CHECKING:
    from pathlib import Path


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    observations = [
        Observation(round=0, side="stock", figure="chain, wall s", value=43.7),
        Observation(round=1, side="orrery", figure='a "quoted" figure, %', value=-0.125),
    ]
    results.write(tmp_path / "a.csv", observations)
    assert results.read(tmp_path / "a.csv") == observations


def test_a_figure_that_could_not_be_had_survives(tmp_path: Path) -> None:
    lost = Observation(round=0, side="dbos", figure="f", value=math.nan)
    results.write(tmp_path / "a.csv", [lost])
    assert math.isnan(results.read(tmp_path / "a.csv")[0].value)


@pytest.mark.parametrize("text", ["", "round,contender,figure,value\n1,a,b,2\n"])
def test_another_file_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "other.csv"
    file.write_text(text)
    with pytest.raises(ValueError, match="first line"):
        results.read(file)


def test_facts_are_lines() -> None:
    assert results.facts_text({"git": "abc", "python": "3.11"}) == "- git: abc\n- python: 3.11"
