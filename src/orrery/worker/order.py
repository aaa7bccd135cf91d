"""One order of an executor, carried out: from the log file to the report of how it ended."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import tempfile
import time
from typing import TYPE_CHECKING, Any

import structlog

from orrery.executor.protocol import Ended, Usage
from orrery.worker import compat
from orrery.worker.ending import describe, out_of_memory
from orrery.worker.zygotes import ZygoteLostError

if TYPE_CHECKING:
    from collections.abc import Callable

    from orrery.executor.protocol import Ending, Run
    from orrery.worker.batch import BatchTransport
    from orrery.worker.branches import Branches
    from orrery.worker.cell import Cell, Cells
    from orrery.worker.zygotes import BundleKey, Child

log = structlog.get_logger(__name__)


class Order:
    """A task (or callback, or connection test) that this node has taken."""

    def __init__(
        self,
        run: Run,
        *,
        cells: Cells,
        branches: Branches,
        server: str,
        transport: BatchTransport,
        on_started: Callable[[Order], None],
        on_freed: Callable[[Order], None],
        on_ended: Callable[[Order, Ended], None],
    ) -> None:
        self.run = run
        self.resources = run.request.resources
        self.is_starting = True
        #: Epoch seconds.
        self.started_at = 0.0
        #: When it gave its room back, in epoch seconds; 0: it holds it, until the report of its end at most.
        self.freed_at = 0.0
        self.cell: Cell | None = None
        self._cells = cells
        self._branches = branches
        self._server = server
        self._transport = transport
        self._on_started = on_started
        self._on_freed = on_freed
        self._on_ended = on_ended
        self._task: Any = None
        self._child: Child | None = None
        self._killed_because: tuple[Ending, str] | None = None
        self._cancelled: str | None = None

    def carry_out(self) -> None:
        """Run it to its end, in this thread, and report; raises nothing."""
        ending: Ending = "lost"
        text = ""
        is_told = False
        try:
            ending, text = self._carry_out()
            is_told = self._task is None or self._task.is_told
        except Exception as error:
            log.exception("A task could not be run", id=self.run.id)
            ending, text = "lost", f"{type(error).__name__}: {error}"
        usage = Usage()
        with contextlib.suppress(Exception):
            usage = self._leave_cell()
        if self.is_starting:
            self._note_start()
        self._on_ended(
            self,
            Ended(
                id=self.run.id,
                ending=ending,
                text=text,
                started_at=self.started_at,
                ended_at=self.freed_at or time.time(),
                usage=usage,
                needs_judgement=not is_told,
            ),
        )

    def cancel(self, reason: str) -> None:
        """End it: politely first."""
        self._cancelled = reason
        if self._task is not None:
            self._task.cancel(reason)
        elif self.cell is not None:
            self.cell.kill(signal.SIGKILL)

    def kill(self, ending: Ending, reason: str) -> None:
        """End it at once, and tell that reason."""
        self._killed_because = (ending, reason)
        if self.cell is not None:
            self.cell.kill(signal.SIGKILL)

    def _carry_out(self) -> tuple[Ending, str]:
        kind = json.loads(self.run.workload).get("type")
        workload = compat.parse_workload(self.run.workload)
        # A task may have to become another user by sudo; that is known when its file was executed, and then
        # it is set (see shortcuts).
        is_task = kind == "ExecuteTask"
        self.cell = self._cells.create(self.run.id, self.run.request, no_new_privs=not is_task)
        if self._cancelled:
            # The API server has not heard of it: the scheduler has to judge it.
            return "lost", self._cancelled
        if is_task and compat.is_ordinary(workload):
            return self._supervise(workload)
        return self._delegate()

    def _supervise(self, workload: Any) -> tuple[Ending, str]:
        from orrery.worker.task import SupervisedTask  # noqa: PLC0415 - it imports Airflow
        from orrery.worker.task_client import TaskClient  # noqa: PLC0415 - so does this

        key = (workload.bundle_info.name, workload.bundle_info.version)
        file = os.fspath(workload.dag_rel_path)
        client = TaskClient(base_url=self._server, token=workload.token, transport=self._transport)
        compat.forget_secrets()
        with compat.task_log(workload.log_path, client) as logger:
            try:
                self._task = SupervisedTask.begin(
                    fork=lambda ends: self._fork(key, {"kind": "task"}, ends, file=file),
                    workload=workload,
                    client=client,
                    logger=logger,
                    on_started=self._note_start,
                    on_exit=self._free,
                    explain=self._explain,
                    lazy=self._transport.lazy,
                    end_leftovers=lambda: self._in_cell.kill(signal.SIGKILL),
                )
            except compat.ServerResponseError as error:
                return compat.judge_refusal(error)
            except ZygoteLostError as error:
                logger.error(f"The task could not be started: {error}")
                return "lost", str(error)
            if self._cancelled:
                self._task.cancel(self._cancelled)
            code = self._task.wait()
        ending, text = self._ending(code)
        return ending, text

    def _delegate(self) -> tuple[Ending, str]:
        """Let Airflow's own supervisor run it, in a process of its own."""
        with tempfile.TemporaryFile() as output:
            message = {"kind": "workload", "workload": self.run.workload}
            child = self._fork(None, message, [output.fileno()])
            self._note_start()
            code = child.wait()
            child.close()
            if code == 0:
                return "finished", ""
            output.seek(max(0, os.fstat(output.fileno()).st_size - 2000))
            said = output.read().decode(errors="replace").strip()
            log.error("A workload has failed", id=self.run.id, exit_code=int(code), output=said)
            return "exit_code", f"exit code {int(code)}: {said.splitlines()[-1] if said else 'no output'}"

    def _fork(
        self, key: BundleKey, message: dict[str, Any], ends: list[int], *, file: str | None = None
    ) -> Child:
        message = message | {"cell": self._in_cell.spec.as_mapping()}
        if file is None:
            self._child = self._branches.zygotes.fork(key, self.run.id, message, ends)
        else:
            self._child = self._branches.fork(key, file, self.run.id, message, ends)
        return self._child

    def _free(self) -> None:
        """Give the room back as soon as no process is left: all else that an end brings takes time.

        Of a task that has left processes behind, or has asked for disk, it is given back when all is removed.
        """
        if not self.resources.disk_bytes and self._in_cell.is_empty():
            self.freed_at = time.time()
            self._on_freed(self)

    @property
    def _in_cell(self) -> Cell:
        if self.cell is None:
            raise RuntimeError("it has no cell yet")
        return self.cell

    def _note_start(self) -> None:
        if self.is_starting:
            self.is_starting = False
            self.started_at = time.time()
            self._on_started(self)

    def _ending(self, code: int) -> tuple[Ending, str]:
        cell = self._in_cell
        if self._killed_because:
            return self._killed_because
        if code and self._cancelled:
            return "cancelled", self._cancelled
        if self._task is not None and self._task.was_ended_by_server:
            return "cancelled", "The API server said that it should not run any more"
        return describe(
            code,
            measure=cell.usage,
            request=self.run.request,
            memory_limit_bytes=cell.memory_limit_bytes,
        )

    def _explain(self, code: int, has_failed: bool) -> str | None:
        if code == 0 and has_failed and (usage := self._in_cell.usage()).oom_kills:
            # A process of the task was killed, and the task has noticed.
            limit = self._in_cell.memory_limit_bytes
            used = max(usage.memory_peak_bytes, limit)
            self._killed_because = ("out_of_memory", out_of_memory(used, limit, self.run.request))
        ending, text = self._ending(code)
        return text if text and ending not in ("finished", "exit_code") else None

    def _leave_cell(self) -> Usage:
        if self.cell is None:
            return Usage()
        used = self.cell.remove()
        if self.cell.leftovers:
            log.warning("A task has left what cannot be removed", id=self.run.id, left=self.cell.leftovers)
        child = self._child
        return Usage(
            memory_bytes=0,
            memory_peak_bytes=used.memory_peak_bytes or (child.memory_peak_bytes if child else 0),
            cpu_seconds=used.cpu_seconds or (child.cpu_seconds if child else 0.0),
        )
