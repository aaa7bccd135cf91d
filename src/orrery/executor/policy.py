"""Airflow's cluster policy for requests: a wrong one is an import error of the DAG's file.

What an operator asks for by `resources=` is put into its `executor_config` while the file is parsed, so
that it is part of the serialised DAG and of every task instance. Airflow's hook for task instances could do
the same, but with any such hook Airflow makes task instances one object at a time.

Every process of Airflow imports this module, tasks included: it imports only what they have already.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow.configuration import conf
from airflow.exceptions import AirflowClusterPolicyViolation
from airflow.policies import hookimpl

from orrery.executor import notation
from orrery.executor.request import Request, operator_form, parse_request
from orrery.executor.resources import ResourceError, Resources

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.definitions.mappedoperator import MappedOperator

    from orrery.executor.settings import ExecutorSettings

KUBERNETES = "KubernetesExecutor"
#: Executors, by class, that read requests from the executor_config. To all others an unknown key in it may
#: mean something else.
_READERS = ("PackingExecutor", KUBERNETES)
#: Executors that ignore the executor_config: there requests are checked only, for the day one reads them.
_CHECKED = (*_READERS, "LocalExecutor", "CeleryExecutor", "EdgeExecutor")

_NOTHING = Request(resources=Resources())

#: `resources=` of an operator: what executor_config calls the same, first the name that is written.
_NAMES = {
    "cpus": ("cpu",),
    "ram": ("memory",),
    "disk": ("disk", "ephemeral-storage"),
    "gpus": ("gpu", "nvidia.com/gpu"),
}


@hookimpl  # type: ignore[untyped-decorator]
def task_policy(task: BaseOperator | MappedOperator) -> None:
    """Check a task's request, and hand it to the executor that reads it.

    Raises AirflowClusterPolicyViolation, which Airflow shows as an import error of the DAG's file.
    """
    executor = executor_class(conf.get("core", "executor"), task.executor)
    if executor not in _CHECKED:
        return
    try:
        config = with_operator_resources(task.executor_config, asked_by_operator(task))
    except ResourceError as error:
        raise AirflowClusterPolicyViolation(_complaint(task, error)) from error
    if executor == KUBERNETES:
        from orrery.executor import pods  # noqa: PLC0415 - no other executor needs it

        config = pods.with_pod_request(config, queue=task.queue, settings=_settings())
    if executor in _READERS and config is not task.executor_config:
        _set_executor_config(task, config)


def executor_class(configured: str, wanted: str | None) -> str:
    """Return the class name of the executor that runs a task.

    `configured` is Airflow's `[core] executor`, the first entry its default; `wanted` is what the task's
    `executor=` says: an alias, a dotted path or a class.
    """
    names = {}
    for entry in configured.replace(";", ",").split(","):
        alias, _, path = entry.split("=")[-1].strip().rpartition(":")
        name = path.rpartition(".")[2]
        names.update({each: name for each in (alias, path, name) if each and each not in names})
    default = next(iter(names.values()), "")
    return names.get(wanted, wanted.rpartition(".")[2]) if wanted else default


def asked_by_operator(task: BaseOperator | MappedOperator) -> Any:
    """Return what `resources=` of an operator names, without what Airflow has filled in; None for nothing.

    An operator keeps its arguments as they were written. Only of a mapped `@task` there is nothing but
    Airflow's object, in which an amount of zero means that it was left out.
    """
    # Private to Airflow; a contract test guards it.
    written = getattr(task, "_BaseOperator__init_kwargs", {}).get("resources")
    value = task.resources if written is None else written
    if isinstance(value, Mapping):
        return {key: entry for key, entry in value.items() if entry is not None} or None
    to_dict = getattr(value, "to_dict", None)
    if not callable(to_dict):
        return value
    return {key: entry["qty"] for key, entry in to_dict().items() if entry["qty"]} or None


def with_operator_resources(config: Any, asked: Any) -> Any:
    """Return an executor_config that holds the operator's `resources=`; the same one if there are none.

    An amount of the operator wins over the same one of the executor_config.

    Raises:
        ResourceError: a key or value of either is wrong.
    """
    parse_request(config, default=_NOTHING)
    if asked is None:
        return config
    amounts = operator_form(asked, default=Resources())
    texts: dict[str, str | int] = {
        "cpus": notation.cpu_notation(amounts.cpu_millicores),
        "ram": notation.bytes_notation(amounts.memory_bytes),
        "disk": notation.bytes_notation(amounts.disk_bytes),
        "gpus": amounts.gpus,
    }
    replaced = {name for key in asked for name in _NAMES[key]}
    config = config if isinstance(config, Mapping) else {}
    kept = {name: entry for name, entry in config.get("resources", {}).items() if name not in replaced}
    return {**config, "resources": kept | {_NAMES[key][0]: texts[key] for key in asked}}


@functools.cache
def _settings() -> ExecutorSettings:
    from orrery.executor.settings import SECTION, read  # noqa: PLC0415 - only pods need it here

    return read(lambda option: conf.get(SECTION, option, fallback=None))


def _set_executor_config(task: BaseOperator | MappedOperator, config: dict[str, Any]) -> None:
    if hasattr(task, "partial_kwargs"):
        task.partial_kwargs["executor_config"] = config
    else:
        task.executor_config = config


def _complaint(task: BaseOperator | MappedOperator, error: ResourceError) -> str:
    dag = task.get_dag()
    where = f"DAG {dag.dag_id!r} in {dag.fileloc}, " if dag else ""
    return f"{where}task {task.task_id!r}: {error.message} {error.hint}"
