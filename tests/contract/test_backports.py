"""The early fixes on the real Airflow: without each a story goes wrong, with it the story goes right.

Each story is a program of its own (`backports/`), so that no state of Airflow's leaks between tests.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.contract.programs import answer

from orrery.backports.registry import FIXES

pytestmark = pytest.mark.contract

PROGRAMS = Path(__file__).parent / "backports"

#: What the fixes were written against: whole methods that they wrap, or whose behaviour they rely on.
#: A digest that differs means: read the new code, mend or drop the fix, then renew the digest.
SOURCES = {
    "airflow.sdk.execution_time.supervisor": {
        "WatchedSubprocess._register_pipe_readers": "9b3d202845e34a9c",
        "WatchedSubprocess._service_subprocess": "42a762c7c8aa4ea5",
        "WatchedSubprocess._check_subprocess_exit": "dc039d1f36e9b6cd",
        "WatchedSubprocess.kill": "bbf806783ab6a651",
        "ActivitySubprocess._monitor_subprocess": "02685b2380deaafd",
        "ActivitySubprocess.wait": "45b8879d9105584e",
        "ActivitySubprocess.final_state": "3a8dda47c77085fd",
    },
    "airflow.sdk.execution_time.callback_supervisor": {
        "CallbackSubprocess._monitor_subprocess": "56d8eb94becd33b8",
    },
    "airflow.dag_processing.manager": {
        "DagFileProcessorManager._service_processor_sockets": "060eadcb06a47352",
        "DagFileProcessorManager._run_parsing_loop": "95ec97abc767b66d",
        "DagFileProcessorManager.persist_parsing_result": "69e31b330c3b46b5",
    },
    "airflow.dag_processing.collection": {
        "update_dag_parsing_results_in_db": "6d1bb97909cf3a04",
        "_serialize_dag_capturing_errors": "1e620eb00e313c27",
        "_update_import_errors": "5cf4b600833d4434",
        "_update_dag_warnings": "33dc74692a50300c",
        "_get_latest_runs_stmt": "7f3b9ebc952fc3f5",
        "_RunInfo.calculate": "5c1702b47830de7a",
        "DagModelOperation.update_dags": "da234bf3df1fa1ec",
    },
    "airflow.serialization.definitions.dag": {
        "SerializedDAG.bulk_write_to_db": "2b8dca5eac489642",
        "SerializedDAG.next_dagrun_info": "0c8c951434b3668d",
    },
    "airflow.models.dag": {
        "DagModel.calculate_dagrun_date_fields": "f5214545eb524621",
    },
    "airflow.models.serialized_dag": {
        "SerializedDagModel.write_dag": "a28af7f92c2fc3a9",
    },
    "airflow.models.dagcode": {
        "DagCode.update_source_code": "274f21a6db7cacd3",
    },
    "airflow.timetables._cron": {
        "CronMixin._describe_with_dom_dow_fix": "2c58fe85d908c369",
    },
    "airflow.dag_processing.processor": {
        "DagFileProcessorProcess.is_ready": "ceba9d7a033f54eb",
    },
    "airflow.jobs.triggerer_job_runner": {
        "TriggerRunnerSupervisor._register_pipe_readers": "d71f0a92be3727ad",
        "TriggerRunnerSupervisor.run_once": "11a9e2701a6b116a",
        "TriggerRunnerSupervisor.load_triggers": "1c55ebd398f71720",
        "TriggerRunnerSupervisor.update_triggers": "fadb502c2a646f39",
        "TriggerRunnerSupervisor.clean_unused": "4f76e3bab54e6761",
    },
    "airflow.models.trigger": {
        "Trigger.assign_unassigned": "f4e0a55b23641293",
        "Trigger.clean_unused": "16671a39f967f14c",
    },
    "airflow.jobs.scheduler_job_runner": {
        "SchedulerJobRunner.process_executor_events": "7ae42ac0a7db779f",
        "SchedulerJobRunner._executable_task_instances_to_queued": "08b9caf1548e92e5",
    },
    "cadwyn.applications": {
        "Cadwyn.__call__": "4109e13f00ee1eba",
        "Cadwyn._cadwyn_initialize": "04fb250b6d9c6bb6",
        "Cadwyn._add_versioned_routers": "bc416396b0f5291f",
        "Cadwyn.openapi_jsons": "8e313cb27b23e8ae",
    },
    "fastapi._compat.v2": {
        "ModelField": "a614a294aaafb3fb",
    },
    "fastapi.dependencies.utils": {
        "get_dependant": "1edf0dc3fc1cac91",
        "get_parameterless_sub_dependant": "d91595e05ac880a5",
        "get_flat_dependant": "94fe1eeb0edcd4c1",
        "solve_dependencies": "06cf9dbaa652b3ce",
    },
    "fastapi.utils": {
        "create_model_field": "8e5f752091057b6d",
    },
    "cadwyn.routing": {
        "_RootCadwynAPIRouter.__call__": "bd24ebccbff68edf",
        "_RootCadwynAPIRouter._get_routes_from_closest_suitable_version": "3f88db9e3f78b867",
    },
    "cadwyn.route_generation": {
        "_EndpointTransformer.transform": "0ec7e2494ac625e4",
    },
}
DIGESTS = f"""
import functools, hashlib, importlib, inspect, json
def digest(module, path):
    found = functools.reduce(inspect.getattr_static, path.split("."), importlib.import_module(module))
    found = found.fget if isinstance(found, property) else getattr(found, "__func__", found)
    return hashlib.sha256(inspect.getsource(found).encode()).hexdigest()[:16]
sources = {SOURCES!r}
print("ANSWER" + json.dumps({{m: {{p: digest(m, p) for p in paths}} for m, paths in sources.items()}}))
"""
#: The fixes whose marks `WRAPPED` looks for, in its order.
MARKS = (
    "task-exit",
    "task-exit",
    "stale-success",
    "queued-by-id",
    "processor-pace",
    "unchanged-dags",
    "cron-description",
    "idle-triggerer",
    "lazy-api-versions",
    "lazy-route-fields",
    "shared-dependants",
    "lean-svcs",
)
WRAPPED = """
import json, sys
from airflow.sdk.execution_time.supervisor import WatchedSubprocess
from airflow.dag_processing.manager import DagFileProcessorManager
from airflow.jobs import scheduler_job_runner
from airflow.jobs.scheduler_job_runner import SchedulerJobRunner
from airflow.jobs.triggerer_job_runner import TriggerRunnerSupervisor
from airflow.timetables._cron import CronMixin
from cadwyn.applications import Cadwyn
from fastapi._compat.v2 import ModelField
from fastapi.dependencies import utils
import svcs
print("ANSWER" + json.dumps([
    hasattr(method, "__orrery_early_fix__")
    for method in (
        WatchedSubprocess._register_pipe_readers,
        WatchedSubprocess._check_subprocess_exit,
        SchedulerJobRunner.process_executor_events,
        scheduler_job_runner.with_row_locks,
        DagFileProcessorManager._service_processor_sockets,
        DagFileProcessorManager.persist_parsing_result,
        CronMixin._describe_with_dom_dow_fix,
        TriggerRunnerSupervisor.load_triggers,
        Cadwyn._cadwyn_initialize,
        ModelField.__post_init__,
        utils.get_dependant,
    )
] + ["svcs.flask" not in sys.modules]))
"""


def run(folder: Path, *arguments: str, fixes: str = "on", **variables: str) -> Any:
    """Run a program on a home of its own and return what it answers."""
    return answer(folder, *arguments, ORRERY_EARLY_FIXES=fixes, **variables)


def stories(folder: Path, *names: str, fixes: str) -> Any:
    return run(folder, str(PROGRAMS / "supervised_ends.py"), *names, fixes=fixes)


def test_airflows_code_is_the_one_that_the_fixes_were_written_for(tmp_path: Path) -> None:
    assert run(tmp_path, "-c", DIGESTS, fixes="off") == SOURCES


def test_the_versions_here_are_those_of_the_fixes() -> None:
    from importlib import metadata

    for fix in FIXES:
        assert metadata.version(fix.distribution) in fix.versions, fix.id


def marked_without(*left_out: str) -> list[bool]:
    return [name not in left_out for name in MARKS]


def test_the_fixes_reach_airflow_also_without_our_defaults(tmp_path: Path) -> None:
    assert set(MARKS) == {fix.id for fix in FIXES}
    assert run(tmp_path, "-c", WRAPPED) == marked_without()
    assert run(tmp_path, "-c", WRAPPED, ORRERY_DEFAULTS="off") == marked_without()


def test_each_fix_can_be_left_out(tmp_path: Path) -> None:
    assert run(tmp_path, "-c", WRAPPED, fixes="off") == marked_without(*MARKS)
    for half in (FIXES[::2], FIXES[1::2]):
        left_out = [fix.id for fix in half]
        assert run(tmp_path, "-c", WRAPPED, fixes=" ".join(left_out)) == marked_without(*left_out)


MISSED = {
    "a_task_that_succeeds": 0,
    "a_task_that_fails": [3, "failed"],
    "a_callback": 0,
    "a_triggerer_that_is_stopped": -9,
    "two_dag_files_on_one_selector": [0, 5],
    "a_task_whose_exit_code_is_lost": [-1, "failed"],
    "a_task_that_told_its_end_and_whose_exit_code_is_lost": [0, "nothing"],
}
UNTOUCHED = {"a_machine_without_pidfds": 4, "an_end_that_is_noticed_without_its_wake_up": [0, 0]}


def test_without_the_fix_supervisors_sleep_through_the_end_of_their_process(tmp_path: Path) -> None:
    expected = dict.fromkeys(MISSED, "asleep") | UNTOUCHED
    assert stories(tmp_path, *expected, fixes="off") == expected


def test_with_the_fix_the_end_of_a_process_wakes_its_supervisor(tmp_path: Path) -> None:
    expected = MISSED | UNTOUCHED | {"files_left_open": 0}
    assert stories(tmp_path, *expected, fixes="on") == expected


ALIKE = {
    "deferred": ["deferred", "deferred"],
    "resumed_and_scheduled": ["scheduled", "scheduled"],
    "resumed_and_running_and_failed": ["running", "failed"],
    "resumed_and_queued_and_failed": ["queued", "failed"],
    "queued": ["queued", "failed"],
    "running": ["running", "failed"],
}


def test_without_the_fix_a_stale_success_fails_the_resumed_task(tmp_path: Path) -> None:
    assert run(tmp_path, str(PROGRAMS / "deferral.py"), fixes="off") == ALIKE | {
        "resumed_and_queued": ["queued", "failed"],
        "resumed_and_running": ["running", "failed"],
    }


def test_with_the_fix_a_stale_success_is_ignored_and_a_real_mismatch_still_fails(tmp_path: Path) -> None:
    assert run(tmp_path, str(PROGRAMS / "deferral.py"), fixes="on") == ALIKE | {
        "resumed_and_queued": ["queued", "queued"],
        "resumed_and_running": ["running", "running"],
    }


PACE = str(PROGRAMS / "parsing_pace.py")


def test_without_the_fix_every_other_round_of_the_dag_processor_does_not_wait(tmp_path: Path) -> None:
    waits = run(tmp_path, PACE, fixes="off")

    assert waits["nothing_happens"] == [0, 0.75, 0, 0.75, 0, 0.75, 0, 0.75]


def test_with_the_fix_each_round_waits_for_what_is_left_of_a_second(tmp_path: Path) -> None:
    assert run(tmp_path, PACE, fixes="on") == {
        "nothing_happens": [0] + [0.75] * 7,
        "woken_in_each_round": [0] + [0.75] * 7,
        "a_round_of_three_seconds": [0, 0.75, 0.75, 0, 0.75, 0.75, 0.75, 0.75],
    }


TRIGGERS = str(PROGRAMS / "triggers.py")
#: Whether a round asks no more than one question, and for which triggers its process is told to run.
ROUNDS = {
    "nothing": [True, []],
    "one has come": [False, [[]]],
    "one that nobody needs": 0,
    "it is gone, and still runs": [False, [[]]],
    "nothing again": [True, []],
    "the table is away": "OperationalError",
}


def test_without_the_fix_an_idle_triggerer_asks_much(tmp_path: Path) -> None:
    asked = {"nothing": [False, [[]]], "nothing again": [False, [[]]]}
    assert run(tmp_path, TRIGGERS, fixes="off") == ROUNDS | asked


def test_with_the_fix_an_idle_triggerer_asks_one_question(tmp_path: Path) -> None:
    assert run(tmp_path, TRIGGERS, fixes="on") == ROUNDS


VERSIONS = str(PROGRAMS / "api_versions.py")


def test_older_versions_of_the_execution_api_are_made_when_one_is_asked_for_and_are_the_same(
    tmp_path: Path,
) -> None:
    stock = run(tmp_path, VERSIONS, fixes="off")
    ours = run(tmp_path, VERSIONS, fixes="on")

    assert [stock.pop("made for those"), ours.pop("made for those")] == [stock["versions"], 1]
    assert stock["made then"] == ours["made then"] == stock["versions"]
    assert ours == stock
    # It tells something: versions differ, and so do their answers.
    assert len(set(stock["described"].values())) > 5
    assert stock["newest"][0][:2] == [200, 401]
    assert stock["let in"][1] == 404
    assert stock["all"][0] != stock["all"][-1]


FIELDS = str(PROGRAMS / "route_fields.py")


def test_what_checks_a_route_is_made_at_its_first_use_and_is_the_same(tmp_path: Path) -> None:
    stock = run(tmp_path, FIELDS, fixes="off")
    ours = run(tmp_path, FIELDS, fixes="on")

    assert stock["fields"] == stock.pop("made")
    assert ours.pop("made") < ours["fields"] / 5
    # Most routes depend on the same.
    assert ours.pop("dependants") < stock.pop("dependants") * 2 / 3
    assert ours.pop("fields") < stock.pop("fields")
    assert ours == stock
    # It tells something.
    assert ours["length"] > 100_000
    assert ours["answers"][0] == 200
    assert ours["at once"] == 1
    assert [status for status, _ in ours["mine"]] == [200, 422, 200, 422]
    assert ours["declared"][0] == "FastAPIError"
    assert ours["declared"][-1] == "declared"


INTEGRATIONS = str(PROGRAMS / "svcs_integrations.py")


def test_svcs_loads_what_airflow_uses_and_the_rest_for_who_asks(tmp_path: Path) -> None:
    stock = run(tmp_path, INTEGRATIONS, fixes="off")
    ours = run(tmp_path, INTEGRATIONS, fixes="on")

    assert (len(stock.pop("with Airflow")), ours.pop("with Airflow")) == (4, [])
    assert len(ours["at last"]) == 4
    assert ours == stock


CRON = str(PROGRAMS / "cron_description.py")


def test_a_cron_expression_is_put_into_words_once_and_in_the_same(tmp_path: Path) -> None:
    stock = run(tmp_path, CRON, fixes="off")
    ours = run(tmp_path, CRON, fixes="on")

    assert [stock.pop("described"), ours.pop("described")] == [12, 4]
    assert ours == stock
    assert len(set(stock["words"])) == 4
