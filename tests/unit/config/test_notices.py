"""What boot will say can be told, and marked as told, beforehand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from orrery import boot
from orrery.config import notices
from orrery.config.applied import REPORTED
from orrery.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

BUNDLES = "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST"
OLD = {"AIRFLOW__SCHEDULER__DAG_DIR_LIST_INTERVAL": "77"}
TELLING = [
    (OLD, ""),
    ({"AIRFLOW__CELERY__STALLED_TASK_TIMEOUT": "0"}, ""),
    ({BUNDLES + "_CMD": "cat bundles"}, ""),
    ({}, "[scheduler]\ndag_dir_list_interval = 4\n"),
    ({}, "nonsense\n"),
    (OLD, "[kubernetes]\nworker_pods_creation_batch_size = 4\n"),
]
SILENT = [({}, ""), ({"AIRFLOW__CORE__PARALLELISM": "3"}, ""), (OLD | {"ORRERY_DEFAULTS": "off"}, "")]


def environment(folder: Path, given: dict[str, str], file: str) -> dict[str, str]:
    home = folder / "a home"
    home.mkdir()
    (home / "airflow.cfg").write_text(file)
    return {"AIRFLOW_HOME": str(home), "ORRERY_PROFILE": "local"} | given


@pytest.mark.parametrize(("given", "file"), TELLING + SILENT)
def test_what_is_told_beforehand_is_what_boot_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], given: dict[str, str], file: str
) -> None:
    whole = environment(tmp_path, given, file)
    told = notices.notes(whole, "local")
    marks = notices.marked(whole, told)
    boot.apply(whole)
    assert capsys.readouterr().err == "".join(f"orrery: {note.text}\n" for note in told)
    assert whole.get(REPORTED) == marks.get(REPORTED)
    assert bool(told) == ((given, file) in TELLING)


@pytest.mark.parametrize(("given", "file"), TELLING)
def test_boot_is_silent_about_what_is_marked_as_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], given: dict[str, str], file: str
) -> None:
    whole = environment(tmp_path, given, file)
    whole |= notices.marked(whole, notices.notes(whole, "local"))
    boot.apply(whole)
    assert capsys.readouterr().err == ""
    assert notices.notes(whole, "local") == ()


def test_marks_are_added_to_those_of_an_earlier_process(tmp_path: Path) -> None:
    whole = environment(tmp_path, OLD, "") | {REPORTED: "secret:/x"}
    marks = notices.marked(whole, notices.notes(whole, "local"))
    assert marks[REPORTED] == "secret:/x old:AIRFLOW__SCHEDULER__DAG_DIR_LIST_INTERVAL"


def test_telling_makes_no_file(tmp_path: Path) -> None:
    notices.notes({"AIRFLOW_HOME": str(tmp_path)} | OLD, "local")
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_setting_of_orrerys_is_an_error_of_the_users(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="neither on nor off"):
        notices.notes({"AIRFLOW_HOME": str(tmp_path), "ORRERY_DEFAULTS": "of"}, "local")
