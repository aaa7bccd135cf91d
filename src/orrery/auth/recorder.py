"""Writes what must not hold up a request: writes that were refused, and the uses of tokens.

One thread writes. Where it cannot follow, what is over the limit is counted and told as a number.
"""

from __future__ import annotations

import logging
import os
import queue
import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from airflow.utils.session import create_session

from orrery.auth import store

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.orm import Session

    from orrery.auth.request import RequestState

    Write = Callable[[Session], None]

log = logging.getLogger(__name__)

_MOST_WAITING: Final = 1000
#: A token's last use is written to the minute.
_USE_SECONDS: Final = 60.0
_PURGE_SECONDS: Final = 3600.0


class Recorder:
    """A queue and the thread that writes it."""

    def __init__(self, *, audit_days: int) -> None:
        self._audit_days = audit_days
        self._queue: queue.Queue[Write] = queue.Queue(_MOST_WAITING)
        self._used: dict[str, float] = {}
        self._lost = 0
        self._lock = threading.Lock()
        self._pid = 0

    def denied(
        self,
        actor: str,
        permission: str | None,
        subject: str,
        reason: str,
        request: RequestState | None,
    ) -> None:
        """Write that something was refused."""
        now = datetime.now(UTC)
        method, path = (request.method, request.path) if request else ("", "")
        address = request.address if request else None

        def write(session: Session) -> None:
            store.record(
                session,
                "denied",
                now=now,
                actor=actor,
                subject=subject,
                address=address,
                permission=permission,
                reason=reason,
                method=method,
                path=path[:500],
            )

        self._put(write)

    def token_used(self, token_id: str, actor: str, prefix: str, address: str | None) -> None:
        """Write that a token was used, once a minute, and to the audit when it was the first time."""
        at = time.monotonic()
        if at - self._used.get(token_id, -_USE_SECONDS) < _USE_SECONDS:
            return
        self._used[token_id] = at
        now = datetime.now(UTC)

        def write(session: Session) -> None:
            if store.note_token_use(session, token_id, now):
                store.record(
                    session, "token.first-use", now=now, actor=actor, subject=prefix, address=address
                )

        self._put(write)

    def drain(self) -> None:
        """Wait until all is written."""
        self._queue.join()

    def _put(self, write: Write) -> None:
        if self._pid != os.getpid():
            self._start()
        try:
            self._queue.put_nowait(write)
        except queue.Full:
            self._lost += 1

    def _start(self) -> None:
        with self._lock:
            if self._pid != os.getpid():
                self._pid = os.getpid()
                threading.Thread(target=self._work, name="orrery-audit", daemon=True).start()

    def _work(self) -> None:
        purged_at = time.monotonic()
        while True:
            write = self._queue.get()
            try:
                with create_session(scoped=False) as session:
                    write(session)
                    if lost := self._lost:
                        self._lost -= lost
                        store.record(session, "audit.lost", now=datetime.now(UTC), actor=None, events=lost)
                    if time.monotonic() - purged_at > _PURGE_SECONDS:
                        purged_at = time.monotonic()
                        store.purge(session, datetime.now(UTC), audit_days=self._audit_days)
            except Exception as error:  # the database is away: what is refused stays refused
                log.warning("An event of access could not be written: %s", error)
            finally:
                self._queue.task_done()


def write(
    event: str, *, actor: str | None, subject: str | None = None, address: str | None = None, **detail: Any
) -> None:
    """Write one event at once, in a transaction of its own."""
    with create_session(scoped=False) as session:
        store.record(
            session,
            event,
            now=datetime.now(UTC),
            actor=actor,
            subject=subject,
            address=address,
            **detail,
        )
