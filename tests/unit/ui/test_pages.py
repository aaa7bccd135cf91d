"""The pages behind the footer's links."""

from __future__ import annotations

import re

import pytest

from orrery import __version__
from orrery.cli.main import COMMANDS
from orrery.ui import pages
from orrery.ui.runtime import ADDRESS_VARIABLES, PAGES, WARN_DAYS, Page


@pytest.mark.parametrize("page", PAGES)
def test_each_page_has_a_heading_and_leads_to_the_others(page: Page) -> None:
    html = pages.render(page)

    assert html.count("<h1>") == 1
    assert set(re.findall(r'href="([^"]+)"', html)) >= set(PAGES)
    assert html.count("aria-current") == 2  # the rule and the link


def test_the_release_notes_start_with_the_current_version() -> None:
    headings = re.findall(r"<h2>(.*?)</h2>", pages.render("release-notes"))

    assert headings[0].split()[0] == __version__


def test_the_documentation_names_every_command_with_its_help() -> None:
    html = pages.render("documentation")

    rows = dict(re.findall(r"<td><code>orrery ([\w-]+)</code></td>\s*<td>(.*?)</td>", html))
    assert rows == {name: help_line for name, (_, _, help_line) in COMMANDS.items()}


def test_the_documentation_names_the_variables_that_change_the_links() -> None:
    html = pages.render("documentation")

    assert [name for name in ADDRESS_VARIABLES.values() if name not in html] == []


def test_support_names_the_days_of_warning() -> None:
    assert f"{WARN_DAYS} days ahead" in pages.render("support")
