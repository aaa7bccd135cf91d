"""The transport that all tasks share, against a real server on this machine."""

from __future__ import annotations

import base64
import contextlib
import json
import socket
import ssl
import threading
import time
from collections import Counter
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from orrery.executor.batch_protocol import (
    KEEPS_ORDER,
    MEDIA_TYPE,
    MOST_CALLS,
    NOT_BATCHED,
    Answer,
    Call,
    calls,
    pack,
    subject,
)
from orrery.worker import batch
from orrery.worker.batch import BatchTransport, LazyCallError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

WAIT_SECONDS = 20


class Server:
    """An API server that remembers what it was asked; `answer` decides about each call."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.batches: list[list[Call]] = []
        self.singles: list[Call] = []
        self.done: list[Call] = []
        self.connections: set[object] = set()
        self.batch_status = 200
        self.single_status = 200
        self.garbled: bytes | None = None
        self.batch_headers = dict(KEEPS_ORDER)
        self.answer: Callable[[Call], Answer] = lambda call: Answer(
            200, {"content-type": "application/json"}, json.dumps({"path": call.path}).encode()
        )
        self.gate = threading.Event()
        self.gate.set()
        self.reached = threading.Semaphore(0)
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                outer.connections.add(self.client_address)
                status, headers, answer = outer._answer(self.command, self.path, dict(self.headers), body)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            do_GET = do_PUT = do_PATCH = do_POST = do_DELETE = do  # noqa: N815 - http.server's names

            def log_message(self, *_: object) -> None: ...

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        if tls is not None:
            self.http.socket = tls.wrap_socket(self.http.socket, server_side=True)
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self.http.server_port}/base/execution/"
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.01,))
        self.thread.start()

    def _answer(
        self, method: str, path: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        if path != "/base/orrery/v1/execution/batch":
            call = Call(method, path.removeprefix("/base/execution/"), headers, body)
            self.singles.append(call)
            self.done.append(call)
            return self.single_status, {"content-type": "application/json"}, b'"single"'
        self.reached.release()
        self.gate.wait(WAIT_SECONDS)
        if self.batch_status != 200:
            return self.batch_status, {"content-type": "application/json"}, b'{"detail": "no"}'
        asked = calls(body)
        self.batches.append(asked)
        self.done += asked
        answer = pack([self.answer(call) for call in asked]) if self.garbled is None else self.garbled
        return 200, {"content-type": MEDIA_TYPE, **self.batch_headers}, answer

    def stop(self) -> None:
        self.gate.set()
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()


@pytest.fixture
def server() -> Iterator[Server]:
    found = Server()
    yield found
    found.stop()


@pytest.fixture
def transport(server: Server) -> Iterator[BatchTransport]:
    found = BatchTransport(server.url)
    yield found
    found.shut_down()


def token(task: str) -> str:
    payload = base64.urlsafe_b64encode(json.dumps({"sub": task}).encode()).decode().rstrip("=")
    return f"head.{payload}.signature"


def client(transport: BatchTransport, server: Server, task: str = "a", **options: Any) -> httpx.Client:
    headers = {"authorization": f"Bearer {token(task)}", "airflow-api-version": "1"}
    return httpx.Client(
        transport=transport, base_url=server.url, headers=headers, **{"timeout": WAIT_SECONDS} | options
    )


def beat(one: httpx.Client, task: str = "a") -> httpx.Response:
    return one.put(f"task-instances/{task}/heartbeat", json={"pid": 1})


def at_once(*works: Callable[[], object]) -> list[object]:
    """Run each work in a thread; return what each returned or raised."""
    found: list[object] = [None] * len(works)

    def keep(number: int, work: Callable[[], object]) -> None:
        try:
            found[number] = work()
        except Exception as error:
            found[number] = error

    threads = [threading.Thread(target=keep, args=each) for each in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_SECONDS * 2)
        assert not thread.is_alive(), "a caller hangs"
    return found


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not true():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.005)


@contextlib.contextmanager
def both_senders_away(server: Server, transport: BatchTransport) -> Iterator[list[threading.Thread]]:
    """Two calls are on their way and stay there; what comes now must queue."""
    server.gate.clear()
    threads = []
    for name in ("first", "second"):
        one = client(transport, server, name)
        threads.append(threading.Thread(target=beat, args=(one, name)))
        threads[-1].start()
        assert server.reached.acquire(timeout=WAIT_SECONDS)
    try:
        yield threads
    finally:
        server.gate.set()
        for thread in threads:
            thread.join(WAIT_SECONDS)


def test_a_call_of_the_hot_routes_travels_in_a_batch_as_it_is(
    server: Server, transport: BatchTransport
) -> None:
    one = client(transport, server, "a")
    answer = one.patch("task-instances/a/run", json={"x": 1}, headers={"correlation-id": "c", "x-more": "no"})

    assert answer.json() == {"path": "task-instances/a/run"}
    [[call]] = server.batches
    assert (call.method, call.path, call.body) == ("PATCH", "task-instances/a/run", b'{"x":1}')
    assert call.headers == {
        "authorization": f"Bearer {token('a')}",
        "airflow-api-version": "1",
        "content-type": "application/json",
        "correlation-id": "c",
    }
    assert server.singles == []


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PATCH", "task-instances/a/run"),
        ("PATCH", "task-instances/a/state"),
        ("PUT", "task-instances/a/rtif"),
        ("PUT", "task-instances/a/heartbeat"),
        ("POST", "xcoms/d/r/t/key%2Fb?map_index=3"),
    ],
)
def test_these_routes_are_batched(server: Server, transport: BatchTransport, method: str, path: str) -> None:
    client(transport, server).request(method, path, json={})

    assert [call.path for [call] in server.batches] == [path]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "task-instances/a/run"),
        ("PATCH", "task-instances/a/skip-downstream"),
        ("PATCH", "task-instances/a/b/run"),
        ("PATCH", "variables/task-instances/a/run"),
        ("GET", "xcoms/d/r/t/key"),
        ("DELETE", "xcoms/d/r/t/key"),
        ("POST", "dag-runs/d/r"),
    ],
)
def test_everything_else_goes_its_own_way(
    server: Server, transport: BatchTransport, method: str, path: str
) -> None:
    client(transport, server).request(method, path)

    assert [call.path for call in server.singles] == [path]
    assert server.batches == []


def test_what_waits_while_both_senders_are_away_leaves_together(
    server: Server, transport: BatchTransport
) -> None:
    names = [f"task-{number}" for number in range(20)]
    with both_senders_away(server, transport):
        threads = [
            threading.Thread(target=beat, args=(client(transport, server, name), name)) for name in names
        ]
        for thread in threads:
            thread.start()
        until(lambda: len(transport._queue) == len(names))
    for thread in threads:
        thread.join(WAIT_SECONDS)

    assert sorted(len(asked) for asked in server.batches) == [1, 1, 20]


@pytest.fixture
def crowd(transport: BatchTransport, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let tasks be crowded, and a batch wait for so many of them or so long."""

    def gather(*, company: int, seconds: float) -> None:
        monkeypatch.setattr(batch, "COMPANY", company)
        monkeypatch.setattr(batch, "COMPANY_SECONDS", seconds)
        transport.is_crowded = lambda: True

    return gather


def test_a_call_of_crowded_tasks_waits_for_those_of_others(
    server: Server, transport: BatchTransport, crowd: Callable[..., None]
) -> None:
    crowd(company=3, seconds=WAIT_SECONDS * 10)
    names = ("a", "b", "c")

    answers = at_once(*(partial(beat, client(transport, server, name), name) for name in names))

    assert [answer.status_code for answer in answers if isinstance(answer, httpx.Response)] == [200] * 3
    (together,) = server.batches
    assert sorted(subject(call.headers) for call in together) == sorted(names)


def test_a_call_that_nobody_joins_leaves_alone(
    server: Server, transport: BatchTransport, crowd: Callable[..., None]
) -> None:
    crowd(company=3, seconds=0.01)

    assert beat(client(transport, server)).status_code == 200


def test_no_call_waits_for_company_where_tasks_are_not_crowded(
    server: Server, transport: BatchTransport, crowd: Callable[..., None]
) -> None:
    crowd(company=3, seconds=WAIT_SECONDS * 10)
    transport.is_crowded = lambda: False

    assert beat(client(transport, server)).status_code == 200


def test_what_another_call_waits_for_does_not_wait_for_company(
    server: Server, transport: BatchTransport, crowd: Callable[..., None]
) -> None:
    crowd(company=3, seconds=WAIT_SECONDS * 10)
    one = client(transport, server)
    with transport.lazy():
        beat(one)

    one.put("task-instances/a/other")

    assert [call.path for call in server.done] == ["task-instances/a/heartbeat", "task-instances/a/other"]


def test_what_waits_for_company_leaves_when_the_transport_ends(
    server: Server, transport: BatchTransport, crowd: Callable[..., None]
) -> None:
    crowd(company=3, seconds=WAIT_SECONDS * 10)
    caller = threading.Thread(target=beat, args=(client(transport, server),))
    caller.start()
    until(lambda: bool(transport._queue))

    transport.shut_down()

    caller.join(WAIT_SECONDS)
    assert len(server.done) == 1


def test_no_batch_is_longer_than_the_server_takes(server: Server, transport: BatchTransport) -> None:
    count = MOST_CALLS + 5
    with both_senders_away(server, transport):
        threads = [
            threading.Thread(target=beat, args=(client(transport, server, str(number)), str(number)))
            for number in range(count)
        ]
        for thread in threads:
            thread.start()
        until(lambda: len(transport._queue) == count)
    for thread in threads:
        thread.join(WAIT_SECONDS)

    assert sorted(len(asked) for asked in server.batches) == [1, 1, 5, MOST_CALLS]


def test_each_of_many_callers_gets_the_answer_to_its_own_calls(
    server: Server, transport: BatchTransport
) -> None:
    def life(task: str) -> list[str]:
        with client(transport, server, task) as one:
            return [
                one.request(method, path, json={}).json()["path"]
                for method, path in [
                    ("PATCH", f"task-instances/{task}/run"),
                    ("PUT", f"task-instances/{task}/heartbeat"),
                    ("PATCH", f"task-instances/{task}/state"),
                ]
            ]

    tasks = [f"task-{number}" for number in range(50)]
    found = at_once(*[lambda task=task: life(task) for task in tasks])

    assert found == [
        [f"task-instances/{task}/{action}" for action in ("run", "heartbeat", "state")] for task in tasks
    ]
    assert sum(len(asked) for asked in server.batches) == 150
    assert len(server.connections) <= 2


def test_two_calls_of_one_task_are_never_under_way_at_a_time(
    server: Server, transport: BatchTransport
) -> None:
    one = client(transport, server, "a")
    server.gate.clear()
    first = threading.Thread(target=lambda: one.put("task-instances/a/rtif", json={}))
    first.start()
    assert server.reached.acquire(timeout=WAIT_SECONDS)
    second = threading.Thread(target=lambda: one.patch("task-instances/a/state", json={}))
    second.start()
    # The other sender is free and takes another task's call, but not this one.
    other = threading.Thread(target=beat, args=(client(transport, server, "b"), "b"))
    other.start()
    assert server.reached.acquire(timeout=WAIT_SECONDS)
    assert [waiting.call.path for waiting in transport._queue] == ["task-instances/a/state"]
    server.gate.set()
    for thread in (first, second, other):
        thread.join(WAIT_SECONDS)

    paths = [call.path for call in server.done if "/a/" in call.path]
    assert paths == ["task-instances/a/rtif", "task-instances/a/state"]


def test_closing_one_client_leaves_the_others_open(server: Server, transport: BatchTransport) -> None:
    with client(transport, server, "a") as one:
        beat(one, "a")
    assert beat(client(transport, server, "b"), "b").status_code == 200


def test_a_lazy_call_is_answered_at_once_and_travels_before_the_next_of_its_task(
    server: Server, transport: BatchTransport
) -> None:
    one = client(transport, server, "a")
    with transport.lazy():
        assert one.put("task-instances/a/rtif", json={"f": 1}).status_code == 201
        assert server.batches == []
    one.patch("task-instances/a/state", json={})

    [asked] = server.batches
    assert [call.path for call in asked] == ["task-instances/a/rtif", "task-instances/a/state"]


def test_a_lazy_call_that_nothing_follows_leaves_by_itself(server: Server, transport: BatchTransport) -> None:
    with transport.lazy():
        client(transport, server, "a").put("task-instances/a/rtif", json={})

    until(lambda: [call.path for call in server.done] == ["task-instances/a/rtif"])


def test_another_tasks_call_takes_no_lazy_call_along(server: Server, transport: BatchTransport) -> None:
    with transport.lazy():
        client(transport, server, "a").put("task-instances/a/rtif", json={})
    beat(client(transport, server, "b"), "b")

    assert [call.path for call in server.done] == ["task-instances/b/heartbeat"]


def test_laziness_is_this_threads_own(server: Server, transport: BatchTransport) -> None:
    with transport.lazy():
        [answer] = at_once(lambda: beat(client(transport, server, "a")))

    assert isinstance(answer, httpx.Response)
    assert answer.status_code == 200


def test_a_write_that_goes_its_own_way_waits_for_the_lazy_calls_of_its_task(
    server: Server, transport: BatchTransport
) -> None:
    one = client(transport, server, "a")
    with transport.lazy():
        one.put("task-instances/a/rtif", json={})
    one.patch("task-instances/a/skip-downstream", json={})

    assert [call.path.rpartition("/")[2] for call in server.done] == ["rtif", "skip-downstream"]


def test_the_late_failure_of_a_lazy_call_is_told(server: Server) -> None:
    told: list[tuple[str, str]] = []
    transport = BatchTransport(
        server.url, on_late_failure=lambda call, reason: told.append((call.path, reason))
    )
    server.answer = lambda call: Answer(410, {}, b"gone")
    with transport.lazy():
        client(transport, server, "a").put("task-instances/a/rtif", json={})
    transport.shut_down()

    assert told == [("task-instances/a/rtif", "HTTP 410: gone")]


def test_a_lazy_call_is_sent_again_when_the_server_was_away(
    server: Server, transport: BatchTransport
) -> None:
    server.batch_status = 503
    one = client(transport, server, "a")
    with transport.lazy():
        one.put("task-instances/a/rtif", json={})
    assert one.patch("task-instances/a/state", json={}).status_code == 503
    server.batch_status = 200
    one.patch("task-instances/a/state", json={})

    [asked] = server.batches
    assert [call.path.rpartition("/")[2] for call in asked] == ["rtif", "state"]


def push(one: httpx.Client) -> httpx.Response:
    return one.post("xcoms/dag/run/task/return_value", json=1)


def end(one: httpx.Client, task: str = "a") -> httpx.Response:
    return one.patch(f"task-instances/{task}/state", json={"state": "success"})


def paths(sent: list[Call]) -> list[str]:
    return [call.path.rsplit("/", 1)[-1] for call in sent]


def refusing(status: int, *, then: int = 200) -> Callable[[Call], Answer]:
    """Answer XComs with `status` as a server that keeps order does, and what follows in their batch."""

    def answer(call: Call) -> Answer:
        return Answer(status if call.method == "POST" else then, {}, b"the reason")

    return answer


def test_an_end_takes_along_what_it_depends_on(server: Server, transport: BatchTransport) -> None:
    one = client(transport, server)
    beat(one)  # now it is known that this server keeps order

    with transport.lazy(is_vital=True):
        assert push(one).status_code == 201
    assert end(one).status_code == 200

    assert [paths(batch) for batch in server.batches] == [["heartbeat"], ["return_value", "state"]]


def test_what_an_end_depends_on_leaves_soon_without_it(server: Server, transport: BatchTransport) -> None:
    one = client(transport, server)
    beat(one)

    with transport.lazy(is_vital=True):
        push(one)
    for _ in range(2):
        server.reached.acquire(timeout=WAIT_SECONDS)

    assert [paths(batch) for batch in server.batches][1:] == [["return_value"]]


@pytest.mark.parametrize("status", [404, 422])
def test_an_end_is_not_made_when_what_it_depends_on_was_refused(
    server: Server, transport: BatchTransport, status: int
) -> None:
    one = client(transport, server)
    beat(one)
    server.answer = refusing(status, then=NOT_BATCHED)

    with transport.lazy(is_vital=True):
        push(one)
    with pytest.raises(
        LazyCallError, match=f"xcoms/dag/run/task/return_value failed: HTTP {status}: the reason"
    ):
        end(one)

    assert server.singles == []
    # It is told once: what its supervisor has to say of the task then is heard.
    server.answer = refusing(200)
    assert end(one).status_code == 200


def test_an_end_is_not_made_when_what_left_before_was_refused(
    server: Server, transport: BatchTransport
) -> None:
    one = client(transport, server)
    beat(one)
    server.answer = refusing(422)
    with transport.lazy(is_vital=True):
        push(one)
    while not transport._failures:
        time.sleep(0.005)

    with pytest.raises(LazyCallError):
        end(one)
    assert beat(client(transport, server, "b"), "b").status_code == 200

    assert [paths(batch) for batch in server.batches] == [["heartbeat"], ["return_value"], ["heartbeat"]]


def test_an_end_waits_for_what_is_sent_again(
    server: Server, transport: BatchTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "LAZY_SECONDS", 0.01)
    one = client(transport, server)
    beat(one)
    answers = iter([503, 503, 201])
    server.answer = lambda call: (
        Answer(next(answers), {}, b"") if call.method == "POST" else Answer(NOT_BATCHED, {}, b"")
    )

    with transport.lazy(is_vital=True):
        push(one)
    assert end(one).status_code == 200

    assert paths(server.done)[-2:] == ["return_value", "state"]
    assert paths(server.singles) == ["state"]


def test_what_never_succeeds_is_told_to_the_end(
    server: Server, transport: BatchTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "LAZY_SECONDS", 0.001)
    one = client(transport, server)
    beat(one)
    server.answer = refusing(503, then=NOT_BATCHED)

    with transport.lazy(is_vital=True):
        push(one)
    with pytest.raises(LazyCallError, match="HTTP 503"):
        end(one)

    assert server.singles == []


def test_a_read_waits_for_what_was_pushed(server: Server, transport: BatchTransport) -> None:
    one = client(transport, server)
    beat(one)
    with transport.lazy():
        one.put("task-instances/a/rtif", json={})
    with transport.lazy(is_vital=True):
        push(one)

    one.get("xcoms/dag/run/task/return_value")

    assert paths(server.done)[-2:] == ["return_value", "return_value"]


def test_nothing_depends_on_a_server_that_may_go_on(server: Server, transport: BatchTransport) -> None:
    server.batch_headers = {}
    one = client(transport, server)
    beat(one)

    with transport.lazy(is_vital=True):
        assert push(one).status_code == 200

    assert [paths(batch) for batch in server.batches] == [["heartbeat"], ["return_value"]]


@pytest.mark.parametrize("status", [404, 405])
def test_without_the_route_calls_are_made_singly_for_a_minute(
    server: Server, transport: BatchTransport, status: int
) -> None:
    server.batch_status = status
    one = client(transport, server, "a")
    assert [beat(one).json() for _ in range(3)] == ["single"] * 3
    assert server.reached.acquire(timeout=0)
    assert not server.reached.acquire(timeout=0), "it was asked once"
    with transport.lazy():
        assert one.put("task-instances/a/rtif", json={}).json() == "single"

    server.batch_status = 200
    transport._batches_again_at -= batch.RETRY_BATCHING_SECONDS
    assert beat(one).json() == {"path": "task-instances/a/heartbeat"}


def test_a_call_that_the_server_does_not_batch_is_made_singly(
    server: Server, transport: BatchTransport
) -> None:
    server.answer = lambda call: Answer(NOT_BATCHED, {}, b"")
    assert beat(client(transport, server)).json() == "single"

    server.answer = lambda call: Answer(204, {}, b"")
    assert beat(client(transport, server)).status_code == 204


def test_a_lazy_call_that_the_server_does_not_batch_is_made_singly_before_the_next(
    server: Server, transport: BatchTransport
) -> None:
    server.answer = lambda call: Answer(NOT_BATCHED, {}, b"")
    one = client(transport, server)
    with transport.lazy():
        one.put("task-instances/a/rtif", json={})
    one.patch("task-instances/a/state", json={})

    assert [call.path.rpartition("/")[2] for call in server.singles] == ["rtif", "state"]


def test_a_refusal_of_the_whole_batch_is_each_callers_only_if_the_server_fails(
    server: Server, transport: BatchTransport
) -> None:
    server.batch_status = 502
    assert beat(client(transport, server)).status_code == 502
    server.batch_status = 400
    assert beat(client(transport, server)).json() == "single"


def test_a_server_that_is_not_there_is_a_connection_error(server: Server) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    transport = BatchTransport(f"http://127.0.0.1:{port}/execution/")
    one = httpx.Client(transport=transport, base_url=f"http://127.0.0.1:{port}/execution/")
    works = [lambda: beat(one, "a"), lambda: beat(one, "b"), lambda: one.get("health")]
    try:
        for error in at_once(*works):
            assert isinstance(error, httpx.ConnectError)
            assert str(error.request.url).startswith(f"http://127.0.0.1:{port}/execution/")
    finally:
        transport.shut_down()


def test_answers_that_do_not_fit_are_a_protocol_error(server: Server, transport: BatchTransport) -> None:
    for garbled in (b"\x00", pack(list[Answer]()), b""):
        server.garbled = garbled
        with pytest.raises(httpx.RemoteProtocolError):
            beat(client(transport, server))


def test_an_answer_that_does_not_come_is_a_timeout(server: Server, transport: BatchTransport) -> None:
    server.gate.clear()
    with pytest.raises(httpx.ReadTimeout):
        beat(client(transport, server, timeout=0.1))


def test_a_call_that_never_leaves_the_queue_is_a_timeout_too(
    server: Server, transport: BatchTransport
) -> None:
    with both_senders_away(server, transport), pytest.raises(httpx.PoolTimeout):
        beat(client(transport, server, "third", timeout=0.05), "third")
    until(lambda: len(server.batches) == 2)

    assert all("third" not in call.path for asked in server.batches for call in asked)


def test_what_is_queued_leaves_before_the_transport_ends(server: Server) -> None:
    transport = BatchTransport(server.url)
    one = client(transport, server, "a")
    with transport.lazy():
        one.put("task-instances/a/rtif", json={})
    transport.shut_down()

    assert [call.path for call in server.done] == ["task-instances/a/rtif"]
    assert not any(thread.name.startswith("batch-sender") for thread in threading.enumerate())


def test_an_execution_api_of_another_shape_has_no_batch_route(server: Server) -> None:
    address = server.url.replace("/base/execution/", "/elsewhere/")
    transport = BatchTransport(address)
    with httpx.Client(transport=transport, base_url=address) as one:
        assert beat(one).json() == "single"
    transport.shut_down()

    assert server.batches == []


def test_airflows_own_client_works_on_it(server: Server, transport: BatchTransport) -> None:
    from airflow.sdk.api.client import Client, ServerResponseError

    def answer(call: Call) -> Answer:
        if call.path.endswith("/run"):
            body = {"dag_run": _dag_run(), "max_tries": 0, "should_retry": False}
            renewed = {"refreshed-api-token": token("a") + "renewed"}
            return Answer(200, {"content-type": "application/json"} | renewed, json.dumps(body).encode())
        if call.path.endswith("/heartbeat"):
            detail = b'{"detail": {"reason": "not_running"}}'
            return Answer(409, {"content-type": "application/json"}, detail)
        return Answer(204, {}, b"")

    server.answer = answer
    with Client(base_url=server.url, token=token("a"), transport=transport) as airflows:
        from datetime import UTC, datetime
        from uuid import UUID

        task = UUID(int=1)
        context = airflows.task_instances.start(task, 1, datetime.now(UTC))
        assert context.dag_run.run_id == "r"
        with transport.lazy():
            airflows.task_instances.set_rtif(task, {"field": "value"})
        with pytest.raises(ServerResponseError) as caught:
            airflows.task_instances.heartbeat(task, 1)
        assert caught.value.response.status_code == 409
        assert caught.value.detail == {"reason": "not_running"}
        airflows.task_instances.succeed(task, datetime.now(UTC), [], [], None)

    kinds = Counter(call.path.rpartition("/")[2] for asked in server.batches for call in asked)
    assert kinds == {"run": 1, "rtif": 1, "heartbeat": 1, "state": 1}
    used = {call.path.rpartition("/")[2]: call.headers["authorization"] for call in server.done}
    assert used["state"].endswith("renewed")
    assert not used["run"].endswith("renewed")


def test_https_is_checked_with_the_certificates_of_airflows_client(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.sdk.api import client as airflows

    certificate, key = _self_signed(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    server = Server(tls)
    try:
        monkeypatch.setattr(airflows, "API_SSL_CERT_PATH", str(certificate))
        transport = batch.airflow_transport(server.url)
        assert beat(client(transport, server)).status_code == 200
        transport.shut_down()
        monkeypatch.setattr(airflows, "API_SSL_CERT_PATH", "")
        transport = batch.airflow_transport(server.url)
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            beat(client(transport, server))
        transport.shut_down()
    finally:
        server.stop()
    assert len(server.batches) == 1


def _self_signed(folder: Path) -> tuple[Path, Path]:
    from datetime import UTC, datetime, timedelta
    from ipaddress import ip_address

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(address, critical=False)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "certificate.pem", folder / "key.pem"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return paths


def _dag_run() -> dict[str, object]:
    when = "2021-01-01T00:00:00Z"
    return {
        "dag_id": "d",
        "run_id": "r",
        "logical_date": when,
        "data_interval_start": when,
        "data_interval_end": when,
        "start_date": when,
        "end_date": None,
        "partition_key": None,
        "run_type": "manual",
        "run_after": when,
        "state": "running",
        "consumed_asset_events": [],
    }
