"""The table of components is complete and says of each what its consumers need."""

from __future__ import annotations

import pytest

from orrery.components import AIRFLOW_COMPONENTS, COMPONENTS, POSTGRES, Component


def test_the_database_comes_first_and_names_are_unique() -> None:
    assert COMPONENTS[0] is POSTGRES
    assert COMPONENTS[1:] == AIRFLOW_COMPONENTS
    names = [component.name for component in COMPONENTS]
    assert len(names) == len(set(names))


def test_a_deployment_has_every_process_that_airflow_needs() -> None:
    started = {
        component.airflow_arguments[0] for component in AIRFLOW_COMPONENTS if component.airflow_arguments
    }
    assert started == {"api-server", "scheduler", "dag-processor", "triggerer"}


@pytest.mark.parametrize("component", AIRFLOW_COMPONENTS, ids=lambda component: str(component.name))
def test_a_component_that_is_probed_by_heartbeat_has_a_key_in_airflows_health(component: Component) -> None:
    assert (component.probe == "heartbeat") == (component.health_key is not None)


@pytest.mark.parametrize("component", AIRFLOW_COMPONENTS, ids=lambda component: str(component.name))
def test_only_host_and_port_are_left_open_in_a_command(component: Component) -> None:
    for word in component.airflow_arguments or ():
        filled = word.format(host="127.0.0.1", port=8080)
        assert "{" not in filled


def test_the_api_server_listens_where_it_is_told() -> None:
    arguments = AIRFLOW_COMPONENTS[0].airflow_arguments or ()
    assert arguments[arguments.index("--host") + 1] == "{host}"
    assert arguments[arguments.index("--port") + 1] == "{port}"


def test_postgres_is_asked_for_a_fast_stop_not_to_wait_for_its_clients() -> None:
    # To PostgreSQL SIGTERM means: wait until every client has gone. SIGINT ends the sessions.
    assert POSTGRES.stop_signal == "INT"


def test_airflow_and_then_the_database_stop_within_ten_seconds_of_asking() -> None:
    airflow = max(component.grace_seconds for component in AIRFLOW_COMPONENTS)
    # They stop at once; the database follows, in less than its grace once its clients have gone.
    assert airflow <= 6
    assert POSTGRES.grace_seconds <= 6
