"""Tasks that do what tasks should not: the deployment goes on, their logs can be read, nothing is left."""

from __future__ import annotations

import contextlib
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.acceptance.executor import residue
from tests.acceptance.executor.running import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.acceptance.executor.running import Running

#: How long a misbehaving task may go on; only a task that hangs comes near.
LIMIT_SECONDS = 60
CLEAN_SECONDS = 15


@pytest.fixture(autouse=True)
def _all_is_well_afterwards(wild: Running, request: pytest.FixtureRequest) -> Iterator[None]:
    """After each test the deployment runs another task, and nothing of the misbehaving one is left."""
    yield
    run_id = re.sub(r"\W", "-", f"after-{request.node.name}")
    wild.trigger("hello", run_id)
    assert _state_at_end(wild, "hello", run_id) == "success"
    until(lambda: not _left(wild), limit_seconds=CLEAN_SECONDS, what=f"nothing is left: {_left(wild)}")


def _left(running: Running) -> list[str]:
    left = [*residue.strays(running), *map(str, residue.groups(running)), *map(str, residue.scratch(running))]
    noted = [line for file in running.traces.glob("*.txt") for line in file.read_text().split()]
    return left + [f"process {pid}" for pid in residue.alive(int(word) for word in noted if word.isdigit())]


def _state_at_end(running: Running, dag_id: str, run_id: str = "misbehaves") -> str | None:
    until(
        lambda: running.run_state(dag_id, run_id) in ("success", "failed"),
        limit_seconds=LIMIT_SECONDS,
        what=f"{dag_id} has ended",
    )
    return running.run_state(dag_id, run_id)


def _misbehave(running: Running, name: str) -> str | None:
    running.trigger(name, "misbehaves")
    return _state_at_end(running, name)


def _noted(running: Running, name: str) -> list[str]:
    with contextlib.suppress(FileNotFoundError):
        return (running.traces / f"{name}.txt").read_text().split()
    return []


def _log(running: Running, name: str) -> str:
    return running.log(name, name, run_id="misbehaves")


def _xcom(running: Running, name: str) -> Any:
    ((value,),) = running.sql(
        "SELECT value FROM xcom WHERE dag_id = %s AND run_id = 'misbehaves' AND key = 'return_value'", name
    )
    return json.loads(value) if isinstance(value, str) and value[:1] in '{["' else value


def test_daemons_end_with_their_task(wild: Running) -> None:
    assert _misbehave(wild, "forks_daemons") == "success"
    pids = [int(pid) for pid in _noted(wild, "forks_daemons")]
    assert len(pids) == 3
    until(lambda: not residue.alive(pids), limit_seconds=CLEAN_SECONDS, what="the daemons have ended")


def test_a_task_that_ignores_its_end_is_ended_when_it_is_marked(wild: Running) -> None:
    wild.trigger("ignores_its_end", "misbehaves")
    (pid,) = until(lambda: _noted(wild, "ignores_its_end"), limit_seconds=60, what="it runs")
    wild.mark("ignores_its_end", "ignores_its_end", "failed", run_id="misbehaves")
    assert _state_at_end(wild, "ignores_its_end") == "failed"
    until(lambda: not residue.alive([int(pid)]), limit_seconds=LIMIT_SECONDS, what="it has ended")
    assert "ignored AirflowTaskTimeout" in _log(wild, "ignores_its_end")


def test_a_full_temporary_folder_is_the_tasks_own_and_goes_with_it(wild: Running) -> None:
    assert _misbehave(wild, "fills_its_temporary_folder") == "success"
    (folder,) = _noted(wild, "fills_its_temporary_folder")
    assert Path(folder) != Path("/tmp")
    until(lambda: not Path(folder).exists(), limit_seconds=CLEAN_SECONDS, what=f"{folder} is removed")
    assert Path("/").exists()  # a link in it was not followed


def test_a_task_that_exceeds_its_disk_is_failed_and_told(wild: Running) -> None:
    assert _misbehave(wild, "exceeds_its_disk") == "failed"
    log = _log(wild, "exceeds_its_disk")
    assert re.search(r"6\d(\.\d+)? MiB of 20 MiB", log), log[-2000:]


def test_a_task_that_closes_its_files_is_failed(wild: Running) -> None:
    assert _misbehave(wild, "closes_its_files") == "failed"
    assert _log(wild, "closes_its_files")


def test_a_segmentation_fault_ends_its_task_and_is_told(wild: Running) -> None:
    # Not as on stock, where the fault is repeated for ever, under a handler that Airflow's parser leaves
    assert _misbehave(wild, "reads_memory_that_is_not_there") == "failed"
    assert "SIGSEGV" in _log(wild, "reads_memory_that_is_not_there")


def test_a_flood_of_log_is_kept_and_can_be_read_in_part(wild: Running) -> None:
    # When a task floods its log, another is not kept from its start and end
    wild.trigger("floods_its_log", "misbehaves")
    wild.trigger("hello", "beside-the-flood")
    assert _state_at_end(wild, "hello", "beside-the-flood") == "success"
    assert _state_at_end(wild, "floods_its_log") == "success"
    # Then all of it lies in its file
    (file,) = wild.state.task_logs.glob("**/dag_id=floods_its_log/**/attempt=1.log")
    text = file.read_text()
    assert text.count('xxxxxxxxx"') == 100_000 or len(text) > 100_000_000
    assert "the last line" in text
    # And the API gives its beginning
    head = wild.log_head("floods_its_log", "floods_its_log", run_id="misbehaves", most_bytes=1_000_000)
    assert "000000xxx" in head


@pytest.mark.parametrize("name", ["eats_memory", "lets_a_child_eat_memory"])
def test_a_task_that_eats_memory_is_failed_with_cause_and_numbers(wild: Running, name: str) -> None:
    assert _misbehave(wild, name) == "failed"
    last = _log(wild, name).splitlines()[-3:]
    assert re.search(r"memory", "\n".join(last)), last
    assert re.search(r"of 256 MiB", "\n".join(last)), last


def test_a_task_can_exhaust_only_its_own_processes(wild: Running) -> None:
    state = _misbehave(wild, "exhausts_processes")
    made = len(_noted(wild, "exhausts_processes"))
    assert made < 250, f"{state} after {made} forks"
    assert re.search(r"refused after \d+|200", _log(wild, "exhausts_processes"))


def test_threads_do_not_keep_a_task_from_its_end(wild: Running) -> None:
    # As on stock, the task has succeeded; that its process does not end is not its success' concern
    assert _misbehave(wild, "leaves_threads") == "success"
    (pid,) = _noted(wild, "leaves_threads")
    until(lambda: not residue.alive([int(pid)]), limit_seconds=LIMIT_SECONDS, what="its process has ended")


def test_a_task_has_none_of_the_platforms_secrets(wild: Running) -> None:
    # Given a running task
    wild.trigger("tells_its_environment", "misbehaves")
    (pid,) = until(lambda: _noted(wild, "tells_its_environment"), limit_seconds=60, what="it runs")
    secrets = _platform_secrets(wild)
    # Then neither its environment nor its memory holds them
    try:
        found = [name for name, secret in secrets.items() if _memory_holds(int(pid), secret)]
    except PermissionError:
        pytest.skip("reading another process's memory is not allowed here")
    finally:
        (wild.traces / "seen").touch()
    assert found == []
    assert _state_at_end(wild, "tells_its_environment") == "success"
    told = json.dumps(_xcom(wild, "tells_its_environment"))
    assert not [name for name, secret in secrets.items() if secret in told]
    assert "TRACES_FOLDER" in told  # what users set is there


def _platform_secrets(running: Running) -> dict[str, str]:
    environment = json.loads(running.state.launch_file.read_text())["environment"]
    names = ("AIRFLOW__CORE__FERNET_KEY", "AIRFLOW__API_AUTH__JWT_SECRET", "AIRFLOW__API__SECRET_KEY")
    found = {name: environment[name] for name in names if name in environment}
    files = {
        file.name: file.read_text().strip() for file in running.state.secrets.iterdir() if file.is_file()
    }
    # That of the role for pipelines is the tasks' own.
    found |= {name: secret for name, secret in files.items() if name != "warehouse_password"}
    assert found, "the deployment has no secrets to look for"
    return {name: secret for name, secret in found.items() if 16 <= len(secret) <= 500 and "\n" not in secret}


def _memory_holds(pid: int, secret: str) -> bool:
    wanted = secret.encode()
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            span, rights, *_ = line.split()
            if not rights.startswith("r") or line.endswith(("[vvar]", "[vsyscall]")):
                continue
            start, end = (int(each, 16) for each in span.split("-"))
            with contextlib.suppress(OSError, ValueError):
                memory.seek(start)
                if wanted in memory.read(end - start):
                    return True
    return False


def test_the_search_of_memory_finds_what_is_there() -> None:
    import os

    secret = f"a secret of this process {os.getpid()}"
    assert _memory_holds(os.getpid(), secret)
