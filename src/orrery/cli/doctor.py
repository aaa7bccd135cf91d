"""`orrery doctor`: check this machine and this project."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orrery.cli.output import Format, output_option, print_json, print_table
from orrery.errors import MachineError, OrreryError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orrery.local.doctor import Check, CheckState
    from orrery.project.layout import Project

_MARKS = {"ok": "✓", "weak": "!", "broken": "✗"}


@click.command()
@output_option
def doctor(output: Format) -> None:
    """Check this machine and this project, and tell the command that fixes what is missing.

    Exit code 0 when a deployment can run here, 5 when something is broken.
    """
    checks = list(_checks())
    worst = next((state for state in ("broken", "weak") if any(c.state == state for c in checks)), "ok")
    if output == "json":
        print_json({"state": worst, "checks": [asdict(check) for check in checks]})
    else:
        rows = [(_MARKS[check.state], check.name, check.found, check.fix) for check in checks]
        print_table(["", "CHECK", "FOUND", "FIX"], rows)
    if worst == "broken":
        raise MachineError("A deployment cannot run here yet.", hint="Do what the column FIX says.")


def _checks() -> Iterator[Check]:
    from datetime import date

    from orrery import __version__
    from orrery.cli.context import plan
    from orrery.config.settings import load_settings
    from orrery.local.doctor import Check, check_machine
    from orrery.local.state import State
    from orrery.local.supervisor import Supervisor
    from orrery.project.layout import NoProject, find_project
    from orrery.release import catalogue

    known = catalogue.load()
    release = known.release(__version__)
    line = known.line(release.version.major)
    project: Project | None = None
    port = 8080
    try:
        project = find_project(Path())
        port = plan(project).port
        yield Check(name="project", state="ok", found=str(project.root))
    except OrreryError as error:
        # Outside a project the machine alone is checked; inside, a file is wrong or cannot be read.
        state: CheckState = "weak" if isinstance(error, NoProject) else "broken"
        yield Check(name="project", state=state, found=error.message, fix=error.hint)
    folder = project.state if project else _here() / ".orrery"
    yield from check_machine(
        state=folder,
        cache=load_settings(os.environ).cache_dir,
        port=port,
        runs=Supervisor(State(folder)).is_running(),
        pythons=line.python_supported or (),
        released=release.date or date.min,
    )


def _here() -> Path:
    try:
        return Path.cwd()
    except OSError:  # the folder was deleted under us
        return Path("/")
