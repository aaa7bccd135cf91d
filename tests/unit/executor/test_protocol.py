"""What executor and agent say to one another: lines that come out as they went in, and nothing else."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orrery.executor import protocol
from orrery.executor.protocol import (
    Acknowledge,
    Cancel,
    Declined,
    Ended,
    Freed,
    Hello,
    Lines,
    Measured,
    NodeStatus,
    Placed,
    ProtocolError,
    Run,
    RunningHere,
    Started,
    Usage,
    decode,
    encode,
)
from orrery.executor.request import Request
from orrery.executor.resources import Resources

if TYPE_CHECKING:
    from orrery.executor.protocol import Message

ASKED = {"cpu_millicores": 200, "memory_bytes": 2**28, "gpus": 0, "disk_bytes": 0}
RUNNING = RunningHere(
    id="a", resources=ASKED, is_starting=True, memory_bytes=5, memory_peak_bytes=7, cpu_seconds=0.5
)
STATUS = NodeStatus(
    name="node-1",
    host="host-1",
    pid=17,
    runtime="17.0.0",
    allocatable=ASKED,
    max_starting=4,
    started_at=1.5,
    queues=("default", "heavy"),
    warm=("dags", "git@v1"),
    state="draining",
    isolation="cgroup v2",
    notes=("no swap",),
    running=(RUNNING, RunningHere(id="b", resources=ASKED)),
)
MESSAGES: tuple[Message, ...] = (
    Hello(scheduler="3"),
    Run(
        id="a",
        workload='{"type":"ExecuteTask","ti":{"id":"\u00fc\\n"}}',
        resources=ASKED,
        isolation="namespace",
    ),
    Cancel(id="a", reason="marked as failed"),
    Acknowledge(ids=("a", "b")),
    Acknowledge(ids=()),
    STATUS,
    Placed(id="a", resources=ASKED),
    Started(id="a", resources=ASKED, at=2.5),
    Ended(
        id="a",
        ending="out_of_memory",
        text="used 1 GiB of 1 GiB\nraise it",
        started_at=1.0,
        ended_at=2.0,
        usage=Usage(memory_bytes=1, memory_peak_bytes=2, cpu_seconds=3.5),
    ),
    Ended(id="a", ending="finished"),
    Freed(id="a"),
    Declined(id="a", reason="the agent stops"),
    Measured(memory_bytes=12, cpu_millicores=1500, running=(RUNNING,)),
)


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_a_message_arrives_as_it_was_sent(message: Message) -> None:
    line = encode(message)

    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert decode(line) == message


def test_every_message_is_tried_above() -> None:
    assert {json.loads(encode(message))["type"] for message in MESSAGES} == set(protocol._DECODERS)


def test_the_bytes_of_a_path_that_are_no_text_are_replaced() -> None:
    message = Declined(id="a", reason="/dags/\udcff.py is gone")

    assert decode(encode(message)) == Declined(id="a", reason="/dags/?.py is gone")


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_keys_of_a_newer_release_are_ignored(message: Message) -> None:
    said = json.loads(encode(message)) | {"invented_later": {"a": [1]}}
    if "usage" in said:
        said["usage"]["io_bytes"] = 5
    for each in said.get("running", ()):
        each["gpu_seconds"] = 1

    assert decode(json.dumps(said).encode()) == message


def test_what_an_older_release_does_not_say_has_its_default() -> None:
    assert decode(b'{"type":"hello","scheduler":"3"}') == Hello(scheduler="3")
    assert decode(b'{"type":"ended","id":"a","ending":"lost"}') == Ended(id="a", ending="lost")


def test_an_ending_of_a_newer_release_is_an_end() -> None:
    assert decode(b'{"type":"ended","id":"a","ending":"evicted"}') == Ended(id="a", ending="evicted")


def test_a_message_of_a_newer_release_is_ignored() -> None:
    assert decode(b'{"type":"cordon","until":5}') is None
    assert list(Lines().feed(b'{"type":"cordon"}\n{"type":"hello","scheduler":"1"}\n')) == [
        Hello(scheduler="1")
    ]


@pytest.mark.parametrize(
    "line",
    [
        b"GET / HTTP/1.1",
        b"\xff\xfe",
        b"{",
        b"[]",
        b"5",
        b'"hello"',
        b"null",
        b"{}",
        b'{"type":null,"x":',
        b'{"type":[]}',
        b'{"type":"hello"}',
        b'{"type":"hello","scheduler":3}',
        b'{"type":"hello","scheduler":"1","version":"1"}',
        b'{"type":"acknowledge","ids":"a"}',
        b'{"type":"acknowledge","ids":{"a":1}}',
        b'{"type":"run","id":"a","workload":"{}","resources":5}',
        b'{"type":"run","id":"a","workload":"{}","resources":{"cpu_millicores":"much"}}',
        b'{"type":"run","id":"a","workload":"{}","resources":{"cpu_millicores":-1}}',
        b'{"type":"placed","id":7,"resources":{}}',
        b'{"type":"measured","memory_bytes":1,"cpu_millicores":1,"running":[5]}',
        b'{"type":"measured","memory_bytes":1,"cpu_millicores":1,"running":5}',
        b'{"type":"measured","memory_bytes":1,"cpu_millicores":1,"running":[{"id":"a","resources":null}]}',
        b'{"type":"ended","id":"a","ending":"lost","usage":7}',
        b"[" * 100_000,
    ],
    ids=lambda line: line[:60].decode(errors="replace"),
)
def test_what_is_no_message_is_refused(line: bytes) -> None:
    with pytest.raises(ProtocolError, match="is no message"):
        decode(line)


def test_a_refusal_shows_the_beginning_only() -> None:
    with pytest.raises(ProtocolError) as caught:
        decode(b"x" * 10_000)

    assert len(str(caught.value)) < 400


@given(st.data())
def test_messages_arrive_whole_however_the_bytes_are_cut(data: st.DataObject) -> None:
    stream = b"".join(map(encode, MESSAGES))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    lines = Lines()
    heard: list[Message] = []

    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        heard += lines.feed(stream[start:end])

    assert heard == list(MESSAGES)


def test_an_unfinished_line_waits_for_its_end() -> None:
    lines = Lines()
    line = encode(Hello(scheduler="1"))

    assert list(lines.feed(line[:-1])) == []
    assert list(lines.feed(line[-1:])) == [Hello(scheduler="1")]


def test_empty_lines_are_nothing() -> None:
    assert list(Lines().feed(b"\n \n\r\n")) == []


def test_what_was_complete_before_garbage_is_heard() -> None:
    messages = Lines().feed(encode(Hello(scheduler="1")) + b"garbage\n")

    assert next(messages) == Hello(scheduler="1")
    with pytest.raises(ProtocolError):
        next(messages)


def test_a_line_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "LONGEST_LINE", 1000)
    lines = Lines()

    assert list(lines.feed(b"x" * 900)) == []
    with pytest.raises(ProtocolError, match="longer than 1000 bytes"):
        list(lines.feed(b"x" * 101))


def test_what_a_run_asks_for_is_a_request() -> None:
    run = Run(id="a", workload="{}", resources=ASKED, isolation="namespace")

    assert run.request == Request(
        resources=Resources(cpu_millicores=200, memory_bytes=2**28), isolation="namespace"
    )


def test_an_unknown_isolation_is_the_plain_one() -> None:
    assert Run(id="a", workload="{}", resources=ASKED, isolation="vm").request.isolation == "process"
