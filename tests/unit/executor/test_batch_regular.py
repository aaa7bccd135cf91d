"""Which calls are regular, from the rows alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from orrery.executor.batch_regular import Beat, End, Fields, Push, Row, Run, Start, judge, should_retry

NOW = datetime(2001, 1, 1, tzinfo=UTC)
QUEUED = Row("id", "queued", "d", "t", "r", -1, 1, 2, None, None, False, 1, NOW, "owner", False)
RUNNING = replace(QUEUED, state="running", hostname="h", pid=7)
RUN = Run({}, [], 0, has_asset_events=False)
START = Start(0, "h", "u", 7, NOW)
FIELDS = Fields(1, "{}")
BEAT = Beat(2, "h", 7)
PUSH = Push(3, "d", "r", "t", -1, "key", "1", False, None)
SUCCESS = End(4, "success", NOW, False, None)
FAILURE = replace(SUCCESS, state="failed")


def judged(row: Row, *calls: Start | Fields | Push | Beat | End, run: Run | None = RUN) -> list[Row] | None:
    works = judge(row, calls, run=run, longest_map=3)
    return None if works is None else [found for found, _ in works]


def test_each_call_finds_the_row_that_those_before_it_leave() -> None:
    begun = replace(QUEUED, state="running", hostname="h", pid=7)

    assert judged(QUEUED, START, FIELDS, BEAT, PUSH, SUCCESS) == [QUEUED, begun, begun, begun, begun]


@pytest.mark.parametrize("state", [None, "scheduled", "running", "restarting", "success", "deferred"])
def test_only_a_queued_task_starts(state: str | None) -> None:
    assert judged(replace(QUEUED, state=state), START) is None


def test_a_task_that_comes_back_or_was_woken_by_assets_is_left() -> None:
    assert judged(replace(QUEUED, is_resumed=True), START) is None
    assert judged(QUEUED, START, run=replace(RUN, has_asset_events=True)) is None
    assert judged(QUEUED, START, run=None) is None


@pytest.mark.parametrize("beat", [replace(BEAT, hostname="other"), replace(BEAT, pid=8)])
def test_a_heartbeat_of_another_process_is_left(beat: Beat) -> None:
    assert judged(RUNNING, beat) is None


def test_a_failure_that_fails_the_others_is_left() -> None:
    assert judged(RUNNING, FAILURE) == [RUNNING]
    assert judged(replace(RUNNING, fails_fast=True), FAILURE) is None
    assert judged(replace(RUNNING, fails_fast=True), SUCCESS) is not None


def test_what_is_asked_out_of_order_is_left() -> None:
    assert judged(RUNNING, SUCCESS, FIELDS) is None
    assert judged(QUEUED, FIELDS, START) is None
    assert judged(QUEUED, SUCCESS) is None


@pytest.mark.parametrize(
    "push",
    [
        replace(PUSH, task_id="other"),
        replace(PUSH, map_index=0),
        replace(PUSH, length=4),
        replace(PUSH, length=-1),
    ],
)
def test_an_xcom_of_another_task_or_too_long_is_left(push: Push) -> None:
    assert judged(RUNNING, replace(PUSH, length=3)) == [RUNNING]
    assert judged(RUNNING, push) is None


def test_a_task_is_tried_again_while_it_has_tries() -> None:
    tries = {
        (number, most): should_retry(replace(QUEUED, try_number=number, max_tries=most))
        for number, most in [(1, 0), (1, 1), (2, 1), (0, 0)]
    }

    assert tries == {(1, 0): False, (1, 1): True, (2, 1): False, (0, 0): False}
