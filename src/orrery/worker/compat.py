"""Private interfaces of Airflow's task supervisor that the agent and its zygotes use.

Each has a contract test in tests/contract/test_worker_compat.py.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import threading
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog
from airflow.sdk.api.client import Client, ServerResponseError

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator
    from typing import NoReturn

    from structlog.typing import FilteringBoundLogger

    from orrery.executor.protocol import Ending

__all__ = ["Client", "ServerResponseError"]

log = structlog.get_logger(__name__)

#: What every task needs. Some import their parts only when first used.
_MODULES = (
    "airflow.sdk.execution_time.supervisor",
    "airflow.sdk.execution_time.task_runner",
    "airflow.sdk.execution_time.secrets",
    "airflow.sdk.execution_time.secrets.execution_api",
    "airflow.sdk.execution_time.xcom",
    "airflow.sdk.bases.xcom",
    "airflow.sdk.log",
    "airflow.sdk.listener",
    "airflow.dag_processing.dagbag",
    "airflow.dag_processing.bundles.manager",
    "airflow.dag_processing.bundles.local",
    "airflow.serialization.serialized_objects",
    "airflow.providers.standard.operators.python",
    "airflow.providers.standard.operators.bash",
    "airflow.providers.standard.operators.empty",
    "airflow.providers.standard.decorators.python",
    "airflow.utils.email",
    "airflow.lineage.hook",
    "jinja2",
    "jinja2.ext",
    "jinja2.nativetypes",
    "jinja2.sandbox",
    "setproctitle",
    "orrery.worker.child",
    "orrery.worker.parsed",
    "orrery.worker.rehearsal",
)


def import_modules() -> None:
    """Import what every task needs."""
    for name in _MODULES:
        try:
            importlib.import_module(name)
        except ImportError as error:
            log.debug("not preloaded", module=name, reason=str(error))


def preload() -> None:
    """Import what every task needs, and build what it would build on first use."""
    import_modules()
    from airflow.sdk.listener import get_listener_manager  # noqa: PLC0415

    from orrery.worker import rehearsal, shortcuts  # noqa: PLC0415

    # Loads the plug-ins: without this each task would.
    get_listener_manager()
    shortcuts.install()
    try:
        rehearsal.rehearse(shortcuts.log_to)
    except Exception as error:
        log.warning("The rehearsal of a task failed: tasks start more slowly", reason=repr(error))


def forget_database() -> None:
    """Forget the engines of Airflow's settings: tasks may not use them, and each would clean them up first.

    To be called where only tasks are forked: Airflow takes the engines from each of them, but by then a fork
    has emptied their pools, which is more work than all the rest of a fork.
    """
    from airflow import settings  # noqa: PLC0415

    settings.engine = settings.async_engine = None


def bundle_path(name: str, version: str | None) -> Path | None:
    """Return the folder of a DAG bundle, None when it cannot be had now: tasks will say why."""
    from airflow.dag_processing.bundles.manager import DagBundlesManager  # noqa: PLC0415

    try:
        bundle = DagBundlesManager().get_bundle(name=name, version=version)
        bundle.initialize()
        return Path(bundle.path)
    except Exception as error:
        log.warning("bundle not preloaded", bundle=name, version=version, error=repr(error))
        return None


def fork_main(requests: socket.socket, stdout: socket.socket, stderr: socket.socket, logs: int) -> NoReturn:
    """Be Airflow's task process, on these sockets."""
    from airflow.sdk.execution_time import supervisor  # noqa: PLC0415

    supervisor._fork_main(requests, stdout, stderr, logs, supervisor._subprocess_main)
    raise AssertionError("it has ended the process")


def run_workload(workload: str) -> int:
    """Run a callback or a connection test under Airflow's own supervisor; return its exit code."""
    from airflow.executors.base_executor import BaseExecutor  # noqa: PLC0415

    try:
        return int(BaseExecutor.run_workload(parse_workload(workload), subprocess_logs_to_stdout=False))
    except Exception:
        log.exception("The workload failed")
        return 1


def parse_workload(text: str) -> Any:
    """Return Airflow's workload of that JSON.

    Raises:
        ValueError: it is none.
    """
    from airflow.executors.workloads import ExecutorWorkload  # noqa: PLC0415

    from orrery.worker import shortcuts  # noqa: PLC0415

    return shortcuts.shared_adapter(ExecutorWorkload).validate_json(text)


#: What a masker has learnt, apart from how it is set up.
_MASKED = ("patterns", "replacer")


class _TaskMaskers(threading.local):
    masker: Any = None


_maskers = _TaskMaskers()


def separate_secrets() -> None:
    """Give each thread its own secrets masker: what one task has masked is no other task's business.

    The functions of Airflow's modules ask for the masker by a name of theirs, once per call.
    """
    from airflow.sdk import log as sdk_log  # noqa: PLC0415
    from airflow.sdk._shared import secrets_masker as package  # noqa: PLC0415
    from airflow.sdk._shared.secrets_masker import secrets_masker  # noqa: PLC0415

    original = secrets_masker._secrets_masker()
    # Airflow asks it for each key of each line of log. Its answer depends on settings only.
    hides = functools.lru_cache(maxsize=4096)(original.should_hide_value_for_key)

    def of_this_thread() -> Any:
        if _maskers.masker is None:
            masker = _maskers.masker = secrets_masker.SecretsMasker()
            settings = {name: value for name, value in vars(original).items() if name not in _MASKED}
            vars(masker).update(settings, should_hide_value_for_key=hides)
        return _maskers.masker

    # All that have imported the function by name, or will.
    modules: tuple[Any, ...] = (secrets_masker, package, sdk_log)
    for module in modules:
        module._secrets_masker = of_this_thread


def forget_secrets() -> None:
    """Let this thread's masker forget what an earlier task has masked."""
    from airflow.sdk._shared.secrets_masker import reset_secrets_masker  # noqa: PLC0415

    reset_secrets_masker()


def is_ordinary(workload: Any) -> bool:
    """Tell whether a task is Python's to run: a queue may be mapped to another language's coordinator."""
    from airflow.sdk.execution_time.coordinator import (  # noqa: PLC0415
        _PythonCoordinator,
        get_coordinator_manager,
    )

    return type(get_coordinator_manager().for_queue(workload.ti.queue or "default")) is _PythonCoordinator


#: Where remote logs need a connection, Airflow passes it through the environment: one at a time.
_logging_lock = threading.Lock()


@contextlib.contextmanager
def task_log(path: str | None, client: Client) -> Iterator[FilteringBoundLogger]:
    """Open a task's log."""
    from airflow.sdk.execution_time import supervisor  # noqa: PLC0415

    if not path:
        yield structlog.get_logger("task").bind()
        return
    with _logging_lock:
        logger, file = supervisor._configure_logging(path, client)
    try:
        yield logger
    finally:
        file.close()


def judge_refusal(error: ServerResponseError) -> tuple[Ending, str]:
    """Tell what it means that the API server did not let a task start.

    It runs already, says the server, although this is its only agent: then it is a run that was lost.
    Anything else was decided by somebody: marked, cleared or deleted meanwhile.
    """
    detail = error.detail
    previous = detail.get("previous_state") if isinstance(detail, dict) else None
    status = error.response.status_code
    if status in (HTTPStatus.CONFLICT, HTTPStatus.NOT_FOUND, HTTPStatus.GONE) and previous != "running":
        return "refused", f"the API server did not let it start: {detail}"
    return "lost", f"the API server did not let it start ({status}): {detail}"
