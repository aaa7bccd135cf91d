"""What the user has set, in Airflow's order."""

from __future__ import annotations

import configparser
from pathlib import Path

import pytest

from orrery.config.airflow_file import AirflowFile
from orrery.config.defaults import OldName
from orrery.config.user import Given, UserSettings, variable_of

OLD = OldName(
    variable="AIRFLOW__SCHEDULER__DAG_DIR_LIST_INTERVAL",
    section="dag_processor",
    option="refresh_interval",
    since="Airflow 3.0",
    ignored_values=("0",),
)
TODAY = "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL"


def settings(environment: dict[str, str] | None = None, file: str = "") -> UserSettings:
    parser = configparser.ConfigParser()
    parser.read_string(file)
    return UserSettings(
        environment=environment or {},
        file=AirflowFile(path=Path("airflow.cfg"), parser=parser),
        old_names=(OLD,),
    )


def given(environment: dict[str, str] | None = None, file: str = "") -> Given | None:
    return settings(environment, file).given("dag_processor", "refresh_interval")


def test_nothing_set_is_nothing() -> None:
    assert given() is None
    assert given(file="[dag_processor]\nother = 1\n") is None


def test_a_dot_in_a_section_becomes_an_underscore() -> None:
    assert variable_of("a.b", "c") == "AIRFLOW__A_B__C"


@pytest.mark.parametrize("value", ["5", "", "0"])
def test_the_environment_wins_over_the_file_even_when_empty(value: str) -> None:
    found = given({TODAY: value, OLD.variable: "9"}, "[dag_processor]\nrefresh_interval = 7\n")
    assert found == Given(value=value, in_environment=True, name=TODAY)


def test_an_old_name_in_the_environment_wins_over_the_file() -> None:
    found = given({OLD.variable: "9"}, "[dag_processor]\nrefresh_interval = 7\n")
    assert found == Given(value="9", in_environment=True, name=OLD.variable, old_name=OLD)


def test_todays_name_in_the_file_wins_over_the_old_one() -> None:
    file = "[scheduler]\ndag_dir_list_interval = 8\n"
    old = given(file=file)
    assert old is not None
    assert (old.value, old.old_name) == ("8", OLD)
    today = given(file=file + "[dag_processor]\nrefresh_interval = 7\n")
    assert today is not None
    assert (today.value, today.old_name) == ("7", None)


@pytest.mark.parametrize("suffix", ["_CMD", "_SECRET"])
def test_a_command_or_a_secret_counts_as_set_without_a_value(suffix: str) -> None:
    assert given({TODAY + suffix: "x"}) == Given(value=None, in_environment=True, name=TODAY + suffix)
    in_file = given(file=f"[dag_processor]\nrefresh_interval{suffix.lower()} = x\n")
    assert in_file is not None
    assert in_file.value is None


def test_a_value_that_today_would_mean_something_else_is_passed_over_and_told() -> None:
    user = settings({OLD.variable: "0"})
    assert user.given("dag_processor", "refresh_interval") is None
    assert list(user.ignored_old_names("dag_processor", "refresh_interval")) == [(OLD, "0")]


def test_a_variable_with_single_underscores_has_no_place_in_a_file() -> None:
    old = OldName(variable="AIRFLOW_CORE_PARALLELISM", section="core", option="parallelism", since="x")
    assert old.place is None
    assert OLD.place == ("scheduler", "dag_dir_list_interval")
