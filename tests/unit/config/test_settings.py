"""Orrery's own settings."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import orrery
from orrery.config import settings
from orrery.config.settings import load_settings
from orrery.errors import InputError


def test_nothing_set_gives_the_documented_defaults() -> None:
    found = load_settings({"XDG_CACHE_HOME": "/cache"})
    assert found.defaults_on
    assert (found.profile, found.secrets_dir, found.worker_slots) == (None, None, None)
    assert found.cache_dir == Path("/cache/orrery")


def test_values_are_typed() -> None:
    found = load_settings(
        {
            "ORRERY_DEFAULTS": "Off",
            "ORRERY_PROFILE": "local",
            "ORRERY_SECRETS_DIR": "/run/secrets",
            "ORRERY_WORKER_SLOTS": "48",
            "ORRERY_CACHE_DIR": "/c",
            "ORRERY_IMAGE_TAG": "17.0.0",
            "ORRERY_DEPLOYMENT": "abc",
            "ORRERY_COMPONENT": "worker",
        }
    )
    assert found == settings.Settings(
        defaults_on=False,
        profile="local",
        secrets_dir=Path("/run/secrets"),
        worker_slots=48,
        cache_dir=Path("/c"),
        image_tag="17.0.0",
        deployment="abc",
        component="worker",
    )


def test_an_empty_value_counts_as_none() -> None:
    assert load_settings({"ORRERY_PROFILE": "", "ORRERY_DEFAULTS": ""}) == load_settings({})


@pytest.mark.parametrize(
    ("name", "value", "hint"),
    [
        ("ORRERY_DEFAULTS", "of", "ORRERY_DEFAULTS=off"),
        ("ORRERY_PROFILE", "locl", "local"),
        ("ORRERY_WORKER_SLOTS", "many", "16"),
        ("ORRERY_WORKER_SLOTS", "0", "16"),
    ],
)
def test_a_wrong_value_is_refused_with_the_way_out(name: str, value: str, hint: str) -> None:
    with pytest.raises(InputError, match=name) as caught:
        load_settings({name: value})
    assert hint in (caught.value.hint or "")


def test_every_variable_that_the_code_names_is_documented() -> None:
    documented = {each.name for each in (*settings.VARIABLES, *settings.INTERNAL_VARIABLES)}
    root = Path(orrery.__file__).parent
    named = {
        name
        for path in (*root.glob("*.py"), *(root / "config").glob("*.py"))
        for name in re.findall(r"\bORRERY_[A-Z][A-Z_]*[A-Z]\b", path.read_text())
    }
    assert named == documented
