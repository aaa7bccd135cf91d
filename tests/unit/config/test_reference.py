"""The reference page tells what the code does."""

from __future__ import annotations

from pathlib import Path

import pytest

from orrery.config import defaults, reference

PAGE = Path(__file__).parents[3] / "docs/reference/configuration.md"


def test_the_page_is_up_to_date() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert reference.renewed(page) == page, "run .venv/bin/python bin/update_airflow_options"


def test_each_default_is_on_the_page_with_its_reason() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for default in defaults.load().defaults:
        assert f"`{default.section}.{default.option}`" in page
        assert default.why in page


def test_a_page_that_lost_a_block_is_refused() -> None:
    with pytest.raises(ValueError, match="no block"):
        reference.renewed("# Configuration\n")
