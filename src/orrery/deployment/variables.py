"""What a deployment file says of tasks and access, as the variables that Airflow reads."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from pydantic import BaseModel

    from orrery.deployment.identity import IdentityProvider
    from orrery.deployment.model import Deployment

#: The executors of the file, as Airflow loads them.
EXECUTORS = {"packing": "orrery.executor.executor.PackingExecutor", "local": "LocalExecutor"}

#: The auth managers of the file, as Airflow loads them.
AUTH_MANAGERS = {
    "orrery": "orrery.auth.manager.OrreryAuthManager",
    "simple": "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager",
}

_EXECUTOR = "AIRFLOW__CORE__EXECUTOR"
_AUTH_MANAGER = "AIRFLOW__CORE__AUTH_MANAGER"
_ACCESS = "AIRFLOW__ORRERY_AUTH__"
_SECTION = "AIRFLOW__ORRERY_EXECUTOR__"


def airflow_variables(
    deployment: Deployment,
    *,
    executor_is_set: bool = False,
    auth_manager_is_set: bool = False,
    root: Path | None = None,
) -> dict[str, str]:
    """Return a variable for the executor, for each setting of tasks that the file gives, and for access.

    `executor_is_set`, `auth_manager_is_set`: the user's own airflow.cfg names one. Then ours is only named
    when the file asks for it: a default must not undo a choice. `root`: where relative paths begin.
    """
    worker = deployment.worker
    settings: dict[str, Any] = {
        "capacity": _given(worker.capacity),
        "reserve": _given(worker.reserve),
        "default_request": _given(worker.default),
        "queues": {name: _given(request) for name, request in deployment.queues.items()} or None,
        "memory_limit_factor": worker.memory_limit_factor if _says(worker, "memory_limit_factor") else None,
        "cpu_cap": worker.cpu_cap if _says(worker, "cpu_cap") else None,
        "preload_deny": list(worker.preload_deny) or None,
    }
    # A JSON number or boolean is written as Airflow reads it.
    variables = {
        _SECTION + option.upper(): json.dumps(value)
        for option, value in settings.items()
        if value is not None
    }
    if _says(deployment, "executor") or not executor_is_set:
        variables[_EXECUTOR] = EXECUTORS[deployment.executor]
    auth = deployment.auth
    if auth_manager_is_set and not _says(auth, "manager"):
        return variables
    variables[_AUTH_MANAGER] = AUTH_MANAGERS[auth.manager]
    if auth.manager == "orrery":
        variables |= {
            f"{_ACCESS}ORGANIZATION": auth.organization,
            f"{_ACCESS}WORKSPACE": auth.workspace,
            f"{_ACCESS}DEPLOYMENT": deployment.name,
        }
        if auth.providers:
            variables[f"{_ACCESS}PROVIDERS"] = json.dumps([_provider(each, root) for each in auth.providers])
    return variables


def _provider(provider: IdentityProvider, root: Path | None) -> dict[str, Any]:
    found = provider.model_dump(mode="json", exclude_none=True)
    if root is not None and provider.client_secret_file is not None:
        found["client_secret_file"] = str(root / provider.client_secret_file)
    return found


def _given(section: BaseModel | None) -> dict[str, Any] | None:
    return None if section is None else section.model_dump(exclude_none=True)


def _says(section: BaseModel, key: str) -> bool:
    return key in section.model_fields_set
