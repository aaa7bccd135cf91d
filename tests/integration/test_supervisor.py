"""A real process manager, with small programs in the place of the components."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import sys
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from orrery.components import AIRFLOW_COMPONENTS, COMPONENTS, POSTGRES
from orrery.errors import MachineError, StateError
from orrery.local import ports, postgres, processes
from orrery.local import start as starting
from orrery.local.deployment import LocalDeployment
from orrery.local.environment import ProviderSet, RuntimeEnvironment
from orrery.local.output import Progress
from orrery.local.plan import Plan, Ports
from orrery.local.processes import MARK
from orrery.local.start import Starter
from orrery.local.state import State, write_private
from orrery.local.status import read_status, reason, telling_line
from orrery.local.supervisor import Supervisor, launch_command

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

pytestmark = [
    pytest.mark.integration,
    # The process manager outlives the value that started it; that is its purpose.
    pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning"),
]

API_SERVER, SCHEDULER, DAG_PROCESSOR, TRIGGERER, WORKER = AIRFLOW_COMPONENTS
#: Tells when it begins and when it is asked to stop.
STAYS = """
import pathlib, signal, sys, time
name, folder = sys.argv[1], pathlib.Path(sys.argv[2])
def tell(word):
    with (folder / "story").open("a") as story:
        story.write(f"{name} {word}\\n")
def stop(*_):
    tell("asked")
    time.sleep(float(sys.argv[3]))
    tell("ended")
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
signal.signal(signal.SIGINT, stop)
tell("begun")
while True:
    time.sleep(0.05)
"""
CRASHES = "import sys; sys.exit('ValueError: no such table')"
#: Rewrites its own title over its environment, as daemons do, then stays.
TITLED = """
import time, setproctitle
setproctitle.setproctitle("airflow worker: " + "x" * 3000)
time.sleep(600)
"""


def until(true: Callable[[], bool], *, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


def python(code: str, *arguments: str) -> list[str]:
    """Return the command that runs this code, which a configuration holds in one line."""
    return [sys.executable, "-c", f"exec({code!r})", *arguments]


@contextlib.contextmanager
def managed(root: Path, commands: Mapping[str, list[str]], **environment: str) -> Iterator[LocalDeployment]:
    """Run a process manager for a project with these programs; nothing of it is left afterwards."""
    root.mkdir(parents=True, exist_ok=True)
    state = State(root / ".orrery")
    state.ensure()
    deployment = LocalDeployment(state, name="shop", progress=Progress(quiet=True))
    base = {MARK: state.deployment_id, "PATH": os.defpath, "SPT_NOENV": "1", **environment}
    # `env PROGRAM ARGUMENTS` in the place of `python -m airflow ARGUMENTS`
    write_private(state.launch_file, json.dumps({"command": ["/usr/bin/env"], "environment": base}))
    deployment.supervisor.configure(
        {name: launch_command(state.launch_file, command) for name, command in commands.items()}
    )
    try:
        deployment.supervisor.start()
        yield deployment
    finally:
        deployment.stop()


def story(deployment: LocalDeployment) -> list[str]:
    file = deployment.state.root / "story"
    return file.read_text().splitlines() if file.exists() else []


def staying(root: Path, name: str, *, lingers: float = 0) -> list[str]:
    return python(STAYS, name, str(root / ".orrery"), str(lingers))


def start(deployment: LocalDeployment, *components: object) -> None:
    for component in COMPONENTS:
        if component in components:
            deployment.supervisor.start_program(component)
            until(lambda name=component.name: f"{name} begun" in story(deployment))  # type: ignore[misc]


def test_the_process_manager_starts_nothing_by_itself_and_each_component_when_told(tmp_path: Path) -> None:
    with managed(tmp_path, {"scheduler": staying(tmp_path, "scheduler")}) as deployment:
        assert deployment.supervisor.is_running()
        assert not deployment.is_up()
        assert story(deployment) == []
        start(deployment, SCHEDULER)
        deployment.supervisor.start_program(SCHEDULER)  # twice does no harm
        assert story(deployment) == ["scheduler begun"]
        assert deployment.runs(SCHEDULER)
        assert deployment.is_up()


def test_after_a_stop_no_process_no_socket_and_no_pid_file_is_left(tmp_path: Path) -> None:
    with managed(tmp_path, {"scheduler": staying(tmp_path, "scheduler")}) as deployment:
        start(deployment, SCHEDULER)
        assert deployment.down() is True
        assert processes.of(deployment.state) == []
        assert not deployment.state.socket.exists()
        assert not (deployment.state.run / "supervisord.pid").exists()
        assert not deployment.state.launch_file.exists()
        assert deployment.down() is False


def test_airflow_ends_before_the_database_is_asked_to(tmp_path: Path) -> None:
    commands = {
        "postgres": staying(tmp_path, "postgres"),
        "api-server": staying(tmp_path, "api-server"),
        "scheduler": staying(tmp_path, "scheduler", lingers=1),
    }
    with managed(tmp_path, commands) as deployment:
        start(deployment, POSTGRES, API_SERVER, SCHEDULER)
        deployment.down()
        ended = story(deployment)[3:]
        assert ended[-2:] == ["postgres asked", "postgres ended"]
        # and Airflow's components are asked together, not one after the other
        assert ended.index("api-server asked") < ended.index("scheduler ended")
        assert ended.index("scheduler asked") < ended.index("scheduler ended")


def test_the_process_manager_keeps_the_order_also_when_it_is_ended_itself(tmp_path: Path) -> None:
    commands = {
        "postgres": staying(tmp_path, "postgres"),
        "scheduler": staying(tmp_path, "scheduler", lingers=0.5),
    }
    with managed(tmp_path, commands) as deployment:
        start(deployment, POSTGRES, SCHEDULER)
        os.kill(deployment.supervisor.pid(), signal.SIGTERM)
        until(lambda: "postgres ended" in story(deployment))
        assert story(deployment)[2:] == [
            "scheduler asked",
            "scheduler ended",
            "postgres asked",
            "postgres ended",
        ]


def test_a_component_that_does_not_end_is_killed_with_its_children(tmp_path: Path) -> None:
    code = (
        "import signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "subprocess.Popen([sys.executable, '-c', 'import signal, time; signal.signal(15, signal.SIG_IGN);"
        "time.sleep(600)'])\n"
        "time.sleep(600)\n"
    )
    with managed(tmp_path, {"triggerer": python(code)}) as deployment:
        deployment.supervisor.start_program(TRIGGERER)
        # The process manager, the component, its child.
        until(lambda: len(processes.of(deployment.state)) == 3)
        deployment.down()
        assert processes.of(deployment.state) == []


def test_a_crashing_component_fails_with_its_reason_and_the_others_go_on(tmp_path: Path) -> None:
    commands = {"scheduler": python(CRASHES), "triggerer": staying(tmp_path, "triggerer")}
    with managed(tmp_path, commands) as deployment:
        start(deployment, TRIGGERER)
        deployment.supervisor.start_program(SCHEDULER)
        # It is tried again, each time later ...
        until(lambda: deployment.state_of(SCHEDULER) == "restarting")
        # ... and then given up.
        until(lambda: deployment.state_of(SCHEDULER) == "failed")
        crashes = deployment.supervisor.crashes("scheduler")
        assert len(crashes) > 2
        found = deployment.supervisor.programs()["scheduler"]
        log = deployment.state.log("scheduler")
        assert (
            reason(found, log, crashes) == f"exit status 1, {len(crashes)} times: ValueError: no such table"
        )
        assert deployment.runs(TRIGGERER)
        # Then the status is unhealthy, says why, and blames nobody else
        status = read_status(deployment.state, name="shop")
        states = {item.name: item.state for item in status.components}
        assert (status.state, states["scheduler"]) == ("unhealthy", "failed")
        # and it may be started anew; what it did before is then of the past
        deployment.supervisor.start_program(SCHEDULER)
        assert deployment.state_of(SCHEDULER) in ("starting", "restarting")
        assert len(deployment.supervisor.crashes("scheduler")) < len(crashes)
        # which a start of what runs already does not change
        until(lambda: bool(deployment.supervisor.crashes("scheduler")))
        deployment.supervisor.start_program(SCHEDULER)
        assert deployment.supervisor.crashes("scheduler")


def test_a_killed_component_is_started_again_and_counted(tmp_path: Path) -> None:
    with managed(tmp_path, {"scheduler": staying(tmp_path, "scheduler")}) as deployment:
        start(deployment, SCHEDULER)
        pid = deployment.supervisor.programs()["scheduler"].pid
        assert pid
        before = time.time() - 0.01  # the log tells milliseconds
        os.kill(pid, signal.SIGKILL)
        until(lambda: story(deployment).count("scheduler begun") == 2)
        [crash] = deployment.supervisor.crashes("scheduler")
        assert crash.how == "terminated by SIGKILL"
        assert before <= crash.at <= time.time()
        assert deployment.supervisor.programs()["scheduler"].pid != pid


def test_a_restarted_component_reads_the_environment_of_today(tmp_path: Path) -> None:
    code = "import os, time; print(os.environ['SETTING'], flush=True); time.sleep(600)"
    with managed(tmp_path, {"triggerer": python(code)}, SETTING="yesterday") as deployment:
        log = deployment.state.log("triggerer")
        deployment.supervisor.start_program(TRIGGERER)
        until(lambda: log.exists() and "yesterday" in log.read_text())
        command, environment = deployment.launch()
        launch = {"command": command, "environment": {**environment, "SETTING": "today"}}
        write_private(deployment.state.launch_file, json.dumps(launch))
        deployment.supervisor.stop_program(TRIGGERER)
        deployment.supervisor.start_program(TRIGGERER)
        until(lambda: "today" in log.read_text())


def test_who_watches_is_told_that_the_process_manager_was_killed_and_nothing_is_left(tmp_path: Path) -> None:
    with managed(tmp_path, {"scheduler": staying(tmp_path, "scheduler")}) as deployment:
        start(deployment, SCHEDULER)
        manager = deployment.supervisor.pid()
        killer = threading.Timer(0.5, os.kill, (manager, signal.SIGKILL))
        killer.start()
        with pytest.raises(MachineError, match="process manager of 'shop' was killed"):
            deployment.follow()
        killer.join()
        assert processes.of(deployment.state) == []


def test_who_watches_is_let_go_when_it_is_stopped_from_elsewhere(tmp_path: Path) -> None:
    with managed(tmp_path, {"scheduler": staying(tmp_path, "scheduler", lingers=1)}) as deployment:
        start(deployment, SCHEDULER)
        other = LocalDeployment(deployment.state, name="shop", progress=Progress(quiet=True))
        stopper = threading.Timer(0.5, other.down)
        stopper.start()
        deployment.follow()
        stopper.join()
        assert processes.of(deployment.state) == []
        assert "scheduler ended" in story(deployment)


# -- a start beside a running process manager -------------------------------------------------------------


def plan(deployment: LocalDeployment, **changes: Any) -> Plan:
    root = deployment.state.root.parent
    asked = Plan(
        name="shop",
        root=root,
        dags=root / "dags",
        plugins=root / "plugins",
        requirements=root / "requirements.txt",
        state=deployment.state,
        runtime="17.0.0",
        python="3.11",
        providers="slim",
        database_url="postgresql://u:p@127.0.0.1:1/airflow",
        port=ports.free_port(),
        environment={"PATH": os.defpath},
        cache=root / "cache",
    )
    return replace(asked, **changes)


def interpreter(folder: Path, name: str, *, healthy: bool = True) -> Path:
    """Make a program that takes `-m airflow COMPONENT`, says its own name, and stays or crashes."""
    file = folder / name
    end = "time.sleep(600)" if healthy else "sys.exit('ValueError: no')"
    file.write_text(
        f"#!{sys.executable}\nimport sys, time\nprint('{name}', sys.argv[1:], flush=True)\n{end}\n"
    )
    file.chmod(0o755)
    return file


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """What a start finds made: environments are made elsewhere, and no Airflow answers here."""
    found = {"python": interpreter(tmp_path, "first")}

    def ensure_runtime(version: str, python: str, providers: ProviderSet, **_: Any) -> RuntimeEnvironment:
        return RuntimeEnvironment(
            python=found["python"],
            version=version,
            python_version=python,
            providers=providers,
            origin="cached",
            site_packages=tmp_path,
        )

    monkeypatch.setattr(starting, "ensure_runtime", ensure_runtime)
    monkeypatch.setattr(starting, "ensure_overlay", lambda *_, **__: found["python"])
    monkeypatch.setattr(postgres, "programs", lambda _: tmp_path)
    monkeypatch.setattr(starting, "_START_LIMIT_SECONDS", 0)
    return found


def prepared(deployment: LocalDeployment, asked: Plan) -> Starter:
    """Write what a first start writes, and have the process manager with all of Airflow's components."""
    starter = Starter(deployment, asked)
    starter.deployment.stop()
    starter._prepare(Ports(api_server=asked.port, postgres=None))
    deployment.supervisor.start()
    return starter


def test_a_restart_uses_the_interpreter_of_today(tmp_path: Path, made: dict[str, Path]) -> None:
    with managed(tmp_path, {"scheduler": []}) as deployment:
        # Given a component that runs in the runtime's environment
        starter = prepared(deployment, plan(deployment))
        deployment.supervisor.start_program(SCHEDULER)
        log = deployment.state.log("scheduler")
        until(lambda: log.exists() and "first ['-m', 'airflow', 'scheduler'" in log.read_text())
        # When the project's first requirement has made an environment of its own
        made["python"] = interpreter(tmp_path, "second")
        starter.restart(["scheduler"])
        # Then the component runs in that one
        until(lambda: "second ['-m', 'airflow', 'scheduler'" in log.read_text())
        assert deployment.launch()[0] == [str(tmp_path / "second"), "-m", "airflow"]


@pytest.mark.parametrize(
    "change", [{"runtime": "17.1.0"}, {"python": "3.12"}, {"providers": "full"}], ids=str
)
def test_a_restart_in_another_runtime_is_refused_and_changes_nothing(
    tmp_path: Path, made: dict[str, Path], change: dict[str, str]
) -> None:
    with managed(tmp_path, {"scheduler": []}) as deployment:
        asked = plan(deployment)
        prepared(deployment, asked)
        deployment.supervisor.start_program(SCHEDULER)
        until(lambda: deployment.runs(SCHEDULER))
        pid = deployment.supervisor.programs()["scheduler"].pid
        before = deployment.launch()
        made["python"] = interpreter(tmp_path, "second")
        [value] = change.values()
        with pytest.raises(StateError, match=re.escape(value)) as caught:
            Starter(deployment, replace(asked, **change)).restart(["scheduler"])  # type: ignore[arg-type]
        assert "orrery down" in (caught.value.hint or "")
        assert deployment.supervisor.programs()["scheduler"].pid == pid
        assert deployment.launch() == before


def test_a_second_up_tries_a_component_again_that_was_given_up_and_leaves_the_others(
    tmp_path: Path, made: dict[str, Path]
) -> None:
    with managed(tmp_path, {"scheduler": []}) as deployment:
        # Given a deployment with a component that was given up
        starter = prepared(deployment, plan(deployment))
        others = [component for component in AIRFLOW_COMPONENTS if component not in (SCHEDULER, WORKER)]
        for component in others:
            deployment.supervisor.start_program(component)
        until(lambda: all("first" in deployment.state.log(item.name).read_text() for item in others))
        launch = {"command": [str(interpreter(tmp_path, "broken", healthy=False))], "environment": {}}
        write_private(deployment.state.launch_file, json.dumps(launch))
        deployment.supervisor.start_program(SCHEDULER)
        until(lambda: deployment.state_of(SCHEDULER) == "failed")
        pids = {name: program.pid for name, program in deployment.supervisor.programs().items()}
        # When what was wrong is mended and `up` comes again
        write_private(
            deployment.state.launch_file,
            json.dumps({"command": [str(interpreter(tmp_path, "mended"))], "environment": {}}),
        )
        status = starter.up()
        # Then it runs, with its crashes forgotten, and the others never stopped
        until(lambda: "mended" in deployment.state.log("scheduler").read_text())
        assert deployment.runs(SCHEDULER)
        assert {item.name: item.crashes for item in status.components}["scheduler"] == 0
        now = {name: program.pid for name, program in deployment.supervisor.programs().items()}
        assert {name for name in now if now[name] != pids[name]} == {"scheduler"}


def test_an_interpreter_that_is_gone_is_a_reason_that_people_read(tmp_path: Path) -> None:
    with managed(tmp_path, {"scheduler": [str(tmp_path / "gone" / "python")]}) as deployment:
        deployment.supervisor.start_program(SCHEDULER)
        until(lambda: bool(deployment.supervisor.crashes("scheduler")))
        until(lambda: "gone/python" in (telling_line(deployment.state.log("scheduler")) or ""))


def test_what_a_killed_process_manager_leaves_is_found_and_ended(tmp_path: Path) -> None:
    # Given components, one of which has a child and one a title of its own
    code = "import subprocess, sys, time; subprocess.Popen(['sleep', '600']); time.sleep(600)"
    commands = {
        "scheduler": python(code),
        "triggerer": python(TITLED),
        "api-server": staying(tmp_path, "api-server"),
    }
    with managed(tmp_path, commands) as deployment:
        for component in (SCHEDULER, TRIGGERER):
            deployment.supervisor.start_program(component)
        start(deployment, API_SERVER)
        until(lambda: any("airflow worker" in " ".join(p.cmdline()) for p in processes.of(deployment.state)))
        until(lambda: len(processes.of(deployment.state)) == 5)
        # When the process manager is killed
        os.kill(deployment.supervisor.pid(), signal.SIGKILL)
        until(lambda: not deployment.supervisor.is_running())
        # Then the status tells of what is left, and the next start ends it
        status = read_status(deployment.state, name="shop")
        assert (status.state, status.leftovers) == ("stopped", 4)
        left = processes.of(deployment.state)
        deployment.clear_leftovers()
        assert not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in left)
        # and a new process manager starts over the old one's socket and pid file
        deployment.supervisor.start()
        assert deployment.supervisor.is_running()


def test_another_projects_processes_are_left_alone(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    with (
        managed(one, {"scheduler": staying(one, "scheduler")}) as first,
        managed(other, {"scheduler": staying(other, "scheduler")}) as second,
    ):
        start(first, SCHEDULER)
        start(second, SCHEDULER)
        first.down()
        assert second.runs(SCHEDULER)
        assert "scheduler asked" not in story(second)


@pytest.mark.parametrize(
    "name",
    ["with space", "100%", "%(here)s", "project #1", "a ; b", 'it\'s "quoted"', "x" * 150],
    ids=["space", "percent", "expansion", "hash", "semicolon", "quotes", "long"],
)
def test_a_project_may_lie_in_any_folder(tmp_path: Path, name: str) -> None:
    root = tmp_path / name
    with managed(root, {"scheduler": staying(root, "scheduler")}) as deployment:
        start(deployment, SCHEDULER)
        assert deployment.state.supervisor_log.exists()
        assert deployment.state.log("scheduler").exists()
        if len(name) == 150:
            assert deployment.state.socket.parent != deployment.state.run
        assert deployment.down() is True
        assert story(deployment)[-1] == "scheduler ended"
        assert not deployment.state.socket.exists()


def test_a_second_start_beside_a_running_process_manager_is_told_not_hidden(tmp_path: Path) -> None:
    with managed(tmp_path, {"scheduler": staying(tmp_path, "scheduler")}) as deployment:
        with pytest.raises(MachineError, match="refused 'startProcess airflow:triggerer False'"):
            deployment.supervisor.start_program(TRIGGERER)
        with (
            deployment.state.locked("up"),
            pytest.raises(StateError, match="'orrery up'"),
            deployment.running("restart"),
        ):
            pass


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_user_is_told_whose_deployment_it_is(tmp_path: Path) -> None:
    with managed(tmp_path, {"scheduler": staying(tmp_path, "scheduler")}) as deployment:
        pid = os.fork()
        if pid == 0:  # in the child, another user from here on
            code = 1
            try:
                tmp_path.chmod(0o711)
                os.setgid(65534)
                os.setuid(65534)
                try:
                    Supervisor(deployment.state).programs()
                except StateError as error:
                    code = 0 if "another user" in error.message else 2
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
