"""The short way of a task's calls is Airflow's way: same calls, same answers, same errors."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import httpx
import msgspec
import pytest
from airflow.sdk.api.client import Client, ServerResponseError

from orrery.worker.batch import BatchTransport
from orrery.worker.task_client import TaskClient

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from orrery.executor.batch_protocol import Call

pytestmark = pytest.mark.contract

ADDRESS = "http://127.0.0.1:1/base/execution/"
TASK = uuid.UUID("01a219a0-22fc-785d-ba8e-29c937de8108")
THEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
RUN = "manual__2026-01-02T03:04:05.123456+00:00"


class Played(BatchTransport):
    """Answers from a list, the last for ever, and remembers what it was asked."""

    def __init__(self, *answers: httpx.Response | Exception | None) -> None:
        super().__init__(ADDRESS)
        self.answers = list(answers or [httpx.Response(200, content=b"{}")])
        self.asked: list[Call] = []
        self.timeouts: list[Mapping[str, float | None]] = []
        self.singles: list[httpx.Request] = []
        self._direct = httpx.MockTransport(self._answer_alone)  # type: ignore[assignment]

    def ask(self, call: Call, timeouts: Mapping[str, float | None]) -> httpx.Response | None:
        self.asked.append(call)
        self.timeouts.append(timeouts)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _answer_alone(self, request: httpx.Request) -> httpx.Response:
        self.singles.append(request)
        return httpx.Response(204)


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(Client.request.retry, "sleep", lambda _: None)
    yield


def ours(transport: Played) -> Any:
    return TaskClient(base_url=ADDRESS, token="first", transport=transport)


def airflows(transport: Played) -> Any:
    return Client(base_url=ADDRESS, token="first", transport=transport)


def xcom(client: Any, *, run_id: str = RUN, map_index: int | None = None, value: Any = 1) -> None:
    client.xcoms.set("a.dag", run_id, "group.task", "return_value", value, map_index)


#: The calls that every task makes, as Airflow's supervisor makes them, and whether they go the short way.
CALLS: dict[str, tuple[Callable[[Any], object], bool]] = {
    "succeed": (lambda client: client.task_instances.succeed(TASK, THEN, [], [], "a label"), True),
    "fail": (lambda client: client.task_instances.finish(TASK, "failed", THEN, None), True),
    "retry": (lambda client: client.task_instances.retry(TASK, THEN, None), True),
    "fields": (lambda client: client.task_instances.set_rtif(TASK, {"a": "é ☃ \"x\"", "b": "{{}}"}), True),
    "heartbeat": (lambda client: client.task_instances.heartbeat(TASK, 7), True),
    "value": (xcom, True),
    "value of a mapped task": (lambda client: xcom(client, map_index=3), True),
    "structured value": (lambda client: xcom(client, value={"a": [1, 2.5, None, "ü"]}), True),
    "run with a space": (lambda client: xcom(client, run_id="my run"), False),
    "run with signs": (lambda client: xcom(client, run_id="a%b?c#d"), False),
    "no value": (lambda client: xcom(client, value=None), False),
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
def test_a_call_is_airflows_byte_for_byte(name: str) -> None:
    act, is_short = CALLS[name]
    short, long = Played(), Played()
    client = ours(short)
    taken: list[object] = []

    def note(*given: Any) -> Any:
        taken.append(TaskClient._call(client, *given))
        return taken[-1]

    client._call = note

    act(client)
    act(airflows(long))

    assert [plain(call) for call in short.asked] == [plain(call) for call in long.asked]
    assert [dict(each) for each in short.timeouts] == [dict(each) for each in long.timeouts]
    assert [call is not None for call in taken] == [is_short]


def plain(call: Call) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.structs.asdict(call)
    found["headers"] = {**call.headers, "correlation-id": uuid.UUID(call.headers["correlation-id"]).version}
    return found


def test_a_start_is_answered_with_airflows_model() -> None:
    from orrery.worker import rehearsal

    context = rehearsal._startup("task", -1)["ti_context"]
    answer = httpx.Response(200, json=msgspec.json.decode(msgspec.json.encode(context)))

    started = ours(Played(answer)).task_instances.start(TASK, 7, THEN)

    assert started.dag_run.run_id == "rehearsal"


@pytest.mark.parametrize("make", [ours, airflows])
def test_a_refusal_is_airflows_error(make: Callable[[Played], Any]) -> None:
    detail = {"reason": "not_found", "message": "gone"}
    played = Played(httpx.Response(404, json={"detail": detail}))

    with pytest.raises(ServerResponseError) as caught:
        make(played).task_instances.succeed(TASK, THEN, [], [], None)

    assert caught.value.detail == detail
    assert caught.value.response.status_code == 404
    assert caught.value.request.url == f"{ADDRESS}task-instances/{TASK}/state"
    assert any("Correlation-id" in note for note in caught.value.__notes__)
    assert len(played.asked) == 1


@pytest.mark.parametrize(
    "trouble",
    [httpx.Response(503, content=b"busy"), httpx.ReadError("gone"), httpx.ConnectTimeout("slow")],
    ids=str,
)
def test_trouble_is_retried(trouble: httpx.Response | Exception) -> None:
    played = Played(trouble, trouble, httpx.Response(200))

    ours(played).task_instances.succeed(TASK, THEN, [], [], None)

    assert len(played.asked) == 3
    assert len({call.path for call in played.asked}) == 1


def test_trouble_that_lasts_is_told_as_airflow_tells_it() -> None:
    with pytest.raises(httpx.ReadError):
        ours(Played(httpx.ReadError("gone"))).task_instances.succeed(TASK, THEN, [], [], None)


def test_a_call_that_no_batch_takes_goes_by_itself_at_once() -> None:
    played = Played(None)

    ours(played).task_instances.succeed(TASK, THEN, [], [], None)

    assert len(played.asked) == 1
    assert [request.url.path for request in played.singles] == [
        f"/base/execution/task-instances/{TASK}/state"
    ]
    assert played.singles[0].headers["authorization"] == "Bearer first"


def test_a_new_token_is_used_from_then_on() -> None:
    played = Played(httpx.Response(204, headers={"Refreshed-API-Token": "second"}), httpx.Response(204))
    client = ours(played)

    client.task_instances.heartbeat(TASK, 7)
    client.task_instances.heartbeat(TASK, 7)

    assert [call.headers["authorization"] for call in played.asked] == ["Bearer first", "Bearer second"]


def test_a_trace_goes_along(monkeypatch: pytest.MonkeyPatch) -> None:
    from opentelemetry import trace

    span = trace.NonRecordingSpan(trace.SpanContext(1, 2, is_remote=False, trace_flags=trace.TraceFlags(1)))
    played = Played()

    with trace.use_span(span):
        ours(played).task_instances.heartbeat(TASK, 7)

    assert played.asked[0].headers["traceparent"] == f"00-{1:032x}-{2:016x}-01"
