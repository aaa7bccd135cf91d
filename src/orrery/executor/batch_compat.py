"""Private interfaces of Airflow's execution API that the batch route uses.

Nothing of the execution API is written again here: its routes, their models, their checks of tokens and
their functions are taken from Airflow's own router. A route whose needs are not all known is not taken.
Contract test: tests/contract/test_batch_route.py.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from airflow import settings
from airflow.api_fastapi.common.dagbag import dag_bag_from_app
from airflow.api_fastapi.common.db.common import _get_session
from airflow.api_fastapi.execution_api.deps import _container
from airflow.api_fastapi.execution_api.security import _jwt_bearer, require_auth
from fastapi.dependencies.utils import request_body_to_args, request_params_to_args
from fastapi.encoders import jsonable_encoder
from fastapi.responses import JSONResponse, Response
from fastapi.routing import APIRoute
from fastapi.security import SecurityScopes
from starlette._utils import get_route_path
from starlette.routing import Mount

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastapi import FastAPI, Request
    from fastapi.dependencies.models import Dependant
    from sqlalchemy.engine import Connection
    from sqlalchemy.orm import Session
    from starlette.types import ASGIApp, Receive, Scope, Send

#: Where Airflow mounts the execution API in its own application.
MOUNTED_AT = "/execution"

#: What the batch route provides itself; any other dependency must be a plain function of these.
_CHECKS: frozenset[Any] = frozenset({require_auth})
_PROVIDED: frozenset[Any] = _CHECKS | {_get_session, dag_bag_from_app, _container}

#: psycopg's word for a transaction that can only be rolled back.
_IN_ERROR = 3

_TAKEN = frozenset({"ti_run", "ti_update_state", "ti_heartbeat", "ti_put_rtif", "set_xcom"})


class IrregularCallError(Exception):
    """The single route must answer this call: it is refused, or needs what a batch cannot give."""


class AbandonedTransaction(BaseException):
    """A route rolled its session back: the transaction of the whole batch ends here.

    Not an Exception: some routes catch those.
    """


class NoDags:
    """Stands for the server's DAGs: a call that asks for them locks rows of other tasks."""

    def __getattr__(self, name: str) -> Any:
        raise AbandonedTransaction(name)


@dataclass(frozen=True, kw_only=True, slots=True)
class Provided:
    """What a route function is called with besides its own parameters."""

    session: Session
    services: Any
    token: Any
    dag_bag: NoDags = field(default_factory=NoDags)

    def of(self, dependency: object) -> Any:
        """Return the value of one of `_PROVIDED`."""
        if dependency is _get_session:
            return self.session
        if dependency is dag_bag_from_app:
            return self.dag_bag
        return self.services if dependency is _container else self.token


def execution_app(app: Any) -> FastAPI | None:
    """Return the execution API of Airflow's application, or None if this server has none."""
    for route in app.routes:
        if isinstance(route, Mount) and route.path == MOUNTED_AT:
            found: FastAPI = route.app  # type: ignore[assignment] # Airflow mounts its own FastAPI there
            return found
    return None


def ensure_shortcut(app: Any, path: str, shortcut: ASGIApp) -> None:
    """Hand requests for a path to an application directly from now on, not through Airflow's middlewares.

    Those are for browsers: cookies, compression, a line in the access log for each request.
    """
    around = app.middleware_stack

    async def either(scope: Scope, receive: Receive, send: Send) -> None:
        is_ours = scope["type"] == "http" and get_route_path(scope) == path
        await (shortcut if is_ours else around)(scope, receive, send)

    if getattr(around, "__name__", None) != either.__name__:
        app.middleware_stack = either


@cache
def newest_version() -> str:
    """Return the only version of the execution API that is batched; older ones need Cadwyn's migrations."""
    from airflow.api_fastapi.execution_api.versions import bundle  # noqa: PLC0415 - costs, once

    return str(bundle.versions[0].value)


@cache
def routes() -> tuple[APIRoute, ...]:
    """Return Airflow's routes that can be served in a batch."""
    from airflow.api_fastapi.execution_api.routes import execution_api_router  # noqa: PLC0415 - costs, once

    return tuple(
        route
        for route in execution_api_router.routes
        if isinstance(route, APIRoute)
        and route.endpoint.__name__ in _TAKEN
        and not route.dependant.is_coroutine_callable
        and _is_simple(route.dependant)
    )


def match(method: str, path: str) -> tuple[APIRoute, dict[str, Any]] | None:
    """Return the route of a call and its path parameters."""
    for route in routes():
        if method in route.methods and (found := route.path_regex.match(path)):
            convertors = route.param_convertors
            return route, {name: convertors[name].convert(text) for name, text in found.groupdict().items()}
    return None


async def authorise(route: APIRoute, request: Request, services: Any) -> Any:
    """Check the call's token as the single route does, and return it.

    Raises:
        IrregularCallError: the token is refused, or about to end and so to be renewed.
    """
    try:
        token = await _jwt_bearer(request, services)
        for dependency in route.dependant.dependencies:
            if dependency.call in _CHECKS:
                await require_auth(SecurityScopes(dependency.oauth_scopes), request, token)
    except Exception as refused:
        raise IrregularCallError from refused
    claims = token.claims.model_dump()
    if claims["scope"] != "workload" and time.time() >= renewed_from(claims):
        raise IrregularCallError
    return token


async def body_arguments(route: APIRoute, body: Any) -> dict[str, Any]:
    """Return the body as the route function takes it.

    Raises:
        IrregularCallError: the route's model refuses it.
    """
    values, errors = await request_body_to_args(
        route.dependant.body_params, body, embed_body_fields=route._embed_body_fields
    )
    if errors:
        raise IrregularCallError
    return values


def registers_assets(values: Mapping[str, Any]) -> bool:
    """Whether a body announces assets: they lock shared rows, and call listeners when they are stored."""
    return any(
        getattr(value, field, None)
        for value in values.values()
        for field in ("task_outlets", "outlet_events")
    )


def arguments(
    dependant: Dependant, request: Request, response: Response, provided: Provided
) -> dict[str, Any]:
    """Return what a route function (or a function it depends on) is called with, but for the body.

    Raises:
        IrregularCallError: the path or the query is refused.
    """
    values, errors = request_params_to_args(dependant.path_params, request.path_params)
    if dependant.query_params:
        more, wrong = request_params_to_args(dependant.query_params, request.query_params)
        values |= more
        errors += wrong
    if errors:
        raise IrregularCallError
    for needed in dependant.dependencies:
        if needed.call in _PROVIDED:
            value = provided.of(needed.call)
        else:
            assert needed.call is not None  # noqa: S101 - FastAPI's type is wider than its use
            value = needed.call(**arguments(needed, request, response, provided))
        if needed.name is not None:
            values[needed.name] = value
    if dependant.request_param_name is not None:
        values[dependant.request_param_name] = request
    if dependant.response_param_name is not None:
        values[dependant.response_param_name] = response
    return values


def render(route: APIRoute, result: Any, response: Response) -> tuple[int, Mapping[str, str], bytes]:
    """Write what a route function returned as FastAPI does."""
    if isinstance(result, Response):
        return result.status_code, result.headers, bytes(result.body)
    status: int = response.status_code or route.status_code or 200
    model: Any = route.response_field
    if model is None:
        rendered = JSONResponse(jsonable_encoder(result), status_code=status)
        return (
            status,
            {**rendered.headers, **response.headers},
            b"" if status == 204 else bytes(rendered.body),
        )
    value, errors = model.validate(result, {}, loc=("response",))
    if errors:
        raise IrregularCallError
    written = model.serialize_json(
        value,
        by_alias=route.response_model_by_alias,
        exclude_unset=route.response_model_exclude_unset,
        exclude_defaults=route.response_model_exclude_defaults,
        exclude_none=route.response_model_exclude_none,
    )
    return status, {"content-type": "application/json", **response.headers}, written


def connect() -> Connection:
    """Take a connection of Airflow's own pool."""
    connection: Connection = settings.engine.connect()
    return connection


def limit_lock_waits(connection: Connection, seconds: float) -> None:
    """Let statements of this transaction fail that wait longer for a row that another one holds."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{round(seconds * 1000)}ms'")


def joined_session(connection: Connection) -> Session:
    """Return a session of Airflow's that shares a transaction: its commit only flushes.

    Its `rollback` raises AbandonedTransaction: what it would undo is not its own alone.
    """
    session: Session = settings.NonScopedSession(bind=connection, join_transaction_mode="rollback_only")

    def abandon() -> None:
        raise AbandonedTransaction

    session.rollback = abandon  # type: ignore[method-assign]
    return session


def is_aborted(connection: Connection) -> bool:
    """Whether a statement failed that its route forgave: a commit would silently roll all back."""
    info = getattr(connection.connection.dbapi_connection, "info", None)
    return getattr(info, "transaction_status", None) == _IN_ERROR


def empty_response() -> Response:
    """Return what a route function writes its headers and its status to."""
    response = Response()
    del response.headers["content-length"]
    response.status_code = None  # type: ignore[assignment] # as FastAPI does: not set
    return response


def _is_simple(dependant: Dependant) -> bool:
    unknown = (
        dependant.header_params,
        dependant.cookie_params,
        dependant.websocket_param_name,
        dependant.http_connection_param_name,
        dependant.background_tasks_param_name,
        dependant.security_scopes_param_name,
    )
    return not any(unknown) and all(
        needed.call in _PROVIDED or (_is_plain(needed) and _is_simple(needed))
        for needed in dependant.dependencies
    )


def _is_plain(needed: Dependant) -> bool:
    return not (
        needed.is_coroutine_callable
        or needed.is_gen_callable
        or needed.is_async_gen_callable
        or needed.body_params
    )


def renewed_from(claims: Mapping[str, Any]) -> int:
    """Return from when on a task's token is answered with a new one: the rule of JWTReissueMiddleware."""
    ends, issued = int(claims.get("exp", 0)), int(claims.get("iat", 0))
    return ends - max(int((ends - issued) * 0.20), 30)
