"""The table of early fixes: in agreement with the catalogue, and which of it a setting leaves in."""

from __future__ import annotations

import importlib

import pytest

import orrery
from orrery.backports.registry import FIXES, Fix, chosen
from orrery.release.catalogue import load

ALL = [fix.id for fix in FIXES]


def test_the_catalogue_lists_the_same_fixes_with_the_same_guards() -> None:
    listed = load().release(orrery.__version__).early_fixes
    assert listed is not None
    assert {fix.id: fix.guard for fix in listed} == {fix.id: fix.guard for fix in FIXES}


@pytest.mark.parametrize("fix", FIXES, ids=ALL)
def test_every_fix_has_a_module_that_applies_it_and_needs_no_airflow(fix: Fix) -> None:
    assert callable(importlib.import_module(fix.module).apply)


def test_a_guard_names_each_version() -> None:
    fix = Fix(id="a-b", target="t", distribution="d", versions=("1", "2"))
    assert fix.guard == "d==1 or d==2"
    assert fix.module == "orrery.backports.a_b"


@pytest.mark.parametrize("setting", ["", "on", "True", " 1 "])
def test_all_fixes_are_in_unless_told_otherwise(setting: str) -> None:
    assert chosen(setting) == (FIXES, ())


@pytest.mark.parametrize("setting", ["off", "NO", "0"])
def test_all_can_be_left_out(setting: str) -> None:
    assert chosen(setting) == ((), ())


@pytest.mark.parametrize("setting", ["task-exit", "task-exit,", " Task-Exit  "])
def test_one_can_be_left_out(setting: str) -> None:
    fixes, notes = chosen(setting)
    assert [fix.id for fix in fixes] == [name for name in ALL if name != "task-exit"]
    assert notes == ()


def test_each_in_a_list_is_left_out() -> None:
    fixes, notes = chosen("stale-success, task-exit")
    assert [fix.id for fix in fixes] == [
        "processor-pace",
        "unchanged-dags",
        "cron-description",
        "idle-triggerer",
        "lazy-api-versions",
    ]
    assert notes == ()


def test_an_unknown_id_is_told_and_stops_nothing() -> None:
    fixes, notes = chosen("task-exit,gone")
    assert [fix.id for fix in fixes] == [
        "stale-success",
        "processor-pace",
        "unchanged-dags",
        "cron-description",
        "idle-triggerer",
        "lazy-api-versions",
    ]
    (note,) = notes
    assert "'gone'" in note.text
    assert ", ".join(ALL) in note.text
