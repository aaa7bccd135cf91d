"""The agent: one process per machine that runs tasks for the executors that connect to its socket.

It has no database and none of the platform's secrets. Executors come and go; the tasks stay.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import stat
import time
from collections import deque
from typing import TYPE_CHECKING

import structlog

from orrery import __version__
from orrery.errors import StateError
from orrery.executor.capacity import allocatable, starts_at_once
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
    encode,
)
from orrery.executor.resources import Resources
from orrery.worker import orphans
from orrery.worker.branches import Branches
from orrery.worker.order import Order
from orrery.worker.supervisors import Supervisors

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from orrery.executor.protocol import ToAgent, ToExecutor
    from orrery.executor.settings import ExecutorSettings
    from orrery.worker import machine
    from orrery.worker.batch import BatchTransport
    from orrery.worker.cell import Cells
    from orrery.worker.zygotes import Zygotes

log = structlog.get_logger(__name__)

#: Ends that no executor has recorded yet; more than this and the oldest are forgotten.
_MOST_UNRECORDED = 10_000
_LOOK_SECONDS = 1.0
#: An end that nobody has recorded for so long belongs to no living scheduler.
_FORGET_SECONDS = 600.0


class Agent:
    """The node: what it has taken, and who listens."""

    def __init__(
        self,
        *,
        name: str,
        path: Path,
        here: machine.Measured,
        settings: ExecutorSettings,
        cells: Cells,
        zygotes: Zygotes,
        server: str,
        transport: BatchTransport,
        fingerprint: Callable[[], str],
        bundles: list[tuple[str, str | None]],
    ) -> None:
        self.name = name
        self.path = path
        self.allocatable = settings.capacity or allocatable(here.total, settings.reserve)
        self.max_starting = starts_at_once(here.machine.cores)
        self._cells = cells
        self._zygotes = zygotes
        self._branches = Branches(zygotes=zygotes, is_on=settings.parse_ahead)
        self._server = server
        self._transport = transport
        transport.is_crowded = lambda: self._starting >= self.max_starting
        self._fingerprint = fingerprint
        self._bundles = bundles
        self._orders: dict[str, Order] = {}
        self._used = Resources()
        self._queue: deque[Order] = deque()
        self._starting = 0
        self._unrecorded: dict[str, Ended] = {}
        self._peers: set[asyncio.StreamWriter] = set()
        self._supervisors = Supervisors()
        self._started_at = time.time()
        self._state = "ready"
        self._drain_seconds = settings.drain_seconds
        self._told_warm: list[str] = []
        self._measured_cpu: tuple[float, float] | None = None
        self._loop: asyncio.AbstractEventLoop
        self._stop: asyncio.Event

    async def serve(self) -> None:
        """Serve until asked to stop.

        Raises:
            StateError: another agent serves that socket.
        """
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        orphans.adopt_descendants()
        self._loop.add_signal_handler(signal.SIGCHLD, self._reap)
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self._drain)
        await asyncio.to_thread(self._prepare)
        server = await self._listen()
        if self._cells.leftovers:
            log.warning("An earlier agent has left what cannot be removed", left=self._cells.leftovers)
        for note in self._cells.means.notes:
            log.warning("Weaker isolation", note=note)
        log.info("The agent serves", node=self.name, socket=str(self.path), allocatable=str(self.allocatable))
        look = asyncio.create_task(self._look_regularly())
        await self._stop.wait()
        look.cancel()
        server.close()
        self._zygotes.stop()
        await asyncio.to_thread(self._cells.close)
        with contextlib.suppress(OSError):
            self.path.unlink()

    # -- life of the node -------------------------------------------------------------------------

    def _prepare(self) -> None:
        for key in self._bundles:
            self._zygotes.get(key)
        for zygote in self._zygotes.each():
            zygote.ready.wait(60)

    async def _listen(self) -> asyncio.Server:
        _clear_dead_socket(self.path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        before = os.umask(0o177)
        try:
            return await asyncio.start_unix_server(self._meet, path=str(self.path))
        finally:
            os.umask(before)

    def _drain(self) -> None:
        """Take nothing new, give what runs a moment, end it, and stop."""
        if self._state == "draining":
            self._end_all()
            return
        self._state = "draining"
        self._tell(self._status())
        while self._queue:
            order = self._queue.popleft()
            self._drop(order)
            self._tell(Declined(id=order.run.id, reason="the agent stops"))
        self._stop_if_idle()
        self._loop.call_later(self._drain_seconds, self._end_all)

    def _end_all(self) -> None:
        for order in self._orders.values():
            order.cancel("the agent stops")

    def _stop_if_idle(self) -> None:
        if self._state == "draining" and not self._orders:
            self._stop.set()

    def _reap(self) -> None:
        orphans.reap(self._zygotes)

    async def _look_regularly(self) -> None:
        fingerprint = self._fingerprint()
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            try:
                self._reap()
                self._zygotes.forget_ended()
                self._branches.look()
                for cell, ending, reason in await asyncio.to_thread(self._cells.watch):
                    if (order := self._orders.get(cell.name)) is not None:
                        order.kill(ending, reason)
                now = await asyncio.to_thread(self._fingerprint)
                if now != fingerprint:
                    fingerprint = now
                    self._branches.end_all()
                    self._zygotes.replace_all("installed packages, plug-ins or configuration changed")
                self._forget_unowned()
                if self._peers and (warm := self._zygotes.warm()) != self._told_warm:
                    self._told_warm = warm
                    self._tell(self._status())
                if self._peers and self._orders:
                    self._tell(self._measure())
            except Exception:
                log.exception("A look at the node failed")

    def _forget_unowned(self) -> None:
        long_ago = time.time() - _FORGET_SECONDS
        for each in [each for each, ended in self._unrecorded.items() if ended.ended_at < long_ago]:
            del self._unrecorded[each]

    # -- executors --------------------------------------------------------------------------------

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines = Lines()
        try:
            while data := await reader.read(1 << 16):
                for message in lines.feed(data):
                    self._hear(message, writer)  # type: ignore[arg-type]
                await writer.drain()
        except (ProtocolError, ConnectionError) as error:
            log.warning("An executor's connection was closed", reason=str(error))
        finally:
            self._peers.discard(writer)
            writer.close()

    def _hear(self, message: ToAgent, writer: asyncio.StreamWriter) -> None:
        match message:
            case Hello():
                if message.version != VERSION:
                    writer.write(encode(self._status()))  # it can say then why it does not use us
                    raise ProtocolError(
                        f"{message.scheduler} speaks version {message.version}, not {VERSION}"
                    )
                for ended in self._unrecorded.values():
                    writer.write(encode(ended))
                writer.write(encode(self._status()))
                self._peers.add(writer)
            case Run():
                self._take(message)
            case Cancel():
                if (order := self._orders.get(message.id)) is not None:
                    order.cancel(message.reason)
            case Acknowledge():
                for each in message.ids:
                    self._unrecorded.pop(each, None)

    def _tell(self, message: ToExecutor) -> None:
        data = encode(message)
        for writer in list(self._peers):
            if writer.transport.get_write_buffer_size() > 64 * 1024 * 1024:
                writer.transport.abort()  # it has not listened for long: it may come back and ask
            else:
                writer.write(data)

    def _status(self) -> NodeStatus:
        means = self._cells.means
        return NodeStatus(
            name=self.name,
            host=socket.gethostname(),
            pid=os.getpid(),
            runtime=__version__,
            allocatable=self.allocatable.as_mapping(),
            max_starting=self.max_starting,
            started_at=self._started_at,
            warm=tuple(self._zygotes.warm()),
            state=self._state,
            isolation=means.text,
            notes=means.notes,
            running=self._running(),
        )

    def _running(self, *, measured: bool = False) -> tuple[RunningHere, ...]:
        found = []
        for order in self._orders.values():
            usage = order.cell.usage() if measured and order.cell is not None else None
            found.append(
                RunningHere(
                    id=order.run.id,
                    resources={} if order.freed_at else order.run.resources,
                    is_starting=order.is_starting,
                    memory_bytes=usage.memory_bytes if usage else 0,
                    memory_peak_bytes=usage.memory_peak_bytes if usage else 0,
                    cpu_seconds=usage.cpu_seconds if usage else 0.0,
                )
            )
        return tuple(found)

    def _measure(self) -> Measured:
        running = self._running(measured=True)
        now, cpu = time.monotonic(), sum(each.cpu_seconds for each in running)
        before, self._measured_cpu = self._measured_cpu, (now, cpu)
        rate = 0.0
        if before is not None and now > before[0]:
            rate = max(0.0, (cpu - before[1]) / (now - before[0]))
        return Measured(
            memory_bytes=sum(each.memory_bytes for each in running),
            cpu_millicores=int(rate * 1000),
            running=running,
        )

    # -- tasks ------------------------------------------------------------------------------------

    def _take(self, run: Run) -> None:
        if run.id in self._orders or run.id in self._unrecorded:
            return  # sent again after a lost connection
        resources = run.request.resources
        if self._state != "ready":
            self._tell(Declined(id=run.id, reason="the agent stops"))
            return
        if not (self._used + resources).fits(self.allocatable):
            self._tell(Declined(id=run.id, reason="another scheduler has taken the room"))
            return
        order = Order(
            run,
            cells=self._cells,
            branches=self._branches,
            server=self._server,
            transport=self._transport,
            on_started=lambda order: self._later(self._note_start, order),
            on_freed=lambda order: self._later(self._note_room, order),
            on_ended=lambda order, ended: self._later(self._note_end, order, ended),
        )
        self._orders[run.id] = order
        self._used = self._used + resources
        self._tell(Placed(id=run.id, resources=run.resources))
        self._queue.append(order)
        self._start_next()

    def _start_next(self) -> None:
        """Start what waits, a few at a time: starting is CPU work, and more at once makes each slower."""
        while self._queue and self._starting < self.max_starting:
            order = self._queue.popleft()
            self._starting += 1
            self._supervisors.start(order.carry_out)

    def _note_start(self, order: Order) -> None:
        self._starting -= 1
        self._tell(Started(id=order.run.id, resources=order.run.resources, at=order.started_at))
        self._start_next()

    def _note_room(self, order: Order) -> None:
        self._used = self._used.without(order.resources)
        self._tell(Freed(id=order.run.id))

    def _note_end(self, order: Order, ended: Ended) -> None:
        self._drop(order)
        self._unrecorded[ended.id] = ended
        while len(self._unrecorded) > _MOST_UNRECORDED:
            del self._unrecorded[next(iter(self._unrecorded))]
        self._tell(ended)
        self._stop_if_idle()

    def _drop(self, order: Order) -> None:
        # Its own thread tells of the room first, then of the end.
        if self._orders.pop(order.run.id, None) is not None and not order.freed_at:
            self._used = self._used.without(order.resources)

    def _later(self, call: Callable[..., None], *arguments: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: the agent ends
            self._loop.call_soon_threadsafe(call, *arguments)


def _clear_dead_socket(path: Path) -> None:
    """Remove a socket that nobody serves.

    Raises:
        StateError: somebody serves it, or it is no socket.
    """
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise StateError(f"{path} is no socket.", hint="Remove it, or set [orrery_executor] socket.")
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(2)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
            return
        except OSError as error:
            raise StateError(
                f"{path} is served by an agent that does not answer ({error.strerror}).",
                hint="End that process, or give this agent another [orrery_executor] socket.",
            ) from error
    raise StateError(
        f"Another agent serves {path}.",
        hint="Stop it first, or give this one another [orrery_executor] socket and node_name.",
    )
