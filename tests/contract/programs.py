"""Programs of contract tests: each is a process, so that no state of Airflow's leaks between tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT = Path(__file__).parents[2]
ANSWER = "ANSWER"


def environment() -> dict[str, str]:
    """Return ours without settings of Airflow's, in which a program can import what the tests share."""
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "ORRERY"))
    }
    return inherited | {"PYTHONPATH": str(ROOT)}


def run(arguments: Iterable[str], variables: dict[str, str], *, seconds: float) -> Any:
    """Let this Python run to its end."""
    return subprocess.run(
        [sys.executable, "-W", "ignore", *arguments],
        env=environment() | variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds,
    )


def answers(output: str) -> list[Any]:
    """Return what a program has printed as JSON after the word ANSWER, a line each."""
    return [json.loads(line.removeprefix(ANSWER)) for line in output.splitlines() if line.startswith(ANSWER)]


def answer(folder: Path, *arguments: str, **variables: str) -> Any:
    """Run a program on a home of its own, with SQLite, and return its last answer."""
    own = {
        "AIRFLOW_HOME": str(folder / "home"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(folder / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{folder}/airflow.db",
    }
    done = run(arguments, own | variables, seconds=300)
    found = answers(done.stdout)
    assert found, done.stderr
    return found[-1]
