"""Execution API calls of many tasks over few HTTP calls.

Airflow's own client makes the calls; this is the transport under it, one for all tasks of an agent. Calls
that every task makes are queued; a sender takes all that is queued, sends it as one batch over a kept-alive
connection, and hands each caller its answer. What arrives meanwhile is the next batch. Nobody waits for
company, but where tasks wait for their turn to start: there each batch that is saved lets more of them
start. Any other call goes its own way. So does everything for a minute when the server has no batch route.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import httpx

from orrery.executor.batch_protocol import (
    HEADERS,
    KEEPS_ORDER,
    MEDIA_TYPE,
    MOST_CALLS,
    NOT_BATCHED,
    PATH,
    Call,
    MalformedBatchError,
    answers,
    is_batchable,
    pack,
    subject,
)
from orrery.worker.wire import Wire

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator, Mapping, Sequence

log = logging.getLogger(__name__)

#: A lazy call that no other call of its task took along leaves after this time.
LAZY_SECONDS = 0.25
#: So does one of which the task's next call depends: others may soon look for what it brings.
VITAL_SECONDS = 0.02

#: Where tasks are crowded a batch leaves with calls of so many of them ...
COMPANY = 8
#: ... or once its first call has waited so long.
COMPANY_SECONDS = 0.04

#: After the server turned out to have no batch route it is asked again.
RETRY_BATCHING_SECONDS = 60.0

#: How often a lazy call is sent again when the server is away; then its failure is told.
_LAZY_ATTEMPTS = 6

#: Failures of vital calls whose tasks have not asked again, at most; the oldest are forgotten.
_MOST_FAILURES = 1000

#: The wait of a caller who named no timeout.
_LONGEST_SECONDS = 60.0

#: The server's words for: no such route here.
_NO_ROUTE = frozenset({404, 405})

#: No compression: it costs more than it saves on the way to a neighbour.
_BATCH_HEADERS = {"content-type": MEDIA_TYPE, "accept-encoding": "identity"}

#: Before any time of this machine's clock, which begins at 0 when it starts.
_AT_ONCE = float("-inf")

#: Set as the outcome of a call that its caller must make by itself.
_SINGLE = "single"


class LazyCallError(Exception):
    """A call that was answered before it was made could not be made."""


@dataclass(eq=False, slots=True)
class _Waiting:
    """A call in the queue, and the caller who waits for it (nobody, if it is lazy)."""

    call: Call
    task: str
    #: Its parts in seconds, None: without end; as in `httpx.Request.extensions`.
    timeouts: Mapping[str, float | None]
    is_lazy: bool = False
    #: Lazy, and what its task asks next must not be done if this has failed.
    is_vital: bool = False
    #: From when on it may leave; _AT_ONCE: without company, too.
    due: float = field(default_factory=time.monotonic)
    attempts: int = 0
    outcome: httpx.Response | Exception | str = _SINGLE
    settled: threading.Event = field(default_factory=threading.Event)

    def settle(self, outcome: httpx.Response | Exception | str) -> None:
        self.outcome = outcome
        self.settled.set()


def _log_late_failure(call: Call, reason: str) -> None:
    log.warning("%s %s failed after it was answered: %s", call.method, call.path, reason)


class BatchTransport(httpx.BaseTransport):
    """The transport that the clients of all tasks share; thread-safe.

    Closing a client leaves it open: its owner ends it with `shut_down()`.

    Attributes:
        is_crowded: tells whether tasks wait for their turn, so that it pays to gather calls of several.
    """

    def __init__(
        self,
        execution_api_url: str,
        *,
        verify: ssl.SSLContext | bool = True,
        senders: int = 2,
        on_late_failure: Callable[[Call, str], None] = _log_late_failure,
    ) -> None:
        self._base = httpx.URL(execution_api_url.rstrip("/") + "/")
        self._batch_url = _batch_url(self._base)
        self._direct = httpx.HTTPTransport(
            verify=verify, limits=httpx.Limits(max_connections=None, max_keepalive_connections=32)
        )
        # Here, and not in a sender: certificates that cannot be read are the caller's to hear of.
        self._context: ssl.SSLContext | None = None
        if self._base.scheme == "https":
            self._context = httpx.create_ssl_context(verify=verify) if isinstance(verify, bool) else verify
        self._on_late_failure = on_late_failure
        self._thread = threading.local()
        self._changed = threading.Condition()
        # What follows is read and written under the condition only.
        self._queue: list[_Waiting] = []
        self._busy: set[str] = set()
        self._lazy_ones: list[_Waiting] = []
        self._is_closed = False
        self._batches_again_at = 0.0
        self._senders: list[threading.Thread] = []
        # Of these two each use is a single step.
        self._keeps_order = False
        self._failures: dict[str, str] = {}
        self._most_senders = senders
        self.is_crowded: Callable[[], bool] = lambda: False

    @contextlib.contextmanager
    def lazy(self, *, is_vital: bool = False) -> Iterator[None]:
        """Answer this thread's batchable calls with 201 at once; each travels with its task's next call.

        If one fails that is vital, the task's next call raises LazyCallError and is not made; the failure of
        another is told to `on_late_failure`. While the server has no batch route, or one that may do what
        follows a refused call, calls are made as ever.
        """
        if is_vital and not self._keeps_order:
            yield
            return
        self._thread.laziness = VITAL_SECONDS if is_vital else LAZY_SECONDS
        try:
            yield
        finally:
            self._thread.laziness = None

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Let this thread's calls travel by themselves."""
        self._thread.is_alone = True
        try:
            yield
        finally:
            self._thread.is_alone = False

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer one request of a client.

        Raises:
            httpx.TransportError: as `httpx.HTTPTransport` does.
            LazyCallError: a call before it has failed.
        """
        call = None if getattr(self._thread, "is_alone", False) else self._call(request)
        if call is not None:
            try:
                response = self.ask(call, request.extensions.get("timeout", {}))
            except httpx.TransportError as error:
                error.request = request
                raise
            if response is not None:
                return response
        task = subject(request.headers)
        self._drain(task, is_read=request.method in ("GET", "HEAD"))
        self._check_vital(task)
        return self._direct.handle_request(request)

    def ask(self, call: Call, timeouts: Mapping[str, float | None]) -> httpx.Response | None:
        """Let a call travel in a batch; return its answer, None if it must be made by itself.

        Raises:
            httpx.TransportError: as `httpx.HTTPTransport` does, but without a request.
            LazyCallError: a call before it has failed.
        """
        laziness: float | None = getattr(self._thread, "laziness", None)
        task = subject(call.headers)
        waiting = _Waiting(call, task, timeouts, is_lazy=laziness is not None)
        if laziness is not None:
            waiting.is_vital = laziness == VITAL_SECONDS
            waiting.due = time.monotonic() + laziness
            return httpx.Response(201, content=b'{"message":"accepted"}') if self._enqueue(waiting) else None
        self._check_vital(task)
        if self._enqueue(waiting):
            self._wait(waiting)
            self._check_vital(task)
        if isinstance(waiting.outcome, Exception):
            raise waiting.outcome
        return waiting.outcome if isinstance(waiting.outcome, httpx.Response) else None

    def close(self) -> None:
        """Do nothing: one task's client ends, the others go on."""

    def shut_down(self, *, timeout_seconds: float = 5.0) -> None:
        """Send what is queued, then end. Later calls are made as ever, each by itself."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
            senders = list(self._senders)
        for sender in senders:
            sender.join(timeout_seconds)
        with self._changed:
            left, self._queue = self._queue, []
        for waiting in left:
            waiting.settle(httpx.CloseError("the transport was shut down"))
        self._direct.close()

    def _call(self, request: httpx.Request) -> Call | None:
        """Return a request as a call of a batch, or None if it goes its own way."""
        url, base = request.url, self._base
        path, prefix = url.raw_path, base.raw_path
        if self._batch_url is None or not path.startswith(prefix):
            return None
        if (url.scheme, url.netloc) != (base.scheme, base.netloc):
            return None
        own = path[len(prefix) :].decode("ascii")
        if not is_batchable(request.method, own):
            return None
        headers = {name.lower(): value for name, value in request.headers.items() if name.lower() in HEADERS}
        return Call(request.method, own, headers, request.read())

    def _request(self, call: Call) -> httpx.Request:
        return httpx.Request(
            call.method,
            self._base.copy_with(raw_path=self._base.raw_path + call.path.encode("ascii")),
            headers=call.headers,
            content=call.body,
            extensions={"timeout": dict.fromkeys(("connect", "read", "write", "pool"), _LONGEST_SECONDS)},
        )

    def _enqueue(self, waiting: _Waiting) -> bool:
        """Queue a call; False if there is no batching now."""
        with self._changed:
            if self._is_closed or time.monotonic() < self._batches_again_at:
                return False
            self._queue.append(waiting)
            if waiting.is_lazy:
                self._lazy_ones = [each for each in self._lazy_ones if not each.settled.is_set()]
                self._lazy_ones.append(waiting)
            if len(self._senders) < self._most_senders:
                self._start_sender()
            self._changed.notify()
        return True

    def _start_sender(self) -> None:
        sender = threading.Thread(
            target=self._send_until_closed, name=f"batch-sender-{len(self._senders)}", daemon=True
        )
        self._senders.append(sender)
        sender.start()

    def _wait(self, waiting: _Waiting) -> None:
        if waiting.settled.wait(sum(_timeouts([waiting]).values())):
            return
        with self._changed:
            was_queued = waiting in self._queue
            if was_queued:
                self._queue.remove(waiting)
        if not waiting.settled.is_set():
            error = httpx.PoolTimeout if was_queued else httpx.ReadTimeout
            waiting.settle(error("no answer to a batched call in time"))

    def _drain(self, task: str, *, is_read: bool = False) -> None:
        """Let a task's lazy calls go first, so that its calls arrive in their order.

        For what is only read those matter that bring what may be read.
        """
        if not self._lazy_ones:
            return
        with self._changed:
            ours = [each for each in self._lazy_ones if each.task == task and (each.is_vital or not is_read)]
            for waiting in ours:
                waiting.due = _AT_ONCE
            if ours:
                self._changed.notify()
        for waiting in ours:
            waiting.settled.wait(_LONGEST_SECONDS)

    def _check_vital(self, task: str) -> None:
        """Raise LazyCallError, once, if a vital call of the task has failed."""
        if self._failures and (reason := self._failures.pop(task, None)) is not None:
            raise LazyCallError(reason)

    def _send_until_closed(self) -> None:
        with contextlib.closing(Wire(self._batch_url or self._base, context=self._context)) as wire:
            self._send_all(wire)

    def _send_all(self, wire: Wire) -> None:
        while batch := self._take():
            try:
                self._send(batch, wire)
            except Exception as error:
                log.exception("A batch of execution API calls was not sent")
                self._fail(batch, httpx.TransportError(str(error)))
            finally:
                with self._changed:
                    self._busy.difference_update(waiting.task for waiting in batch)
                    self._changed.notify()

    def _take(self) -> list[_Waiting]:
        """Wait for calls and take them off the queue; none means: closed, and all are sent."""
        with self._changed:
            while True:
                now = float("inf") if self._is_closed else time.monotonic()
                # Two calls of one task are never under way at a time: they could overtake each other.
                tasks = {
                    waiting.task
                    for waiting in self._queue
                    if waiting.due <= now and waiting.task not in self._busy
                }
                batch = [waiting for waiting in self._queue if waiting.task in tasks][:MOST_CALLS]
                later = [waiting.due for waiting in self._queue if waiting.due > now]
                if batch:
                    leaves_at = min(waiting.due for waiting in batch)
                    if len(tasks) < COMPANY and self.is_crowded():
                        leaves_at += COMPANY_SECONDS
                    if leaves_at <= now:
                        taken = set(batch)
                        self._queue = [waiting for waiting in self._queue if waiting not in taken]
                        self._busy.update(waiting.task for waiting in batch)
                        return batch
                    later.append(leaves_at)
                elif self._is_closed and not self._queue:
                    return []
                self._changed.wait(min(later) - now if later else None)

    def _send(self, batch: Sequence[_Waiting], wire: Wire) -> None:
        try:
            status, headers, body = wire.post(
                pack([waiting.call for waiting in batch]), headers=_BATCH_HEADERS, timeouts=_timeouts(batch)
            )
        except httpx.TransportError as error:
            self._fail(batch, error)
            return
        if status == 200:
            self._keeps_order = KEEPS_ORDER.items() <= headers.items()
            try:
                found = answers(body, expected=len(batch))
            except MalformedBatchError as error:
                self._fail(batch, httpx.RemoteProtocolError(str(error)))
                return
            for waiting, answer in zip(batch, found, strict=True):
                self._settle(waiting, answer.status, answer.headers, answer.body)
        elif status >= 500:
            # Each caller sees it as the answer to its own call, and tries again as ever.
            for waiting in batch:
                self._settle(waiting, status, headers, body)
        else:
            if status in _NO_ROUTE:
                with self._changed:
                    self._batches_again_at = time.monotonic() + RETRY_BATCHING_SECONDS
            log.info("No batches: the server answered %d to one", status)
            for waiting in batch:
                self._settle(waiting, NOT_BATCHED, {}, b"")

    def _settle(self, waiting: _Waiting, status: int, headers: dict[str, str], body: bytes) -> None:
        if not waiting.is_lazy:
            waiting.settle(
                _SINGLE if status == NOT_BATCHED else httpx.Response(status, headers=headers, content=body)
            )
            return
        if status == NOT_BATCHED:
            # Perhaps it must wait: not here, where others wait for this sender.
            threading.Thread(target=self._make_late, args=(waiting,), daemon=True).start()
            return
        if status >= 500:
            self._fail_lazy(waiting, _words(status, body))
            return
        if status >= 400:
            self._tell(waiting, _words(status, body))
        waiting.settle(httpx.Response(status))

    def _make_late(self, waiting: _Waiting) -> None:
        try:
            response = self._direct.handle_request(self._request(waiting.call))
            self._settle(waiting, response.status_code, {}, response.read())
        except (httpx.TransportError, OSError) as error:
            self._fail_lazy(waiting, repr(error))

    def _fail(self, batch: Sequence[_Waiting], error: httpx.TransportError) -> None:
        for waiting in batch:
            if waiting.settled.is_set():
                continue
            if waiting.is_lazy:
                self._fail_lazy(waiting, repr(error))
            else:
                # An exception belongs to one caller: it collects that caller's traceback.
                waiting.settle(type(error)(str(error)))

    def _fail_lazy(self, waiting: _Waiting, reason: str) -> None:
        """Send a lazy call again before anything else of its task's, or give up."""
        waiting.attempts += 1
        with self._changed:
            if waiting.attempts < _LAZY_ATTEMPTS and not self._is_closed:
                waiting.due = time.monotonic() + LAZY_SECONDS * 2**waiting.attempts
                self._queue.insert(0, waiting)
                return
        self._tell(waiting, reason)
        waiting.settle(httpx.TransportError(reason))

    def _tell(self, waiting: _Waiting, reason: str) -> None:
        if waiting.is_vital:
            while len(self._failures) > _MOST_FAILURES:
                self._failures.pop(next(iter(self._failures)), None)
            self._failures[waiting.task] = f"{waiting.call.method} {waiting.call.path} failed: {reason}"
            return
        try:
            self._on_late_failure(waiting.call, reason)
        except Exception:
            log.exception("The failure of a lazy call could not be told")


def airflow_transport(
    execution_api_url: str, *, on_late_failure: Callable[[Call, str], None] = _log_late_failure
) -> BatchTransport:
    """Make a transport with the certificates that Airflow's own client uses (`[api] ssl_cert` and others)."""
    # Airflow costs half a second to import, and its agent has it already.
    from airflow.sdk.api import client as airflows  # noqa: PLC0415

    if not execution_api_url.startswith("https:"):
        return BatchTransport(execution_api_url, on_late_failure=on_late_failure)
    context: ssl.SSLContext = airflows.Client._get_ssl_context_cached(
        airflows.API_SSL_CA_FILE_PATH, airflows.API_SSL_CERT_PATH
    )
    if airflows.API_CLIENT_SSL_CERT and airflows.API_CLIENT_SSL_KEY:
        context.load_cert_chain(airflows.API_CLIENT_SSL_CERT, airflows.API_CLIENT_SSL_KEY)
    return BatchTransport(execution_api_url, verify=context, on_late_failure=on_late_failure)


def _words(status: int, body: bytes) -> str:
    return f"HTTP {status}: {body[:500].decode(errors='replace')}".removesuffix(": ")


def _batch_url(execution: httpx.URL) -> httpx.URL | None:
    """Return the batch route beside an execution API, or None where that is not Airflow's usual place."""
    path = execution.path
    if not path.endswith("/execution/"):
        return None
    return execution.copy_with(path=path.removesuffix("execution/") + PATH)


def _timeouts(batch: Sequence[_Waiting]) -> dict[str, float]:
    return {
        name: max(
            _LONGEST_SECONDS if (given := waiting.timeouts.get(name)) is None else given for waiting in batch
        )
        for name in ("connect", "read", "write", "pool")
    }
