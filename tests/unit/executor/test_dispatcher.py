"""The dispatcher, against agents that speak the real protocol over real sockets but run nothing."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import socket
import tempfile
import threading
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
from msgspec.structs import replace

from orrery.executor import dispatcher as dispatcher_module
from orrery.executor.dispatcher import Dispatcher
from orrery.executor.job import Finished, Job
from orrery.executor.protocol import (
    VERSION,
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
    encode,
)
from orrery.executor.request import Request
from orrery.executor.resources import Resources

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from orrery.executor.protocol import Message, ToExecutor

GIB = 1024**3
PATIENCE_SECONDS = 30.0
NOW = datetime(2026, 1, 1, tzinfo=UTC)
#: A node of two cores holds two of these.
CORE = Resources(cpu_millicores=1000, memory_bytes=GIB)
NODE = Resources(cpu_millicores=2000, memory_bytes=8 * GIB)

Kind = TypeVar("Kind")


def wait_for(what: Callable[[], Any], why: str = "") -> Any:
    """Return what it returns as soon as that is true."""
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        if found := what():
            return found
        time.sleep(0.005)
    raise AssertionError(f"it never happened: {why or what}")


class FakeAgent:
    """An agent that takes whatever it is sent, runs nothing, and ends what it is told to end."""

    def __init__(
        self,
        path: Path,
        name: str = "node-1",
        *,
        running: dict[str, RunningHere] | None = None,
        unrecorded: dict[str, Ended] | None = None,
        **status: Any,
    ) -> None:
        self.path = path
        self.said = {"name": name, "allocatable": NODE.as_mapping(), "max_starting": 4} | status
        #: Of all executors, in their order.
        self.heard: list[Message] = []
        self.running = running or {}
        self.unrecorded = unrecorded or {}
        self.takes = True
        self.greets = True
        self.broken: list[str] = []
        self._peers: list[socket.socket] = []
        #: Those that have not been greeted.
        self._strangers: list[socket.socket] = []
        self._lock = threading.RLock()
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(path))
        self._server.listen()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    # -- what tests ask and tell

    def of(self, kind: type[Kind]) -> list[Kind]:
        return [message for message in list(self.heard) if isinstance(message, kind)]

    @property
    def runs(self) -> list[str]:
        return [run.id for run in self.of(Run)]

    def is_sent(self, job: str) -> bool:
        return job in self.runs

    def wait_for_runs(self, *ids: str) -> None:
        wait_for(lambda: sorted(self.runs) == sorted(ids), f"runs {ids}")

    def say(self, message: ToExecutor) -> None:
        self.say_bytes(encode(message))

    def say_bytes(self, data: bytes) -> None:
        with self._lock:
            for peer in self._peers:
                with contextlib.suppress(OSError):
                    peer.sendall(data)

    def started(self, job: str) -> None:
        with self._lock:
            self.running[job] = replace(self.running[job], is_starting=False)
            self.say(Started(id=job, resources=self.running[job].resources, at=5.0))

    def freed(self, job: str) -> None:
        with self._lock:
            self.running[job] = replace(self.running[job], resources={}, is_starting=False)
            self.say(Freed(id=job))

    def ended(self, job: str, ending: Any = "finished", **rest: Any) -> None:
        with self._lock:
            self.running.pop(job, None)
            self.unrecorded[job] = ended = Ended(id=job, ending=ending, **rest)
            self.say(ended)

    def disconnect(self) -> None:
        with self._lock:
            for peer in (*self._peers, *self._strangers):
                with contextlib.suppress(OSError):
                    peer.shutdown(socket.SHUT_RDWR)
            self._peers.clear()
            self._strangers.clear()

    def greet(self) -> None:
        """Answer those who have asked already."""
        with self._lock:
            self.greets = True
            while self._strangers:
                self._welcome(self._strangers.pop())

    def stop(self, *, unlink: bool = False) -> None:
        """End as kill -9 does: the socket's file stays."""
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self.disconnect()
        for thread in list(self._threads):
            thread.join(PATIENCE_SECONDS)
        if unlink:
            self.path.unlink()

    # -- the agent's side of the protocol

    def _accept(self) -> None:
        while True:
            try:
                peer, _ = self._server.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._listen, args=(peer,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _listen(self, peer: socket.socket) -> None:
        lines = Lines()
        with peer, contextlib.suppress(OSError):
            while data := peer.recv(1 << 16):
                try:
                    for message in lines.feed(data):
                        with self._lock:
                            self._hear(message, peer)
                except ProtocolError as error:
                    self.broken.append(str(error))
                    return

    def _hear(self, message: Message, peer: socket.socket) -> None:
        self.heard.append(message)
        match message:
            case Hello() if self.greets:
                self._welcome(peer)
            case Hello():
                self._strangers.append(peer)
            case Run() if self.takes:
                self.running[message.id] = RunningHere(
                    id=message.id, resources=message.resources, is_starting=True
                )
                self.say(Placed(id=message.id, resources=message.resources))
            case Acknowledge():
                for each in message.ids:
                    self.unrecorded.pop(each, None)

    def _welcome(self, peer: socket.socket) -> None:
        for ended in self.unrecorded.values():
            peer.sendall(encode(ended))
        peer.sendall(encode(self.status()))
        self._peers.append(peer)

    def status(self) -> NodeStatus:
        given: dict[str, Any] = {"host": "host", "pid": 1, "runtime": "17", "started_at": 1.0} | self.said
        return NodeStatus(**given, running=tuple(self.running.values()))


@pytest.fixture
def folder() -> Iterator[Path]:
    # A socket's path may have 107 bytes only: pytest's own folders are too deep.
    path = Path(tempfile.mkdtemp(prefix="orrery-d-"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def agents(folder: Path) -> Iterator[Callable[..., FakeAgent]]:
    started: list[FakeAgent] = []

    def start(path: Path | None = None, **status: Any) -> FakeAgent:
        agent = FakeAgent(path or folder / "agent.sock", **status)
        started.append(agent)
        return agent

    yield start
    for agent in started:
        with contextlib.suppress(OSError):
            agent.stop()
        assert agent.broken == []


@pytest.fixture
def dispatchers(folder: Path) -> Iterator[Callable[..., Dispatcher]]:
    started: list[Dispatcher] = []

    def start(*paths: Path, lost_after: float = 1000.0, scheduler: str = "1") -> Dispatcher:
        made = Dispatcher(paths or [folder / "agent.sock"], scheduler=scheduler, node_lost_seconds=lost_after)
        made.start()
        started.append(made)
        return made

    yield start
    for each in started:
        each.stop()


def job(name: str, resources: Resources = CORE, **rest: Any) -> Job:
    given: dict[str, Any] = {
        "key": ("key of", name),
        "render": lambda: f"workload of {name}",
        "request": Request(resources=resources),
        "queue": "default",
        "priority": 1,
        "bundle": "dags",
        "queued_at": NOW,
    } | rest
    return Job(id=name, **given)


def in_order(names: str, resources: Resources = CORE) -> list[Job]:
    """Jobs of a letter each, queued a second apart."""
    return [job(name, resources, queued_at=NOW + timedelta(seconds=n)) for n, name in enumerate(names)]


def submit(dispatcher: Dispatcher, *jobs: Job) -> None:
    for each in jobs:
        dispatcher.add(each)
    dispatcher.go()


def news(dispatcher: Dispatcher, count: int = 1) -> list[Finished]:
    wait_for(lambda: len(dispatcher.news) >= count, f"{count} pieces of news")
    assert len(dispatcher.news) == count
    found = list(dispatcher.news)
    dispatcher.news.clear()
    return found


def reasons(dispatcher: Dispatcher) -> dict[str, str]:
    return {each.id: reason for each, reason in dispatcher.view()[2]}


def is_known(dispatcher: Dispatcher) -> Callable[[], Any]:
    return lambda: [node for node in dispatcher.nodes() if node.is_ready]


# -- placing --------------------------------------------------------------------------------------


def test_what_fits_is_sent_and_the_rest_waits_with_a_reason(agents: Any, dispatchers: Any) -> None:
    agent, dispatcher = agents(), dispatchers()
    submit(dispatcher, *in_order("abc"))

    agent.wait_for_runs("a", "b")

    wait_for(lambda: "waits for 1 CPU" in reasons(dispatcher).get("c", ""), "a reason")
    assert dispatcher.counts() == (1, 2)
    assert "node-1 has 0 CPU free of 2" in reasons(dispatcher)["c"]
    assert sorted(each.id for each in dispatcher.view()[1]) == ["a", "b"]


def test_a_run_says_all_that_the_agent_needs(agents: Any, dispatchers: Any) -> None:
    agent, dispatcher = agents(), dispatchers()
    asked = Request(resources=CORE, isolation="namespace")
    submit(dispatcher, job("a", request=asked))

    agent.wait_for_runs("a")

    assert agent.of(Run) == [
        Run(
            id="a",
            workload="workload of a",
            resources=CORE.as_mapping(),
            isolation="namespace",
        )
    ]
    assert agent.of(Hello) == [Hello(scheduler="1")]


def test_the_workload_is_made_when_it_is_sent(agents: Any, dispatchers: Any) -> None:
    agent, dispatcher = agents(), dispatchers()
    made: list[str] = []
    submit(dispatcher, job("a", NODE))
    agent.wait_for_runs("a")

    def render() -> str:
        made.append("b")
        return "late"

    submit(dispatcher, job("b", NODE, render=render))
    wait_for(lambda: "waits" in reasons(dispatcher).get("b", ""))
    assert made == []
    agent.ended("a")

    agent.wait_for_runs("a", "b")
    assert made == ["b"]


def test_a_workload_that_cannot_be_made_is_lost_and_takes_no_room(agents: Any, dispatchers: Any) -> None:
    agent, dispatcher = agents(), dispatchers()

    def fail() -> str:
        raise RuntimeError("no key to sign with")

    submit(dispatcher, job("a", NODE, render=fail))
    (finished,) = news(dispatcher)
    submit(dispatcher, job("b", NODE))

    agent.wait_for_runs("b")
    assert finished.ended.ending == "lost"
    assert "no key to sign with" in finished.ended.text


def test_an_end_makes_room_for_the_next_without_the_scheduler(agents: Any, dispatchers: Any) -> None:
    agent, dispatcher = agents(), dispatchers()
    submit(dispatcher, *in_order("abc", NODE))
    agent.wait_for_runs("a")

    agent.ended("a")
    agent.wait_for_runs("a", "b")
    agent.ended("b", "signal")
    agent.wait_for_runs("a", "b", "c")

    assert dispatcher.counts() == (0, 1)


def test_room_that_was_given_back_is_used_before_the_end_is_told(agents: Any, dispatchers: Any) -> None:
    agent, dispatcher = agents(), dispatchers()
    submit(dispatcher, *in_order("abc", NODE))
    agent.wait_for_runs("a")

    agent.freed("a")
    agent.wait_for_runs("a", "b")
    assert dispatcher.counts() == (1, 2)
    agent.ended("a")

    # Its room was given away already: the end makes none.
    assert [each.job.id for each in news(dispatcher)] == ["a"]
    assert dispatcher.counts() == (1, 1)
    agent.ended("b")
    agent.wait_for_runs("a", "b", "c")


def test_a_task_whose_room_was_given_back_is_not_lost_with_the_connection(
    agents: Any, dispatchers: Any
) -> None:
    agent, dispatcher = agents(), dispatchers()
    submit(dispatcher, job("a", NODE))
    agent.wait_for_runs("a")
    agent.freed("a")

    agent.disconnect()
    wait_for(lambda: len(agent.of(Hello)) == 2)
    wait_for(is_known(dispatcher))
    submit(dispatcher, job("b", NODE))
    agent.wait_for_runs("a", "b")
    agent.ended("a")

    assert [each.ended.ending for each in news(dispatcher)] == ["finished"]


def test_the_more_important_goes_first(agents: Any, dispatchers: Any) -> None:
    agent, dispatcher = agents(), dispatchers()
    submit(dispatcher, job("first", NODE))
    agent.wait_for_runs("first")
    submit(
        dispatcher,
        job("low", NODE, priority=1, queued_at=NOW - timedelta(hours=1)),
        job("high", NODE, priority=9),
        job("middle", NODE, priority=5),
    )

    for name, following in pairwise(["first", "high", "middle", "low"]):
        agent.ended(name)
        wait_for(partial(agent.is_sent, following))

    assert agent.runs == ["first", "high", "middle", "low"]


def test_few_are_starting_at_a_time(agents: Any, dispatchers: Any) -> None:
    agent, dispatcher = agents(max_starting=1), dispatchers()
    tiny = Resources(cpu_millicores=1, memory_bytes=1024**2)
    submit(dispatcher, *(job(f"job-{n}", tiny) for n in range(20)))

    first = wait_for(lambda: agent.runs)
    wait_for(lambda: any("waits for its start" in reason for reason in reasons(dispatcher).values()))
    # All that were sent have arrived.
    wait_for(lambda: len(agent.runs) + dispatcher.counts()[0] == 20)
    before = len(agent.runs)
    agent.started(first[0])
    wait_for(lambda: len(agent.runs) > before)

    assert before < 20
    assert len(agent.runs) <= before + 1


def test_what_no_node_can_hold_is_lost_at_once_and_the_largest_is_named(
    agents: Any, dispatchers: Any
) -> None:
    agents()
    dispatcher = dispatchers()
    submit(dispatcher, job("huge", Resources(cpu_millicores=64_000, memory_bytes=GIB)))

    (finished,) = news(dispatcher)

    assert finished.ended.ending == "lost"
    assert finished.job.id == "huge"
    assert "asks 64 CPU" in finished.ended.text
    assert "the largest, node-1, has 2 CPU" in finished.ended.text
    assert dispatcher.counts() == (0, 0)


def test_jobs_go_to_nodes_that_serve_their_queue(folder: Path, agents: Any, dispatchers: Any) -> None:
    plain = agents(folder / "1.sock", name="plain", queues=("default",))
    heavy = agents(folder / "2.sock", name="heavy", queues=("heavy",))
    dispatcher = dispatchers(plain.path, heavy.path)
    wait_for(lambda: len(is_known(dispatcher)()) == 2)
    submit(dispatcher, job("a"), job("b", queue="heavy"), job("c", queue="nobody's"))

    plain.wait_for_runs("a")
    heavy.wait_for_runs("b")

    wait_for(lambda: "none serves the queue 'nobody's'" in reasons(dispatcher).get("c", ""))


def test_a_node_that_names_no_queues_serves_all(agents: Any, dispatchers: Any) -> None:
    agent, dispatcher = agents(), dispatchers()
    submit(dispatcher, job("a", queue="anything"))

    agent.wait_for_runs("a")


def test_a_declined_job_is_placed_again(agents: Any, dispatchers: Any) -> None:
    agent, dispatcher = agents(), dispatchers()
    agent.takes = False
    submit(dispatcher, job("a"))
    agent.wait_for_runs("a")

    agent.say(Declined(id="a", reason="another scheduler has taken the room"))

    agent.wait_for_runs("a", "a")
    assert not dispatcher.news
    assert dispatcher.counts() == (0, 1)


def test_a_draining_node_gets_nothing_and_is_named(agents: Any, dispatchers: Any) -> None:
    agent, dispatcher = agents(), dispatchers()
    wait_for(is_known(dispatcher))
    agent.said["state"] = "draining"
    agent.say(agent.status())
    wait_for(lambda: not is_known(dispatcher)())
    submit(dispatcher, job("a"))

    wait_for(lambda: "node-1 is draining" in reasons(dispatcher).get("a", ""))
    assert agent.runs == []


def test_time_alone_moves_placement_on(
    agents: Any, dispatchers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent, dispatcher = agents(), dispatchers()
    submit(dispatcher, job("a", NODE), job("b", NODE, queued_at=NOW + timedelta(seconds=1)))
    agent.wait_for_runs("a")
    rounds: list[int] = []
    place = dispatcher._place

    def counted() -> None:
        rounds.append(1)
        place()

    monkeypatch.setattr(dispatcher, "_place", counted)

    wait_for(lambda: len(rounds) > 1)  # nobody says anything


# -- ends and news --------------------------------------------------------------------------------


def test_an_end_is_news_with_all_that_the_agent_said(agents: Any, dispatchers: Any) -> None:
    agent, dispatcher = agents(), dispatchers()
    submit(dispatcher, job("a"))
    agent.wait_for_runs("a")
    agent.started("a")
    used = Usage(memory_peak_bytes=7, cpu_seconds=1.5)

    agent.ended("a", "out_of_memory", text="used it all", started_at=1.0, ended_at=2.0, usage=used)

    (finished,) = news(dispatcher)
    assert finished.ended == Ended(
        id="a", ending="out_of_memory", text="used it all", started_at=1.0, ended_at=2.0, usage=used
    )
    assert (finished.job.id, finished.node) == ("a", "node-1")
    assert finished.job.started_at == datetime.fromtimestamp(5.0, UTC)
    assert finished.job.placed_at is not None


def test_the_scheduler_can_sleep_until_there_is_news(agents: Any, dispatchers: Any) -> None:
    agent, dispatcher = agents(), dispatchers()
    submit(dispatcher, job("a"), job("b"))
    agent.wait_for_runs("a", "b")
    assert select.select([dispatcher.wake], [], [], 0)[0] == []

    agent.ended("a")

    assert select.select([dispatcher.wake], [], [], PATIENCE_SECONDS)[0] == [dispatcher.wake]
    news(dispatcher)
    os.eventfd_read(dispatcher.wake)
    assert select.select([dispatcher.wake], [], [], 0)[0] == []
    agent.ended("b")
    assert select.select([dispatcher.wake], [], [], PATIENCE_SECONDS)[0] == [dispatcher.wake]


def test_an_end_is_told_until_it_is_acknowledged(agents: Any, dispatchers: Any) -> None:
    agent, dispatcher = agents(), dispatchers()
    submit(dispatcher, job("a"))
    agent.wait_for_runs("a")
    agent.ended("a")
    finished = news(dispatcher)

    agent.disconnect()
    wait_for(lambda: len(agent.of(Hello)) == 2)
    assert list(agent.unrecorded) == ["a"]
    dispatcher.acknowledge(finished)

    wait_for(lambda: not agent.unrecorded)
    assert not dispatcher.news  # hearing it twice is no news


def test_an_acknowledgement_that_found_no_agent_is_given_later(agents: Any, dispatchers: Any) -> None:
    agent, dispatcher = agents(), dispatchers()
    submit(dispatcher, job("a"))
    agent.wait_for_runs("a")
    agent.ended("a")
    finished = news(dispatcher)
    agent.stop(unlink=True)
    wait_for(dispatcher.problems)
    dispatcher.acknowledge(finished)

    again = agents(unrecorded=agent.unrecorded)

    wait_for(lambda: again.of(Acknowledge) == [Acknowledge(ids=("a",))])
    assert not dispatcher.news


def test_of_recorded_ends_only_the_latest_are_remembered(
    agents: Any, dispatchers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatcher_module, "_MOST_RECORDED", 2)
    agent, dispatcher = agents(), dispatchers()
    submit(dispatcher, *in_order("abc", Resources(cpu_millicores=100, memory_bytes=1024**2)))
    agent.wait_for_runs(*"abc")
    for name in "abc":
        agent.ended(name)
        dispatcher.acknowledge(news(dispatcher))

    assert list(dispatcher._recorded) == ["b", "c"]


def test_measurements_are_kept_with_the_job(agents: Any, dispatchers: Any) -> None:
    agent, dispatcher = agents(), dispatchers()
    submit(dispatcher, job("a"))
    agent.wait_for_runs("a")
    measured = RunningHere(
        id="a", resources=CORE.as_mapping(), memory_bytes=3, memory_peak_bytes=4, cpu_seconds=0.5
    )

    agent.say(Measured(memory_bytes=3, cpu_millicores=700, running=(measured,)))

    found = wait_for(lambda: [each for each in dispatcher.view()[1] if each.memory_bytes])[0]
    assert (found.memory_bytes, found.memory_peak_bytes, found.cpu_seconds) == (3, 4, 0.5)
    assert dispatcher.view()[0][0].measured.cpu_millicores == 700


# -- agents that go and come ----------------------------------------------------------------------


def test_jobs_wait_for_the_first_agent(folder: Path, agents: Any, dispatchers: Any) -> None:
    dispatcher = dispatchers()
    submit(dispatcher, job("a"))
    wait_for(lambda: "waits for an agent" in reasons(dispatcher).get("a", ""))
    assert str(folder / "agent.sock") in wait_for(dispatcher.problems)[0]

    agent = agents()

    agent.wait_for_runs("a")
    assert dispatcher.problems() == []


def test_a_socket_that_nobody_serves_is_a_problem_with_a_name(
    folder: Path, agents: Any, dispatchers: Any
) -> None:
    path = folder / "agent.sock"
    agents(path).stop()
    assert path.exists()
    dispatcher = dispatchers()
    submit(dispatcher, job("a"))

    wait_for(lambda: f"waits for an agent: {path}: Connection refused" in reasons(dispatcher).get("a", ""))


def test_an_agent_that_comes_back_keeps_what_it_still_runs(agents: Any, dispatchers: Any) -> None:
    agent, dispatcher = agents(), dispatchers()
    submit(dispatcher, job("a"), job("b"))
    agent.wait_for_runs("a", "b")

    agent.disconnect()
    wait_for(lambda: len(agent.of(Hello)) == 2)
    wait_for(is_known(dispatcher))
    agent.ended("a")

    assert [each.job.id for each in news(dispatcher)] == ["a"]
    assert sorted(agent.runs) == ["a", "b"]
    assert dispatcher.counts() == (0, 1)


def test_a_restarted_agent_has_lost_what_it_had_confirmed(agents: Any, dispatchers: Any) -> None:
    agent, dispatcher = agents(), dispatchers()
    submit(dispatcher, job("a"))
    agent.wait_for_runs("a")
    agent.started("a")
    wait_for(lambda: dispatcher.view()[1][0].started_at)

    agent.running.clear()
    agent.disconnect()

    (finished,) = news(dispatcher)
    assert (finished.ended.ending, finished.node) == ("lost", "node-1")
    assert finished.ended.text == "the agent of node node-1 was restarted"
    assert agent.runs == ["a"]


def test_a_restarted_agent_is_sent_again_what_it_had_not_confirmed(agents: Any, dispatchers: Any) -> None:
    agent, dispatcher = agents(), dispatchers()
    agent.takes = False
    submit(dispatcher, job("a"))
    agent.wait_for_runs("a")

    agent.takes = True
    agent.disconnect()

    agent.wait_for_runs("a", "a")
    assert not dispatcher.news
    agent.ended("a")
    assert [each.ended.ending for each in news(dispatcher)] == ["finished"]


def test_an_end_that_the_agent_could_not_tell_is_no_loss(agents: Any, dispatchers: Any) -> None:
    agent, dispatcher = agents(), dispatchers()
    submit(dispatcher, job("a"))
    agent.wait_for_runs("a")
    wait_for(lambda: dispatcher.view()[1][0].is_confirmed)

    with agent._lock:
        agent.running.clear()
        agent.unrecorded["a"] = Ended(id="a", ending="signal", text="meanwhile")
        agent.disconnect()

    (finished,) = news(dispatcher)
    assert (finished.ended.ending, finished.ended.text) == ("signal", "meanwhile")


def test_a_node_that_stays_away_is_lost_with_its_jobs(agents: Any, dispatchers: Any) -> None:
    agent, dispatcher = agents(), dispatchers(lost_after=0.2)
    submit(dispatcher, job("a"))
    agent.wait_for_runs("a")
    wait_for(lambda: dispatcher.view()[1][0].is_confirmed)
    agent.takes = False
    submit(dispatcher, job("b"))
    agent.wait_for_runs("a", "b")

    agent.stop()

    (finished,) = news(dispatcher)
    assert (finished.job.id, finished.ended.ending) == ("a", "lost")
    assert "node node-1 was lost" in finished.ended.text
    # What it had not confirmed has not begun: it waits.
    wait_for(lambda: dispatcher.counts() == (1, 0))
    wait_for(lambda: "node-1 is unreachable" in reasons(dispatcher).get("b", ""))


def test_a_node_that_was_lost_is_used_again_when_it_is_back(agents: Any, dispatchers: Any) -> None:
    agent, dispatcher = agents(), dispatchers(lost_after=0.1)
    submit(dispatcher, job("a", NODE))
    agent.wait_for_runs("a")
    wait_for(lambda: dispatcher.view()[1][0].is_confirmed)
    agent.stop(unlink=True)
    news(dispatcher)

    again = agents()
    submit(dispatcher, job("b", NODE))

    again.wait_for_runs("b")


def test_a_node_that_is_back_in_time_is_not_lost(agents: Any, dispatchers: Any) -> None:
    agent, dispatcher = agents(), dispatchers(lost_after=1000)
    submit(dispatcher, job("a"))
    agent.wait_for_runs("a")
    wait_for(lambda: dispatcher.view()[1][0].is_confirmed)
    agent.stop(unlink=True)
    wait_for(dispatcher.problems)

    again = agents(running=agent.running)
    wait_for(is_known(dispatcher))
    again.ended("a")

    assert [(each.job.id, each.ended.ending) for each in news(dispatcher)] == [("a", "finished")]


# -- several schedulers ---------------------------------------------------------------------------


def test_two_executors_see_one_anothers_jobs_as_occupying(agents: Any, dispatchers: Any) -> None:
    agent = agents()
    one, two = dispatchers(scheduler="1"), dispatchers(scheduler="2")
    wait_for(is_known(one))
    wait_for(is_known(two))
    submit(one, job("a", NODE))
    agent.wait_for_runs("a")
    wait_for(lambda: "a" in two.view()[0][0].here)
    submit(two, job("b", NODE))
    wait_for(lambda: "0 CPU free of 2" in reasons(two).get("b", ""))
    assert agent.runs == ["a"]

    agent.ended("a")

    agent.wait_for_runs("a", "b")
    news(one)
    assert not two.news  # another's end is no news
    assert two.counts() == (0, 1)


def test_a_second_executor_hears_what_ran_before_it_came(agents: Any, dispatchers: Any) -> None:
    agent, one = agents(), dispatchers(scheduler="1")
    submit(one, job("a", NODE))
    agent.wait_for_runs("a")

    two = dispatchers(scheduler="2")
    submit(two, job("b", NODE))

    wait_for(lambda: "0 CPU free of 2" in reasons(two).get("b", ""))
    assert agent.runs == ["a"]


# -- adoption -------------------------------------------------------------------------------------


def adopted(name: str) -> Job:
    return job(name, render=None)


def test_jobs_that_an_agent_runs_are_adopted_and_the_others_returned(agents: Any, dispatchers: Any) -> None:
    agent = agents()
    agent.running = {"a": RunningHere(id="a", resources=CORE.as_mapping())}
    dispatcher = dispatchers()

    unknown = dispatcher.adopt([adopted("a"), adopted("gone")], patience=PATIENCE_SECONDS)

    assert [each.id for each in unknown] == ["gone"]
    assert dispatcher.counts() == (0, 1)
    agent.ended("a")
    (finished,) = news(dispatcher)
    assert (finished.job.id, finished.node) == ("a", "node-1")


def test_nothing_is_adopted_where_there_is_no_agent(dispatchers: Any) -> None:
    dispatcher = dispatchers()

    unknown = dispatcher.adopt([adopted("a")], patience=PATIENCE_SECONDS)

    assert [each.id for each in unknown] == ["a"]
    assert dispatcher.counts() == (0, 0)


def test_a_mute_agents_jobs_are_adopted_and_judged_when_it_speaks(agents: Any, dispatchers: Any) -> None:
    agent = agents(running={"a": RunningHere(id="a", resources=CORE.as_mapping())})
    agent.greets = False
    dispatcher = dispatchers()
    wait_for(lambda: agent.of(Hello))
    assert dispatcher.adopt([adopted("a"), adopted("gone")], patience=0.01) == []
    assert dispatcher.counts() == (0, 2)

    agent.greet()

    (finished,) = news(dispatcher)
    assert (finished.job.id, finished.ended.ending, finished.node) == ("gone", "lost", "node-1")
    (kept,) = dispatcher.view()[1]
    assert (kept.id, kept.node) == ("a", "node-1")
    dispatcher.cancel("a", "asked to")
    wait_for(lambda: agent.of(Cancel))


def test_a_mute_agent_that_goes_is_lost_with_the_jobs_that_were_thought_its_own(
    agents: Any, dispatchers: Any
) -> None:
    agent = agents()
    agent.greets = False
    dispatcher = dispatchers(lost_after=0.1)
    wait_for(lambda: agent.of(Hello))
    assert dispatcher.adopt([adopted("a")], patience=0.01) == []

    agent.stop()

    (finished,) = news(dispatcher)
    assert (finished.job.id, finished.ended.ending) == ("a", "lost")


# -- cancelling -----------------------------------------------------------------------------------


def test_a_job_that_waits_is_cancelled_without_the_agent(agents: Any, dispatchers: Any) -> None:
    agent, dispatcher = agents(), dispatchers()
    submit(dispatcher, job("a", NODE))
    agent.wait_for_runs("a")
    submit(dispatcher, job("b", NODE))

    assert dispatcher.cancel("b", "not wanted")

    assert dispatcher.counts() == (0, 1)
    agent.ended("a")
    news(dispatcher)
    assert dispatcher.counts() == (0, 0)
    assert agent.runs == ["a"]
    assert agent.of(Cancel) == []


def test_a_job_on_a_node_is_cancelled_by_its_agent(agents: Any, dispatchers: Any) -> None:
    agent, dispatcher = agents(), dispatchers()
    submit(dispatcher, job("a"))
    agent.wait_for_runs("a")

    assert dispatcher.cancel("a", "marked as failed")

    wait_for(lambda: agent.of(Cancel) == [Cancel(id="a", reason="marked as failed")])
    assert dispatcher.counts() == (0, 1)  # until the agent says so
    agent.ended("a", "cancelled")
    assert [each.ended.ending for each in news(dispatcher)] == ["cancelled"]


def test_an_unknown_job_cannot_be_cancelled(dispatchers: Any) -> None:
    assert not dispatchers().cancel("nobody", "no reason")


# -- agents that misbehave ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "garbage",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b'{"type":"placed","id":"a","resources":{"cpu_millicores":"all"}}\n',
        b'{"type":"started","id":"a","resources":{},"at":"noon"}\n',
        b"\xff\n",
    ],
)
def test_garbage_from_an_agent_costs_the_connection_and_nothing_else(
    agents: Any, dispatchers: Any, garbage: bytes
) -> None:
    agent, dispatcher = agents(), dispatchers()
    submit(dispatcher, job("a"))
    agent.wait_for_runs("a")

    agent.say_bytes(garbage)

    wait_for(lambda: len(agent.of(Hello)) == 2)
    wait_for(is_known(dispatcher))
    submit(dispatcher, job("b"))
    agent.wait_for_runs("a", "b")
    assert not dispatcher.news


def test_messages_of_a_newer_agent_are_passed_over(agents: Any, dispatchers: Any) -> None:
    agent, dispatcher = agents(), dispatchers()
    wait_for(is_known(dispatcher))

    (link,) = dispatcher.view()[0]
    before = link.heard_at
    agent.say_bytes(b'{"type":"weather","is":"fine"}\n' + encode(agent.status()))
    wait_for(lambda: link.heard_at != before)
    submit(dispatcher, job("a"))

    agent.wait_for_runs("a")
    assert len(agent.of(Hello)) == 1


def test_an_agent_of_another_protocol_is_not_used_and_the_reason_is_told(
    agents: Any, dispatchers: Any
) -> None:
    agent, dispatcher = agents(version=VERSION + 1), dispatchers()
    submit(dispatcher, job("a"))

    wait_for(
        lambda: f"the agent speaks version {VERSION + 1}, not {VERSION}" in reasons(dispatcher).get("a", "")
    )
    assert agent.runs == []


def test_an_agent_that_is_never_understood_is_asked_ever_more_seldom(agents: Any, dispatchers: Any) -> None:
    agent, dispatcher = agents(version=VERSION + 1), dispatchers()

    wait_for(lambda: len(agent.of(Hello)) >= 3)

    (link,) = dispatcher.view()[0]
    wait_for(lambda: link.failures >= 3)


def test_a_second_agent_of_the_same_name_is_not_used(folder: Path, agents: Any, dispatchers: Any) -> None:
    one = agents(folder / "1.sock", name="twin")
    dispatcher = dispatchers(one.path, folder / "2.sock")
    wait_for(is_known(dispatcher))
    other = agents(folder / "2.sock", name="twin")

    wait_for(lambda: any("another agent is named twin" in each for each in dispatcher.problems()))
    submit(dispatcher, job("a", NODE), job("b", NODE, queued_at=NOW + timedelta(seconds=1)))

    one.wait_for_runs("a")
    one.ended("a")
    one.wait_for_runs("a", "b")
    assert other.runs == []


def test_an_agent_that_reads_slowly_gets_all_in_the_end_and_stops_nobody(
    folder: Path, dispatchers: Any
) -> None:
    path = folder / "agent.sock"
    status = NodeStatus(
        name="slow",
        host="host",
        pid=1,
        runtime="17",
        allocatable=Resources(cpu_millicores=100_000, memory_bytes=1000 * GIB).as_mapping(),
        max_starting=1000,
        started_at=1.0,
    )
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        server.settimeout(PATIENCE_SECONDS)
        dispatcher = dispatchers()
        peer, _ = server.accept()
        with peer:
            peer.sendall(encode(status))
            wait_for(is_known(dispatcher))
            # Far more than a socket holds.
            large = "x" * 500_000
            submit(dispatcher, *(job(f"job-{n}", CORE, render=lambda: large) for n in range(20)))
            wait_for(lambda: dispatcher.counts() == (0, 20))
            peer.sendall(encode(Ended(id="job-0", ending="finished")))
            news(dispatcher)

            peer.settimeout(PATIENCE_SECONDS)
            lines, heard = Lines(), Counter[type]()
            while heard[Run] < 20:
                heard.update(type(message) for message in lines.feed(peer.recv(100_000)))

    assert heard == {Hello: 1, Run: 20}


# -- its own life ---------------------------------------------------------------------------------


def test_an_error_in_one_turn_is_not_the_end(
    agents: Any, dispatchers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent, dispatcher = agents(), dispatchers()
    wait_for(is_known(dispatcher))
    place = dispatcher._place
    failures: list[int] = []

    def fail_once() -> None:
        if not failures:
            failures.append(1)
            raise RuntimeError("a bug")
        place()

    monkeypatch.setattr(dispatcher, "_place", fail_once)
    submit(dispatcher, job("a"))
    wait_for(lambda: failures)
    submit(dispatcher, job("b"))

    agent.wait_for_runs("a", "b")


def test_a_stopped_dispatcher_leaves_the_jobs_to_the_agent(agents: Any, dispatchers: Any) -> None:
    agent, dispatcher = agents(), dispatchers()
    submit(dispatcher, job("a"))
    agent.wait_for_runs("a")

    dispatcher.stop()
    dispatcher.stop()

    assert list(agent.running) == ["a"]
    assert agent.of(Cancel) == []
    assert not dispatcher.news
