"""The boot hook: nothing without Airflow, the whole configuration before Airflow."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from orrery import boot
from orrery.config.applied import APPLIED, REPORTED
from orrery.errors import InputError, MachineError

SOURCE = Path(boot.__file__).parents[1]
REFRESH = "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL"
BUNDLES = "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST"


def applied(home: Path, **environment: str) -> dict[str, str]:
    environ = {"AIRFLOW_HOME": str(home)} | environment
    boot.apply(environ)
    return environ


def test_defaults_secrets_and_the_bundle_are_laid_under_the_users_settings(tmp_path: Path) -> None:
    environ = applied(tmp_path, AIRFLOW__CORE__PARALLELISM="3")
    assert environ[REFRESH] == "30"
    assert environ["AIRFLOW__CORE__PARALLELISM"] == "3"
    assert environ["AIRFLOW__CORE__FERNET_KEY"]
    assert "orrery-system" in environ[BUNDLES]
    assert set(json.loads(environ[APPLIED])) == {
        name for name in environ if name.startswith("AIRFLOW__") and name != "AIRFLOW__CORE__PARALLELISM"
    }


def test_a_child_process_computes_the_same_again(tmp_path: Path) -> None:
    parent = applied(tmp_path, **{BUNDLES: '[{"name": "git"}]'})
    child = dict(parent)
    boot.apply(child)
    assert child == parent
    assert child[BUNDLES].count("orrery-system") == 1


def test_in_a_child_the_file_still_wins_over_an_inherited_default(tmp_path: Path) -> None:
    parent = applied(tmp_path)
    (tmp_path / "airflow.cfg").write_text("[dag_processor]\nrefresh_interval = 7\n")
    boot.apply(parent)
    assert REFRESH not in parent


def test_a_child_that_changes_a_variable_keeps_its_value(tmp_path: Path) -> None:
    child = applied(tmp_path) | {REFRESH: "5"}
    boot.apply(child)
    assert child[REFRESH] == "5"
    assert REFRESH not in json.loads(child[APPLIED])


def test_a_child_with_another_home_gets_other_secrets(tmp_path: Path) -> None:
    parent = applied(tmp_path / "one")
    child = parent | {"AIRFLOW_HOME": str(tmp_path / "two")}
    boot.apply(child)
    assert child["AIRFLOW__CORE__FERNET_KEY"] != parent["AIRFLOW__CORE__FERNET_KEY"]


def test_off_changes_nothing_and_makes_nothing(tmp_path: Path) -> None:
    environ = applied(tmp_path, ORRERY_DEFAULTS="off")
    assert environ == {"AIRFLOW_HOME": str(tmp_path), "ORRERY_DEFAULTS": "off"}
    assert list(tmp_path.iterdir()) == []


def test_off_in_a_child_takes_back_what_was_inherited(tmp_path: Path) -> None:
    users = '[{"name": "git"}]'
    child = applied(tmp_path, **{BUNDLES: users}) | {"ORRERY_DEFAULTS": "off"}
    boot.apply(child)
    assert {name: value for name, value in child.items() if name.startswith("AIRFLOW__")} == {BUNDLES: users}


def test_the_local_profile_applies_where_it_is_set(tmp_path: Path) -> None:
    assert applied(tmp_path, ORRERY_PROFILE="local")[REFRESH] == "2"


def test_an_old_name_is_told_once_in_a_tree_of_processes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    environ = applied(tmp_path, AIRFLOW__SCHEDULER__DAG_DIR_LIST_INTERVAL="77")
    assert environ[REFRESH] == "77"
    assert capsys.readouterr().err.count("DAG_DIR_LIST_INTERVAL") == 1
    boot.apply(environ)
    assert environ[REFRESH] == "77"
    assert capsys.readouterr().err == ""
    assert REPORTED in environ


def test_a_broken_file_is_told_and_nothing_is_applied(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "airflow.cfg").write_text("[core]\nparallelism = 1\nparallelism = 2\n")
    environ = applied(tmp_path)
    assert not any(name.startswith("AIRFLOW__") for name in environ)
    assert "already exists" in capsys.readouterr().err


def test_a_home_that_cannot_be_written_gets_defaults_without_a_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    environ = applied(tmp_path / "file" / "home")
    assert environ[REFRESH] == "30"
    assert Path(environ["AIRFLOW_CONFIG"]).is_file()
    assert "AIRFLOW__CORE__FERNET_KEY" not in environ
    said = capsys.readouterr().err
    assert "ORRERY_SECRETS_DIR" in said
    boot.apply(environ)
    assert Path(environ["AIRFLOW_CONFIG"]).is_file()


def test_the_secrets_folder_can_be_chosen(tmp_path: Path) -> None:
    applied(tmp_path / "home", ORRERY_SECRETS_DIR=str(tmp_path / "kept"))
    assert (tmp_path / "kept" / "fernet_key").is_file()
    assert not (tmp_path / "home" / "secrets").exists()


def test_a_failure_is_told_raised_and_leaves_the_environment_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    environ = {"AIRFLOW_HOME": str(tmp_path), "ORRERY_DEFAULTS": "of"}
    before = dict(environ)
    with pytest.raises(InputError):
        boot.apply(environ)
    assert environ == before
    assert "ORRERY_DEFAULTS=off" in capsys.readouterr().err
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets").chmod(0o777)
    with pytest.raises(MachineError):
        applied(tmp_path)


def python(tmp_path: Path, code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run code after `install()` in a Python that finds a tiny package called `airflow`."""
    package = tmp_path / "packages" / "airflow"
    package.mkdir(parents=True, exist_ok=True)
    (package / "__init__.py").write_text(f"import os\nSEEN = os.environ.get({REFRESH!r})\n")
    (package / "sdk.py").write_text("")
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "ORRERY"))
    }
    inherited |= {"AIRFLOW_HOME": str(tmp_path / "home")} | environment
    start = f"import sys; sys.path[:0] = [{str(package.parent)!r}, {str(SOURCE)!r}]\n"
    start += "import orrery.boot; orrery.boot.install(); orrery.boot.install()\n"
    return subprocess.run(
        [sys.executable, "-S", "-c", start + code], env=inherited, text=True, capture_output=True, check=False
    )


def test_the_configuration_is_there_when_airflow_begins_to_load(tmp_path: Path) -> None:
    done = python(tmp_path, "import airflow.sdk; print(airflow.SEEN)")
    assert done.stdout == "30\n", done.stderr


def test_looking_for_airflow_is_not_using_it(tmp_path: Path) -> None:
    done = python(
        tmp_path,
        "import importlib.util, os\n"
        "print(bool(importlib.util.find_spec('airflow')), os.environ.get('ORRERY_DEFAULTS_APPLIED'))",
    )
    assert done.stdout == "True None\n", done.stderr
    assert not (tmp_path / "home").exists()


FINDERS = (
    "def ours():\n"
    "    types = [type(finder) for finder in sys.meta_path]\n"
    "    return [kind.__module__ for kind in types if kind.__module__.startswith('orrery')]\n"
    "print(ours())\nimport airflow\nprint(ours())"
)


def test_the_finder_goes_when_its_work_is_done_and_that_of_the_early_fixes_stays(tmp_path: Path) -> None:
    done = python(tmp_path, FINDERS)
    assert done.stdout == "['orrery.boot']\n['orrery.backports.hook']\n", done.stderr


def test_without_early_fixes_no_finder_stays(tmp_path: Path) -> None:
    done = python(tmp_path, FINDERS, ORRERY_EARLY_FIXES="off")
    assert done.stdout == "['orrery.boot']\n[]\n", done.stderr


def test_early_fixes_are_no_settings_and_stay_without_our_defaults(tmp_path: Path) -> None:
    assert "orrery.backports.hook" in python(tmp_path, FINDERS, ORRERY_DEFAULTS="off").stdout


def test_an_unknown_early_fix_is_told_once_in_a_tree_of_processes(tmp_path: Path) -> None:
    code = (
        "import airflow, os, subprocess\n"
        "start = f'import sys; sys.path[:0] = {sys.path[:2]!r}; import orrery.boot; orrery.boot.install()'\n"
        "subprocess.run([sys.executable, '-S', '-c', start + '; import airflow'], check=True)\n"
    )
    done = python(tmp_path, code, ORRERY_EARLY_FIXES="gone")
    assert done.stderr.count("no early fix of this release") == 1, done.stderr


def test_after_a_failure_airflow_cannot_be_loaded_half_configured(tmp_path: Path) -> None:
    code = (
        "for _ in range(2):\n"
        "    try:\n        import airflow\n"
        "    except Exception as error:\n        print(type(error).__name__)\n"
    )
    done = python(tmp_path, code, ORRERY_DEFAULTS="of")
    assert done.stdout == "InputError\nInputError\n", done.stderr


def test_a_process_without_airflow_loads_nothing_of_ours_but_the_hook(tmp_path: Path) -> None:
    code = "print(sorted(name for name in sys.modules if name.startswith('orrery')))"
    assert python(tmp_path, code).stdout == "['orrery', 'orrery.boot']\n"


THRESHOLDS = (
    "import gc, os\n"
    "usual = gc.get_threshold()\n"
    "import airflow\n"
    "print(gc.get_threshold()[0] >= 5 * usual[0], flush=True)\n"
    "if os.fork() == 0:\n"
    "    print(gc.get_threshold() == usual, gc.get_freeze_count() > 0, flush=True)\n"
    "    os._exit(0)\n"
    "os.wait()\n"
)


def test_a_component_collects_garbage_seldom_and_a_task_as_always(tmp_path: Path) -> None:
    # In the process that loads Airflow the collector rests; in a child, such as a task, it is as Python's.
    assert python(tmp_path, THRESHOLDS).stdout == "True\nTrue True\n"


def test_without_our_defaults_the_collector_is_left_alone(tmp_path: Path) -> None:
    assert python(tmp_path, THRESHOLDS, ORRERY_DEFAULTS="off").stdout == "False\nTrue False\n"
