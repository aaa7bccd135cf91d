from __future__ import annotations

import json

import pytest

from orrery.worker.cell_spec import CellSpec, Namespaces, UnixUser

FULL = CellSpec(
    name="task",
    join=("/sys/fs/cgroup/a/tasks",),
    rlimits=((15, 1 << 60, 1 << 60), (4, 0, -1)),
    data_growth_bytes=1 << 40,
    scratch="/tmp/a",
    namespaces=Namespaces(hide=("/secret",), keep=("/tmp/b",)),
    user=UnixUser(name="nobody", uid=65534, gid=65534, groups=(65534, 7), home="/"),
    no_new_privs=False,
    nice=5,
    parent_death_signal=9,
    environment={"A": "{scratch}"},
)


@pytest.mark.parametrize("spec", [FULL, CellSpec(name="least", scratch="/tmp/x")])
def test_it_travels_as_json(spec: CellSpec) -> None:
    assert CellSpec.from_json(spec.to_json()) == spec
    assert CellSpec(**json.loads(json.dumps(spec.as_mapping()))) == spec


def test_what_it_does_not_know_is_an_error() -> None:
    with pytest.raises(TypeError):
        CellSpec.from_json('{"name": "a", "scratch": "/tmp", "unknown": 1}')
