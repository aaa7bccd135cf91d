"""A deployment that does not run: looked at and stopped without harm."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from orrery.components import AIRFLOW_COMPONENTS
from orrery.errors import MachineError, StateError
from orrery.local.deployment import LocalDeployment
from orrery.local.output import Progress
from orrery.local.processes import MARK
from orrery.local.state import State, write_private

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def deployment(tmp_path: Path) -> LocalDeployment:
    return LocalDeployment(State(tmp_path / ".orrery"), name="shop", progress=Progress())


def test_a_project_that_never_ran_is_down_and_stays_untouched(deployment: LocalDeployment) -> None:
    assert deployment.down() is False
    assert not deployment.is_up()
    assert deployment.status().state == "stopped"
    assert not deployment.state.root.exists()


def test_what_needs_a_running_deployment_says_how_to_start_it(deployment: LocalDeployment) -> None:
    deployment.state.ensure()
    with pytest.raises(StateError, match="'shop' does not run") as caught, deployment.running("restart"):
        pass
    assert "orrery up" in (caught.value.hint or "")
    # Also where a killed run has left its launch file
    write_private(deployment.state.launch_file, '{"command": ["x"], "environment": {}}')
    with pytest.raises(StateError, match="'shop' does not run"):
        deployment.launch()


def test_to_follow_what_does_not_run_ends_at_once(deployment: LocalDeployment) -> None:
    deployment.state.ensure()
    deployment.follow()


@pytest.fixture
def left(deployment: LocalDeployment) -> Iterator[subprocess.Popen[bytes]]:
    """A process of the deployment whose process manager has gone."""
    deployment.state.ensure()
    with subprocess.Popen(
        ["sleep", "600"], env={MARK: deployment.state.deployment_id, "PATH": "/bin:/usr/bin"}
    ) as child:
        while not deployment.status().leftovers:
            pass
        yield child
        child.kill()


@pytest.mark.usefixtures("left")
def test_to_follow_what_was_killed_ends_what_it_left_and_says_so(deployment: LocalDeployment) -> None:
    with pytest.raises(MachineError, match="process manager of 'shop' was killed") as caught:
        deployment.follow()
    assert "orrery up" in (caught.value.hint or "")
    assert deployment.status().leftovers == 0


def test_to_follow_what_another_command_is_stopping_ends_quietly(
    deployment: LocalDeployment, left: subprocess.Popen[bytes]
) -> None:
    # Given an `orrery down` that has ended the process manager, not yet every process
    with deployment.state.locked("down"):
        deployment.follow()
    # Then what is left is its business
    assert left.poll() is None


def test_every_component_of_a_stopped_deployment_is_stopped(deployment: LocalDeployment) -> None:
    assert {deployment.state_of(component) for component in AIRFLOW_COMPONENTS} == {"stopped"}
    assert not any(deployment.runs(component) for component in AIRFLOW_COMPONENTS)


def test_down_ends_what_a_killed_process_manager_left(
    deployment: LocalDeployment, capsys: pytest.CaptureFixture[str]
) -> None:
    # Given a component whose process manager is gone
    deployment.state.ensure()
    with subprocess.Popen(
        [sys.executable, "-c", "print('up', flush=True); import time; time.sleep(600)"],
        env={MARK: deployment.state.deployment_id},
        stdout=subprocess.PIPE,
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        assert deployment.status().leftovers == 1
        # When the deployment is stopped
        assert deployment.down() is True
    # Then nothing is left, and there is nothing to stop any more
    assert deployment.status().leftovers == 0
    assert deployment.down() is False


def test_the_next_start_says_that_it_ends_what_is_left(
    deployment: LocalDeployment, capsys: pytest.CaptureFixture[str]
) -> None:
    deployment.state.ensure()
    with subprocess.Popen(
        ["sleep", "600"], env={MARK: deployment.state.deployment_id, "PATH": "/bin:/usr/bin"}
    ):
        while not deployment.status().leftovers:
            pass
        deployment.clear_leftovers()
    assert "Ending 1 processes that an earlier run left" in capsys.readouterr().err
