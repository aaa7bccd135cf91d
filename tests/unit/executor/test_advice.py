"""What a task is told to ask for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orrery.executor.advice import NEWEST_TRIES, OUT_OF_MEMORY, Usage, summary
from orrery.executor.quantity import GIB, MIB
from orrery.executor.resources import Resources

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def a_try(*, asks: int = 2 * GIB, used: int | None = 310 * MIB, **more: Any) -> Usage:
    return Usage(
        ti_id="x",
        try_number=1,
        dag_id="shop",
        task_id="load",
        run_id="r",
        map_index=-1,
        queue="default",
        resources=Resources(memory_bytes=asks),
        memory_peak_bytes=used,
        **more,
    )


def advice(*tries: Usage) -> str | None:
    return summary(tries).advice


def test_who_asks_too_much_is_told_what_suffices() -> None:
    assert advice(*[a_try()] * 20) == "asks 2 GiB, used 310 MiB at most over 20 runs: ask 512 MiB"


def test_the_highest_peak_counts() -> None:
    tries = [*[a_try()] * 10, a_try(used=700 * MIB), *[a_try()] * 5]
    assert advice(*tries) == "asks 2 GiB, used 700 MiB at most over 16 runs: ask 1.25 GiB"


def test_a_peak_of_long_ago_does_not() -> None:
    found = summary([*[a_try()] * NEWEST_TRIES, a_try(used=GIB)])
    assert (found.runs, found.memory_peak_bytes) == (20, 310 * MIB)


def test_after_few_tries_nobody_is_told_to_ask_for_less() -> None:
    assert advice(*[a_try()] * 4) is None
    assert advice(*[a_try()] * 5) is not None


@pytest.mark.parametrize(
    ("asks", "used"),
    [
        (512 * MIB, 310 * MIB),  # as it would be advised
        (GIB, 600 * MIB),  # a good fit
        (256 * MIB, 20 * MIB),  # Airflow alone needs that
        (300 * MIB, 20 * MIB),  # too little to be gained
    ],
)
def test_who_asks_well_is_told_nothing(asks: int, used: int) -> None:
    assert advice(*[a_try(asks=asks, used=used)] * 20) is None


def test_who_comes_close_to_its_limit_is_warned_after_one_run() -> None:
    assert advice(a_try(asks=GIB, used=1000 * MIB)) == (
        "asks 1 GiB, used 1000 MiB at most over 1 run: ask 1.5 GiB"
    )


def test_who_ran_out_of_memory_is_told_how_often() -> None:
    killed = a_try(asks=GIB, used=GIB, ending=OUT_OF_MEMORY)
    fine = a_try(asks=GIB, used=500 * MIB)
    assert advice(fine, killed, fine, killed) == "asks 1 GiB, ran out of memory in 2 of 4 runs: ask 1.5 GiB"


def test_who_has_been_given_more_since_is_left_alone() -> None:
    killed = a_try(asks=GIB, used=GIB, ending=OUT_OF_MEMORY)
    assert advice(a_try(asks=2 * GIB, used=1200 * MIB), killed) is None


def test_without_a_measurement_nothing_is_said() -> None:
    found = summary([a_try(used=None)] * 20)
    assert (found.runs, found.memory_peak_bytes, found.cpu_p95_millicores, found.advice) == (
        20,
        None,
        None,
        None,
    )


def test_nineteen_of_twenty_used_less_cpu() -> None:
    tries = [
        a_try(cpu_seconds=float(number), started_at=NOW - timedelta(seconds=10), ended_at=NOW)
        for number in range(1, 21)
    ]
    assert summary(tries).cpu_p95_millicores == 1900


@pytest.mark.parametrize(
    "times", [{"started_at": None}, {"ended_at": None}, {"started_at": NOW}, {"cpu_seconds": None}]
)
def test_cpu_of_a_try_without_a_length_is_not_known(times: dict[str, Any]) -> None:
    known: dict[str, Any] = {"cpu_seconds": 1.0, "started_at": NOW - timedelta(seconds=1), "ended_at": NOW}
    assert a_try(**known).cpu_millicores == 1000
    assert a_try(**{**known, **times}).cpu_millicores is None


def test_of_no_try_there_is_no_summary() -> None:
    with pytest.raises(ValueError, match="at least one try"):
        summary([])


@given(
    asks=st.integers(min_value=MIB, max_value=2**45),
    used=st.lists(st.none() | st.integers(min_value=0, max_value=2**45), min_size=1, max_size=30),
)
def test_who_follows_the_advice_is_not_advised_again(asks: int, used: list[int | None]) -> None:
    found = summary([a_try(asks=asks, used=each) for each in used])
    if found.advice is not None:
        number, unit = found.advice.rsplit("ask ", 1)[1].split()
        wanted = int(float(number) * {"MiB": MIB, "GiB": GIB, "TiB": 1024 * GIB}[unit])
        assert found.memory_peak_bytes is not None
        assert wanted > found.memory_peak_bytes
        again = summary([a_try(asks=wanted, used=each) for each in used])
        assert again.advice is None
