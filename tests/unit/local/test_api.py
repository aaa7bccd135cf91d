"""The client of Airflow's API, against a real server on loopback."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from orrery.local.api import Api, ApiError, NotFoundError
from orrery.local.ports import free_port
from orrery.local.status import import_problems

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Answer = tuple[int, Any]


class Server:
    """Answers as it is told, remembers what it was asked."""

    def __init__(self) -> None:
        self.answers: dict[tuple[str, str], Answer | Callable[[], Answer]] = {
            ("POST", "/auth/token"): (201, {"access_token": "t1"})
        }
        self.asked: list[tuple[str, str, Any, str | None]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def _answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                asked = json.loads(body) if body else None
                outer.asked.append((self.command, self.path, asked, self.headers.get("Authorization")))
                found = outer.answers.get((self.command, self.path), (404, {"detail": "Not Found"}))
                status, value = found() if callable(found) else found
                text = value.encode() if isinstance(value, str) else json.dumps(value).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_POST = do_PATCH = _answer  # noqa: N815 - http.server's names

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    found = Server()
    yield found
    found.close()


@pytest.fixture
def api(server: Server) -> Iterator[Api]:
    with Api(server.url, password="hunter2", timeout_seconds=10) as client:
        yield client


def test_orrerys_own_routes_are_asked_beside_airflows(server: Server, api: Api) -> None:
    server.answers["GET", "/orrery/v1/workers"] = (200, {"nodes": []})

    assert api.get_orrery("/workers") == {"nodes": []}
    assert server.asked[-1][3] == "Bearer t1"


def test_the_first_call_signs_in_and_the_next_ones_do_not(server: Server, api: Api) -> None:
    server.answers["GET", "/api/v2/pools/x"] = (200, {"name": "x"})
    for _ in range(2):
        assert api.get("/pools/x") == {"name": "x"}
    assert server.asked == [
        ("POST", "/auth/token", {"username": "admin", "password": "hunter2"}, None),
        ("GET", "/api/v2/pools/x", None, "Bearer t1"),
        ("GET", "/api/v2/pools/x", None, "Bearer t1"),
    ]


def test_a_session_that_has_run_out_is_signed_in_again(server: Server, api: Api) -> None:
    # Given a run that is followed for longer than a token lives
    server.answers["GET", "/api/v2/pools/x"] = (200, {"name": "x"})
    api.get("/pools/x")
    answers = iter([(401, {"detail": "Token expired"}), (200, {"name": "x"})])
    server.answers["GET", "/api/v2/pools/x"] = lambda: next(answers)
    server.answers["POST", "/auth/token"] = (201, {"access_token": "t2"})
    assert api.get("/pools/x") == {"name": "x"}
    assert server.asked[-1][3] == "Bearer t2"


def test_who_is_refused_twice_is_refused(server: Server, api: Api) -> None:
    server.answers["GET", "/api/v2/pools/x"] = (401, {"detail": "No"})
    with pytest.raises(ApiError, match=r"\(401\): No"):
        api.get("/pools/x")


@pytest.mark.parametrize("method", ["post", "patch"])
def test_a_body_is_sent_as_json(server: Server, api: Api, method: str) -> None:
    server.answers[method.upper(), "/api/v2/pools"] = (200, {})
    getattr(api, method)("/pools", {"name": "ü"})
    assert server.asked[-1][2] == {"name": "ü"}


def test_parameters_become_a_query(server: Server, api: Api) -> None:
    server.answers["GET", "/api/v2/dags?limit=20"] = (200, {"dags": []})
    assert api.get("/dags", limit=20) == {"dags": []}


def test_an_answer_without_a_body_is_empty(server: Server, api: Api) -> None:
    server.answers["POST", "/api/v2/pools"] = (200, "")
    assert api.post("/pools", {}) == {}


def test_what_is_not_there_is_none_to_find_and_an_error_to_get(api: Api) -> None:
    assert api.find("/pools/x") is None
    with pytest.raises(NotFoundError, match=r"refused GET /pools/x \(404\): Not Found"):
        api.get("/pools/x")


def test_a_failure_is_not_an_absence(server: Server, api: Api) -> None:
    server.answers["GET", "/api/v2/pools/x"] = (500, "Internal Server Error")
    with pytest.raises(ApiError, match=r"\(500\): Internal Server Error"):
        api.find("/pools/x")


@pytest.mark.parametrize(
    "body", ["", "[1]", {"detail": [{"msg": "too long"}]}], ids=["empty", "list", "validation"]
)
def test_every_kind_of_refusal_is_told(server: Server, api: Api, body: Any) -> None:
    server.answers["GET", "/api/v2/pools/x"] = (422, body)
    with pytest.raises(ApiError, match=r"refused GET /pools/x \(422\): \S"):
        api.get("/pools/x")


def test_a_refused_sign_in_tells_who_and_why(server: Server, api: Api) -> None:
    server.answers["POST", "/auth/token"] = (401, {"detail": "Invalid credentials"})
    with pytest.raises(ApiError, match=r"sign-in of 'admin'.*Invalid credentials") as caught:
        api.get("/pools")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("body", ["<html>hello</html>", "{}", "[]", "null"])
def test_another_program_on_the_port_is_an_error_that_people_read(
    server: Server, api: Api, body: str
) -> None:
    # Given a program that answers every question with success
    server.answers["POST", "/auth/token"] = (200, body)
    with pytest.raises(ApiError, match="not Airflow"):
        api.get("/pools")


def test_an_answer_that_is_no_json_is_an_error_that_people_read(server: Server, api: Api) -> None:
    server.answers["GET", "/api/v2/pools"] = (200, "<html>")
    with pytest.raises(ApiError, match="not Airflow"):
        api.get("/pools")


def test_nobody_there_is_told_with_the_command_to_look() -> None:
    with (
        Api(f"http://127.0.0.1:{free_port()}", password="x") as api,
        pytest.raises(ApiError, match="does not answer") as caught,
    ):
        api.get("/pools")
    assert "orrery status" in (caught.value.hint or "")


def test_a_proxy_of_the_user_is_not_asked(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    server.answers["GET", "/api/v2/monitor/health"] = (200, {})
    with Api(server.url, password="x") as api:
        assert api.health() == {}


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ((200, {"scheduler": {}}), {"scheduler": {}}),
        ((200, "<html>"), None),
        ((200, "[]"), None),
        ((503, {}), None),
        ((404, {}), None),
    ],
)
def test_health_is_what_airflow_says_or_nothing(
    server: Server, api: Api, answer: Answer, expected: Any
) -> None:
    server.answers["GET", "/api/v2/monitor/health"] = answer
    assert api.health() == expected


def test_health_needs_no_sign_in(server: Server, api: Api) -> None:
    server.answers["GET", "/api/v2/monitor/health"] = (200, {})
    api.health()
    assert [asked[1] for asked in server.asked] == ["/api/v2/monitor/health"]


def test_nobody_there_has_no_health() -> None:
    with Api(f"http://127.0.0.1:{free_port()}", password="x") as api:
        assert api.health() is None


def test_a_file_that_does_not_import_is_told_by_its_last_line(server: Server, api: Api) -> None:
    errors = [
        {"filename": "a.py", "stack_trace": "Traceback\n  File\nNameError: x\n"},
        {"filename": "b.py", "stack_trace": ""},
        {"filename": "c.py", "stack_trace": " \n"},
        {"filename": "d.py", "stack_trace": None},
    ]
    server.answers["GET", "/api/v2/importErrors?limit=100"] = (200, {"import_errors": errors})
    problems = import_problems(api)
    assert problems is not None
    assert [(item.file, item.error) for item in problems] == [
        ("a.py", "NameError: x"),
        ("b.py", "unknown"),
        ("c.py", "unknown"),
        ("d.py", "unknown"),
    ]


def test_import_errors_that_cannot_be_asked_for_are_unknown_not_none(server: Server, api: Api) -> None:
    server.answers["POST", "/auth/token"] = (401, {})
    assert import_problems(api) is None
