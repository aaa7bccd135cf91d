"""Observations as CSV, one a line, and back; facts as lines of text."""

from __future__ import annotations

import csv
from dataclasses import astuple, fields
from typing import TYPE_CHECKING

from benchmarks.lab.figures import Observation

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

_HEADER = [field.name for field in fields(Observation)]


def write(file: Path, observations: Iterable[Observation]) -> None:
    with file.open("w", newline="") as opened:
        writer = csv.writer(opened)
        writer.writerow(_HEADER)
        writer.writerows(astuple(one) for one in observations)


def read(file: Path) -> list[Observation]:
    """Return what a file holds.

    Raises:
        ValueError: it was not written by `write`.
    """
    with file.open(newline="") as opened:
        reader = csv.reader(opened)
        if next(reader, None) != _HEADER:
            raise ValueError(f"{file} is not a file of observations: its first line is not {_HEADER}")
        return [
            Observation(round=int(line[0]), side=line[1], figure=line[2], value=float(line[3]))
            for line in reader
        ]


def facts_text(facts: Mapping[str, str]) -> str:
    return "\n".join(f"- {name}: {value}" for name, value in facts.items())
