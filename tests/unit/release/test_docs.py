"""The pages about releases say what the catalogue says."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from orrery.cli.release import release as group
from orrery.release import catalogue

if TYPE_CHECKING:
    from orrery.release.line import Line

DOCS = Path(__file__).parents[3] / "docs"
KNOWN = catalogue.load()


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("line", KNOWN.lines, ids=lambda line: str(line.number))
def test_the_parity_table_has_each_line_as_the_catalogue_has_it(line: Line) -> None:
    first = line.first_release if line.dates_certain else f"~ {line.first_release}"
    end = line.lifecycle.security_ends if line.lifecycle else "unknown"
    row = (line.number, line.airflow, line.status, first, end, line.python_default)
    assert f"| {' | '.join(map(str, row))} |" in page("reference/releases.md")


@pytest.mark.parametrize("command", group.commands)
def test_every_command_is_documented(command: str) -> None:
    assert f"`orrery release {command}" in page("reference/releases.md")


def test_the_policy_page_tells_the_months_and_dates_of_the_policy() -> None:
    text = page("versioning.md")
    support, life = KNOWN.policy.support, KNOWN.line(KNOWN.newest.version.major).lifecycle
    assert life is not None
    assert f"{support.bugfix_months} months from the first release" in text
    assert f"{support.security_months} months more" in text
    for day in (life.released, life.bugfix_ends, life.security_ends):
        assert str(day) in text
