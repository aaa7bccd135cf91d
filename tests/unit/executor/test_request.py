"""What a task asks for: where it is written, what holds when it is not."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orrery.executor.quantity import GIB, MIB
from orrery.executor.request import Request, default_resources, operator_form, parse_request
from orrery.executor.resources import ResourceError, Resources

DEFAULT = Request(resources=Resources(cpu_millicores=200, memory_bytes=512 * MIB))


def test_a_task_that_says_nothing_gets_the_default() -> None:
    for config in ({}, None, {"pod_override": object()}, object()):
        assert parse_request(config, default=DEFAULT) == DEFAULT


def test_executor_config_says_resources_and_isolation() -> None:
    config = {"resources": {"cpu": "500m", "memory": "1Gi", "gpu": 1}, "isolation": "namespace"}
    assert parse_request(config, default=DEFAULT) == Request(
        resources=Resources(cpu_millicores=500, memory_bytes=GIB, gpus=1), isolation="namespace"
    )


def test_the_operator_wins_over_executor_config() -> None:
    asked = parse_request(
        {"resources": {"cpu": 4}, "isolation": "namespace"},
        operator_resources={"cpus": 1, "ram": 2048},
        default=DEFAULT,
    )
    assert asked.resources == Resources(cpu_millicores=1000, memory_bytes=2 * GIB)
    assert asked.isolation == "namespace"


@pytest.mark.parametrize(
    "written",
    [
        {"cpus": 0.5, "ram": 1024, "disk": 512, "gpus": 0},
        {
            "cpus": {"name": "CPU", "qty": 0.5, "units_str": "core(s)"},
            "ram": {"name": "RAM", "qty": 1024, "units_str": "MB"},
            "disk": {"name": "Disk", "qty": 512, "units_str": "MB"},
            "gpus": {"name": "GPU", "qty": 0, "units_str": "gpu(s)"},
        },
    ],
)
def test_the_operators_form_counts_in_mebibytes(written: dict[str, Any]) -> None:
    expected = Resources(cpu_millicores=500, memory_bytes=GIB, disk_bytes=512 * MIB)
    assert operator_form(written, default=DEFAULT.resources) == expected


def test_airflows_own_object_is_read_by_its_mapping() -> None:
    class Serialised:
        def to_dict(self) -> dict[str, Any]:
            return {"cpus": {"qty": 2}, "ram": {"qty": 256}}

    assert operator_form(Serialised(), default=DEFAULT.resources) == Resources(
        cpu_millicores=2000, memory_bytes=256 * MIB
    )


@pytest.mark.parametrize(
    ("written", "says", "advice"),
    [
        ({"cpu": 1}, "no such resource", "'cpus'"),
        ({"ram": "1Gi"}, "'1Gi'", "MiB"),
        ({"ram": -5}, "is -5:", "MiB"),
        ({"ram": 0.5}, "is 0.5:", "MiB"),
        ({"ram": float("nan")}, "nan", "MiB"),
        ({"cpus": 0}, "above zero", "0.5"),
        ({"gpus": None}, "null", "GPU"),
        ({"gpus": {"amount": 1}}, "null", "GPU"),
        ([1], "no mapping", "cpus"),
    ],
)
def test_a_wrong_operator_form_is_refused_as_it_was_written(written: object, says: str, advice: str) -> None:
    with pytest.raises(ResourceError) as caught:
        operator_form(written, default=DEFAULT.resources)
    assert says in caught.value.message
    assert advice in str(caught.value.hint)


@pytest.mark.parametrize(
    ("config", "advice"),
    [
        ({"resouces": {"cpu": 1}}, "'resources'"),
        ({"Resources": {"cpu": 1}}, "'resources'"),
        ({"isolation": "namespaces"}, "'namespace'"),
        ({"isolation": None}, "'process', 'namespace'"),
        ({"isolation": True}, "'process', 'namespace'"),
        ({"resources": None}, "mapping"),
    ],
)
def test_a_misspelt_wish_is_an_error_and_never_a_silent_default(config: dict[str, Any], advice: str) -> None:
    with pytest.raises(ResourceError) as caught:
        parse_request(config, default=DEFAULT)
    assert advice in str(caught.value.hint)


@pytest.mark.parametrize(
    ("cores", "memory_gib", "expected_mib"),
    [(2, 3, 304), (2, 22, 2048), (4, 7, 352), (16, 14, 256), (1, 0.25, 128), (1, 1, 256)],
)
def test_the_default_memory_fits_the_machine(cores: int, memory_gib: float, expected_mib: int) -> None:
    node = Resources(cpu_millicores=cores * 1000, memory_bytes=int(memory_gib * GIB))
    assert default_resources(node) == Resources(cpu_millicores=200, memory_bytes=expected_mib * MIB)


@settings(deadline=None)
@given(st.integers(2, 512_000), st.integers(4 * MIB, 4096 * GIB))
def test_at_least_two_defaults_fit_and_at_most_five_a_core(millicores: int, memory: int) -> None:
    node = Resources(cpu_millicores=millicores, memory_bytes=memory)
    assert 2 <= default_resources(node).times_in(node) <= max(3, millicores // 200)
