"""Private interfaces of Airflow's execution API that the batch route's own statements stand for.

`is_known` says whether this Airflow is the one whose route functions `batch_store` reproduces; on any other
one Airflow's functions do all calls. Contract test: tests/contract/test_batch_route.py.
"""

from __future__ import annotations

import hashlib
import inspect
import logging
import os
import sys
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import structlog
from airflow import __version__, settings
from airflow._shared.secrets_masker import redact
from airflow.api_fastapi.auth.tokens import JWTGenerator, JWTValidator
from airflow.api_fastapi.execution_api import app as execution_app
from airflow.api_fastapi.execution_api import security
from airflow.api_fastapi.execution_api.datamodels import taskinstance as models
from airflow.api_fastapi.execution_api.datamodels.token import TIClaims
from airflow.api_fastapi.execution_api.routes import task_instances, xcoms
from airflow.configuration import conf
from airflow.models.log import Log
from airflow.models.renderedtifields import RenderedTaskInstanceFields
from airflow.models.taskinstance import TaskInstance
from airflow.models.taskmap import TaskMap
from airflow.models.xcom import XComModel
from opentelemetry import trace
from pydantic import BaseModel, JsonValue, TypeAdapter, ValidationError

from orrery.executor import batch_compat

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

log = logging.getLogger(__name__)
_log_of_routes = structlog.get_logger(task_instances.__name__)

VERSION = "3.3.2"

#: What is reproduced, and of which files; each must be the function that its file defines.
_FUNCTIONS: tuple[Callable[..., Any], ...] = (
    task_instances.ti_run,
    task_instances.ti_update_state,
    task_instances.ti_heartbeat,
    task_instances.ti_put_rtif,
    task_instances._create_ti_state_update_query_and_update_state,
    task_instances._emit_task_span,
    task_instances._handle_fail_fast_for_dag,
    task_instances._is_eligible_to_retry,
    xcoms.set_xcom,
    xcoms.has_xcom_access,
    security.require_auth,
    security.get_team_name_for_ti,
    security.JWTBearer.__call__,
    execution_app.JWTReissueMiddleware.dispatch,
    JWTValidator.avalidated_claims,
    XComModel.set,
    TaskMap.expand_mapped_task,
    Log.__str__,
    RenderedTaskInstanceFields._redact,
    RenderedTaskInstanceFields.write,
    RenderedTaskInstanceFields.delete_old_records,
    TaskInstance.update_rtif,
    TaskInstance.duration_expression_update,
    TaskInstance.register_asset_changes_in_db,
    models.ti_state_discriminator,
)

#: Of the files of `_FUNCTIONS` in Airflow 3.3.2.
DIGEST = "18496a2ffb714ded143a1c607837636e0abef10655acf45e08e193f060e167d1"

#: What no JSON value is: the body was refused.
REFUSED = object()

_START: TypeAdapter[Any] = TypeAdapter(models.TIEnterRunningPayload)
_HEARTBEAT: TypeAdapter[Any] = TypeAdapter(models.TIHeartbeatInfo)
_ENDS: dict[str, TypeAdapter[Any]] = {
    "success": TypeAdapter(models.TISuccessStatePayload),
    "_terminal_": TypeAdapter(models.TITerminalStatePayload),
}
_FIELDS: TypeAdapter[Any] = TypeAdapter(dict[str, JsonValue])
_JSON: TypeAdapter[Any] = TypeAdapter(JsonValue)


@dataclass(frozen=True, kw_only=True, slots=True)
class Rules:
    """Airflow's settings that regular calls depend on."""

    longest_map: int
    runs_with_fields: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Identity:
    """Whose token it is, and what for."""

    task: str
    scope: str
    ends: int
    renewed_from: float
    """From then on Airflow answers with a new token."""

    def is_to_be_renewed(self) -> bool:
        """Whether the token is about to end."""
        return time.time() >= self.renewed_from


@cache
def is_known() -> bool:
    """Whether the statements stand for this Airflow's functions, with these settings; said once if not."""
    reason = _difference()
    if reason:
        log.warning("Batched calls are made one by one by Airflow's own functions: %s", reason)
    return not reason


def _difference() -> str:
    changed = [each.__name__ for each in _FUNCTIONS if not _is_original(each)]
    on = [
        f"[{section}] {option}"
        for section, option in (("core", "multi_team"), ("state_store", "clear_on_success"))
        if conf.getboolean(section, option, fallback=False)
    ]
    reasons = {
        f"this is Airflow {__version__}, the statements are those of {VERSION}": __version__ != VERSION,
        f"{', '.join(changed)} was replaced": changed,
        f"the files of Airflow {VERSION} were changed": digest() != DIGEST,
        "the database is not PostgreSQL": settings.engine.dialect.name != "postgresql",
        f"{', '.join(on)} is on": on,
        "ends of tasks are traced": not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider),
        "rendered fields go with a pod's description": os.environ.get("AIRFLOW_IS_K8S_EXECUTOR_POD"),
    }
    return next((reason for reason, holds in reasons.items() if holds), "")


def _is_original(function: Callable[..., Any]) -> bool:
    original = inspect.unwrap(function)
    return bool(original.__code__.co_filename == sys.modules[function.__module__].__file__)


def digest() -> str:
    """Return the digest of the files that define what is reproduced."""
    names = sorted({each.__module__ for each in _FUNCTIONS})
    whole = hashlib.sha256()
    for name in names:
        whole.update(Path(str(sys.modules[name].__file__)).read_bytes())
    return whole.hexdigest()


@cache
def rules() -> Rules:
    """Read the settings, once: a server's do not change."""
    return Rules(
        longest_map=conf.getint("core", "max_map_length", fallback=1024),
        runs_with_fields=conf.getint("core", "num_dag_runs_to_retain_rendered_fields", fallback=0),
    )


def start_body(body: Any) -> Any:
    """Return a start's body as Airflow's model; None if it is refused. So with the other kinds."""
    return _validated(_START, body)


def heartbeat_body(body: Any) -> Any:
    """Return a heartbeat's body."""
    return _validated(_HEARTBEAT, body)


def state_body(body: Any) -> Any:
    """Return an end's body, if it ends the task for good."""
    adapter = _ENDS.get(models.ti_state_discriminator(body)) if isinstance(body, dict) else None
    return None if adapter is None else _validated(adapter, body)


def fields_body(body: Any) -> Any:
    """Return the body of rendered fields."""
    return _validated(_FIELDS, body)


def json_body(body: Any) -> Any:
    """Return any JSON value, or REFUSED."""
    try:
        return _JSON.validate_python(body)
    except ValidationError:
        return REFUSED


def _validated(adapter: TypeAdapter[Any], body: Any) -> Any:
    try:
        return adapter.validate_python(body)
    except ValidationError:
        return None


def redacted(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Hide secrets in rendered fields, as Airflow does before it stores them."""
    return {name: redact(value, name) for name, value in fields.items()}


def run_of(dag_id: str, run_id: str, fields: Mapping[str, Any]) -> BaseModel:
    """Return what a starting task is told of its run."""
    run: BaseModel = models.DagRun.model_validate(
        {
            **fields,
            "dag_id": dag_id,
            "run_id": run_id,
            "consumed_asset_events": [],
            "note": None,
            "team_name": None,
        }
    )
    return run


def run_context(
    run: Any, *, reschedules: int, max_tries: int, xcom_keys: Sequence[str], should_retry: bool
) -> bytes:
    """Write the answer to a start."""
    context = models.TIRunContext(
        dag_run=run,
        task_reschedule_count=reschedules,
        max_tries=max_tries,
        variables=[],
        connections=[],
        xcom_keys_to_clear=list(xcom_keys),
        should_retry=should_retry,
    )
    written: str = context.model_dump_json(exclude_unset=True)
    return written.encode()


def tell(event: str, task: str, correlation: str | None, **facts: Any) -> None:
    """Log what Airflow's route function logs of it."""
    if correlation:
        facts["correlation_id"] = correlation
    _log_of_routes.info(event, ti_id=task, **facts)


class Identities:
    """Whose tokens these are. What was found is kept while it cannot change.

    Airflow keeps no list of revoked task tokens: one that is signed with the only key is good until its end.
    Public keys come and go: tokens signed with theirs are checked each time.
    """

    def __init__(self, most: int = 4096) -> None:
        self._known: dict[bytes, Identity] = {}
        self._most = most
        self._validator: JWTValidator | None = None

    async def of(self, authorization: str | None, services: Any) -> Identity | None:
        """Return whose token a call carries; None if it is refused: Airflow says why."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            return None
        validator: JWTValidator = await services.aget(JWTValidator)
        if validator is not self._validator:
            self._known.clear()
            self._validator = validator
        key = hashlib.sha256(token.encode()).digest()
        found = self._known.get(key)
        if found is None or found.ends <= time.time():
            found = await self._validated(validator, token)
            if found is None:
                return None
            if validator.secret_key is not None:
                if len(self._known) >= self._most:
                    del self._known[next(iter(self._known))]
                self._known[key] = found
        return found

    @staticmethod
    async def _validated(validator: JWTValidator, token: str) -> Identity | None:
        try:
            claims = await validator.avalidated_claims(token, {})
            claims.setdefault("scope", "execution")
            scope = TIClaims(**claims).scope
            task = str(UUID(claims["sub"]))
        except Exception:
            return None
        renewed_from = float("inf") if scope == "workload" else batch_compat.renewed_from(claims)
        return Identity(task=task, scope=scope, ends=int(claims["exp"]), renewed_from=renewed_from)


def execution_token(services: Any, task: str) -> str:
    """Return the token with which a task goes on that started with its workload's."""
    generator: JWTGenerator = services.get(JWTGenerator)
    token: str = generator.generate(extras={"sub": task, "scope": "execution"})
    return token
