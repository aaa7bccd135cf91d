"""The page of roles is what the tables say."""

from __future__ import annotations

from pathlib import Path

from orrery.auth import reference
from orrery.auth.roles import BUILT_IN

PAGE = Path(__file__).parents[3] / "docs" / "access" / "roles.md"


def test_the_page_of_roles_is_up_to_date() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert reference.renewed(page) == page, "Run: python -m orrery.auth.reference docs/access/roles.md"
    assert all(role.title in page for role in BUILT_IN.values())
