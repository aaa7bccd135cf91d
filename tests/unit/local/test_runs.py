"""A run is started and followed to its end; every change of every task is told once."""

from __future__ import annotations

import contextlib
import json
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from orrery.errors import InputError
from orrery.local import runs
from orrery.local.api import Api, ApiError, NotFoundError
from orrery.local.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

Task = dict[str, Any]


def task(task_id: str, state: str | None, *, index: int = -1, attempt: int = 1) -> Task:
    return {"task_id": task_id, "state": state, "map_index": index, "try_number": attempt}


class Airflow(Api):
    """Airflow's API of one DAG whose run goes through the given moments: (state, tasks)."""

    def __init__(self, *moments: tuple[str, list[Task]], appears_after: int = 0, page: int = 100) -> None:
        self.moments = list(moments)
        self.appears_after = appears_after
        self.page = page
        self.sent: list[tuple[str, dict[str, Any]]] = []
        self.problems: list[dict[str, str]] = []
        self._now: tuple[str, list[Task]] = moments[0] if moments else ("queued", [])

    def find(self, path: str) -> dict[str, Any] | None:
        self.appears_after -= 1
        return {} if self.appears_after < 0 else None

    def get(self, path: str, **parameters: Any) -> dict[str, Any]:
        if path == "/importErrors":
            return {"import_errors": self.problems}
        if path == "/dags":
            return {"dags": [{"dag_id": "zebra"}, {"dag_id": "ant"}]}
        if path.endswith("/taskInstances"):
            tasks, offset = self._now[1], parameters["offset"]
            return {"task_instances": tasks[offset : offset + self.page], "total_entries": len(tasks)}
        if len(self.moments) > 1:
            self._now = self.moments.pop(0)
        else:
            self._now = self.moments[0]
        return {"state": self._now[0]}

    def patch(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        self.sent.append((path, body))
        return {}

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        self.sent.append((path, body))
        return {"dag_run_id": "manual__2027-01-01T00:00:00+00:00"}


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Looks follow one another at once, and a DAG that does not appear is soon given up."""
    monkeypatch.setattr(runs, "_LOOK_SECONDS", 0.001)
    monkeypatch.setattr(runs, "_APPEAR_SECONDS", 0.05)
    yield


def followed(airflow: Airflow, dag_id: str = "shop") -> tuple[str, list[str]]:
    said: list[str] = []
    outcome = runs.trigger(dag_id, airflow, report=said.append)
    return outcome, [re.sub(r"\d+\.\d s", "T", " ".join(line.split())) for line in said]


def test_each_change_of_each_task_is_told_once() -> None:
    outcome, said = followed(
        Airflow(
            ("queued", [task("a", None)]),
            ("running", [task("a", "running"), task("b", None)]),
            ("running", [task("a", "running"), task("b", None)]),
            ("success", [task("a", "success"), task("b", "skipped")]),
        )
    )
    assert outcome == "success"
    assert said == [
        "shop: run manual__2027-01-01T00:00:00+00:00",
        "T a running",
        "T a success",
        "T b skipped",
        "shop: success after T",
    ]


def test_a_failed_run_is_told_with_its_tasks_last_states() -> None:
    outcome, said = followed(Airflow(("failed", [task("a", "failed"), task("b", "upstream_failed")])))
    assert outcome == "failed"
    assert said[1:] == ["T a failed", "T b upstream_failed", "shop: failed after T"]


def test_mapped_tasks_and_retries_are_told_apart() -> None:
    _, said = followed(
        Airflow(("success", [task("a", "success", index=0), task("a", "success", index=1, attempt=2)]))
    )
    assert said[1:3] == ["T a [0] success", "T a [1] (try 2) success"]


class Restarting:
    """An api-server on a real port, with one run that goes on while the server is away."""

    def __init__(self) -> None:
        self.port = free_port()
        self.looks = 0
        self._server: ThreadingHTTPServer | None = None

    def answer(self, method: str, path: str) -> dict[str, Any]:
        if path == "/auth/token":
            return {"access_token": "t"}
        if method == "POST":
            return {"dag_run_id": "r"}
        if "/taskInstances" in path:
            return {"task_instances": [], "total_entries": 0}
        if path.endswith("/dagRuns/r"):
            self.looks += 1
            return {"state": "running" if self.looks < 6 else "success"}
        return {}

    def start(self) -> None:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def handle_one_request(self) -> None:
                with contextlib.suppress(ConnectionError):
                    super().handle_one_request()

            def do_GET(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                body = json.dumps(outer.answer(self.command, self.path.removeprefix("/api/v2"))).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_PATCH = do_GET  # noqa: N815 - the library's names

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.01,)).start()

    def stop(self) -> None:
        if self._server:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def api(self) -> Api:
        return Api(f"http://127.0.0.1:{self.port}", password="p")


@pytest.fixture
def restarting() -> Iterator[Restarting]:
    server = Restarting()
    server.start()
    yield server
    server.stop()


def test_a_run_is_followed_through_a_restart_of_the_api_server(
    restarting: Restarting, monkeypatch: pytest.MonkeyPatch
) -> None:
    absences = 0

    def pause(_seconds: float) -> None:
        """Take the server away for the time of three looks."""
        nonlocal absences
        if restarting.looks == 2 and absences < 3:
            restarting.stop()
            absences += 1
        elif restarting._server is None:
            restarting.start()

    monkeypatch.setattr(time, "sleep", pause)
    said: list[str] = []
    with restarting.api() as api:
        assert runs.trigger("shop", api, report=said.append) == "success"
    assert absences == 3
    # Every look that was answered told the truth, and the one of the end was told once
    assert len([line for line in said if line.startswith("shop: success")]) == 1


def test_an_api_server_that_stays_away_is_an_error_in_the_end(
    restarting: Restarting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "_SILENCE_SECONDS", 0.05)

    def report(_line: str) -> None:
        restarting.stop()  # once the run has begun

    with restarting.api() as api, pytest.raises(ApiError, match="does not answer"):
        runs.trigger("shop", api, report=report)


def test_a_run_that_somebody_deletes_is_not_waited_for() -> None:
    class Deleted(Airflow):
        def get(self, path: str, **parameters: Any) -> dict[str, Any]:
            raise NotFoundError("There is no such run.")

    with pytest.raises(NotFoundError):
        followed(Deleted(("running", [])))


def test_every_page_of_tasks_is_read() -> None:
    tasks = [task("a", "success", index=index) for index in range(25)]
    _, said = followed(Airflow(("success", tasks), page=10))
    assert len([line for line in said if line.startswith("T a")]) == 25


def test_the_dag_is_unpaused_before_its_run_and_its_name_may_hold_any_sign() -> None:
    airflow = Airflow(("success", []))
    followed(airflow, "a.b/c d")
    assert airflow.sent == [
        ("/dags/a.b%2Fc%20d", {"is_paused": False}),
        ("/dags/a.b%2Fc%20d/dagRuns", {"logical_date": None}),
    ]


def test_a_dag_that_appears_late_is_waited_for() -> None:
    outcome, _ = followed(Airflow(("success", []), appears_after=3))
    assert outcome == "success"


def test_an_unknown_dag_names_those_that_are_there() -> None:
    airflow = Airflow(appears_after=10**9)
    with pytest.raises(InputError, match="There is no DAG 'shop'") as caught:
        followed(airflow)
    assert "ant, zebra" in (caught.value.hint or "")
    assert airflow.sent == []


def test_an_unknown_dag_beside_a_file_that_does_not_import_tells_the_error() -> None:
    airflow = Airflow(appears_after=10**9)
    airflow.problems = [{"filename": "shop.py", "stack_trace": "Traceback\nNameError: x"}]
    with pytest.raises(InputError, match=r"shop\.py: NameError: x"):
        followed(airflow)
