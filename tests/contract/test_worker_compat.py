"""The private interfaces of Airflow that worker and executor use: another Airflow is noticed here first.

What changes Airflow's modules is tried in a program of its own (`worker/`), so that nothing leaks.
"""

from __future__ import annotations

import copy
import importlib
import inspect
import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.contract.programs import answer

from orrery.worker import compat, shortcuts

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.contract

PROGRAMS = Path(__file__).parent / "worker"


@pytest.fixture(scope="module")
def supervisor() -> Any:
    return importlib.import_module("airflow.sdk.execution_time.supervisor")


def parameters(function: Callable[..., Any]) -> list[str]:
    return [name for name in inspect.signature(function).parameters if name not in ("self", "cls")]


# -- the supervisor -------------------------------------------------------------------------------

#: What we call, override or wrap, with the parameters that we pass by name or position.
METHODS = {
    "_handle_request": ["msg", "log", "req_id"],
    "_check_subprocess_exit": ["raise_on_timeout", "expect_signal"],
    "_service_subprocess": ["max_wait_time", "raise_on_timeout", "expect_signal"],
    "_monitor_subprocess": [],
    "_on_child_started": ["ti", "dag_rel_path", "bundle_info", "sentry_integration"],
    "_register_pipe_readers": ["stdout", "stderr", "requests", "logs", "data"],
    "update_task_state_if_needed": [],
    "_upload_logs": [],
    "kill": ["signal_to_send", "escalation_delay", "force"],
    "wait": [],
}


@pytest.mark.parametrize("name", METHODS)
def test_the_supervisor_has_the_methods_that_we_use(supervisor: Any, name: str) -> None:
    assert parameters(getattr(supervisor.ActivitySubprocess, name)) == METHODS[name]


def test_the_supervisor_has_the_fields_that_we_give_and_read(supervisor: Any) -> None:
    import attrs

    fields = {each.name: each for each in attrs.fields(supervisor.ActivitySubprocess)}
    given = {
        "id",
        "pid",
        "stdin",
        "_process",
        "process_log",
        "subprocess_logs_to_stdout",
        "start_time",
        "_new_process_group",
        "client",
    }
    read = {
        "_exit_code",
        "_open_sockets",
        "_process_exit_monotonic",
        "_terminal_state",
        "_pending_terminal_state_msg",
        "_last_heartbeat_attempt",
        "selector",
    }

    assert {name for name in given if fields[name].init} == given
    assert read <= set(fields)
    # Whatever else has no default would have to be given.
    required = {name for name, each in fields.items() if each.init and each.default is attrs.NOTHING}
    assert required <= given


def test_our_supervisor_overrides_what_is_there() -> None:
    from orrery.worker.task import SupervisedTask

    own = {name for name, value in vars(SupervisedTask).items() if inspect.isfunction(value)}
    airflows = set(METHODS) & own

    assert airflows == {"_handle_request", "_check_subprocess_exit", "_service_subprocess", "kill", "wait"}
    for name in airflows:
        assert parameters(getattr(SupervisedTask, name)) == METHODS[name], name


@pytest.mark.parametrize("is_known", [True, False], ids=["the end is known", "the end is still told"])
def test_a_task_that_has_ended_before_it_is_killed_has_its_own_end(is_known: bool) -> None:
    import contextlib
    import signal
    import socket
    import uuid

    import structlog

    from orrery.worker.task import SupervisedTask
    from orrery.worker.zygotes import Child

    gone = subprocess.Popen(["true"])
    gone.wait()
    child = Child(pid=gone.pid)
    if is_known:
        child.end(0)
    ours, theirs = socket.socketpair()
    make: Any = SupervisedTask
    with ours, theirs:
        task = make(
            id=uuid.uuid4(),
            pid=gone.pid,
            stdin=ours,
            process=child,
            process_log=structlog.get_logger(),
            new_process_group=True,
            client=None,
            on_started=lambda: None,
            on_exit=lambda: None,
            explain=lambda code, has_failed: None,
            lazy=contextlib.nullcontext,
            end_leftovers=lambda: None,
        )
        task.kill(signal.SIGTERM, force=True)
        if not is_known:
            assert task._exit_code is None
            child.end(0)
            task._check_subprocess_exit()

        # With the time of its end, after which nothing holds its supervisor for long.
        assert (task._exit_code, task._process_exit_monotonic is not None) == (0, True)
        task._close()


def test_a_task_that_may_retry_and_was_killed_is_left_to_the_scheduler(supervisor: Any) -> None:
    from airflow.sdk.api.datamodels._generated import TaskInstanceState

    # `SupervisedTask.is_told` is about these, and only these.
    assert TaskInstanceState.UP_FOR_RETRY in supervisor.STATES_SENT_DIRECTLY
    assert TaskInstanceState.FAILED not in supervisor.STATES_SENT_DIRECTLY
    assert supervisor.SERVER_TERMINATED in supervisor.STATES_SENT_DIRECTLY


def test_what_selects_events_hands_over_a_handler_and_what_to_do_at_the_end(supervisor: Any) -> None:
    source = inspect.getsource(supervisor.WatchedSubprocess._service_subprocess)

    # As `SupervisedTask.begin` registers the child's end.
    assert "socket_handler, on_close = key.data" in source
    assert "socket_handler(key.fileobj)" in source
    assert "on_close(sock)" in source


def test_a_process_tracker_has_what_ours_has(supervisor: Any) -> None:
    from orrery.worker.zygotes import Child

    wanted = {name for name in vars(supervisor.ProcessTracker) if not name.startswith("_")}
    wanted |= set(supervisor.ProcessTracker.__annotations__)

    assert {
        name for name in wanted if not hasattr(Child, name) and name not in Child.__annotations__
    } == set()
    assert parameters(supervisor.ProcessTracker.send_signal) == ["s"]
    assert parameters(supervisor.ProcessTracker.wait) == ["timeout"]


def test_the_childs_entry_takes_what_we_hand_over(supervisor: Any) -> None:
    assert parameters(supervisor._fork_main) == [
        "requests",
        "child_stdout",
        "child_stderr",
        "log_fd",
        "target",
    ]
    assert parameters(supervisor._subprocess_main) == []
    assert parameters(supervisor._configure_logging) == ["log_path", "client"]
    assert parameters(supervisor._configure_logs_over_json_channel) == ["log_fd"]
    assert parameters(supervisor._make_process_nondumpable) == []


def test_what_a_task_needs_can_be_preloaded() -> None:
    optional = {"airflow.lineage.hook"}

    for name in set(compat._MODULES) - optional:
        importlib.import_module(name)


def test_ordinary_tasks_are_pythons() -> None:
    from types import SimpleNamespace

    workload = SimpleNamespace(ti=SimpleNamespace(queue="default"))

    assert compat.is_ordinary(workload)


def test_a_workload_is_read_from_its_json() -> None:
    workload = compat.parse_workload(
        json.dumps(
            {
                "type": "ExecuteCallback",
                "token": "a.b.c",
                "dag_rel_path": "d.py",
                "bundle_info": {"name": "dags-folder"},
                "log_path": None,
                "callback": {
                    "id": "0199a0f0-0000-7000-8000-000000000000",
                    "fetch_method": "import_path",
                    "data": {"path": "a.b"},
                },
            }
        )
    )

    assert type(workload).__name__ == "ExecuteCallback"
    with pytest.raises(ValueError, match="ExecuteTask"):
        compat.parse_workload('{"type": "ExecuteTask"}')


def test_airflow_runs_other_workloads_by_itself() -> None:
    from airflow.executors.base_executor import BaseExecutor

    assert {"workload", "subprocess_logs_to_stdout"} <= set(parameters(BaseExecutor.run_workload))


@pytest.mark.parametrize(
    ("status", "previous", "ending"),
    [
        (409, "success", "refused"),
        (404, None, "refused"),
        (410, "failed", "refused"),
        (409, "running", "lost"),
        (422, None, "lost"),
        (500, None, "lost"),
    ],
)
def test_a_refused_start_is_judged_by_what_the_server_says(
    status: int, previous: str | None, ending: str
) -> None:
    import httpx

    detail = {"reason": "invalid_state", "previous_state": previous}
    response = httpx.Response(
        status, json={"detail": detail}, request=httpx.Request("PATCH", "http://127.0.0.1/")
    )
    with pytest.raises(compat.ServerResponseError) as caught:
        raise compat.ServerResponseError("no", request=response.request, response=response)
    caught.value.detail = detail

    assert compat.judge_refusal(caught.value)[0] == ending


# -- secrets --------------------------------------------------------------------------------------


def test_secrets_of_one_thread_are_not_masked_in_another(tmp_path: Path) -> None:
    seen = answer(tmp_path, str(PROGRAMS / "secrets_of_threads.py"))

    assert seen == {
        "one": "*** and hummingbird",
        "two": "swordfish and ***",
        "one, forgotten": "swordfish and hummingbird",
        "two, forgotten": "swordfish and hummingbird",
        "settings are kept": True,
        "hidden by name": [{"Password": "***", "token": ["***"], "plain": "c", "deep": {"api_key": "***"}}]
        * 2,
        "names asked once": True,
        # Each module that has imported the function by name.
        "left with the original": [],
    }


def test_the_maskers_functions_ask_for_it_at_each_call() -> None:
    from airflow.sdk import log
    from airflow.sdk._shared.secrets_masker import secrets_masker

    functions = (
        secrets_masker.mask_secret,
        secrets_masker.redact,
        secrets_masker.merge,
        secrets_masker.reset_secrets_masker,
        secrets_masker.should_hide_value_for_key,
        log.mask_secret,
    )

    for function in functions:
        assert "_secrets_masker" in function.__code__.co_names, function
    masker = secrets_masker.SecretsMasker()
    before = copy.deepcopy(vars(masker))
    masker.add_mask("swordfish")
    learnt = {name for name, value in vars(masker).items() if name not in before or before[name] != value}
    assert learnt == set(compat._MASKED)


# -- shortcuts ------------------------------------------------------------------------------------

MESSAGES: tuple[dict[str, Any], ...] = (
    {"type": "OKResponse", "ok": True},
    {"type": "ErrorResponse", "error": "VARIABLE_NOT_FOUND", "detail": {"key": "x"}},
    {"type": "VariableResult", "key": "a", "value": "b"},
    {"type": "XComResult", "key": "return_value", "value": {"a": [1, None]}},
    {"type": "ConnectionResult", "conn_id": "c", "conn_type": "http", "host": "h", "port": 80},
    {"type": "TaskStatesResult", "task_states": {"r": {"t": "success"}}},
    {"type": "DRCount", "count": 5},
    {"type": "DRCount", "count": "many"},
    {"type": "NobodyKnows"},
    {},
)


@pytest.mark.parametrize("message", MESSAGES, ids=str)
def test_a_shared_adapter_validates_as_a_new_one(message: dict[str, Any]) -> None:
    from airflow.sdk.execution_time import comms
    from pydantic import TypeAdapter, ValidationError

    def read(adapter: Any) -> Any:
        try:
            return adapter.validate_python(message)
        except ValidationError as error:
            return error.errors(include_url=False, include_context=False)

    assert read(shortcuts.shared_adapter(comms.ToTask)) == read(TypeAdapter(comms.ToTask))
    assert shortcuts.shared_adapter(comms.ToTask) is shortcuts.shared_adapter(comms.ToTask)


def test_the_names_that_shortcuts_replace_are_there(supervisor: Any) -> None:
    from airflow.sdk.api import client
    from airflow.sdk.execution_time import comms, task_runner
    from pydantic import TypeAdapter

    assert comms.TypeAdapter is task_runner.TypeAdapter is TypeAdapter
    assert client.get_hostname is task_runner.get_hostname
    assert "_configure_logs_over_json_channel" in supervisor._fork_main.__code__.co_names


def test_logging_set_up_by_the_shortcut_is_the_same(tmp_path: Path) -> None:
    program = str(PROGRAMS / "logging_of_a_task.py")
    stock, ours = answer(tmp_path, program, "stock"), answer(tmp_path, program, "shortcut")

    assert ours["said"] == stock["said"]
    assert [line["event"] for line in ours["said"]] == [
        "said by logging",
        "said by the task's logger",
        "said by structlog",
        "an error",
    ]
    assert ours["root"] == stock["root"]
    both = set(ours["loggers"]) & set(stock["loggers"])
    assert len(both) > 100
    assert {name: ours["loggers"][name] for name in both} == {name: stock["loggers"][name] for name in both}
    assert set(ours["loggers"]) == set(stock["loggers"])


# -- the rehearsal --------------------------------------------------------------------------------


def test_a_rehearsal_succeeds_and_leaves_nothing_behind(tmp_path: Path) -> None:
    seen = answer(tmp_path, str(PROGRAMS / "rehearsal.py"))

    assert seen == {
        "changed": [],
        # Four kinds of tasks, each twice.
        "tasks": 8,
        "told": ["SetRenderedFields", "SetXCom", "SucceedTask"],
        "heard": [],
        "listens again": True,
        "changed by a failure": [],
    }


def test_a_task_runner_has_the_names_that_a_rehearsal_replaces() -> None:
    from airflow.dag_processing import dagbag
    from airflow.sdk import listener
    from airflow.sdk.execution_time import task_runner

    for name in ("CommsDecoder", "get_listener_manager", "DagBundlesManager", "main", "run"):
        assert callable(getattr(task_runner, name)), name
    assert callable(task_runner.stats_utils.get_stats_factory)
    assert parameters(task_runner.stats.initialize) == ["factory", "export_legacy_names"]
    assert callable(task_runner.stats.NoStatsLogger)
    assert "CommsDecoder" in task_runner.main.__wrapped__.__code__.co_names
    assert "BundleDagBag" in inspect.getsource(task_runner.parse)
    assert callable(dagbag.BundleDagBag)
    for name in ("ListenerManager", "lifecycle", "taskinstance"):
        assert hasattr(listener, name), name
    assert type(task_runner.Sentry).__name__ == "NoopSentry"


def test_a_task_may_not_use_the_engines_that_its_zygote_forgets(supervisor: Any) -> None:
    from airflow import settings

    blocked = inspect.getsource(supervisor.block_orm_access)
    cleaned = inspect.getsource(settings.configure_orm)

    for name in ("engine", "async_engine"):
        assert f'"{name}"' in blocked
        assert f'_globals.get("{name}")' in cleaned


# -- the executor ---------------------------------------------------------------------------------


def test_the_executor_has_what_airflow_asks_of_one() -> None:
    from airflow.executors.base_executor import BaseExecutor

    from orrery.executor.executor import PackingExecutor

    assert PackingExecutor.pre_assigns_external_executor_id
    for name in (
        "pre_assigns_external_executor_id",
        "supports_callbacks",
        "supports_connection_test",
        "supports_multi_team",
        "is_local",
        "is_production",
    ):
        assert hasattr(BaseExecutor, name), name
    own = {name for name, value in vars(PackingExecutor).items() if callable(value)}
    for name in own & set(dir(BaseExecutor)):
        assert parameters(getattr(PackingExecutor, name)) == parameters(getattr(BaseExecutor, name)) or (
            name == "__init__"
        ), name


def test_the_executors_own_account_is_kept_in_airflows_fields() -> None:
    from airflow.executors.base_executor import BaseExecutor

    source = inspect.getsource(BaseExecutor.__init__)

    for name in ("queued_tasks", "queued_callbacks", "queued_connection_tests", "running", "event_buffer"):
        assert f"self.{name}" in source, name


def test_a_heartbeat_lets_the_executor_hand_over_and_then_sync() -> None:
    from airflow.executors.base_executor import BaseExecutor

    source = inspect.getsource(BaseExecutor.heartbeat)
    steps = [source.index(f"self.{name}(") for name in ("trigger_tasks", "trigger_connection_tests", "sync")]

    assert steps == sorted(steps)


def test_the_scheduler_asks_for_slots_as_we_count_them() -> None:
    from airflow.jobs.scheduler_job_runner import SchedulerJobRunner

    critical = inspect.getsource(SchedulerJobRunner._critical_section_enqueue_task_instances)
    queued = inspect.getsource(SchedulerJobRunner._executable_task_instances_to_queued)

    assert "executor.slots_occupied" in critical
    assert "executor.slots_available" in queued


def test_a_token_is_made_anew_as_airflow_makes_it() -> None:
    from airflow.executors.workloads import ExecuteTask

    assert parameters(ExecuteTask.generate_token) == ["sub_id", "generator"]
    assert parameters(ExecuteTask.make) == [
        "ti",
        "dag_rel_path",
        "generator",
        "bundle_info",
        "sentry_integration",
    ]


def test_the_scheduler_judges_what_was_lost_and_leaves_the_rest_alone(tmp_path: Path) -> None:
    found = answer(tmp_path, str(PROGRAMS / "executor_events.py"))

    assert found["states"] == {
        "finished": ["success", "success"],
        "finished_and_deferred": ["deferred", "deferred"],
        "finished_and_queued_again": ["queued", "queued"],
        "killed_and_told": ["failed", "failed"],
        "killed_with_retries": ["running", "up_for_retry"],
        "lost_while_queued": ["queued", "failed"],
        "lost_while_running": ["running", "failed"],
        "lost_with_retries": ["running", "up_for_retry"],
        "lost_but_told": ["success", "success"],
        "lost_but_marked_failed": ["failed", "failed"],
        "lost_but_cleared": ["None", "None"],
        "refused": ["success", "success"],
    }
    assert found["events"] == [
        "killed_with_retries",
        "lost_but_cleared",
        "lost_but_marked_failed",
        "lost_but_told",
        "lost_while_queued",
        "lost_while_running",
        "lost_with_retries",
    ]
    assert found["running"] == 0
