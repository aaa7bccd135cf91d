"""Airflow's components and the worker are forks of the process manager: what they share, and must not."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from tests.acceptance.test_up import component, processes_of, until
from tests.processes import stack_start

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.acceptance

FORKED = ("api-server", "scheduler", "dag-processor", "triggerer")


def memory_holds(pid: int, needles: dict[str, bytes]) -> set[str]:
    """Look through all that a process may read of its own memory; return the names of what is there."""
    found = set()
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        span, mode, *_ = line.split()
        if not mode.startswith("r"):
            continue
        start, end = (int(word, 16) for word in span.split("-"))
        try:
            with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
                memory.seek(start)
                read = memory.read(end - start)
        except (OSError, ValueError):  # the kernel's own pages
            continue
        found |= {name for name, needle in needles.items() if needle in read}
    return found


def not_in_memory(process: psutil.Process, needles: dict[str, bytes]) -> bool:
    """Look at a child of the agent's: whether there was one to look at; it must not hold what is sought.

    Zygotes retire and are made anew while the look goes on, so one that is gone proves nothing either way.
    """
    try:
        assert not memory_holds(process.pid, needles), process
    except (FileNotFoundError, ProcessLookupError):
        return False
    return process.is_running()


@pytest.fixture
def status(project: Path, cli: Any, free_port: int) -> Callable[[], dict[str, Any]]:
    assert cli(project, "up", "-d", "--port", str(free_port)).code == 0
    return lambda: dict(cli(project, "status", "-o", "json").json())


def test_components_share_restart_and_change(
    project: Path, cli: Any, status: Callable[[], dict[str, Any]]
) -> None:
    (manager,) = [p for p in processes_of(project) if "orrery-manager" in " ".join(p.cmdline())]
    pids = {name: component(status(), name)["pid"] for name in (*FORKED, "worker")}
    home = stack_start(manager.pid)
    assert {name: stack_start(pid) == home for name, pid in pids.items()} == dict.fromkeys(pids, True)
    title = " ".join(psutil.Process(pids["dag-processor"]).cmdline()).strip()
    assert title.endswith("-m airflow dag-processor")
    assert {psutil.Process(pid).ppid() for pid in pids.values()} == {manager.pid}

    # So does what runs tasks.
    agent = psutil.Process(pids["worker"])
    children = {" ".join(child.cmdline()).strip(): child.pid for child in agent.children()}
    assert stack_start(children["orrery-zygote"]) == stack_start(agent.pid)
    # No bundle here has versions, so no other zygote will be needed.
    assert "orrery-seed" not in children

    # Nothing of the platform's secrets is in what runs tasks, nor in what it was forked from: the manager.
    # The look does find them where they are.
    secrets = {
        name: (project / ".orrery" / "secrets" / name).read_text().strip().encode()
        for name in ("jwt_secret", "fernet_key", "api_secret_key", "database_password")
    }
    if os.geteuid() == 0:  # the agent hides its memory from its own user
        assert memory_holds(pids["scheduler"], secrets) == set(secrets)
        assert not memory_holds(manager.pid, secrets)
        assert not memory_holds(agent.pid, secrets)
        zygotes = [child for child in agent.children(True) if not_in_memory(child, secrets)]
        assert zygotes, "no process of the agent's stayed to be looked at"
    environment = " ".join(manager.environ().values())  # what /proc shows of all of them
    assert not [name for name, secret in secrets.items() if secret.decode() in environment]

    # Killed, they come back as forks.
    for name in ("scheduler", "worker"):
        os.kill(pids[name], signal.SIGKILL)

    def are_back() -> list[int] | None:
        parts = [component(status(), name) for name in ("scheduler", "worker")]
        back = all(part["state"] == "healthy" and part["pid"] not in pids.values() for part in parts)
        return [part["pid"] for part in parts] if back else None

    assert {stack_start(pid) for pid in until(are_back)} == {home}

    # With other settings they start cold, and have them.
    with (project / ".env").open("a") as file:
        file.write("\nAIRFLOW__SCHEDULER__JOB_HEARTBEAT_SEC=4\n")
    for name in ("worker", "scheduler"):
        assert cli(project, "restart", name).code == 0
        pid = component(status(), name)["pid"]
        assert stack_start(pid) != home
    assert psutil.Process(pid).environ()["AIRFLOW__SCHEDULER__JOB_HEARTBEAT_SEC"] == "4"
