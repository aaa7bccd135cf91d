"""Amounts as programs and people read them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orrery.executor import notation, quantity
from orrery.executor.quantity import GIB, MIB


@settings(deadline=None)
@given(st.integers(1, quantity.MOST_MILLICORES))
def test_cpu_notation_reads_back_as_itself(amount: int) -> None:
    assert quantity.millicores(notation.cpu_notation(amount)) == amount


@settings(deadline=None)
@given(st.integers(MIB, quantity.MOST_BYTES) | st.integers(1, 64 * 1024).map(lambda gib: gib * GIB))
def test_bytes_notation_reads_back_as_itself(amount: int) -> None:
    assert quantity.memory_bytes(notation.bytes_notation(amount)) == amount


@pytest.mark.parametrize(
    ("amount", "words"),
    [
        (GIB, "1 GiB"),
        (1536 * MIB, "1.5 GiB"),
        (512 * MIB, "512 MiB"),
        (0, "0 MiB"),
        (10 * GIB, "10 GiB"),
        (2048 * GIB, "2 TiB"),
        (100 * GIB, "100 GiB"),
    ],
)
def test_bytes_are_words_for_people(amount: int, words: str) -> None:
    assert notation.bytes_text(amount) == words


@pytest.mark.parametrize(
    ("amount", "words"), [(500, "0.5 CPU"), (2000, "2 CPU"), (1, "0.001 CPU"), (0, "0 CPU")]
)
def test_cpus_are_words_for_people(amount: int, words: str) -> None:
    assert notation.cpu_text(amount) == words


@settings(deadline=None)
@given(st.integers(0, 8 * GIB), st.integers(1, GIB))
def test_words_never_say_that_an_amount_does_not_fit_into_itself(free: int, more: int) -> None:
    asked = notation.bytes_text(free + more, rounding="up")
    assert asked != notation.bytes_text(free, rounding="down")
