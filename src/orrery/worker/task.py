"""One task, supervised: Airflow's own supervisor, in a thread of the agent, its child forked by a zygote.

All that passes between task and API server is Airflow's code. Ours is where the process comes from, how
its end is noticed, what it may use, and what is said when it ends badly.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import time
from socket import socketpair
from typing import TYPE_CHECKING, Any

import attrs
import structlog
from airflow.sdk.bases.xcom import BaseXCom
from airflow.sdk.execution_time.comms import SetRenderedFields, SetXCom
from airflow.sdk.execution_time.supervisor import (
    SERVER_TERMINATED,
    STATES_SENT_DIRECTLY,
    ActivitySubprocess,
    TaskInstanceState,
)

from orrery.worker.batch import LazyCallError

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from airflow.sdk.api.client import Client
    from structlog.typing import FilteringBoundLogger

    from orrery.worker.zygotes import Child

_FAILED = (TaskInstanceState.FAILED, TaskInstanceState.UP_FOR_RETRY)

log = structlog.get_logger(__name__)

#: How long a task's other processes may go on to write when the task itself has ended.
_LAST_WORDS_SECONDS = 0.5


@attrs.define(kw_only=True)
class SupervisedTask(ActivitySubprocess):  # type: ignore[misc]
    """A running task."""

    #: Called once, when its start is over: it has rendered its fields and begins to execute.
    on_started: Callable[[], None]
    #: Called once, when its process has ended, before it is known how.
    on_exit: Callable[[], None]
    #: Returns a last line for the log, from the exit code and whether the task failed; None when there is
    #: nothing to add.
    explain: Callable[[int, bool], str | None]
    #: While it is entered, calls of the API server need no answer; see `BatchTransport.lazy`.
    lazy: Callable[..., AbstractContextManager[None]]
    #: Ends what a task that has ended left behind.
    end_leftovers: Callable[[], None]
    _has_started: bool = attrs.field(default=False, init=False)
    _cancelled: str | None = attrs.field(default=None, init=False)
    _wake: Any = attrs.field(factory=socketpair, init=False)
    _exit: Any = attrs.field(default=None, init=False)

    @classmethod
    def begin(
        cls,
        *,
        fork: Callable[[list[int]], Child],
        workload: Any,
        client: Client,
        logger: FilteringBoundLogger,
        on_started: Callable[[], None],
        on_exit: Callable[[], None],
        explain: Callable[[int, bool], str | None],
        lazy: Callable[..., AbstractContextManager[None]],
        end_leftovers: Callable[[], None],
        logs_to_stdout: bool = False,
    ) -> SupervisedTask:
        """Fork the child, tell the API server, and let it begin.

        Raises what the API server's refusal raises; the child is dead then.
        """
        pairs = [socketpair() for _ in range(4)]  # requests, stdout, stderr, logs
        ours = [pair[0] for pair in pairs]
        theirs = [pair[1] for pair in pairs]
        try:
            child = fork([end.fileno() for end in theirs])
        except BaseException:
            for end in ours:
                end.close()
            raise
        finally:
            for end in theirs:
                end.close()
        requests, stdout, stderr, logs = ours
        make: Any = cls  # Airflow's fields are unknown to the type checker
        task: SupervisedTask = make(
            id=workload.ti.id,
            pid=child.pid,
            stdin=requests,
            process=child,
            process_log=logger,
            subprocess_logs_to_stdout=logs_to_stdout,
            start_time=time.monotonic(),
            new_process_group=True,
            client=client,
            on_started=on_started,
            on_exit=on_exit,
            explain=explain,
            lazy=lazy,
            end_leftovers=end_leftovers,
        )
        task.selector.register(child, selectors.EVENT_READ, (_once, task._forget))
        task.selector.register(task._wake[0], selectors.EVENT_READ, (_drain, task._forget))
        # How it has ended its zygote tells, which may be forking others first.
        with contextlib.suppress(OSError):
            task._exit = os.fdopen(os.pidfd_open(child.pid), "rb", buffering=0)
            task.selector.register(task._exit, selectors.EVENT_READ, (task._note_exit, task._forget))
        task._register_pipe_readers(stdout, stderr, requests, logs, data={})
        # Airflow sends the first heartbeat at once, although the start has just told the same.
        task._last_heartbeat_attempt = time.monotonic()
        try:
            task._on_child_started(
                ti=workload.ti,
                dag_rel_path=workload.dag_rel_path,
                bundle_info=workload.bundle_info,
                sentry_integration=workload.sentry_integration,
            )
        except BaseException:
            task._close()
            raise
        return task

    def wait(self) -> int:
        """Supervise the task to its end and deliver its state; return its exit code.

        As Airflow's, but for the signals: those are the agent's.
        """
        try:
            self._monitor_subprocess()
            if (code := self._code()) is None:
                code = self._set_code(1)
            if line := self.explain(code, self.final_state in _FAILED):
                self.process_log.error(line)
            try:
                self.update_task_state_if_needed()
            finally:
                self._upload_logs()
        finally:
            self._close()
        return code

    def _code(self) -> int | None:
        found: int | None = self._exit_code
        return found

    def _set_code(self, code: int) -> int:
        supervisor: Any = self
        supervisor._exit_code = code
        return code

    @property
    def is_told(self) -> bool:
        """Whether the API server knows how it has ended, once it has.

        Airflow's supervisor leaves to the scheduler what a task could not say itself: that it is to be
        retried, or that it has ended well (`os._exit(0)`), which then nobody believes.
        """
        if self._pending_terminal_state_msg is not None:
            return False
        # Of a state that tasks report themselves, a task that reported none has told nobody.
        return self._terminal_state is not None or self.final_state not in STATES_SENT_DIRECTLY

    @property
    def was_ended_by_server(self) -> bool:
        """Whether it was ended because the API server did not want it to run any more."""
        return bool(self._terminal_state == SERVER_TERMINATED)

    def cancel(self, reason: str) -> None:
        """End the task: called by other threads, done by its own."""
        self._cancelled = reason
        with contextlib.suppress(OSError):
            self._wake[1].send(b"x")

    def _handle_request(self, msg: Any, log: Any, req_id: int) -> None:
        if isinstance(msg, SetRenderedFields):
            # Nothing the task does depends on the answer: it travels with what comes next.
            with self.lazy():
                super()._handle_request(msg, log, req_id)
            self._note_start()
        elif isinstance(msg, SetXCom) and self._is_own_result(msg):
            # Nearly always the task's end is next: they travel together, and it is not done without this.
            with self.lazy(is_vital=True):
                super()._handle_request(msg, log, req_id)
        else:
            try:
                super()._handle_request(msg, log, req_id)
            except LazyCallError:
                # It has not ended well, then: the scheduler judges it.
                supervisor: Any = self
                supervisor._pending_terminal_state_msg = None
                raise

    def _is_own_result(self, msg: SetXCom) -> bool:
        """Tell whether the task pushes what it returns, of which no refusal is to be expected.

        Of what others are mapped over Airflow checks the length.
        """
        ti = self.ti
        return bool(
            msg.key == BaseXCom.XCOM_RETURN_KEY
            and msg.mapped_length is None
            and ti is not None
            and (msg.dag_id, msg.run_id, msg.task_id) == (ti.dag_id, ti.run_id, ti.task_id)
            and _is_storable(msg.value)
        )

    def _service_subprocess(
        self, max_wait_time: float, raise_on_timeout: bool = False, expect_signal: int | None = None
    ) -> Any:
        """As Airflow's, but who holds a task's output open after its end does not hold it for a minute."""
        ended_at = self._process_exit_monotonic
        if ended_at is not None and self._open_sockets:
            if time.monotonic() - ended_at > _LAST_WORDS_SECONDS:
                self.end_leftovers()
            max_wait_time = min(max_wait_time, _LAST_WORDS_SECONDS)
        return super()._service_subprocess(max_wait_time, raise_on_timeout, expect_signal)

    def _check_subprocess_exit(self, raise_on_timeout: bool = False, expect_signal: int | None = None) -> Any:
        if self._cancelled is not None and self._code() is None:
            reason, self._cancelled = self._cancelled, None
            self.process_log.error(f"Ending this task: {reason}")
            self.kill(signal.SIGTERM, force=True)
        code = super()._check_subprocess_exit(raise_on_timeout, expect_signal)
        if code is not None:
            self._note_start()
        return code

    def kill(
        self,
        signal_to_send: signal.Signals = signal.SIGINT,
        escalation_delay: float = 5.0,
        force: bool = False,
    ) -> None:
        """As Airflow's, but of a task that has just ended by itself the true end is taken.

        Airflow's notes an exit code of its own then and no time of the end; without that, whatever the task
        has left behind would hold its output, and this thread, for ever.
        """
        super().kill(signal_to_send, escalation_delay, force)
        if self._code() is not None and self._process_exit_monotonic is None:
            supervisor: Any = self
            supervisor._exit_code = None
            self._check_subprocess_exit()

    def _note_start(self) -> None:
        if not self._has_started:
            self._has_started = True
            self.on_started()

    def _note_exit(self, _: Any) -> bool:
        self.on_exit()
        return False

    def _forget(self, source: Any) -> None:
        with contextlib.suppress(KeyError, ValueError):
            self.selector.unregister(source)

    def _close(self) -> None:
        self._note_start()
        for source in filter(None, (*self._open_sockets, *self._wake, self._exit)):
            with contextlib.suppress(OSError):
                source.close()
        with contextlib.suppress(Exception):
            self.selector.close()
        with contextlib.suppress(OSError):
            self.stdin.close()
        self._process.close()


def _is_storable(value: Any) -> bool:
    """Tell whether the database takes a value."""
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=True)
    except (ValueError, TypeError, RecursionError):
        return False
    return "\\u0000" not in text and "\\ud" not in text


def _once(_: Any) -> bool:
    return False


def _drain(source: Any) -> bool:
    source.recv(64)
    return True
