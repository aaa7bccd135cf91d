"""Amounts as people write them."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orrery.errors import InputError
from orrery.executor import quantity
from orrery.executor.quantity import GIB, MIB, ResourceError


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("500m", 500),
        ("1.5", 1500),
        (0.5, 500),
        (1, 1000),
        (" 2 ", 2000),
        ("1e1", 10_000),
        (".25", 250),
        (Decimal("0.2"), 200),
        ("1024", 1_024_000),
        (0.1 + 0.2, 300),  # 0.30000000000000004 is meant as 0.3
        ("0.001", 1),
    ],
)
def test_cpus_are_read_in_kubernetes_notation_and_as_numbers(written: object, expected: int) -> None:
    assert quantity.millicores(written) == expected


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("1Gi", GIB),
        ("250M", 250_000_000),
        ("1.5Gi", 1536 * MIB),
        ("64Ti", 64 * 1024 * GIB),
        (1_073_741_824, GIB),
        ("2e9", 2_000_000_000),
        ("1048577", 1_048_577),
        ("1.0000001Mi", 1_048_577),  # never less than was asked
        ("2048k", 2_048_000),
        ("0.001Ti", 1_099_511_628),
    ],
)
def test_memory_is_read_in_kubernetes_notation_and_as_bytes(written: object, expected: int) -> None:
    assert quantity.memory_bytes(written) == expected


@pytest.mark.parametrize(("written", "expected"), [(0, 0), (2, 2), ("1", 1), (2.0, 2), (128, 128)])
def test_gpus_are_whole_and_may_be_none(written: object, expected: int) -> None:
    assert quantity.gpus(written) == expected


def test_no_disk_may_be_asked_but_not_a_few_bytes() -> None:
    assert quantity.disk_bytes(0) == 0
    assert quantity.disk_bytes("10Gi") == 10 * GIB
    with pytest.raises(ResourceError, match="less than a process needs"):
        quantity.disk_bytes(10)


NONSENSE = [
    True,
    False,
    None,
    [1],
    {"a": 1},
    b"1",
    "",
    " ",
    "x",
    "--1",
    "1,5",
    "1 Gi",
    "nan",
    "inf",
    "0x10",
    "1_000",
    "9" * 40,
    "１",
    "1e9999",
    float("nan"),
    float("inf"),
    float("-inf"),
    1e308,
    10**5000,
    -(10**5000),
    Decimal("NaN"),
    -1,
    "-1",
    "-0.5",
    1 + 2j,
]


@pytest.mark.parametrize("written", NONSENSE, ids=lambda written: str(type(written).__name__))
@pytest.mark.parametrize(
    "read", [quantity.millicores, quantity.memory_bytes, quantity.disk_bytes, quantity.gpus]
)
def test_nonsense_is_refused_with_key_value_and_advice(read: object, written: object) -> None:
    with pytest.raises(ResourceError) as caught:
        read(written, key="some-key")  # type: ignore[operator]
    assert isinstance(caught.value, InputError)
    assert "'some-key' is " in caught.value.message
    assert caught.value.key == "some-key"
    assert caught.value.value is written
    assert caught.value.hint is not None
    assert len(caught.value.message) < 200


@pytest.mark.parametrize(
    ("read", "written", "says"),
    [
        (quantity.millicores, 0, "above zero"),
        (quantity.millicores, "0.0001", "finest"),
        (quantity.millicores, 1025, "1024 CPUs"),
        (quantity.millicores, "1Gi", "no unit 'Gi'"),
        (quantity.memory_bytes, 0, "above zero"),
        (quantity.memory_bytes, "65Ti", "64 TiB"),
        (quantity.memory_bytes, "1E", "64 TiB"),
        (quantity.gpus, 0.5, "not divided"),
        (quantity.gpus, 129, "128 GPUs"),
        (quantity.gpus, "1m", "no unit 'm'"),
    ],
)
def test_what_cannot_be_is_refused_with_the_reason(read: object, written: object, says: str) -> None:
    with pytest.raises(ResourceError, match=says):
        read(written)  # type: ignore[operator]


@pytest.mark.parametrize(
    ("written", "meant"),
    [("512", "512Mi"), (512, "512Mi"), ("1GB", "1Gi"), ("1gi", "1Gi"), ("300mb", "300Mi"), ("100m", "100Mi")],
)
def test_a_mistaken_unit_is_answered_with_what_was_meant(written: object, meant: str) -> None:
    with pytest.raises(ResourceError) as caught:
        quantity.memory_bytes(written)
    assert f"'{meant}'" in str(caught.value.hint)


@settings(deadline=None)
@given(st.text(max_size=12) | st.floats() | st.integers() | st.none() | st.booleans())
def test_whatever_comes_is_an_amount_in_range_or_a_resource_error(written: object) -> None:
    try:
        amount = quantity.memory_bytes(written)
    except ResourceError:
        return
    assert MIB <= amount <= quantity.MOST_BYTES
