"""A deployment that does not run: looked at and stopped without harm."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from orrery.components import AIRFLOW_COMPONENTS
from orrery.errors import StateError
from orrery.local.deployment import LocalDeployment
from orrery.local.output import Progress
from orrery.local.processes import MARK
from orrery.local.state import State

if TYPE_CHECKING:
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
    with pytest.raises(StateError, match="'shop' does not run"):
        deployment.environment()


def test_to_follow_what_does_not_run_ends_at_once(deployment: LocalDeployment) -> None:
    deployment.follow()


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
