"""Every command explains itself, quickly; every exit code is documented."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest
from click.testing import CliRunner

from orrery import errors
from orrery.cli.main import COMMANDS, cli

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCS = Path(__file__).parents[3] / "docs" / "reference"


def commands(
    group: click.Group, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None, name
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


ALL = dict(commands(cli))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_of_the_table_is_there_under_its_name(name: str) -> None:
    module, attribute, _ = COMMANDS[name]
    command = getattr(importlib.import_module(module), attribute)
    assert isinstance(command, click.Command)
    assert command.name == name


@pytest.mark.parametrize("path", [path for path in ALL if path != ("airflow",)], ids=" ".join)
def test_help_names_the_command_and_each_of_its_options_and_arguments(path: tuple[str, ...]) -> None:
    result = CliRunner().invoke(cli, [*path, "--help"], prog_name="orrery", terminal_width=100)
    assert result.exit_code == 0, result.output
    assert f"Usage: orrery {' '.join(path)}" in result.output
    for parameter in ALL[path].params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name
            for name in parameter.opts:
                assert name in result.output
        else:
            assert parameter.human_readable_name.strip("[].").upper().split(".")[0] in result.output.upper()


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_the_first_line_of_help_is_one_sentence(path: tuple[str, ...]) -> None:
    first = (ALL[path].help or "").split("\n\n")[0]
    assert first.rstrip().endswith("."), first


@pytest.mark.parametrize("name", COMMANDS)
def test_the_overview_lists_the_command(name: str) -> None:
    result = CliRunner().invoke(cli, ["--help"], terminal_width=100)
    assert re.search(rf"^  {name}\s+{re.escape(COMMANDS[name][2])}$", result.output, re.MULTILINE)


def test_help_is_quick_because_it_imports_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['orrery', '--help']\n"
        "from orrery.cli import main\n"
        "try: main.main()\n"
        "except SystemExit as stop: assert not stop.code\n"
        "print('IMPORTED', *sys.modules)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    imported = {name.partition(".")[0] for name in ended.stdout.rsplit("IMPORTED", 1)[1].split()}
    assert not imported & {
        "airflow",
        "pydantic",
        "rich",
        "httpx",
        "psutil",
        "supervisor",
        "yaml",
        "sqlalchemy",
    }


@pytest.mark.parametrize(("typed", "meant"), [("stauts", "status"), ("dwon", "down"), ("doctr", "doctor")])
def test_a_misspelt_command_suggests_the_nearest(typed: str, meant: str) -> None:
    result = CliRunner().invoke(cli, [typed])
    assert result.exit_code == 2
    assert f"Did you mean '{meant}'?" in result.output


@pytest.mark.parametrize("typed", ["xyzzy", "bogus"])
def test_a_command_that_is_like_nothing_suggests_nothing(typed: str) -> None:
    result = CliRunner().invoke(cli, [typed])
    assert result.exit_code == 2
    assert f"No such command '{typed}'" in result.output
    assert "Did you mean" not in result.output


def kinds(kind: type[errors.OrreryError]) -> Iterator[type[errors.OrreryError]]:
    for child in kind.__subclasses__():
        if child.__module__ == errors.__name__:
            yield child
            yield from kinds(child)


def test_exit_codes_are_distinct() -> None:
    codes = [errors.OrreryError.exit_code, *(kind.exit_code for kind in kinds(errors.OrreryError))]
    assert len(codes) == len(set(codes))


def test_exactly_the_exit_codes_that_there_are_are_documented() -> None:
    page = (DOCS / "exit-codes.md").read_text(encoding="utf-8")
    documented = {int(code) for code in re.findall(r"^\| (\d+) \|", page, re.MULTILINE)}
    raised = {kind.exit_code for kind in kinds(errors.OrreryError)}
    assert documented == {0, errors.OrreryError.exit_code, 130} | raised
