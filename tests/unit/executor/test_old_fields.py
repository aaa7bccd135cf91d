"""Rendered fields of old runs are deleted for many tasks together, a little later."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from orrery.executor.old_fields import OldFields

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pytest

#: Nothing is deleted by itself in a test that waits for nothing.
NEVER = 10_000.0


def test_tasks_are_gathered_by_their_dags_and_deleted_once() -> None:
    deleted: list[Mapping[str, list[str]]] = []
    old = OldFields(deleted.append, wait_seconds=NEVER)

    old.note([("b", "x"), ("a", "y")])
    old.note([("a", "x"), ("a", "y")])
    assert deleted == []
    old.sweep()
    old.sweep()

    assert deleted == [{"a": ["x", "y"], "b": ["x"]}, {}]


def test_they_are_deleted_some_time_after_the_first_and_again_after_the_next() -> None:
    deleted: list[Mapping[str, list[str]]] = []
    done = threading.Semaphore(0)

    def delete(dags: Mapping[str, list[str]]) -> None:
        deleted.append(dags)
        done.release()

    old = OldFields(delete, wait_seconds=0.01)
    for task in ("x", "y"):
        old.note([("a", task)])
        assert done.acquire(timeout=30)

    assert deleted == [{"a": ["x"]}, {"a": ["y"]}]


def test_one_timer_runs_at_a_time_and_none_for_nothing() -> None:
    old = OldFields(lambda _: None, wait_seconds=NEVER)
    before = threading.active_count()

    old.note([])
    assert threading.active_count() == before
    old.note([("a", "x")])
    old.note([("a", "y")])
    assert threading.active_count() == before + 1


def test_a_failure_is_told_and_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    deleted: list[Mapping[str, list[str]]] = []

    def delete(dags: Mapping[str, list[str]]) -> None:
        if not deleted:
            deleted.append({})
            raise ConnectionError("no database")
        deleted.append(dags)

    old = OldFields(delete, wait_seconds=NEVER)
    old.note([("a", "x")])
    old.sweep()
    old.note([("a", "y")])
    old.sweep()

    assert "of 1 DAGs could not be deleted" in caplog.text
    assert deleted == [{}, {"a": ["y"]}]
