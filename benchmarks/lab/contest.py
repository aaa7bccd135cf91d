"""The rounds: each side of Airflow is started, measured and stopped in turn, never two at once."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import psycopg
from benchmarks.lab import facts, figures
from benchmarks.lab.errors import BenchError
from benchmarks.lab.figures import Observation
from benchmarks.lab.project import Project
from benchmarks.lab.stock import Stock, linked_environment

from orrery.errors import OrreryError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from benchmarks.lab.side import Running, Side

    Measure = Callable[[Running], dict[str, float]]

SIDES = ("stock", "orrery")


def take(running: Running, measures: Mapping[str, Measure], number: int) -> Iterator[Observation]:
    """Take each measure once; one that fails is told and leaves its figures out."""
    for name, measure in measures.items():
        load = facts.load()
        try:
            taken = measure(running)
        except (BenchError, OrreryError, psycopg.Error) as error:
            print(f"round {number + 1} {running.name}: {name} failed: {error}", flush=True)
            continue
        told = ", ".join(f"{figure} {figures.number(value)}" for figure, value in taken.items())
        print(f"round {number + 1} {running.name} (load {load}): {told}", flush=True)
        for figure, value in taken.items():
            yield Observation(round=number, side=running.name, figure=figure, value=value)


class Contest:
    """Stock Airflow and Orrery in one folder, each round with a fresh deployment of each."""

    def __init__(
        self, folder: Path, *, sides: Sequence[str], measures: Mapping[str, Measure], executor: str | None
    ) -> None:
        self.folder = folder
        self.sides = sides
        self.measures = measures
        self.executor = executor
        self.observations: list[Observation] = []
        #: Of each side that has run: the settings of its PostgreSQL.
        self.facts: dict[str, str] = {}
        #: The folder of the deployment that was left running.
        self.kept: Path | None = None
        self._python = linked_environment(folder / "stock-environment") if "stock" in sides else None

    def round(self, number: int, *, keep: bool = False) -> None:
        """Measure each side once; with `keep`, ours goes on running afterwards."""
        sides: list[Side] = []
        if self._python:
            sides.append(Stock(self.folder / f"stock-{number}", self.folder / "stock-template", self._python))
        if "orrery" in self.sides:
            sides.append(
                Project(self.folder / f"orrery-{number}", self.folder / "cache", executor=self.executor)
            )
        # Which goes first changes from round to round.
        for side in sides if number % 2 == 0 else reversed(sides):
            self._measure(side, number, keep=keep)

    def _measure(self, side: Side, number: int, *, keep: bool) -> None:
        try:
            running = side.start()
        except (BenchError, OrreryError) as error:
            print(f"round {number + 1} {side.name} does not start: {error}", flush=True)
            self.facts[f"{side.name} failed"] = str(error).replace("\n", " ")
            with contextlib.suppress(BenchError):
                side.stop()
            return
        try:
            self.facts[f"PostgreSQL of {side.name}"] = ", ".join(
                f"{name}={value}" for name, value in running.database.settings().items()
            )
            # One at a time: what was measured before an interruption is kept.
            for observation in take(running, self.measures, number):
                self.observations.append(observation)
            running.database.close()
        finally:
            if keep and isinstance(side, Project):
                self.kept = side.folder
                print(f"It goes on running. Measure it: --project {side.folder}; stop it there: orrery down")
            else:
                side.stop()
