"""The pure parts of the measures."""

from __future__ import annotations

import math
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import psutil
import pytest
from benchmarks.lab import machine, measures, slots, storm, sustained
from benchmarks.lab.database import TaskTimes
from benchmarks.lab.facts import bytecode

if TYPE_CHECKING:
    from pathlib import Path

TASK = "01934a6e-1111-7aaa-8bbb-0123456789ab"


def task(name: str, *, start: float, end: float) -> TaskTimes:
    return TaskTimes(
        id=TASK,
        dag_id="d",
        run_id="r",
        task_id=name,
        map_index=-1,
        state="success",
        try_number=1,
        queued=start,
        start=start,
        end=end,
    )


def test_a_chain_pairs_each_task_with_the_one_that_waits_for_it() -> None:
    tasks = [task("fib_01", start=2, end=3), task("fib_00", start=0, end=1), task("fib_02", start=4, end=5)]
    assert [(a.task_id, b.task_id) for a, b in measures.pairs(tasks)] == [
        ("fib_00", "fib_01"),
        ("fib_01", "fib_02"),
    ]


def test_the_last_word_of_a_supervisor_is_found_with_its_moment() -> None:
    lines = [
        f"2026-11-23T19:01:24.250000Z [info ] Workload finished [supervisor] exit_code=0 workload_id={TASK}",
        "2026-11-23T19:01:25.000000Z [info     ] Something else [supervisor] id=" + TASK,
    ]
    expected = datetime(2026, 11, 23, 19, 1, 24, 250000, tzinfo=UTC).timestamp()
    assert slots.finished(lines) == {TASK: expected}


def test_a_line_that_was_cut_off_is_passed_over() -> None:
    assert (
        slots.finished(["2026-11-23T19:01:24.250000Z Workload finished", "Workload finished " + TASK]) == {}
    )


@pytest.mark.parametrize(
    ("moment", "due"),
    [
        (datetime(2026, 1, 1, 10, 0, 0, tzinfo=UTC), datetime(2026, 1, 1, 10, 0, tzinfo=UTC)),
        (datetime(2026, 1, 1, 10, 0, 1, tzinfo=UTC), datetime(2026, 1, 1, 10, 1, tzinfo=UTC)),
        (datetime(2026, 12, 31, 23, 59, 59, 1, tzinfo=UTC), datetime(2027, 1, 1, 0, 0, tzinfo=UTC)),
    ],
)
def test_the_due_minute_is_the_first_full_one(moment: datetime, due: datetime) -> None:
    assert storm.due_minute(moment) == due


def test_growth_compares_the_last_quarter_with_the_second() -> None:
    assert sustained.growth([50, 100, 100, 110]) == pytest.approx(0.1)
    assert sustained.growth([1, 1, 100, 100, 50, 50, 100, 100]) == pytest.approx(0)


def test_too_few_samples_tell_no_growth() -> None:
    assert math.isnan(sustained.growth([1, 2, 3]))


def test_bytecode_is_counted_in_every_folder(tmp_path: Path) -> None:
    (tmp_path / "a" / "__pycache__").mkdir(parents=True)
    (tmp_path / "a" / "one.py").touch()
    (tmp_path / "a" / "__pycache__" / "one.cpython-311.pyc").touch()
    (tmp_path / "two.py").touch()
    assert bytecode(tmp_path) == (2, 1)


def test_the_bare_computation_runs_the_code_of_the_tasks() -> None:
    assert "benchmarks" not in sys.path
    assert measures.pure_compute(1, 5) > 0


def test_the_heap_of_a_process_grows_with_what_it_keeps() -> None:
    here = [psutil.Process()]
    before = machine.anonymous_bytes(here)
    kept = bytearray(b"x" * 50_000_000)

    assert machine.anonymous_bytes(here) - before > len(kept) * 0.9
    assert machine.anonymous_bytes([]) == 0
