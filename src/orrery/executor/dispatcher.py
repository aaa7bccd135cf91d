"""The dispatcher: a thread of the executor that knows the nodes, places what waits, and hears how it ends.

It places as soon as something ends, whatever the scheduler's loop is busy with. All that it has to tell
the scheduler stands in `news` until `sync` takes it; `wake` becomes readable when something does.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import threading
import time
from collections import OrderedDict, deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import structlog

from orrery.executor.ageing import Ageing
from orrery.executor.backlog import Backlog, PendingTask
from orrery.executor.job import Finished, Job
from orrery.executor.link import Link
from orrery.executor.node import Node, RunningTask
from orrery.executor.packing import place
from orrery.executor.protocol import (
    VERSION,
    Acknowledge,
    Cancel,
    Declined,
    Ended,
    Freed,
    Measured,
    NodeStatus,
    Placed,
    ProtocolError,
    Run,
    RunningHere,
    Started,
)
from orrery.executor.resources import Resources

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from orrery.executor.placement import Placements
    from orrery.executor.protocol import ToExecutor

log = structlog.get_logger(__name__)

#: An agent that lost its connection and is not back after this long is gone, and its tasks with it.
NODE_LOST_SECONDS = 4.0
#: An agent takes more than it starts at a time, so that it never waits for the next round.
_AHEAD = 4
_MOST_RECORDED = 10_000


class Dispatcher:
    """Places jobs on nodes. Its public methods are for the scheduler's thread."""

    def __init__(
        self, paths: Iterable[Path], *, scheduler: str, node_lost_seconds: float = NODE_LOST_SECONDS
    ) -> None:
        self.wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self.news: deque[Finished] = deque()
        self._scheduler = scheduler
        self._node_lost_seconds = node_lost_seconds
        self._links = [Link(path) for path in paths]
        self._lock = threading.RLock()
        self._jobs: dict[str, Job] = {}
        #: Ends that were recorded: an agent that tells one again has not heard so.
        self._recorded: OrderedDict[str, None] = OrderedDict()
        self._backlog = Backlog()
        self._ageing = Ageing()
        self._last: Placements | None = None
        self._selector = selectors.DefaultSelector()
        self._poke = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._selector.register(self._poke, selectors.EVENT_READ, None)
        self._is_stopped = False
        self._changed = threading.Condition(self._lock)
        self._thread = threading.Thread(target=self._run, name="orrery-dispatcher", daemon=True)

    # -- for the scheduler ------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to look for agents."""
        self._thread.start()

    def stop(self) -> None:
        """Stop. Tasks go on running: another scheduler adopts them."""
        self._is_stopped = True
        os.eventfd_write(self._poke, 1)
        self._thread.join(5)

    def add(self, job: Job) -> None:
        """Let a job wait for its place."""
        with self._lock:
            self._jobs[job.id] = job
            self._backlog.add(_pending(job))

    def go(self) -> None:
        """Place what was added, at once: no other thread has to wake up first."""
        is_done = False
        try:
            with self._lock:
                self._place()
                is_done = not any(link.wants_to_send for link in self._links)
        except Exception:
            # Nothing of ours may end the scheduler; the thread tries again.
            log.exception("Placing failed; it is tried again")
        if not is_done:
            os.eventfd_write(self._poke, 1)

    def adopt(self, jobs: Iterable[Job], *, patience: float) -> list[Job]:
        """Take over jobs of a scheduler that died; return those that no node knows.

        While a node is there but does not answer, its jobs may still run: they are adopted, and judged
        when it answers.
        """
        with self._changed:
            self._changed.wait_for(self._has_heard_all, patience)
            here = {each: link for link in self._links for each in link.here}
            mute = next((link for link in self._links if link.socket and not link.is_ready), None)
            unknown = []
            for job in jobs:
                link = here.get(job.id, mute)
                if link is None:
                    unknown.append(job)
                    continue
                job.node = link.name
                job.is_confirmed = True
                job.placed_at = datetime.now(UTC)
                self._jobs[job.id] = job
            return unknown

    def cancel(self, job_id: str, reason: str) -> bool:
        """End a job, wherever it is; False when it is not known."""
        with self._lock:
            job = self._jobs.get(job_id)
            if job is None:
                return False
            if job_id in self._backlog:
                self._backlog.discard(job_id)
                del self._jobs[job_id]
                return True
            for link in self._links:
                if link.name == job.node:
                    link.send(Cancel(id=job_id, reason=reason))
        os.eventfd_write(self._poke, 1)
        return True

    def acknowledge(self, finished: Iterable[Finished]) -> None:
        """Let the agents forget ends that were recorded."""
        with self._lock:
            by_node: dict[str, list[str]] = {}
            for each in finished:
                by_node.setdefault(each.node, []).append(each.ended.id)
                self._recorded[each.ended.id] = None
            while len(self._recorded) > _MOST_RECORDED:
                self._recorded.popitem(last=False)
            for link in self._links:
                if ids := by_node.get(link.name):
                    link.send(Acknowledge(ids=tuple(ids)))

    def counts(self) -> tuple[int, int]:
        """Return how many jobs wait, and how many are on nodes."""
        with self._lock:
            return len(self._backlog), len(self._jobs) - len(self._backlog)

    def nodes(self) -> list[Node]:
        """Return the nodes as placement sees them."""
        with self._lock:
            return [node for link in self._links if (node := _node(link, frozenset())) is not None]

    def view(self) -> tuple[list[Link], list[Job], list[tuple[Job, str]]]:
        """Return the links, the jobs on nodes, and those that wait with their reasons."""
        with self._lock:
            reasons = self._last.reasons() if self._last else {}
            waiting = [self._jobs[task.id] for task in self._backlog]
            placed = [job for job in self._jobs.values() if job.id not in self._backlog]
            no_agent = self._without_agents()
            return (
                list(self._links),
                placed,
                [(job, reasons.get(job.id) or no_agent or "waits for the next round") for job in waiting],
            )

    def problems(self) -> list[str]:
        """Return why agents cannot be reached."""
        with self._lock:
            return [link.problem for link in self._links if link.problem]

    # -- the thread -------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._is_stopped:
            try:
                self._turn()
            except Exception:
                log.exception("The dispatcher failed in a turn; it goes on")
                time.sleep(0.2)
        with self._lock:
            for link in self._links:
                link.close()

    def _turn(self) -> None:
        now = time.monotonic()
        with self._lock:
            for link in self._links:
                if link.socket is None and now >= link.next_try:
                    self._connect(link)
                self._look_for_loss(link, now)
            for link in self._links:
                if link.socket is not None:
                    wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if link.wants_to_send else 0)
                    self._selector.modify(link.socket, wanted, link)
        ready = self._selector.select(self._patience(now))
        with self._lock:
            # Ageing moves on with time even when nothing happens.
            changed = not ready and len(self._backlog) > 0
            for key, _ in ready:
                if key.data is None:
                    with contextlib.suppress(BlockingIOError):
                        os.eventfd_read(self._poke)
                    changed = True
                else:
                    changed = self._serve(key.data) or changed
            if changed:
                self._place()
            self._changed.notify_all()

    def _connect(self, link: Link) -> None:
        end = link.connect(self._scheduler)
        if end is not None:
            self._selector.register(end, selectors.EVENT_READ, link)

    def _patience(self, now: float) -> float:
        waits = [max(0.0, link.next_try - now) for link in self._links if link.socket is None]
        return min([1.0 if len(self._backlog) else 5.0, *waits])

    def _serve(self, link: Link) -> bool:
        if link.socket is None:
            return False
        link.flush()
        changed = False
        try:
            while True:
                data = link.socket.recv(1 << 18)
                if not data:
                    raise ConnectionResetError("the agent has closed the connection")
                for message in link.lines.feed(data):
                    changed = self._hear(message, link) or changed  # type: ignore[arg-type]
        except BlockingIOError:
            return changed
        except (OSError, ProtocolError) as error:
            link.problem = str(error)
            log.warning("Lost the connection to an agent", socket=str(link.path), reason=str(error))
            self._selector.unregister(link.socket)
            link.close()
            link.pause()
            return True

    def _hear(self, message: ToExecutor, link: Link) -> bool:
        link.heard_at = datetime.now(UTC)
        match message:
            case NodeStatus():
                if message.version != VERSION:
                    raise ProtocolError(f"the agent speaks version {message.version}, not {VERSION}")
                self._greet(message, link)
            case Measured():
                self._hear_measurement(message, link)
                return False
            case Placed():
                link.here[message.id] = RunningHere(
                    id=message.id, resources=message.resources, is_starting=True
                )
                if (job := self._jobs.get(message.id)) is not None:
                    job.is_confirmed = True
                return False
            case Started():
                link.here[message.id] = RunningHere(id=message.id, resources=message.resources)
                if (job := self._jobs.get(message.id)) is not None:
                    job.started_at = datetime.fromtimestamp(message.at, UTC)
            case Freed():
                if message.id in link.here:
                    link.here[message.id] = RunningHere(id=message.id, resources={})
            case Ended():
                return self._hear_end(message, link)
            case Declined():
                link.here.pop(message.id, None)
                self._put_back(message.id)
        return True

    def _hear_measurement(self, measured: Measured, link: Link) -> None:
        link.measured = measured
        for each in measured.running:
            if (job := self._jobs.get(each.id)) is not None:
                job.memory_bytes = each.memory_bytes
                job.memory_peak_bytes = each.memory_peak_bytes
                job.cpu_seconds = each.cpu_seconds

    def _hear_end(self, ended: Ended, link: Link) -> bool:
        """Return whether there is more room now."""
        was_here = link.here.pop(ended.id, None)
        if ended.id in self._recorded:
            link.send(Acknowledge(ids=(ended.id,)))
        self._finish(ended, link.name)
        return was_here is None or bool(was_here.resources)

    def _greet(self, status: NodeStatus, link: Link) -> None:
        """Compare what the node runs with what it should: after a connection was lost, or it was new."""
        if any(each.name == status.name for each in self._links if each is not link):
            raise ProtocolError(f"another agent is named {status.name}, too: set node_name")
        unnamed, link.status = link.name, status
        link.lost_at = None
        link.failures = 0
        link.is_ready = True
        link.here = {each.id: each for each in status.running}
        for job in [job for job in self._jobs.values() if job.node in (status.name, unnamed)]:
            job.node = status.name
            if job.id in link.here:
                job.is_confirmed = True
            elif job.is_confirmed:
                self._finish(
                    Ended(id=job.id, ending="lost", text=f"the agent of node {status.name} was restarted"),
                    status.name,
                )
            else:
                self._put_back(job.id)

    def _look_for_loss(self, link: Link, now: float) -> None:
        if link.lost_at is None or now - link.lost_at < self._node_lost_seconds:
            return
        link.lost_at = None
        name = link.name
        link.here.clear()
        text = f"node {name} was lost: its agent has not answered for {self._node_lost_seconds:.0f} s"
        for job in [job for job in self._jobs.values() if job.node == name]:
            if job.is_confirmed:
                self._finish(Ended(id=job.id, ending="lost", text=text), name)
            else:
                self._put_back(job.id)

    def _finish(self, ended: Ended, node: str) -> None:
        job = self._jobs.pop(ended.id, None)
        if job is None:
            return  # another scheduler's
        self.news.append(Finished(job=job, ended=ended, node=node))
        os.eventfd_write(self.wake, 1)

    def _put_back(self, job_id: str) -> None:
        job = self._jobs.get(job_id)
        if job is None:
            return
        job.node = None
        job.is_confirmed = False
        if job.render is not None:
            self._backlog.add(_pending(job))

    def _place(self) -> None:
        queues = frozenset(line.queue for line in self._backlog.lines)
        nodes = [node for link in self._links if (node := _node(link, queues)) is not None]
        if not nodes:
            self._last = None
            return
        running = []
        for link in self._links:
            if link.status is None:
                continue
            name = link.status.name
            known = set()
            for each in link.here.values():
                known.add(each.id)
                running.append(_running(each.id, name, each.resources, is_starting=each.is_starting))
            # Sent, and not yet confirmed.
            running += [
                RunningTask(id=job.id, node=name, resources=job.request.resources, is_starting=True)
                for job in self._jobs.values()
                if job.node == name and job.id not in known
            ]
        now = datetime.now(UTC)
        result = place(self._backlog, nodes, running, now=now, ageing=self._ageing)
        self._ageing = result.ageing
        self._last = result
        for placement in result.placed:
            self._send(self._jobs[placement.task.id], placement.node, now)
        for group in result.never_fits:
            for task in group.tasks:
                self._backlog.discard(task.id)
                self._finish(Ended(id=task.id, ending="lost", text=group.reason), "")

    def _send(self, job: Job, node: str, now: datetime) -> None:
        self._backlog.discard(job.id)
        try:
            workload = job.render() if job.render else ""
        except Exception as error:
            log.exception("A workload could not be made", id=job.id)
            text = f"its workload could not be made: {type(error).__name__}: {error}"
            self._finish(Ended(id=job.id, ending="lost", text=text), "")
            return
        link = next(each for each in self._links if each.status is not None and each.status.name == node)
        job.node = node
        job.placed_at = now
        link.send(
            Run(
                id=job.id,
                workload=workload,
                resources=job.request.resources.as_mapping(),
                isolation=job.request.isolation,
            )
        )

    def _has_heard_all(self) -> bool:
        return all(link.is_ready or (link.socket is None and link.failures > 2) for link in self._links)

    def _without_agents(self) -> str:
        if any(link.is_ready for link in self._links):
            return ""
        return "waits for an agent: " + "; ".join(self.problems() or ["none has answered yet"])


def _pending(job: Job) -> PendingTask:
    return PendingTask(
        id=job.id,
        resources=job.request.resources,
        queue=job.queue,
        priority=job.priority,
        queued_at=job.queued_at,
        bundle=job.bundle,
    )


def _node(link: Link, queues: frozenset[str]) -> Node | None:
    """Return the node; one that names no queues serves all, here those that are asked for."""
    status = link.status
    if status is None:
        return None
    state: Any = status.state if link.is_ready else "unreachable"
    return Node(
        name=status.name,
        allocatable=Resources.from_mapping(status.allocatable),
        queues=frozenset(status.queues) or queues,
        max_starting=status.max_starting * _AHEAD,
        warm=frozenset(status.warm),
        state=state,
    )


def _running(job_id: str, node: str, resources: dict[str, int], *, is_starting: bool) -> RunningTask:
    return RunningTask(
        id=job_id, node=node, resources=Resources.from_mapping(resources), is_starting=is_starting
    )
