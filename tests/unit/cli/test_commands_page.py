"""docs/reference/commands.md names every command, option and field, and none that there is not."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest

from orrery.cli.main import cli
from orrery.executor.snapshot import TaskView, WaitingView
from orrery.local.doctor import Check
from orrery.local.status import ComponentStatus, ImportProblem, Status
from orrery.ui.overview import AdviceRow, NodeRow, Overview

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "commands.md").read_text(encoding="utf-8")
#: Heading -> its text up to the next one.
SECTIONS = dict(re.findall(r"^## `orrery ([a-z -]+)`\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))


def commands(group: click.Group, path: str = "") -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, f"{path}{name} ")
        else:
            yield f"{path}{name}", command


ALL = dict(commands(cli))


def table(text: str, heading: str) -> list[str]:
    """Return the first cells of a table, each without its quotes."""
    found = re.search(rf"^\| {heading} \|.*\n\|[-|]+\n((?:\|.*\n)*)", text, re.MULTILINE)
    return [] if found is None else [line.split("|")[1].strip() for line in found[1].splitlines()]


def test_exactly_the_commands_that_there_are_are_documented() -> None:
    assert sorted(SECTIONS) == sorted(ALL)


@pytest.mark.parametrize("name", ALL)
def test_exactly_the_options_that_there_are_are_documented(name: str) -> None:
    documented = [set(re.findall(r"`(-[^`]+)`", cell)) for cell in table(SECTIONS[name], "Option")]
    options = [
        {*parameter.opts, *parameter.secondary_opts}
        for parameter in ALL[name].params
        if isinstance(parameter, click.Option)
    ]
    assert sorted(map(sorted, documented)) == sorted(map(sorted, options))


@pytest.mark.parametrize("name", ALL)
def test_each_command_tells_how_it_ends(name: str) -> None:
    assert re.search(r"[Ee]xit\s+codes?", SECTIONS[name]), name


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        ("status", Status),
        ("status", ComponentStatus),
        ("status", ImportProblem),
        ("workers", Overview),
        ("workers", NodeRow),
        ("workers", TaskView),
        ("workers", WaitingView),
        ("workers", AdviceRow),
        ("doctor", Check),
    ],
)
def test_exactly_the_fields_of_the_json_are_documented(command: str, kind: type) -> None:
    documented = [cell.strip("`") for cell in table(SECTIONS[command], kind.__name__)]
    assert documented == [field.name for field in fields(kind)]
