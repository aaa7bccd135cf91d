from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from orrery.deployment.model import Deployment
from orrery.deployment.schema import schema, schema_text
from orrery.project.choices import choose
from orrery.project.scaffold import make_project, plan_project

REFERENCE = Path(__file__).parents[3] / "docs" / "reference"


def validator() -> Any:
    return pytest.importorskip("jsonschema").Draft202012Validator(schema())


def test_the_published_schema_is_fresh() -> None:
    published = (REFERENCE / "orrery.schema.json").read_text(encoding="utf-8")
    assert published == schema_text(), "run: python -m orrery.deployment.schema FILE"


def test_every_key_is_explained_in_the_schema_and_in_the_reference() -> None:
    page = (REFERENCE / "deployment-file.md").read_text(encoding="utf-8")
    for name, definition in schema()["properties"].items():
        assert definition.get("description"), name
        assert f"`{name}`" in page or f"`{name}." in page, name
    assert set(schema()["properties"]) == set(Deployment.model_fields)


def test_the_schema_takes_what_a_new_project_holds(tmp_path: Path) -> None:
    choices = choose(tmp_path, name="2026", python="3.12", providers="full")
    make_project(plan_project(tmp_path, choices))
    values = yaml.safe_load((tmp_path / "orrery.yaml").read_text())
    assert values["name"] == "2026"
    assert list(validator().iter_errors(values)) == []


@pytest.mark.parametrize(
    "values",
    [
        {"runtme": "17.0.0"},
        {"name": "No_Good"},
        {"local": {"port": 0}},
        {"local": {"prt": 1}},
        {"database": {}},
        {"database": {"url": "mysql://h/db"}},
        {"providers": "all"},
        {"executor": "celery"},
        {"queues": {"heavy": {"cpuu": 1}}},
        {"queues": {"heavy": {"isolation": "pod"}}},
        {"worker": {"capacity": {"cpu": 1}}},
        {"worker": {"memory_limit_factor": 0.5}},
    ],
)
def test_the_schema_refuses_what_the_reader_refuses(values: dict[str, object]) -> None:
    assert list(validator().iter_errors(values))


def test_the_schema_allows_references_for_the_database() -> None:
    assert json.loads(schema_text()) == schema()
    assert list(validator().iter_errors({"database": {"url": "${DATABASE_URL}"}})) == []
