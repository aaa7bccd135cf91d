"""Orrery's defaults as real processes of Airflow see them.

Each test starts a Python of this environment, where the installed `.pth` runs `orrery.boot`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from orrery.config import bundles, defaults, options, secrets
from orrery.config.user import variable_of

pytestmark = pytest.mark.contract

ROOT = Path(__file__).parents[2]
ASKED = {
    "refresh": ("dag_processor", "refresh_interval"),
    "queued": ("scheduler", "task_queued_timeout"),
    "pods": ("kubernetes_executor", "worker_pods_creation_batch_size"),
    "parallelism": ("core", "parallelism"),
    "bundles": ("dag_processor", "dag_bundle_config_list"),
    "fernet": ("core", "fernet_key"),
    "jwt": ("api_auth", "jwt_secret"),
    "session": ("api", "secret_key"),
}
#: Prints what Airflow's two parsers, of the core and of the Task SDK, make of the settings.
ASK = f"""
import json, os
from airflow.configuration import conf
from airflow.sdk.configuration import conf as sdk
asked = {ASKED!r}
core = {{name: conf.get(*key) for name, key in asked.items()}}
task = {{name: sdk.get(*key) for name, key in asked.items()}}
# Stock Airflow's parsers do not even agree on the secrets.
if "ORRERY_DEFAULTS" not in os.environ:
    assert core == task, (core, task)
print("ANSWER" + json.dumps(core))
"""


def environment(home: Path, **variables: str) -> dict[str, str]:
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "ORRERY"))
    }
    return inherited | {"AIRFLOW_HOME": str(home)} | variables


def run(home: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        env=environment(home, **variables),
        cwd=ROOT.anchor,
        text=True,
        capture_output=True,
        check=False,
    )


def answer(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    line = next(line for line in done.stdout.splitlines() if line.startswith("ANSWER"))
    found: dict[str, Any] = json.loads(line.removeprefix("ANSWER"))
    return found


def ask(home: Path, **variables: str) -> dict[str, Any]:
    return answer(run(home, "-c", ASK, **variables))


def test_the_promised_defaults_reach_both_of_airflows_parsers(tmp_path: Path) -> None:
    found = ask(tmp_path / "home")
    assert (found["refresh"], found["queued"], found["pods"]) == ("30", "600", "16")
    assert int(found["parallelism"]) >= 2
    assert [bundle["name"] for bundle in json.loads(found["bundles"])] == ["dags-folder", "orrery-system"]
    for name in ("fernet", "jwt", "session"):
        kept = {path.read_text().strip() for path in (tmp_path / "home" / "secrets").iterdir()}
        assert found[name] in kept


def test_the_users_file_wins_and_the_users_environment_wins_over_it(tmp_path: Path) -> None:
    (tmp_path / "airflow.cfg").write_text(
        "[core]\nparallelism = 3\nfernet_key =\n[scheduler]\ndag_dir_list_interval = 77\n"
        "task_queued_timeout = 50\n[api_auth]\njwt_secret_cmd = echo -n from-a-command\n"
        '[dag_processor]\ndag_bundle_config_list = [\n  {"name": "mine", "classpath": '
        '"airflow.dag_processing.bundles.local.LocalDagBundle", "kwargs": {"path": "/%%d"}}]\n'
    )
    found = ask(
        tmp_path, AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT="70", AIRFLOW__API__SECRET_KEY_CMD="echo -n hush"
    )
    assert (found["parallelism"], found["refresh"], found["queued"]) == ("3", "77", "70")
    assert (found["fernet"], found["jwt"], found["session"]) == ("", "from-a-command", "hush")
    mine, ours = json.loads(found["bundles"])
    assert (mine["name"], mine["kwargs"], ours) == ("mine", {"path": "/%d"}, bundles.SYSTEM_BUNDLE)
    assert not (tmp_path / "secrets").exists()


def test_old_names_reach_airflow(tmp_path: Path) -> None:
    done = run(
        tmp_path / "home",
        "-c",
        ASK,
        AIRFLOW__SCHEDULER__DAG_DIR_LIST_INTERVAL="61",
        AIRFLOW__CELERY__STALLED_TASK_TIMEOUT="62",
        AIRFLOW_CORE_PARALLELISM="63",
        AIRFLOW__KUBERNETES_EXECUTOR__WORKER_PODS_CREATION_BATCH_SIZE="64",
    )
    found = answer(done)
    assert [found[name] for name in ("refresh", "queued", "parallelism", "pods")] == ["61", "62", "63", "64"]
    assert done.stderr.count("orrery: ") == 3


def test_airflows_command_writes_no_file_of_its_own(tmp_path: Path) -> None:
    done = run(tmp_path / "home", "-m", "airflow", "config", "get-value", "core", "load_examples")
    assert done.stdout.strip().splitlines()[-1] == "False", done.stderr
    lines = (tmp_path / "home" / "airflow.cfg").read_text().splitlines()
    assert all(line.startswith("#") for line in lines)


def test_processes_that_start_at_once_agree(tmp_path: Path) -> None:
    running = [
        subprocess.Popen(
            [sys.executable, "-c", ASK],
            env=environment(tmp_path / "home"),
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for _ in range(2)
    ]
    outputs = [process.communicate() for process in running]
    answers = [
        answer(subprocess.CompletedProcess(process.args, process.returncode, *output))
        for process, output in zip(running, outputs, strict=True)
    ]
    assert answers[0] == answers[1]
    assert not list((tmp_path / "home").glob(".*"))


def test_switched_off_airflow_is_as_it_comes(tmp_path: Path) -> None:
    found = ask(tmp_path / "home", ORRERY_DEFAULTS="off")
    assert (found["refresh"], found["pods"], found["parallelism"]) == ("300", "1", "32")
    assert json.loads(found["bundles"]) == bundles.AIRFLOW_BUNDLES
    assert not (tmp_path / "home" / "airflow.cfg").exists()


def test_a_home_that_cannot_be_written_does_not_stop_airflow(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    logs = {"AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(tmp_path / "logs")}
    done = run(
        tmp_path / "file" / "home", "-m", "airflow", "config", "get-value", "core", "parallelism", **logs
    )
    assert "cannot be created" in done.stderr
    assert done.stdout.strip().isdecimal(), done.stderr


def test_a_broken_file_is_told_by_us_and_by_airflow(tmp_path: Path) -> None:
    (tmp_path / "airflow.cfg").write_text("[core]\nparallelism = 1\nparallelism = 2\n")
    done = run(tmp_path, "-c", "import airflow.configuration")
    assert done.returncode != 0
    assert "orrery: " in done.stderr
    assert "DuplicateOptionError" in done.stderr


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the installed Airflow says about each of our defaults, without them."""
    keys = sorted({default.key for default in defaults.load().defaults})
    code = f"""
import json
from airflow.configuration import conf
keys = {keys!r}
described = conf.configuration_description
print("ANSWER" + json.dumps({{
    "defaults": [conf.get(*key, fallback=None) for key in keys],
    "known": [key[1] in described.get(key[0], {{"options": {{}}}})["options"] for key in keys],
    "old": [[*key, *old[:2]] for key, old in conf.deprecated_options.items()],
    "sections": conf.deprecated_sections,
    "sensitive": sorted(conf.sensitive_config_values),
}}))
"""
    home = tmp_path_factory.mktemp("facts") / "home"
    found = answer(run(home, "-c", code, ORRERY_DEFAULTS="off"))
    found["defaults"] = dict(zip(keys, found["defaults"], strict=True))
    found["known"] = dict(zip(keys, found["known"], strict=True))
    return found


def test_each_default_is_an_option_of_airflow_and_differs_from_its_own(facts: dict[str, Any]) -> None:
    for default in defaults.load().defaults:
        assert facts["known"][default.key], f"{default.key}: Airflow has no such option"
        airflows = str(facts["defaults"][default.key])
        is_same = default.value is not None and same(default.value, airflows)
        assert is_same == default.same_as_airflow, f"{default.key}: Airflow has {airflows}"


def same(one: str, other: str) -> bool:
    try:
        return float(one) == float(other)
    except ValueError:
        return one.lower() == other.lower()


def test_every_old_name_that_airflow_reads_for_our_options_is_known_to_us(facts: dict[str, Any]) -> None:
    ours = {default.key for default in defaults.load().defaults}
    ours |= {(secret.section, secret.option) for secret in secrets.SECRETS}
    ours.add((bundles.SECTION, bundles.OPTION))
    known = {(old.section, old.option, old.variable) for old in defaults.load().old_names}
    for section, option, old_section, old_option in facts["old"]:
        if (section, option) in ours:
            assert (section, option, variable_of(old_section, old_option)) in known
    assert facts["sections"] == {}, "Airflow has renamed a section: our options may have old names in it"


def test_airflow_reads_commands_for_our_secrets_and_for_no_other_of_our_options(
    facts: dict[str, Any],
) -> None:
    sensitive = {tuple(key) for key in facts["sensitive"]}
    assert {(secret.section, secret.option) for secret in secrets.SECRETS} <= sensitive
    assert not sensitive & {default.key for default in defaults.load().defaults}
    assert (bundles.SECTION, bundles.OPTION) not in sensitive
    old = {(section, option) for _, _, section, option in facts["old"]}
    assert sensitive - old <= {option.key for option in options.load().all if option.is_sensitive}


def test_what_the_tools_know_of_airflows_options_is_up_to_date() -> None:
    script = ROOT / "bin" / "update_airflow_options"
    done = subprocess.run(
        [sys.executable, str(script), "--check"], text=True, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
