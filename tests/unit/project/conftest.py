"""Projects that the tests of this folder share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

ASTRO_FILES = {
    "Dockerfile": "FROM astrocrpublic.azurecr.io/runtime:3.1-12\n",
    "packages.txt": "",
    "requirements.txt": "# Astro Runtime includes providers\napache-airflow-providers-postgres\n",
    "dags/.airflowignore": "",
    "dags/exampledag.py": "from airflow.sdk import dag\n",
    "include/.gitkeep": "",
    "plugins/.gitkeep": "",
    "tests/dags/test_dag_example.py": "def test_it() -> None: ...\n",
    "airflow_settings.yaml": (
        "airflow:\n"
        "  connections:\n    - conn_id:\n      conn_type:\n      conn_port:\n      conn_extra:\n"
        "  pools:\n    - pool_name:\n      pool_slot:\n      pool_description:\n"
        "  variables:\n    - variable_name:\n      variable_value:\n"
    ),
    ".env": "AIRFLOW_VAR_REGION=europe\n",
    ".astro/config.yaml": "project:\n  name: Sales_Reports\n",
    ".dockerignore": "astro\n.git\n.env\n",
}


@pytest.fixture
def astro_project(tmp_path: Path) -> Path:
    """A folder as `astro dev init` makes it."""
    root = tmp_path / "astro"
    for name, text in ASTRO_FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root
