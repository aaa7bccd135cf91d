"""Resources: arithmetic, notation, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orrery.executor.quantity import GIB, MIB
from orrery.executor.resources import ResourceError, Resources

ANY = st.builds(
    Resources,
    cpu_millicores=st.integers(0, 64_000),
    memory_bytes=st.integers(0, 1024 * GIB),
    gpus=st.integers(0, 16),
    disk_bytes=st.integers(0, 1024 * GIB),
)
#: What a task may ask for.
ASKED = st.builds(
    Resources,
    cpu_millicores=st.integers(1, 64_000),
    memory_bytes=st.integers(MIB, 1024 * GIB),
    gpus=st.integers(0, 16),
    disk_bytes=st.just(0) | st.integers(MIB, 1024 * GIB),
)
NOTHING = Resources()


@settings(deadline=None)
@given(ANY, ANY, ANY)
def test_adding_is_commutative_and_associative_with_nothing_as_zero(
    a: Resources, b: Resources, c: Resources
) -> None:
    assert a + b == b + a
    assert (a + b) + c == a + (b + c)
    assert a + NOTHING == a


@settings(deadline=None)
@given(ANY, ANY)
def test_what_was_added_can_be_subtracted(a: Resources, b: Resources) -> None:
    assert (a + b) - b == a


@settings(deadline=None)
@given(ANY, ANY)
def test_fitting_means_exactly_that_subtraction_leaves_something(task: Resources, room: Resources) -> None:
    if task.fits(room):
        assert (room - task) + task == room
    else:
        with pytest.raises(ResourceError):
            room - task


@settings(deadline=None)
@given(ANY, ANY)
def test_fitting_is_a_partial_order(a: Resources, b: Resources) -> None:
    assert a.fits(a)
    assert a.fits(a + b)
    assert (a.fits(b) and b.fits(a)) == (a == b)


@settings(deadline=None)
@given(ANY, ANY)
def test_less_than_nothing_is_never_left(a: Resources, b: Resources) -> None:
    assert a.without(b).fits(a)
    if b.fits(a):
        assert a.without(b) == a - b


@settings(deadline=None)
@given(ASKED, ANY)
def test_as_many_fit_side_by_side_as_said_and_not_one_more(task: Resources, room: Resources) -> None:
    times = task.times_in(room)
    assert task.scaled(times).fits(room)
    assert not task.scaled(times + 1).fits(room)


def test_how_often_nothing_fits_has_no_answer() -> None:
    with pytest.raises(ResourceError, match="nothing is asked"):
        NOTHING.times_in(Resources(cpu_millicores=1))


@settings(deadline=None)
@given(ANY)
def test_scaling_by_one_changes_nothing_and_by_a_half_rounds_up(a: Resources) -> None:
    assert a.scaled(1) == a
    assert a.scaled(0) == NOTHING
    assert a.fits(a.scaled(0.5) + a.scaled(0.5))


@settings(deadline=None)
@given(ANY)
def test_json_brings_it_back(a: Resources) -> None:
    assert Resources.from_mapping(json.loads(json.dumps(a.as_mapping()))) == a


@settings(deadline=None)
@given(ASKED)
def test_a_pod_request_reads_back_as_the_same(a: Resources) -> None:
    assert Resources.parse(a.kubernetes()) == a


def test_a_pod_request_has_kubernetes_names() -> None:
    asked = Resources(cpu_millicores=1500, memory_bytes=GIB, gpus=1, disk_bytes=10 * GIB)
    assert asked.kubernetes() == {
        "cpu": "1500m",
        "memory": "1Gi",
        "nvidia.com/gpu": "1",
        "ephemeral-storage": "10Gi",
    }
    assert str(asked) == "1.5 CPU, 1 GiB, 1 GPU, 10 GiB disk"
    assert str(Resources(cpu_millicores=500, memory_bytes=GIB)) == "0.5 CPU, 1 GiB"


def test_what_is_not_said_has_the_default() -> None:
    default = Resources(cpu_millicores=200, memory_bytes=512 * MIB)
    assert Resources.parse({"memory": "1Gi"}, default=default) == Resources(
        cpu_millicores=200, memory_bytes=GIB
    )
    assert Resources.parse({}, default=default) == default


@pytest.mark.parametrize(
    ("written", "says", "advice"),
    [
        ({"memoy": "1Gi"}, "'memoy'", "'memory'"),
        ({"CPU": 1}, "'CPU'", "'cpu'"),
        ({"cores": 1}, "'cores'", "'cpu'"),
        ({3: 1}, "'3'", "'memory'"),
        ({"cpu": "lots"}, "'lots'", "0.5"),
        ({"cpu": None}, "null", "0.5"),
        ({"gpu": 1, "nvidia.com/gpu": 1}, "'gpu' says the same", "one of the two"),
        ([("cpu", 1)], "no mapping", "{"),
        ("1Gi", "no mapping", "{"),
        (None, "no mapping", "{"),
    ],
)
def test_a_wrong_mapping_is_refused_with_advice(written: object, says: str, advice: str) -> None:
    with pytest.raises(ResourceError) as caught:
        Resources.parse(written)
    assert says in caught.value.message
    assert advice in str(caught.value.hint)


@pytest.mark.parametrize(
    "amounts", [{"cpu_millicores": -1}, {"gpus": True}, {"memory_bytes": 1.0}, {"ram": 1}]
)
def test_only_whole_amounts_by_their_names_are_resources(amounts: dict[str, Any]) -> None:
    with pytest.raises(ResourceError):
        Resources.from_mapping(amounts)


@settings(deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["cpu", "memory", "gpu", "disk", "ephemeral-storage"]) | st.text(max_size=5),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
            lambda inner: (
                st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2)
            ),
            max_leaves=4,
        ),
        max_size=4,
    )
)
def test_any_json_is_resources_or_a_resource_error(document: dict[str, object]) -> None:
    try:
        parsed = Resources.parse(document)
    except ResourceError as error:
        assert error.hint
    else:
        assert isinstance(parsed, Resources)
