from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from orrery.errors import InputError
from orrery.project.airflow_settings import (
    AirflowSettings,
    Connection,
    Pool,
    Variable,
    read_airflow_settings,
)

if TYPE_CHECKING:
    from pathlib import Path


def read(tmp_path: Path, text: str) -> AirflowSettings:
    file = tmp_path / "airflow_settings.yaml"
    file.write_text(text)
    return read_airflow_settings(file)


def test_connections_pools_and_variables_become_typed_values(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        """
airflow:
  connections:
    - {conn_id: db, conn_type: postgres, conn_host: h, conn_schema: s, conn_login: u, conn_password: p,
       conn_port: "5432", conn_extra: {sslmode: require}}
    - {conn_id: plain, conn_type: http, conn_port: 0, conn_extra: '{"a": 1}', conn_password: 12345}
  pools:
    - {pool_name: narrow, pool_slot: 2, pool_description: two at once, pool_include_deferred: true}
  variables:
    - {variable_name: region, variable_value: europe}
    - {variable_name: limits, variable_value: {max: 5}}
    - {variable_name: blank, variable_value: }
""",
    )
    first, second = found.connections
    assert (first.id, first.type, first.host, first.schema, first.login) == ("db", "postgres", "h", "s", "u")
    assert (first.password, first.port, first.extra) == ("p", 5432, '{"sslmode": "require"}')
    assert second == Connection(id="plain", type="http", password="12345", extra='{"a": 1}')
    assert found.pools == (Pool(name="narrow", slots=2, description="two at once", include_deferred=True),)
    assert found.variables == (
        Variable(name="region", value="europe"),
        Variable(name="limits", value='{"max": 5}'),
        Variable(name="blank", value=""),
    )


def test_a_connection_uri_is_taken_apart(tmp_path: Path) -> None:
    uri = "google-cloud-platform://u:p%40ss@h%2Fx:99/s?a=1&b=x%20y"
    (found,) = read(tmp_path, f"airflow: {{connections: [{{conn_id: g, conn_uri: '{uri}'}}]}}").connections
    assert (found.type, found.login, found.password) == ("google_cloud_platform", "u", "p@ss")
    assert (found.host, found.port, found.schema) == ("h/x", 99, "s")
    assert json.loads(str(found.extra)) == {"a": "1", "b": "x y"}


@pytest.mark.parametrize("text", ["", "airflow:\n", "airflow: {connections: , pools: []}\n"])
def test_an_empty_file_asks_for_nothing(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, text) == AirflowSettings()
    assert read_airflow_settings(tmp_path / "absent.yaml") == AirflowSettings()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("airflow: [1]", "airflow is no mapping of keys and values"),
        ("- 1", "its content is no mapping of keys and values"),
        ("airflow: {pools: 5}", "airflow.pools is no list"),
        ("airflow: {pools: [x]}", "airflow.pools[0] is no mapping of keys and values"),
        ("airflow: {pools: [{pool_name: a}]}", "airflow.pools[0].pool_slot is missing"),
        ("airflow: {pools: [{pool_name: a, pool_slot: x}]}", "airflow.pools[0].pool_slot is no whole number"),
        ("airflow: {connections: [{conn_type: http}]}", "airflow.connections[0].conn_id is missing"),
        ("airflow: {connections: [{conn_id: a}]}", "airflow.connections[0].conn_type is missing"),
        (
            "airflow: {connections: [{conn_id: a, conn_type: x, conn_extra: '{'}]}",
            "airflow.connections[0].conn_extra is neither a mapping nor JSON text",
        ),
        ("airflow: {variables: [{variable_value: a}]}", "airflow.variables[0].variable_name is missing"),
        (
            "airflow: {variables: [{variable_name: d, variable_value: 2026-01-01}]}",
            "airflow.variables[0].variable_value is no text; put it in quotes",
        ),
    ],
)
def test_an_error_names_the_file_and_the_key(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(InputError) as caught:
        read(tmp_path, text)
    assert caught.value.message == f"{tmp_path / 'airflow_settings.yaml'}: {complaint}."


def test_a_syntax_error_names_line_and_column(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"airflow_settings\.yaml:2:\d+: this is not YAML"):
        read(tmp_path, "airflow:\n\tpools: []\n")


def test_no_secret_stands_in_a_representation(tmp_path: Path) -> None:
    assert "hunter2" not in repr(Connection(id="a", type="b", password="hunter2"))
    assert "hunter2" not in repr(Variable(name="a", value="hunter2"))


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("airflow: {connections: [{conn_type: http}]}", "conn_id"),
        ("airflow: {pools: [{pool_name: a}]}", "pool_slot"),
        ("airflow: {variables: [{variable_value: a}]}", "variable_name"),
        ("airflow: {pools: 5}", "connections, pools, variables"),
    ],
)
def test_a_mistake_is_told_with_the_keys_that_there_are(tmp_path: Path, text: str, key: str) -> None:
    (tmp_path / "s.yaml").write_text(text)
    with pytest.raises(InputError) as caught:
        read_airflow_settings(tmp_path / "s.yaml")
    assert key in str(caught.value.hint)
