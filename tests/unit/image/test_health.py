"""Which component a container is, and what its health check asks."""

from __future__ import annotations

import http.server
import socket
import threading
from typing import TYPE_CHECKING

import pytest

from orrery.components import AIRFLOW_COMPONENTS, WORKER
from orrery.image import database, health

if TYPE_CHECKING:
    from pathlib import Path

BY_NAME = {component.name: component for component in AIRFLOW_COMPONENTS}


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["/usr/bin/tini", "--", "/usr/local/bin/orrery-entrypoint", "scheduler"], "scheduler"),
        (
            [
                "/sbin/docker-init",
                "--",
                "/usr/bin/tini",
                "--",
                "/usr/local/bin/orrery-entrypoint",
                "airflow",
                "triggerer",
            ],
            "triggerer",
        ),
        (["worker"], "worker"),
        (["/usr/bin/tini", "--", "/usr/local/bin/orrery-entrypoint", "bash"], None),
        (["/usr/bin/tini", "--", "/usr/local/bin/orrery-entrypoint"], None),
        ([], None),
    ],
)
def test_a_container_is_what_its_command_line_names(arguments: list[str], name: str | None) -> None:
    assert health.named(arguments) == BY_NAME.get(name or "")


def test_a_worker_is_well_while_it_answers_on_its_socket(tmp_path: Path) -> None:
    path = tmp_path / "s"
    environment = {"AIRFLOW__ORRERY_EXECUTOR__SOCKET": str(path)}
    with pytest.raises(OSError, match="No such file"):
        health.found(WORKER, environment)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        assert health.found(WORKER, environment) is None


@pytest.mark.parametrize(("status", "trouble"), [(200, None), (503, "answers 503")])
def test_an_api_server_is_well_when_it_answers_well(status: int, trouble: str | None) -> None:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        environment = {"AIRFLOW__API__PORT": str(server.server_port)}
        assert health.found(BY_NAME["api-server"], environment) == trouble


@pytest.mark.parametrize(
    ("rows", "trouble"),
    [([["3.2"]], None), ([["95"]], "last heartbeat 95 s ago"), ([], "has sent no heartbeat yet")],
)
def test_a_scheduler_is_well_while_its_heart_beats(
    monkeypatch: pytest.MonkeyPatch, rows: list[list[str]], trouble: str | None
) -> None:
    class Connection:
        def __init__(self, _address: str) -> None:
            pass

        def ask(self, _sql: str, parameters: tuple[object, ...]) -> list[list[str]]:
            assert parameters[0] == "SchedulerJob"
            return rows

        def close(self) -> None:
            pass

    monkeypatch.setattr(database, "Database", Connection)
    environment = {
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "postgresql://a:b@db/x",
        "AIRFLOW_HOME": "/nonexistent",
    }
    assert health.found(BY_NAME["scheduler"], environment) == trouble
