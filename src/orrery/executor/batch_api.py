"""The batch route: execution API calls of many tasks in one HTTP call and one database transaction.

Three ways, from the narrowest to the widest. Regular calls are done together in a few statements of ours
(`batch_sets`). What is left goes together as far as it goes well: each call is checked and done by
Airflow's own functions (`batch_compat`), on sessions that share one transaction. Whatever is irregular (a
refused token, a body that does not fit, a state that does not allow the change, a deadlock) undoes the
transaction; the call concerned is then handed to Airflow's own single route, in this process, and the
others are done again without it. So every refusal and every rare case is Airflow's, not ours.
"""

from __future__ import annotations

import contextlib
import json
import logging
import time
from contextvars import copy_context
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import anyio.to_thread
import svcs
from fastapi.responses import Response
from opentelemetry import context as trace_context
from opentelemetry import propagate
from starlette.requests import Request
from structlog.contextvars import bind_contextvars

from orrery import garbage
from orrery.executor import batch_compat as compat
from orrery.executor import batch_sets
from orrery.executor.batch_protocol import (
    KEEPS_ORDER,
    MEDIA_TYPE,
    NOT_BATCHED,
    PATH,
    Answer,
    Call,
    MalformedBatchError,
    calls,
    pack,
    subject,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fastapi import FastAPI
    from fastapi.routing import APIRoute
    from starlette.types import Message, Receive, Scope, Send

log = logging.getLogger(__name__)

#: Less than PostgreSQL's deadlock_timeout: a batch gives way before it is made to.
LONGEST_LOCK_WAIT_SECONDS = 0.5

_VERSION = "airflow-api-version"
_NOT_BATCHED = Answer(NOT_BATCHED, {}, b"")


def create_app() -> BatchApplication:
    """Build the application that Airflow mounts."""
    return BatchApplication()


class BatchApplication:
    """`POST /batch`. It asks for no token of its own: each call carries its task's."""

    def __init__(self) -> None:
        self._has_begun = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        if scope["type"] != "http":
            return
        if not self._has_begun:
            # The server is loaded. Tasks wait: no moment for a look at all of it.
            self._has_begun = True
            garbage.freeze()
        # The application that carries this one; there is an execution API beside us, or nothing to batch.
        execution = compat.execution_app(scope["app"])
        if execution is None or not scope["path"].endswith(f"/{PATH}"):
            response = Response(status_code=404)
        elif scope["method"] != "POST":
            response = Response(status_code=405, headers={"allow": "POST"})
        else:
            try:
                asked = calls(await Request(scope, receive).body())
            except MalformedBatchError as error:
                response = Response(str(error), status_code=400, media_type="text/plain")
            else:
                compat.ensure_shortcut(scope["app"], f"/{PATH}", self)
                answers = await Batch(execution, scope, asked).answers()
                response = Response(pack(answers), headers=KEEPS_ORDER, media_type=MEDIA_TYPE)
        await response(scope, receive, send)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Checked:
    """A call whose token and body Airflow accepts: what is left is its function."""

    number: int
    route: APIRoute
    request: Request
    token: Any
    body: dict[str, Any]

    def answer(self, connection: Any, services: Any) -> Answer:
        """Do the call's work within the connection's transaction."""
        headers = self.request.headers
        if "traceparent" in headers:
            trace_context.attach(propagate.extract(headers))
        if correlation := headers.get("correlation-id"):
            bind_contextvars(correlation_id=correlation)
        session = compat.joined_session(connection)
        try:
            response = compat.empty_response()
            provided = compat.Provided(session=session, services=services, token=self.token)
            values = compat.arguments(self.route.dependant, self.request, response, provided)
            result = self.route.endpoint(**values, **self.body)
            session.commit()
            if compat.is_aborted(connection):
                raise compat.IrregularCallError
            status, written, body = compat.render(self.route, result, response)
        finally:
            session.close()
        echoed = {_VERSION: compat.newest_version()}
        if correlation:
            echoed["correlation-id"] = correlation
        return Answer(status, {**written, **echoed}, body)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Broken:
    position: int
    has_waited: bool


class Batch:
    """The calls of one HTTP request."""

    def __init__(self, execution: FastAPI, scope: Scope, asked: Sequence[Call]) -> None:
        self._execution = execution
        self._scope = scope
        self._asked = asked
        self._answers: dict[int, Answer] = {}
        #: Tasks whose calls after that number are given back: its XCom was not stored, or it was given back.
        self._halted: dict[str, int] = {}

    async def answers(self) -> list[Answer]:
        """Do all calls and return their answers, in their order."""
        async with svcs.Container(self._execution.state.svcs_registry) as services:
            self._answers |= await batch_sets.answers(
                self._asked, services, patience=LONGEST_LOCK_WAIT_SECONDS, version=_VERSION
            )
            checked: list[_Checked] = []
            pushing: set[str] = set()
            for number in range(len(self._asked)):
                task = self._task(number)
                if number in self._answers:
                    continue
                if self._is_halted(number):
                    self._give_back(number)
                    continue
                try:
                    call = await self._check(number, services)
                except compat.IrregularCallError:
                    if task in pushing:
                        self._give_back(number)
                    else:
                        await self._alone(number)
                    continue
                if compat.registers_assets(call.body):
                    self._give_back(number)
                else:
                    if self._is_xcom(number):
                        pushing.add(task)
                    checked.append(call)
            # Rows are locked in one order in every batch; calls of one task stay in theirs.
            checked.sort(key=lambda call: str(call.token.id))
            await self._together(checked, services)
        return [self._answers[number] for number in range(len(self._asked))]

    async def _check(self, number: int, services: Any) -> _Checked:
        asked = self._asked[number]
        path, query = _split(asked.path)
        found = compat.match(asked.method, path)
        headers = asked.headers
        if (
            found is None
            or headers.get(_VERSION) != compat.newest_version()
            or headers.get("content-type") != "application/json"
        ):
            raise compat.IrregularCallError
        route, parameters = found
        request = Request(
            {
                "type": "http",
                "method": asked.method,
                "path": path,
                "query_string": query,
                "headers": _raw(headers),
                "path_params": parameters,
                "route": route,
                "app": self._execution,
            }
        )
        try:
            body = json.loads(asked.body)
        except ValueError as error:
            raise compat.IrregularCallError from error
        token = await compat.authorise(route, request, services)
        values = await compat.body_arguments(route, body)
        return _Checked(number=number, route=route, request=request, token=token, body=values)

    async def _together(self, checked: Sequence[_Checked], services: Any) -> None:
        """Do calls in one transaction, and those that break it by themselves."""
        if not checked:
            return
        try:
            answers, broken = await anyio.to_thread.run_sync(self._transaction, checked, services)
        except Exception:
            # No connection, or no commit: what became of the calls is for their single routes to find out.
            log.warning("A batch of %d calls could not be committed", len(checked), exc_info=True)
            for call in checked:
                await self._alone(call.number)
            return
        if broken is None:
            self._answers |= answers
            return
        await self._together(checked[: broken.position], services)
        call, rest = checked[broken.position], checked[broken.position + 1 :]
        if broken.has_waited:
            # Its caller may wait for the row; the others' answers must not.
            self._give_back(call.number)
        else:
            await self._alone(call.number)
        for each in rest:
            if self._is_halted(each.number):
                self._give_back(each.number)
        await self._together([each for each in rest if each.number not in self._answers], services)

    def _transaction(
        self, checked: Sequence[_Checked], services: Any
    ) -> tuple[dict[int, Answer], _Broken | None]:
        """Return the answers, committed; or which call broke the transaction, undone."""
        answers: dict[int, Answer] = {}
        with compat.connect() as connection:
            outer = connection.begin()
            compat.limit_lock_waits(connection, LONGEST_LOCK_WAIT_SECONDS)
            for position, call in enumerate(checked):
                since = time.monotonic()
                try:
                    answers[call.number] = copy_context().run(call.answer, connection, services)
                except (Exception, compat.AbandonedTransaction) as error:
                    log.debug("Call %d leaves its batch", call.number, exc_info=error)
                    outer.rollback()
                    waited = time.monotonic() - since >= LONGEST_LOCK_WAIT_SECONDS
                    return {}, _Broken(position=position, has_waited=waited)
            outer.commit()
        return answers, None

    def _task(self, number: int) -> str:
        return subject(self._asked[number].headers)

    def _is_halted(self, number: int) -> bool:
        return number > self._halted.get(self._task(number), number)

    def _is_xcom(self, number: int) -> bool:
        return self._asked[number].path.startswith("xcoms/")

    def _give_back(self, number: int) -> None:
        self._answers[number] = _NOT_BATCHED
        self._halted.setdefault(self._task(number), number)

    async def _alone(self, number: int) -> None:
        """Let Airflow's single route answer, as if the call had come by itself."""
        if self._is_halted(number):
            self._give_back(number)
            return
        asked = self._asked[number]
        path, query = _split(asked.path)
        base = self._scope.get("app_root_path", self._scope.get("root_path", "")) + compat.MOUNTED_AT
        scope = {
            **self._scope,
            "method": asked.method,
            "path": base + path,
            "raw_path": (base + path).encode(),
            "root_path": base,
            "query_string": query,
            "headers": _raw(asked.headers),
            "state": {},
        }
        answer = self._answers[number] = await _ask(self._execution, scope, asked.body)
        if answer.status >= 400 and self._is_xcom(number):
            self._halted.setdefault(self._task(number), number)


def _split(path: str) -> tuple[str, bytes]:
    """Return the path as servers hand it on (decoded) and the query (as it was sent)."""
    plain, _, query = path.partition("?")
    return f"/{unquote(plain)}", query.encode()


def _raw(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]


async def _ask(app: FastAPI, scope: Scope, body: bytes) -> Answer:
    status = 500
    headers: dict[str, str] = {}
    written = bytearray()
    pending = True

    async def receive() -> Message:
        nonlocal pending
        if not pending:
            await anyio.sleep_forever()
        pending = False
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        nonlocal status, headers
        if message["type"] == "http.response.start":
            status = message["status"]
            headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in message["headers"]}
        elif message["type"] == "http.response.body":
            written.extend(message.get("body", b""))

    # Starlette answers 500, logs, and raises again for its server.
    with contextlib.suppress(Exception):
        await app(scope, receive, send)
    return Answer(status, headers, bytes(written))
