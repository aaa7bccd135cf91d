"""What the executor keeps in the database, on a real one."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from orrery.executor import store
from orrery.executor.advice import Usage
from orrery.executor.quantity import GIB, MIB
from orrery.executor.resources import Resources
from orrery.executor.snapshot import Snapshot, WaitingView

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.integration

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
ASKS = Resources(cpu_millicores=500, memory_bytes=2 * GIB)


@pytest.fixture
def session(migrated: Any) -> Iterator[Session]:
    """A session whose work is thrown away."""
    engine = sa.create_engine(migrated.server.url())
    with Session(engine) as found:
        yield found
        found.rollback()
    engine.dispose()


def a_try(**given: Any) -> Usage:
    usage = Usage(
        ti_id=str(uuid4()),
        try_number=1,
        dag_id="shop",
        task_id="load",
        run_id="one",
        map_index=-1,
        queue="default",
        resources=ASKS,
        node="node-1",
        memory_peak_bytes=310 * MIB,
        cpu_seconds=3.0,
        queued_at=NOW - timedelta(seconds=12),
        placed_at=NOW - timedelta(seconds=11),
        started_at=NOW - timedelta(seconds=10),
        ended_at=NOW,
        ending="success",
        ending_text="It ended with success.",
    )
    return replace(usage, **given)


def count(session: Session) -> int:
    return int(session.execute(sa.text("SELECT count(*) FROM orrery_task_usage")).scalar_one())


def test_a_try_comes_back_as_it_was_written(session: Session) -> None:
    written = a_try(resources=Resources(cpu_millicores=1, memory_bytes=2, gpus=3, disk_bytes=4 * 2**40))
    store.save_usage(session, [written])
    assert store.usage_of_try(session, written.ti_id, 1) == written
    assert store.usage_of_try(session, written.ti_id, 2) is None


def test_what_is_not_known_does_not_overwrite_what_is(session: Session) -> None:
    first = a_try(ended_at=None, ending=None, ending_text=None)
    store.save_usage(session, [first])
    store.save_usage(
        session, [replace(first, memory_peak_bytes=None, cpu_seconds=None, ended_at=NOW, ending="lost")]
    )
    found = store.usage_of_try(session, first.ti_id, 1)
    assert found == replace(first, ended_at=NOW, ending="lost")


def test_the_same_try_twice_in_one_report_counts_once(session: Session) -> None:
    first = a_try(ending="running")
    store.save_usage(session, [first, replace(first, ending="success")])
    found = store.usage_of_try(session, first.ti_id, 1)
    assert found is not None
    assert found.ending == "success"
    assert count(session) == 1


def test_nothing_to_write_is_no_error(session: Session) -> None:
    store.save_usage(session, [])
    assert store.usage_of(session, []) == {}


def test_more_tries_than_one_statement_takes(session: Session) -> None:
    store.save_usage(session, [a_try() for _ in range(2500)])
    assert count(session) == 2500


def test_each_task_has_a_summary_of_its_own_newest_tries(session: Session) -> None:
    # Given 25 tries of which the oldest five used much, and another task of that name
    tries = [
        a_try(ended_at=NOW - timedelta(hours=number), memory_peak_bytes=(GIB if number >= 20 else 310 * MIB))
        for number in range(25)
    ]
    other = a_try(dag_id="bank", memory_peak_bytes=GIB)
    running = a_try(task_id="new", ended_at=None)
    store.save_usage(session, [*tries, other, running])
    # When
    found = store.usage_of(session, [("shop", "load"), ("bank", "load"), ("shop", "new"), ("no", "such")])
    # Then
    assert set(found) == {("shop", "load"), ("bank", "load")}
    assert found["shop", "load"].runs == 20
    assert found["shop", "load"].advice == "asks 2 GiB, used 310 MiB at most over 20 runs: ask 512 MiB"
    assert found["bank", "load"].memory_peak_bytes == GIB


def test_names_are_never_sql(session: Session) -> None:
    name = "'; DROP TABLE orrery_task_usage; --"
    store.save_usage(session, [a_try(dag_id=name, ending_text=name)])
    assert set(store.usage_of(session, [(name, "load")])) == {(name, "load")}


def test_a_purge_keeps_what_still_says_something(session: Session) -> None:
    def tries(task_id: str, number: int, *, days: float, step: timedelta) -> list[Usage]:
        last = NOW - timedelta(days=days)
        return [a_try(task_id=task_id, ended_at=last - step * index) for index in range(number)]

    minute = timedelta(minutes=1)
    store.save_usage(
        session,
        [
            *tries("often", 150, days=0, step=minute),  # 100 stay
            *tries("monthly", 12, days=0, step=timedelta(days=28)),  # all stay
            *tries("paused", 50, days=31, step=minute),  # 20 stay
            *tries("deleted", 5, days=401, step=minute),  # none stays
        ],
    )
    running = a_try(task_id="often", started_at=NOW, ended_at=None)
    store.save_usage(session, [running])
    # When
    purged = store.purge(session, NOW)
    # Then
    rows = session.execute(sa.text("SELECT task_id, count(*) FROM orrery_task_usage GROUP BY 1"))
    assert {row[0]: row[1] for row in rows} == {"often": 100, "monthly": 12, "paused": 20}
    assert purged == 51 + 30 + 5
    assert store.usage_of_try(session, running.ti_id, 1) is not None
    assert store.purge(session, NOW) == 0


def test_a_snapshot_takes_the_place_of_the_one_before(session: Session) -> None:
    first = Snapshot(scheduler="one", taken_at=NOW - timedelta(minutes=1))
    waiting = WaitingView(ti_id="x", dag_id="shop", task_id="load", run_id="r", reason="no 'node' serves")
    second = replace(first, taken_at=NOW, waiting=(waiting,), waiting_total=7)
    store.save_snapshot(session, first)
    store.save_snapshot(session, second)
    assert store.read_snapshots(session, NOW - timedelta(hours=1)) == [second]


def test_each_scheduler_has_its_snapshot_and_old_ones_are_not_read(session: Session) -> None:
    one = Snapshot(scheduler="one", taken_at=NOW)
    two = Snapshot(scheduler="two", taken_at=NOW - timedelta(seconds=5))
    gone = Snapshot(scheduler="gone", taken_at=NOW - timedelta(days=2))
    for each in (two, one, gone):
        store.save_snapshot(session, each)
    assert store.read_snapshots(session, NOW - timedelta(seconds=30)) == [one, two]
    assert store.purge(session, NOW) == 1
    assert store.read_snapshots(session, NOW - timedelta(days=9)) == [one, two]


def test_a_snapshot_of_a_later_form_is_left_out(session: Session, caplog: pytest.LogCaptureFixture) -> None:
    mine = Snapshot(scheduler="mine", taken_at=NOW)
    store.save_snapshot(session, mine)
    session.execute(
        sa.text("INSERT INTO orrery_executor_snapshot VALUES ('later', :now, '{\"version\": 99}')"),
        {"now": NOW},
    )
    assert store.read_snapshots(session, NOW - timedelta(hours=1)) == [mine]
    assert "scheduler later is left out" in caplog.text
