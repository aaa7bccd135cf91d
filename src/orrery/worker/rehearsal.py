"""A rehearsal: the zygote runs an imaginary task as Airflow's task process would, before it forks real ones.

What a process does for the first time it does slowly: Python specialises the code, caches fill, tables are
read. Done here once, each child begins with that behind it. The imaginary task is ours, its DAG is nobody's,
its supervisor is played in this process; listeners, metrics, bundles and the log are replaced meanwhile,
and everything that a task changes in its process is put back.
"""

from __future__ import annotations

import contextlib
import contextvars
import os
import signal
import types
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: Python specialises a function's code when it has been called some eight times.
TIMES = 12

DAG_ID = "orrery_rehearsal"
_ID = uuid.UUID(int=0)
#: When everything in it happens.
_THEN = datetime(2000, 1, 1, tzinfo=UTC)
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR2, signal.SIGSEGV, signal.SIGCHLD)


class UnsuccessfulError(Exception):
    """The imaginary task did not succeed: nothing is lost, tasks are only slower."""


def rehearse(log: Callable[[Any], contextlib.AbstractContextManager[None]], *, times: int = TIMES) -> None:
    """Run the imaginary tasks; `log` leads a task's log to the file that it is given.

    Raises:
        UnsuccessfulError: one failed; this process is as it was all the same.
    """
    from airflow.sdk.execution_time import task_runner  # noqa: PLC0415
    from airflow.sdk.execution_time.sentry.noop import NoopSentry  # noqa: PLC0415
    from opentelemetry import trace  # noqa: PLC0415

    runner: Any = task_runner
    if not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        return  # spans would be sent
    if type(runner.Sentry) is not NoopSentry:
        return  # it would be set up, with threads
    connect = runner.CommsDecoder
    with Path(os.devnull).open("wb") as nowhere, log(nowhere), _put_back(runner), _nobody_watches(runner):
        dag = _dag()
        for number in range(times):
            for task_id in dag.task_dict:
                played = _Played(_startup(task_id, number if task_id == "mapped" else -1))
                runner.CommsDecoder = _Connected(connect, played)
                contextvars.copy_context().run(_run, runner, dag, task_id, played)


def _run(runner: Any, dag: Any, task_id: str, played: _Played) -> None:
    from airflow.dag_processing import dagbag  # noqa: PLC0415

    dags = types.SimpleNamespace(dags={dag.dag_id: dag})
    module: Any = dagbag
    original = module.BundleDagBag
    module.BundleDagBag = lambda **_: dags
    try:
        runner.main()
    except BaseException as error:
        raise UnsuccessfulError(f"{task_id}: {error!r}") from error
    finally:
        module.BundleDagBag = original
    if "SucceedTask" not in played.told:
        raise UnsuccessfulError(f"{task_id} told {played.told}")


def _dag() -> Any:
    """Return a DAG of what most tasks are: a function of one argument, mapped or not, with templates."""
    from airflow.providers.standard.operators.empty import EmptyOperator  # noqa: PLC0415
    from airflow.providers.standard.operators.python import PythonOperator  # noqa: PLC0415
    from airflow.sdk import DAG, task  # noqa: PLC0415
    from airflow.sdk.bases.xcom import BaseXCom  # noqa: PLC0415
    from airflow.sdk.execution_time.xcom import XCom  # noqa: PLC0415

    # What a backend of somebody's would do with a value is not ours to try.
    is_plain = XCom is BaseXCom
    with DAG(DAG_ID, schedule=None, default_args={"retries": 0}) as dag:
        made: Any = task(do_xcom_push=is_plain)(_itself)
        made.override(task_id="single")(1)
        made.override(task_id="mapped").expand(n=list(range(TIMES)))
        templated = {"day": "{{ ds }} {{ ti.task_id }}"}
        PythonOperator(task_id="classic", python_callable=_nothing, op_kwargs=templated)
        EmptyOperator(task_id="empty", on_success_callback=_nothing)
    return dag


def _itself(n: Any) -> Any:
    return n


def _nothing(*_: Any, **__: Any) -> None:
    pass


def _startup(task_id: str, map_index: int) -> dict[str, Any]:
    """Return the message that begins a task, as its supervisor sends it."""
    run = {
        "dag_id": DAG_ID,
        "run_id": "rehearsal",
        "logical_date": _THEN,
        "data_interval_start": _THEN,
        "data_interval_end": _THEN,
        "run_after": _THEN,
        "start_date": _THEN,
        "end_date": None,
        "partition_key": None,
        "run_type": "manual",
        "state": "running",
        "conf": {},
        "consumed_asset_events": [],
    }
    return {
        "type": "StartupDetails",
        "ti": {
            "id": _ID,
            "dag_version_id": _ID,
            "task_id": task_id,
            "dag_id": DAG_ID,
            "run_id": "rehearsal",
            "try_number": 1,
            "map_index": map_index,
            "pool_slots": 1,
            "queue": "default",
            "priority_weight": 1,
        },
        "dag_rel_path": "rehearsal.py",
        "bundle_info": {"name": "rehearsal", "version": None},
        "start_date": _THEN,
        "ti_context": {
            "dag_run": run,
            "max_tries": 0,
            "should_retry": False,
            "task_reschedule_count": 0,
        },
        "sentry_integration": "",
    }


class _Played:
    """In the place of the socket to the supervisor: says yes to everything."""

    def __init__(self, first: dict[str, Any]) -> None:
        self.told: list[str] = []
        self._unread = bytearray(_frame([0, first, None]))

    def sendall(self, frame: bytes) -> None:
        number, body, *_ = msgspec.msgpack.decode(frame[4:])
        self.told.append(body["type"])
        self._unread += _frame([number, None, None])

    def recv(self, size: int) -> bytes:
        found = bytes(self._unread[:size])
        del self._unread[:size]
        return found

    def recv_into(self, buffer: memoryview) -> int:
        found = self.recv(len(buffer))
        buffer[: len(found)] = found
        return len(found)

    def setblocking(self, _: object) -> None:
        pass

    def close(self) -> None:
        pass


def _frame(content: list[Any]) -> bytes:
    packed = msgspec.msgpack.encode(content)
    return len(packed).to_bytes(4, "big") + packed


class _Connected:
    """In the place of the class that talks to the supervisor: gives it the played one."""

    def __init__(self, original: Any, played: _Played) -> None:
        self._original = original
        self._played = played

    def __getitem__(self, kinds: Any) -> Callable[..., Any]:
        return lambda log: self._original[kinds](log=log, socket=self._played)


class _NoBundles:
    """In the place of the bundles."""

    def get_bundle(self, *, name: str, version: str | None) -> Any:
        return types.SimpleNamespace(
            name=name, version=version, path=Path("/nonexistent"), initialize=_nothing
        )


@contextlib.contextmanager
def _nobody_watches(runner: Any) -> Iterator[None]:
    """Let no listener, no collector of metrics and no bundle hear of it."""
    from airflow.sdk import listener  # noqa: PLC0415

    specified: Any = listener
    nobody = specified.ListenerManager()
    nobody.add_hookspecs(specified.lifecycle)
    nobody.add_hookspecs(specified.taskinstance)
    quiet = runner.stats.NoStatsLogger
    runner.get_listener_manager = lambda: nobody
    runner.stats_utils = types.SimpleNamespace(get_stats_factory=lambda: quiet)
    runner.DagBundlesManager = _NoBundles
    yield


@contextlib.contextmanager
def _put_back(runner: Any) -> Iterator[None]:
    """Leave module, environment, signals and the process's name as they are found."""
    from setproctitle import getproctitle, setproctitle  # noqa: PLC0415

    names, environment, title = dict(vars(runner)), dict(os.environ), getproctitle()
    handlers = {number: signal.getsignal(number) for number in _SIGNALS}
    # Where a task itself begins it gives rights up (see `shortcuts`): not here.
    runner.run = getattr(runner.run, "is_begun_by", runner.run)
    try:
        yield
    finally:
        for name in set(vars(runner)) - set(names):
            delattr(runner, name)
        vars(runner).update(names)
        runner.stats.initialize(factory=runner.stats.NoStatsLogger, export_legacy_names=True)
        os.environ.clear()
        os.environ.update(environment)
        for number, handler in handlers.items():
            if handler is not None:  # set by other than Python: a task does not touch those
                signal.signal(number, handler)
        setproctitle(title)
