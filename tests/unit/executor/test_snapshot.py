"""A snapshot crosses processes and releases."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orrery.executor.resources import Resources
from orrery.executor.snapshot import (
    MOST_WAITING,
    NodeView,
    Snapshot,
    SnapshotError,
    TaskView,
    WaitingView,
)

WHEN = st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=2))]))
SIZE = st.integers(min_value=0, max_value=2**50)
RESOURCES = st.builds(Resources, cpu_millicores=SIZE, memory_bytes=SIZE, gpus=SIZE, disk_bytes=SIZE)
MAYBE = st.none() | SIZE
NODES = st.builds(
    NodeView,
    allocatable=RESOURCES,
    requested=RESOURCES,
    heard_at=st.none() | WHEN,
    started_at=st.none() | WHEN,
    queues=st.lists(st.text()).map(tuple),
    notes=st.lists(st.text()).map(tuple),
    memory_bytes=MAYBE,
)
TASKS = st.builds(
    TaskView, resources=RESOURCES, queued_at=st.none() | WHEN, cpu_seconds=st.none() | st.just(1.5)
)
WAITING = st.builds(WaitingView, resources=RESOURCES, queued_at=st.none() | WHEN)
SNAPSHOTS = st.builds(
    Snapshot,
    taken_at=WHEN,
    nodes=st.lists(NODES, max_size=3).map(tuple),
    running=st.lists(TASKS, max_size=3).map(tuple),
    waiting=st.lists(WAITING, max_size=3).map(tuple),
)
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@given(SNAPSHOTS)
def test_a_snapshot_comes_back_as_it_was(snapshot: Snapshot) -> None:
    assert Snapshot.from_json(snapshot.to_json()) == snapshot


def in_json(**changes: Any) -> Any:
    node = NodeView(name="node-1", state="ready", allocatable=Resources(cpu_millicores=2000))
    task = TaskView(ti_id="x", dag_id="shop", task_id="load", run_id="r", node="node-1")
    mapping = Snapshot(scheduler="one", taken_at=NOW, nodes=(node,), running=(task,)).to_mapping()
    return mapping | changes


def test_fields_of_a_newer_release_are_left_out() -> None:
    mapping = in_json(weather="fine")
    mapping["nodes"][0]["temperature"] = 40
    mapping["nodes"][0]["allocatable"]["tapes"] = 3
    mapping["running"][0]["mood"] = {"nested": [1]}
    assert Snapshot.from_mapping(mapping) == Snapshot.from_mapping(in_json())


def test_fields_that_an_older_release_did_not_write_have_their_defaults() -> None:
    mapping = in_json()
    del (
        mapping["nodes"][0]["isolation"],
        mapping["nodes"][0]["allocatable"],
        mapping["running"][0]["priority"],
    )
    snapshot = Snapshot.from_mapping(mapping)
    assert (snapshot.nodes[0].isolation, snapshot.nodes[0].allocatable) == ("", Resources())
    assert snapshot.running[0].priority == 1


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "not JSON"),
        ("[]", "is a mapping, not list"),
        ("{}", "version None"),
        ('{"version": 2}', "version 2; this release reads up to 1"),
        ('{"version": "1"}', "version '1'"),
        ('{"version": 1}', "'scheduler'"),
        ('{"version": 1, "scheduler": "one", "taken_at": "noon"}', "noon"),
        (json.dumps(in_json(nodes=[7])), "not a snapshot"),
        (json.dumps(in_json(nodes=[{"name": "no state"}])), "'state'"),
        (json.dumps(in_json(running=[{**in_json()["running"][0], "resources": {"gpus": -1}}])), "gpus"),
    ],
)
def test_what_is_no_snapshot_is_refused_with_the_reason(text: str, problem: str) -> None:
    with pytest.raises(SnapshotError, match=problem):
        Snapshot.from_json(text)


def test_a_snapshot_does_not_list_more_waiting_tasks_than_a_page_can_show() -> None:
    waiting = WaitingView(ti_id="x", dag_id="shop", task_id="load", run_id="r")
    Snapshot(scheduler="one", taken_at=NOW, waiting=(waiting,) * MOST_WAITING, waiting_total=10**6)
    with pytest.raises(ValueError, match="lists 500 waiting tasks, not 501"):
        Snapshot(scheduler="one", taken_at=NOW, waiting=(waiting,) * (MOST_WAITING + 1))
