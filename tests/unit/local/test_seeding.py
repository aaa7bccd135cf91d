"""What a project declares is made or changed; what Airflow refuses does not stop the rest."""

from __future__ import annotations

from typing import Any

import pytest

from orrery.local import seeding
from orrery.local.api import Api, ApiError
from orrery.local.plan import Seeds


class Recorder(Api):
    """Airflow's API as far as seeding uses it: things by path."""

    def __init__(self, things: dict[str, Any], *, refused: str = "") -> None:
        self.things = things
        self.refused = refused
        self.done: list[tuple[str, str]] = []

    def find(self, path: str) -> dict[str, Any] | None:
        return self.things.get(path)

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        return self._did("POST", path, body)

    def patch(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        return self._did("PATCH", path, body)

    def _did(self, method: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
        if self.refused in body.values():
            raise ApiError("Airflow said no")
        self.done.append((method, path))
        return body


SEEDS = Seeds(
    connections=({"connection_id": "db", "conn_type": "postgres"},),
    variables=({"key": "a/b ü", "value": "1"}, {"key": "c", "value": "2"}),
    pools=({"name": "p", "slots": 1},),
)


def test_what_is_missing_is_made() -> None:
    api = Recorder({})
    seeding.apply(SEEDS, api, report=pytest.fail)
    assert api.done == [
        ("POST", "/connections"),
        ("POST", "/variables"),
        ("POST", "/variables"),
        ("POST", "/pools"),
    ]


def test_what_is_there_is_changed_and_a_name_with_any_sign_finds_it() -> None:
    there = ["/connections/db", "/variables/a%2Fb%20%C3%BC", "/variables/c", "/pools/p"]
    api = Recorder({path: {} for path in there})
    seeding.apply(SEEDS, api, report=pytest.fail)
    assert api.done == [("PATCH", path) for path in there]


def test_what_airflow_refuses_is_told_and_the_others_are_applied() -> None:
    said: list[str] = []
    api = Recorder({}, refused="a/b ü")
    seeding.apply(SEEDS, api, report=said.append)
    assert said == ["a/b ü of airflow_settings.yaml was not applied: Airflow said no"]
    assert ("POST", "/pools") in api.done
    assert len(api.done) == 3


def test_no_seeds_ask_for_nothing() -> None:
    api = Recorder({})
    seeding.apply(Seeds(), api, report=pytest.fail)
    assert api.done == []
