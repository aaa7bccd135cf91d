"""A program: how long each round of the DAG processor's loop waits, printed as JSON.

Airflow's loop and its wait are the real ones; what the loop does is left out, and time is played: a round
works for 0.25 s, and waits for as long as it says unless a parsing process wakes it.
"""

from __future__ import annotations

import json
import time
from types import MethodType
from typing import Any

from airflow.dag_processing.manager import DagFileProcessorManager

ROUNDS = 8
WORK_SECONDS = 0.25


class Clock:
    """Time that passes only when somebody says so."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now


class Quiet:
    """A log that nobody reads."""

    def info(self, *_: object) -> None: ...


class Manager:
    """What the loop calls, but for the wait."""

    log = Quiet()
    max_runs = ROUNDS
    _file_queue = ("a file",)

    def __init__(self, clock: Clock, wakes: dict[int, float], work: dict[int, float]) -> None:
        self._clock, self._wakes, self._work = clock, wakes, work
        self._num_run = 0
        self.waits: list[float] = []
        self.selector = self
        self._service_processor_sockets = MethodType(DagFileProcessorManager._service_processor_sockets, self)

    def heartbeat(self) -> None:
        self._clock.now += self._work.get(self._num_run, WORK_SECONDS)

    def select(self, timeout: float) -> list[Any]:
        self.waits.append(timeout)
        self._clock.now += min(timeout, self._wakes.get(self._num_run, timeout))
        return []

    def max_runs_reached(self) -> bool:
        return self._num_run >= self.max_runs

    def fetch_callbacks(self) -> list[Any]:
        return []

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: None


def waits(wakes: dict[int, float] | None = None, work: dict[int, float] | None = None) -> list[float]:
    clock = Clock()
    manager = Manager(clock, wakes or {}, work or {})
    original, time.monotonic = time.monotonic, clock.monotonic
    try:
        DagFileProcessorManager._run_parsing_loop(manager)
    finally:
        time.monotonic = original
    return [round(each, 3) for each in manager.waits]


def main() -> None:
    told = {
        "nothing_happens": waits(),
        # Each file that is parsed wakes it.
        "woken_in_each_round": waits(wakes=dict.fromkeys(range(ROUNDS), 0.05)),
        "a_round_of_three_seconds": waits(work={3: 3.0}),
    }
    print("ANSWER" + json.dumps(told))


if __name__ == "__main__":
    main()
