"""What Orrery sets, given what the user has set."""

from __future__ import annotations

import configparser
import json
from pathlib import Path

import pytest

from orrery.config import defaults, plan
from orrery.config.airflow_file import AirflowFile
from orrery.config.capacity import Machine
from orrery.config.user import UserSettings

MACHINE = Machine(cores=2, memory_bytes=16 * 1024**3)
BUNDLES = "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST"


def make(
    environment: dict[str, str] | None = None, file: str = "", *, worker_slots: int | None = None
) -> plan.Plan:
    parser = configparser.ConfigParser()
    parser.read_string(file)
    known = defaults.load()
    user = UserSettings(
        environment=environment or {},
        file=AirflowFile(path=Path("airflow.cfg"), parser=parser),
        old_names=known.old_names,
    )
    situation = plan.Situation(user=user, machine=MACHINE, worker_slots=worker_slots)
    return plan.make(known.of_profile(None), situation)


def test_with_nothing_set_every_default_is() -> None:
    made = make()
    assert made.notes == ()
    assert made.values["AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL"] == "30"
    assert made.values["AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT"] == "600"
    assert made.values["AIRFLOW__CORE__PARALLELISM"] == "10"
    assert made.values["AIRFLOW__KUBERNETES_EXECUTOR__WORKER_PODS_CREATION_BATCH_SIZE"] == "16"
    assert len(made.values) == len(defaults.load().of_profile(None)) + 1


@pytest.mark.parametrize(
    ("variable", "section", "option"),
    [
        ("AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL", "dag_processor", "refresh_interval"),
        ("AIRFLOW__CORE__PARALLELISM", "core", "parallelism"),
        ("AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT", "scheduler", "task_queued_timeout"),
    ],
)
@pytest.mark.parametrize("suffix", ["", "_CMD", "_SECRET"])
def test_what_the_user_has_set_is_left_alone(variable: str, section: str, option: str, suffix: str) -> None:
    assert variable not in make({variable + suffix: "7"}).values
    assert variable not in make({variable + suffix: ""}).values
    assert variable not in make(file=f"[{section}]\n{option}{suffix.lower()} = 7\n").values


@pytest.mark.parametrize(
    ("old", "today"),
    [
        ("AIRFLOW__SCHEDULER__DAG_DIR_LIST_INTERVAL", "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL"),
        ("AIRFLOW__CELERY__STALLED_TASK_TIMEOUT", "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT"),
        ("AIRFLOW_CORE_PARALLELISM", "AIRFLOW__CORE__PARALLELISM"),
    ],
)
def test_an_old_name_is_honoured_and_told(old: str, today: str) -> None:
    made = make({old: "77"})
    assert made.values[today] == "77"
    assert [old in note.text and today in note.text for note in made.notes] == [True]


def test_todays_name_wins_over_an_old_one_silently() -> None:
    made = make(
        {
            "AIRFLOW__SCHEDULER__DAG_DIR_LIST_INTERVAL": "77",
            "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "8",
        }
    )
    assert "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL" not in made.values
    assert made.notes == ()


def test_an_old_name_in_the_file_is_not_beaten_by_our_default() -> None:
    made = make(file="[scheduler]\ndag_dir_list_interval = 77\n")
    assert made.values["AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL"] == "77"


def test_a_timeout_of_zero_that_meant_never_is_not_taken_for_at_once() -> None:
    made = make({"AIRFLOW__CELERY__STALLED_TASK_TIMEOUT": "0"})
    assert made.values["AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT"] == "600"
    assert "is ignored" in made.notes[0].text


@pytest.mark.parametrize(
    ("executor", "computed"),
    [
        ("LocalExecutor", "10"),
        ("airflow.executors.local_executor.LocalExecutor", "10"),
        ("LocalExecutor,CeleryExecutor", "10"),
        ("mine:airflow.executors.local_executor.LocalExecutor", "10"),
        ("CeleryExecutor", None),
        ("KubernetesExecutor,LocalExecutor", None),
    ],
)
def test_parallelism_follows_the_machine_only_where_tasks_run_on_it(
    executor: str, computed: str | None
) -> None:
    made = make({"AIRFLOW__CORE__EXECUTOR": executor})
    assert made.values.get("AIRFLOW__CORE__PARALLELISM") == computed
    assert make(file=f"[core]\nexecutor = {executor}\n").values.get("AIRFLOW__CORE__PARALLELISM") == computed


def test_the_deployments_workers_decide_where_they_are_known() -> None:
    made = make({"AIRFLOW__CORE__EXECUTOR": "CeleryExecutor"}, worker_slots=48)
    assert made.values["AIRFLOW__CORE__PARALLELISM"] == "48"


def test_the_system_bundle_is_merged_into_the_users_list() -> None:
    from_environment = make({BUNDLES: '[{"name": "git"}]'}).values[BUNDLES]
    from_file = make(file='[dag_processor]\ndag_bundle_config_list = [\n  {"name": "git"}]\n').values[BUNDLES]
    for text in (from_environment, from_file):
        assert [bundle["name"] for bundle in json.loads(text)] == ["git", "orrery-system"]


def test_a_variable_inside_the_bundle_list_is_expanded_as_airflow_does() -> None:
    merged = make({BUNDLES: "${MINE}", "MINE": '[{"name": "git"}]'}).values[BUNDLES]
    assert [bundle["name"] for bundle in json.loads(merged)] == ["git", "orrery-system"]


def test_a_broken_bundle_list_is_left_alone() -> None:
    assert BUNDLES not in make({BUNDLES: "[{"}).values


def test_a_command_for_the_bundle_list_is_told_to_have_no_effect() -> None:
    made = make({BUNDLES + "_CMD": "cat bundles"})
    assert "no effect" in made.notes[0].text
    assert "dags-folder" in made.values[BUNDLES]
