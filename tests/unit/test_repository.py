"""What holds for the repository's texts as a whole."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from orrery.cli.main import COMMANDS
from orrery.components import COMPONENTS

REPOSITORY = Path(__file__).parents[2]
PAGES = sorted(
    page
    for page in [*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/**/*.md"), *REPOSITORY.glob("*/README.md")]
    if "node_modules" not in page.parts
)
LINK = re.compile(r"\]\((?!https?://|#|mailto:)([^)#\s]+)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_every_link_between_pages_leads_somewhere(page: Path) -> None:
    broken = [link for link in LINK.findall(page.read_text()) if not (page.parent / link).exists()]
    assert broken == []


def test_the_index_names_every_page() -> None:
    index = (REPOSITORY / "docs" / "README.md").read_text()
    decisions = (REPOSITORY / "docs" / "decisions" / "README.md").read_text()
    for page in REPOSITORY.glob("docs/**/*.md"):
        if page.name != "README.md":
            text = decisions if page.parent.name == "decisions" else index
            assert page.name in text, page


def test_the_readme_names_every_command() -> None:
    readme = (REPOSITORY / "README.md").read_text()
    assert [name for name in COMMANDS if f"orrery {name}" not in readme] == []


def test_every_component_is_named_where_people_read_of_up() -> None:
    tutorial = (REPOSITORY / "docs" / "tutorial.md").read_text() + (REPOSITORY / "README.md").read_text()
    names = tutorial.lower()
    assert [part.name for part in COMPONENTS if part.name not in names and part.name != "postgres"] == []


def test_no_file_names_a_package_registry_or_a_path_of_somebodys_machine() -> None:
    # Written so that this file does not name them either.
    words = ["py" + "pi.org", "python" + "hosted", "registry.np" + "mjs", "/ro" + "ot/.pyenv", "/wo" + "rk/"]
    found = subprocess.run(
        ["git", "grep", "-nIE", "|".join(re.escape(word) for word in words), "--", "."],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.stdout == ""


def test_the_lock_of_the_frontend_records_no_download_address() -> None:
    assert '"resolved"' not in (REPOSITORY / "frontend" / "package-lock.json").read_text()
