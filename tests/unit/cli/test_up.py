"""`orrery up`: how it ends, and what it stops when it does."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

from orrery.cli import context
from orrery.cli.up import up
from orrery.errors import InputError, MachineError, StateError, UnhealthyError
from orrery.local import runs
from orrery.local.record import Record
from orrery.local.state import State, write_private
from orrery.local.status import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
HEALTHY = Status(
    state="healthy",
    name="shop",
    url="http://localhost:8080",
    username="admin",
    password_file="/nowhere/admin_password",
    runtime="17.0.0",
    leftovers=0,
    components=(),
    import_errors=(),
)


@dataclass
class Deployment:
    """A deployment that starts and is watched as the test says; it is its own starter and supervisor."""

    state: State
    status: Status = HEALTHY
    runs: bool = False
    on_start: Callable[[], None] = lambda: None
    on_follow: Callable[[], None] = lambda: None
    story: list[str] = field(default_factory=list)

    @property
    def deployment(self) -> Deployment:
        return self

    @property
    def supervisor(self) -> Deployment:
        return self

    def is_up(self) -> bool:
        return self.runs

    def is_running(self) -> bool:
        return self.runs

    def up(self, *, port: int | None) -> Status:
        self.on_start()
        self.runs = True
        return self.status

    def follow(self) -> None:
        self.story.append("followed")
        self.on_follow()
        self.runs = False

    def down(self) -> None:
        # A second Ctrl-C must not break off the stop.
        ignored = all(signal.getsignal(number) is signal.SIG_IGN for number in SIGNALS)
        self.story.append("stopped" if ignored else "stopped, open to signals")
        self.runs = False


@pytest.fixture
def deployment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Deployment]:
    state = State(tmp_path / ".orrery")
    state.ensure()
    Record(
        port=1,
        postgres_port=None,
        runtime="17.0.0",
        python="3.11",
        providers="slim",
        programs="",
        planned_port=8080,
        database=None,
    ).write(state)
    write_private(state.admin_password, "secret")
    found = Deployment(state)
    monkeypatch.setattr(context, "starter", lambda: found)
    before = {number: signal.getsignal(number) for number in SIGNALS}
    # As in a shell: pytest's own runner may have been started under nohup.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield found
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def failing_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "trigger", lambda *_, **__: "failed")


def invoked(*arguments: str) -> Result:
    return CliRunner().invoke(up, ["--no-open", *arguments])


def test_in_the_foreground_it_watches_until_it_is_stopped_from_elsewhere(deployment: Deployment) -> None:
    assert invoked().exit_code == 0
    assert deployment.story == ["followed"]


@pytest.mark.parametrize("number", SIGNALS, ids=lambda item: str(item.name))
def test_a_watcher_that_is_interrupted_takes_it_along(deployment: Deployment, number: signal.Signals) -> None:
    # SIGHUP: the terminal was closed
    deployment.on_follow = lambda: os.kill(os.getpid(), number)
    assert invoked().exit_code == 1  # click's word for it; main makes it 130
    assert deployment.story == ["followed", "stopped"]


def test_under_nohup_a_closed_terminal_stops_nothing(deployment: Deployment) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    deployment.on_follow = lambda: os.kill(os.getpid(), signal.SIGHUP)
    assert invoked().exit_code == 0
    assert deployment.story == ["followed"]


def test_a_detached_deployment_is_not_watched(deployment: Deployment) -> None:
    assert invoked("--detach").exit_code == 0
    assert (deployment.story, deployment.runs) == ([], True)


@pytest.mark.usefixtures("failing_run")
def test_a_failed_run_in_the_foreground_ends_with_one_when_the_watch_is_over(deployment: Deployment) -> None:
    assert invoked("--trigger", "shop").exit_code == 1
    assert deployment.story == ["followed"]


@pytest.mark.usefixtures("failing_run")
@pytest.mark.parametrize("ran_already", [True, False])
def test_a_failed_run_of_a_detached_deployment_ends_with_one_and_stops_nothing(
    deployment: Deployment, ran_already: bool
) -> None:
    deployment.runs = ran_already
    arguments = [] if ran_already else ["--detach"]
    assert invoked(*arguments, "--trigger", "shop").exit_code == 1
    assert (deployment.story, deployment.runs) == ([], True)


def test_one_failed_run_of_several_is_enough(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    outcomes = iter(["failed", "success"])
    monkeypatch.setattr(runs, "trigger", lambda *_, **__: next(outcomes))
    assert invoked("--detach", "--trigger", "a", "--trigger", "b").exit_code == 1
    assert list(outcomes) == []  # the second ran all the same


def test_an_unknown_dag_in_the_foreground_stops_what_was_started(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    def trigger(*_: object, **__: object) -> str:
        raise InputError("There is no DAG 'shop'.")

    monkeypatch.setattr(runs, "trigger", trigger)
    assert isinstance(invoked("--trigger", "shop").exception, InputError)
    assert deployment.story == ["stopped"]


def test_a_start_beside_another_command_does_not_stop_what_that_one_starts(deployment: Deployment) -> None:
    # Given an `orrery up` in another terminal that has come half the way
    def refuse() -> None:
        deployment.runs = True
        raise StateError("'orrery up' (pid 7) is at work on this deployment.")

    deployment.on_start = refuse
    assert isinstance(invoked().exception, StateError)
    assert (deployment.story, deployment.runs) == ([], True)


def test_a_killed_process_manager_is_the_error_of_the_watch(deployment: Deployment) -> None:
    def killed() -> None:
        deployment.runs = False
        raise MachineError("The process manager was killed.")

    deployment.on_follow = killed
    assert isinstance(invoked().exception, MachineError)
    assert deployment.story == ["followed"]


@pytest.mark.parametrize("ran_already", [True, False])
def test_an_unhealthy_start_that_nobody_watches_is_an_error(
    deployment: Deployment, ran_already: bool
) -> None:
    deployment.status, deployment.runs = replace(HEALTHY, state="unhealthy"), ran_already
    result = invoked(*([] if ran_already else ["--detach"]))
    assert isinstance(result.exception, UnhealthyError)
    assert deployment.runs


def test_an_unhealthy_start_in_the_foreground_is_watched_all_the_same(deployment: Deployment) -> None:
    deployment.status = replace(HEALTHY, state="unhealthy")
    assert invoked().exit_code == 0
    assert deployment.story == ["followed"]
