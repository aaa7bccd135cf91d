"""Airflow's components are forks of the process manager: what they share, and what they must not."""

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


def memory_holds(pid: int, needle: bytes) -> bool:
    """Look through all of a process's own memory."""
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        span, mode, *_ = line.split()
        if not mode.startswith("rw"):
            continue
        start, end = (int(word, 16) for word in span.split("-"))
        try:
            with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
                memory.seek(start)
                if needle in memory.read(end - start):
                    return True
        except OSError:
            continue
    return False


def not_in_memory(process: psutil.Process, needle: bytes) -> bool:
    """Look at a child of the agent's: whether there was one to look at; it must not hold what is sought.

    Zygotes retire and are made anew while the look goes on, so one that is gone proves nothing either way.
    """
    try:
        assert not memory_holds(process.pid, needle), process
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
    assert {name: stack_start(pid) == home for name, pid in pids.items()} == {
        **dict.fromkeys(FORKED, True),
        "worker": False,
    }
    title = " ".join(psutil.Process(pids["dag-processor"]).cmdline()).strip()
    assert title.endswith("-m airflow dag-processor")
    assert {psutil.Process(pid).ppid() for pid in pids.values()} == {manager.pid}

    # What runs tasks shares with the agent, and with it alone.
    agent = psutil.Process(pids["worker"])
    children = {" ".join(child.cmdline()).strip(): child.pid for child in agent.children()}
    assert stack_start(children["orrery-zygote"]) == stack_start(agent.pid)
    # No bundle here has versions, so no other zygote will be needed.
    assert "orrery-seed" not in children

    # Nothing of the platform's secrets is in what runs tasks; the look does find them where they are.
    key = (project / ".orrery" / "secrets" / "jwt_secret").read_text().strip()
    if os.geteuid() == 0:  # the agent hides its memory from its own user
        assert memory_holds(pids["scheduler"], key.encode())
        assert not memory_holds(agent.pid, key.encode())
        zygotes = [child for child in agent.children(True) if not_in_memory(child, key.encode())]
        assert zygotes, "no process of the agent's stayed to be looked at"

    # Killed, it comes back as a fork.
    os.kill(pids["scheduler"], signal.SIGKILL)

    def is_back() -> int | None:
        part = component(status(), "scheduler")
        back = part["state"] == "healthy" and part["pid"] != pids["scheduler"]
        return int(part["pid"]) if back else None

    assert stack_start(until(is_back)) == home

    # With other settings it starts cold, and has them.
    with (project / ".env").open("a") as file:
        file.write("\nAIRFLOW__SCHEDULER__JOB_HEARTBEAT_SEC=4\n")
    assert cli(project, "restart", "scheduler").code == 0
    pid = component(status(), "scheduler")["pid"]
    assert stack_start(pid) != home
    assert psutil.Process(pid).environ()["AIRFLOW__SCHEDULER__JOB_HEARTBEAT_SEC"] == "4"
