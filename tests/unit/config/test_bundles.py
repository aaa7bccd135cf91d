"""The system bundle is always there, and only once."""

from __future__ import annotations

import json

import pytest

from orrery.config import bundles


def names(text: str | None) -> list[str]:
    assert text is not None
    return [bundle["name"] for bundle in json.loads(text)]


def test_it_is_added_to_airflows_default_and_to_the_users_bundles() -> None:
    assert names(bundles.with_system_bundle(None)) == ["dags-folder", "orrery-system"]
    assert names(bundles.with_system_bundle('[{"name": "git"}]')) == ["git", "orrery-system"]


@pytest.mark.parametrize("text", ["", "  ", "[]"])
def test_it_is_there_even_where_the_user_has_no_bundle(text: str) -> None:
    assert names(bundles.with_system_bundle(text)) == ["orrery-system"]


def test_it_is_never_added_twice() -> None:
    once = bundles.with_system_bundle(None)
    assert bundles.with_system_bundle(once) is None


@pytest.mark.parametrize("text", ["[{", "{}", "null", '"x"', "[1]", "12"])
def test_what_is_no_list_of_bundles_is_left_to_airflow(text: str) -> None:
    assert bundles.with_system_bundle(text) is None
