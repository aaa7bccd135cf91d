"""The packing executor: Airflow's face of it, in the scheduler.

It takes what the scheduler queues, lets the dispatcher place it, tells the scheduler about ends that it
would not hear of otherwise, and lets its loop sleep until something has happened.
"""

from __future__ import annotations

import contextlib
import os
import select
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import uuid4

from airflow.configuration import AIRFLOW_HOME, conf
from airflow.executors import workloads
from airflow.executors.base_executor import BaseExecutor
from airflow.utils.state import TaskInstanceState

from orrery import garbage
from orrery.database.triggers import run_of
from orrery.errors import InputError
from orrery.executor import capacity, recorder, scheduler_compat, settings
from orrery.executor.dispatcher import Dispatcher
from orrery.executor.job import Finished, Job
from orrery.executor.plain_runs import PlainRuns
from orrery.executor.request import Request, default_resources, parse_request
from orrery.executor.resources import ResourceError, Resources
from orrery.executor.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.models.taskinstance import TaskInstance

#: While something is not right (no LISTEN), the loop looks this often.
_POLL_SECONDS = 0.2
#: The safety net: so long the loop sleeps at most, as stock Airflow's does.
_LONGEST_SLEEP_SECONDS = 1.0
#: When no run is under way and nothing is due before. Each loop asks the database a dozen questions; the
#: scheduler's heartbeat, which comes with the loops, is looked for within 30 s.
_LONGEST_QUIET_SECONDS = 4.0
#: Loops that look at many runs take long. Turns go on with what succeeds meanwhile, so loops may take a
#: fifth of the time: the pause is this much longer than the last loop, up to the same four seconds.
_LOOP_PAUSE_FACTOR = 4
#: So many queued in one loop: there is probably more.
_MANY = 16
#: After a loop that has queued something. Most often its end is what happens next; the loop that stock
#: Airflow makes at once finds nothing.
_SECOND_LOOK_SECONDS = 0.2
#: While the nodes are full, looking for more work is not urgent; each look reads every task of a run. So
#: the pause is this much longer than the last look took, and at least so long.
_FULL_PAUSE_FACTOR = 4
_FULL_PAUSE_SECONDS = 0.25
_LOOK_SECONDS = 0.02
#: After a turn that started nothing: so much longer than it took, within these bounds. Many tasks of one run
#: that end one after the other are then looked at together.
_REST_FACTOR = 5
_LEAST_REST_SECONDS = 0.01
_MOST_REST_SECONDS = 0.2
#: While so many wait for nodes, more are queued now and then only: there is enough to choose from.
_REFILL = 32
_REFILL_SECONDS = 1.0
#: Queued with us, for each that can run: enough to choose from.
_BACKLOG_FACTOR = 4
_LEAST_BACKLOG = 256
#: How long a starting scheduler waits for the agents to say what they run.
_ADOPTION_PATIENCE_SECONDS = 6.0
#: Before a node has said how large it is.
_UNKNOWN_NODE = Resources(cpu_millicores=2000, memory_bytes=4 * 1024**3)


class PackingExecutor(BaseExecutor):  # type: ignore[misc]
    """Runs tasks on nodes, packed by what they ask for."""

    pre_assigns_external_executor_id: ClassVar[bool] = True
    supports_callbacks = True
    supports_connection_test = True
    supports_multi_team = False
    is_local = True
    is_production = True

    _dispatcher: Dispatcher
    _recorder: recorder.Recorder

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        if self.team_name or conf.getboolean("core", "multi_team"):
            raise InputError(
                "The packing executor does not keep teams apart, so it does not run with [core] multi_team.",
                hint="Turn multi_team off, or choose another executor: executor: local in orrery.yaml.",
            )
        self._most = self.parallelism
        self._settings = settings.read(lambda option: conf.get(settings.SECTION, option, fallback=None))
        self._jobs: dict[str, Job] = {}
        self._added = 0
        self._default = default_resources(capacity.allocatable(_UNKNOWN_NODE))
        self._known_sizes: tuple[Resources, ...] = ()
        self._turns: Turns | None = None
        self._plain_runs: PlainRuns | None = None
        #: Of what was queued since the last look.
        self._added_runs: set[tuple[str, str]] = set()
        self._loop_began = time.monotonic()
        self._loop_took = 0.0
        self._next_refill = 0.0

    # -- life -------------------------------------------------------------------------------------

    def start(self) -> None:
        """Look for the agent, and listen to the database."""
        path = self._settings.socket or default_socket()
        self._dispatcher = Dispatcher([path], scheduler=str(self.job_id))
        self._dispatcher.start()
        scheduler_compat.watch_loops()
        self._recorder = recorder.Recorder(scheduler=str(self.job_id), listen_url=self._settings.listen_url)
        self.log.info("The packing executor looks for its agent at %s", path)

    def end(self) -> None:
        """Stop; running tasks go on, and the next scheduler adopts them."""
        self._dispatcher.stop()
        self._take_news()
        self._recorder.close()

    def terminate(self) -> None:
        """Stop at once."""
        self._dispatcher.stop()

    def loop_begins(self, runner: Any) -> None:
        """Learn whose executor this is. With another executor beside it, only the scheduler may choose."""
        self._loop_began = time.monotonic()
        if self._turns is None and len(runner.executors) == 1:
            self._turns = Turns(runner)
            self._plain_runs = PlainRuns(self._turns, job_id=runner.job.id)
            garbage.leave_alone()

    def schedule_plain(self, session: Any, runs: Sequence[Any]) -> Sequence[Any]:
        """Schedule what is ready in runs that a loop is about to judge; return those that it has to."""
        return runs if self._plain_runs is None else self._plain_runs.schedule(session, runs)

    # -- what the scheduler queues ----------------------------------------------------------------

    def queue_workload(self, workload: workloads.ExecutorWorkload, session: Any) -> None:
        """Let a workload wait for its place; it is sent when the scheduler has committed it."""
        super().queue_workload(workload, session)
        self._added += 1
        ti = getattr(workload, "ti", None)
        self._added_runs.add(("", "") if ti is None else (ti.dag_id, ti.run_id))

    def trigger_tasks(self, open_slots: int) -> None:  # noqa: ARG002 - room is the dispatcher's to know
        """Hand what was queued since the last call to the dispatcher."""
        for queued in (self.queued_callbacks, self.queued_tasks, self.queued_connection_tests):
            for key, workload in list(queued.items()):
                del queued[key]
                self._hand_over(key, workload)
        if self._added:
            self._dispatcher.go()

    def trigger_connection_tests(self) -> None:
        """Nothing: `trigger_tasks` has taken them."""

    def _hand_over(self, key: Any, workload: Any) -> None:
        try:
            job = self._job(key, workload)
        except ResourceError as error:
            self.fail(key, f"Its request is wrong: {error}")
            return
        self._jobs[job.id] = job
        self.running.add(key)
        if job.outcomes is not None and workload.running_state is not None:
            self.event_buffer[key] = (workload.running_state, None)
        self._dispatcher.add(job)

    def _job(self, key: Any, workload: Any) -> Job:
        now = datetime.now(UTC)
        default = self._default_request()
        if not isinstance(workload, workloads.ExecuteTask):
            # Callbacks complete what is done already: before all tasks.
            return Job(
                id=str(uuid4()),
                key=key,
                render=workload.model_dump_json,
                request=Request(resources=default.resources),
                queue="default",
                priority=2**31,
                bundle="",
                queued_at=now,
                outcomes=(workload.success_state, workload.failure_state),
            )
        ti = workload.ti
        request = parse_request(ti.executor_config, default=self._settings.request_for(ti.queue, default))
        made_at = time.monotonic()

        def render() -> str:
            # Its token lasts as long as a task may be queued; one that waited for room gets another.
            if time.monotonic() - made_at > conf.getfloat("scheduler", "task_queued_timeout") / 2:
                workload.token = workload.generate_token(str(ti.id), self.jwt_generator)
            return str(workload.model_dump_json())

        version = workload.bundle_info.version
        return Job(
            id=ti.external_executor_id or str(uuid4()),
            key=key,
            render=render,
            request=request,
            queue=ti.queue,
            priority=ti.priority_weight,
            bundle=workload.bundle_info.name + (f"@{version}" if version else ""),
            queued_at=now,
            log_path=workload.log_path,
            details=recorder.details_of(ti),
        )

    def _default_request(self) -> Request:
        sizes = tuple(node.allocatable for node in self._dispatcher.nodes())
        if sizes and sizes != self._known_sizes:
            self._known_sizes = sizes
            # What fits on the smallest node fits everywhere.
            self._default = default_resources(min(sizes, key=lambda size: size.memory_bytes))
        return Request(resources=self._default)

    # -- the loop ---------------------------------------------------------------------------------

    def sync(self) -> None:
        """Take the news; when there is nothing to do, sleep until something happens."""
        self._loop_took = time.monotonic() - self._loop_began
        self._take_news()
        added, runs = self._reset_added()
        if self.event_buffer:
            return
        if added >= _MANY and not self._queue_rest(runs) and not (self._turns and self._has_plenty()):
            return
        # What one run goes on with, a turn finds; there may be more to do for several.
        is_more_likely = added and (self._turns is None or len(runs) > 1)
        self._wait(max(_SECOND_LOOK_SECONDS if is_more_likely else self._longest_sleep(), self._loop_pause()))
        self._take_news()
        self._recorder.tick(self._dispatcher)

    def _longest_sleep(self) -> float:
        """Return how long the loop may sleep unless something wakes it, in seconds."""
        # Without turns there are other executors, which want to be asked each second.
        if self._turns is None or self._jobs or not self._recorder.listener.is_listening:
            return _LONGEST_SLEEP_SECONDS
        quiet = self._turns.seconds_of_quiet()
        return _LONGEST_SLEEP_SECONDS if quiet is None else min(quiet, _LONGEST_QUIET_SECONDS)

    def _loop_pause(self) -> float:
        """Return how long the loop has to sleep for what it costs, in seconds, while it is not needed."""
        if self._turns is None or not self._recorder.listener.is_listening:
            return 0.0
        return min(_LOOP_PAUSE_FACTOR * self._loop_took, _LONGEST_QUIET_SECONDS)

    def _reset_added(self) -> tuple[int, set[tuple[str, str]]]:
        added, self._added = self._added, 0
        runs, self._added_runs = self._added_runs, set()
        return added, runs

    def _queue_rest(self, runs: set[tuple[str, str]]) -> bool:
        """Queue the rest of one large run, without looking at all of it again; False: there may be others."""
        if self._turns is None or len(runs) != 1:
            return False
        self._queue_scheduled()
        return True

    def _queue_scheduled(self) -> int | None:
        """Queue what is scheduled, of all runs, as far as there is room; None: another scheduler does."""
        total = 0
        queued: int | None = 0
        while self._turns and self.slots_available and (queued := self._turns.queue_scheduled()):
            total += queued
            self._send()
            if self._has_plenty():
                break  # whether there is more can wait: each look reads all that is scheduled
        self._next_refill = time.monotonic() + _REFILL_SECONDS
        return None if queued is None else total

    def _send(self) -> None:
        self.trigger_tasks(0)
        self._reset_added()

    def _wait(self, limit: float) -> None:
        listener = self._recorder.listener
        if (listener.drain() and not self._advance()) or self.event_buffer:
            return
        if not listener.is_listening:
            limit = min(limit, _POLL_SECONDS)
        deadline = time.monotonic() + limit
        while (left := deadline - time.monotonic()) > 0:
            ready, _, _ = select.select([self._dispatcher.wake, listener.fileno()], [], [], left)
            if self._dispatcher.wake in ready:
                self._take_news()
            if listener.fileno() in ready and listener.drain() and not self._advance():
                return
            if self.event_buffer:
                return

    def _advance(self) -> bool:
        """Go on with the runs that notifications have named; False: the loop has to look at everything."""
        begun = time.monotonic()
        is_done, queued = self._follow()
        if not is_done:
            self._pause_when_full()
            # Nodes would run out of tasks while the loop looks at everything.
            if self._recorder.listener.drain():
                self._follow()
        elif self._has_plenty():
            self._rest(_REFILL_SECONDS)
        elif not queued:
            took = time.monotonic() - begun
            self._rest(min(max(_REST_FACTOR * took, _LEAST_REST_SECONDS), _MOST_REST_SECONDS))
        return is_done

    def _follow(self) -> tuple[bool, int]:
        """Take a turn of what was heard; return whether that is all to do, and how many it queued."""
        runs = [run_of(payload) for payload in self._recorder.listener.take()]
        named = [run for run in runs if run is not None]
        if self._turns is None:
            return False, 0
        is_done = self._turns.take(named) if named else True
        queued = self._turns.queued if named else 0
        if queued:
            self._send()
        refilled = self._refill()
        return is_done and refilled is not None and len(named) == len(runs), queued + (refilled or 0)

    def _refill(self) -> int | None:
        """Queue more of what is scheduled, when it is time; None: another scheduler is at it."""
        if self._turns is None or not self._turns.is_more_scheduled:
            return 0
        if self._has_plenty() and time.monotonic() < self._next_refill:
            return 0
        return self._queue_scheduled()

    def _has_plenty(self) -> bool:
        """Whether what waits for nodes keeps them busy for a while."""
        waiting, placed = self._dispatcher.counts()
        return bool(waiting >= max(_REFILL, 2 * placed))

    def _pause_when_full(self) -> None:
        if self._dispatcher.counts()[0]:
            pause = max(_FULL_PAUSE_FACTOR * self._loop_took, _FULL_PAUSE_SECONDS)
            self._rest(min(pause, _LONGEST_SLEEP_SECONDS), until_room=True)

    def _rest(self, seconds: float, *, until_room: bool = False) -> None:
        """Let time pass, but for news that the scheduler has to judge, or until nothing waits for room."""
        deadline = time.monotonic() + seconds
        while not self.event_buffer and (left := deadline - time.monotonic()) > 0:
            limit = min(left, _LOOK_SECONDS) if until_room else left
            if select.select([self._dispatcher.wake], [], [], limit)[0]:
                self._take_news()
            if until_room and not self._dispatcher.counts()[0]:
                return

    def _take_news(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._dispatcher.wake)
        taken: list[Finished] = []
        news = self._dispatcher.news
        while news:
            taken.append(news.popleft())
        if not taken:
            return
        for finished in taken:
            self._note(finished)
        self._recorder.record(taken)
        self._dispatcher.acknowledge(taken)

    def _note(self, finished: Finished) -> None:
        """Tell the scheduler of an end, if nobody else does.

        The API server has a task's state from its supervisor. An event as well would be old news, and a
        task that was deferred and has come back would be failed by it.
        """
        job, ended = finished.job, finished.ended
        self._jobs.pop(job.id, None)
        if not any(each.key == job.key for each in self._jobs.values()):
            self.running.discard(job.key)
        if job.outcomes is not None:
            success, failure = job.outcomes
            is_good = ended.ending == "finished"
            self.event_buffer[job.key] = (success, None) if is_good else (failure, ended.text)
        elif ended.ending == "lost" or ended.needs_judgement:
            self.log.error("Task %s was lost: %s", job.key, ended.text)
            self.event_buffer[job.key] = (TaskInstanceState.FAILED, ended.text)
            # Where people look: the audit log and, of a task that never began, its own.
            self.log_task_event(event="lost", extra=ended.text, ti_key=job.key)
            if job.log_path and not ended.started_at:
                recorder.write_last_word(
                    Path(conf.get("logging", "base_log_folder"), job.log_path), ended.text
                )

    # -- room -------------------------------------------------------------------------------------

    @property
    def slots_available(self) -> int:
        """How many more workloads may be queued with this executor: more than run, so that it can choose."""
        waiting, placed = self._dispatcher.counts()
        limit = max(_LEAST_BACKLOG, _BACKLOG_FACTOR * self._parallelism_now())
        return int(max(0, min(limit - waiting, self._most - waiting - placed)))

    @property
    def slots_occupied(self) -> int:
        """How many workloads are on nodes, or on their way."""
        waiting, placed = self._dispatcher.counts()
        return int(waiting + placed)

    def _parallelism_now(self) -> int:
        return capacity.parallelism(self._dispatcher.nodes(), self._default_request().resources)

    # -- adoption ---------------------------------------------------------------------------------

    def try_adopt_task_instances(self, tis: Sequence[TaskInstance]) -> Sequence[TaskInstance]:
        """Take over the tasks of a dead scheduler that an agent runs, or that waited; return the others."""
        by_id = {ti.external_executor_id: ti for ti in tis if ti.external_executor_id}
        ours = set(self._jobs)
        jobs = [self._adopted(ti) for each, ti in by_id.items() if each not in ours]
        unknown = {job.id for job in self._dispatcher.adopt(jobs, patience=_ADOPTION_PATIENCE_SECONDS)}
        for job in jobs:
            if job.id not in unknown:
                self._jobs[job.id] = job
                self.running.add(job.key)
        left = [ti for ti in tis if ti.external_executor_id in unknown or not ti.external_executor_id]
        left = [ti for ti in left if not self._queue_again(ti)]
        self.log.info("Adopted %d of %d tasks of a dead scheduler", len(tis) - len(left), len(tis))
        return left

    def _queue_again(self, ti: TaskInstance) -> bool:
        """Take over a task that had not been sent to a node: it waits on, at the same try."""
        if ti.state != TaskInstanceState.QUEUED or not ti.external_executor_id:
            return False
        try:
            workload = workloads.ExecuteTask.make(ti, generator=self.jwt_generator)
        except Exception:
            self.log.exception("A queued task cannot be taken over and is scheduled anew: %s", ti)
            return False
        self.queue_workload(workload, session=None)
        return True

    def _adopted(self, ti: TaskInstance) -> Job:
        default = self._settings.request_for(ti.queue, self._default_request())
        try:
            request = parse_request(ti.executor_config, default=default)
        except ResourceError:
            request = default
        return Job(
            id=str(ti.external_executor_id),
            key=ti.key,
            render=None,
            request=request,
            queue=ti.queue,
            priority=ti.priority_weight or 1,
            bundle="",
            queued_at=ti.queued_dttm or datetime.now(UTC),
            started_at=ti.start_date,
            details=recorder.details_of(ti),
        )

    def revoke_task(self, *, ti: TaskInstance) -> None:
        """Forget a task that was queued for too long; one that we know waits for room, or runs.

        Raises:
            NotImplementedError: we know it: Airflow then leaves it queued.
        """
        if str(ti.external_executor_id) in self._jobs:
            raise NotImplementedError("It waits for room; 'orrery workers' tells for what.")

    def debug_dump(self) -> None:
        """Say what is where (on SIGUSR2)."""
        super().debug_dump()
        _, placed, waiting = self._dispatcher.view()
        self.log.info("placed: %s", Counter(job.node for job in placed))
        for job, reason in waiting[:50]:
            self.log.info("waiting: %s %s", job.key, reason)


def default_socket() -> Path:
    """Return where the agent of this machine listens when nobody has set it."""
    return Path(AIRFLOW_HOME) / "run" / "worker.sock"
