"""The record of the last start."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from orrery.local.plan import Plan
from orrery.local.record import Record, digest_of
from orrery.local.state import State, write_private

if TYPE_CHECKING:
    from pathlib import Path

RECORD = Record(
    port=8081,
    postgres_port=None,
    runtime="17.0.0",
    python="3.11",
    providers="slim",
    programs="/programs",
    planned_port=8080,
    database=digest_of("postgresql://ada:secret@db/airflow"),
)


@pytest.fixture
def state(tmp_path: Path) -> State:
    found = State(tmp_path / ".orrery")
    found.ensure()
    return found


@pytest.fixture
def plan(tmp_path: Path, state: State) -> Plan:
    """What the record was made from."""
    return Plan(
        name="shop",
        root=tmp_path,
        dags=tmp_path / "dags",
        plugins=tmp_path / "plugins",
        requirements=tmp_path / "requirements.txt",
        state=state,
        runtime="17.0.0",
        python="3.11",
        providers="slim",
        database_url="postgresql://ada:secret@db/airflow",
        port=8080,
        environment={},
        cache=tmp_path / "cache",
    )


def test_what_was_written_is_read_and_holds_no_password(state: State) -> None:
    assert Record.read(state) is None
    RECORD.write(state)
    assert Record.read(state) == RECORD
    assert "secret" not in (state.run / "deployment.json").read_text()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"port": 1}', '{"port": 1, "colour": "blue"}'])
def test_what_is_no_record_of_this_release_counts_as_none(state: State, text: str) -> None:
    write_private(state.run / "deployment.json", text)
    assert Record.read(state) is None


def test_the_plan_that_it_was_made_from_differs_in_nothing(plan: Plan) -> None:
    # The port that `--port` chose is not the plan's, and no difference.
    assert RECORD.differences(plan) == ()


def test_each_difference_that_a_restart_cannot_change_is_told(plan: Plan) -> None:
    changed = replace(plan, runtime="17.1.0", port=9090, database_url=None)
    assert RECORD.differences(changed) == (
        "runtime 17.1.0 (Python 3.11, slim) instead of 17.0.0 (Python 3.11, slim)",
        "port 9090 instead of 8080",
        "another database",
    )
