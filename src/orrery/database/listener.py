"""What has changed, heard: a connection of its own that PostgreSQL writes notifications to.

It never raises and never waits longer than a connection takes to be refused: whoever schedules has a
poll as safety net, and goes on with it while there is no connection.
"""

from __future__ import annotations

import logging
import secrets
import select
import time
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any

import psycopg2
from psycopg2.extensions import ISOLATION_LEVEL_AUTOCOMMIT
from sqlalchemy.dialects.postgresql.psycopg2 import PGDialect_psycopg2
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from orrery.database.triggers import CHANNEL
from orrery.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

log = logging.getLogger(__name__)

#: A connection that the network lost without a word is known to be dead after about a minute.
_CONNECT: dict[str, Any] = {
    "connect_timeout": 3,
    "keepalives": 1,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
}
_FIRST_WAIT_SECONDS = 1.0
_LONGEST_WAIT_SECONDS = 30.0
#: A pool that drops notifications is not replaced within seconds.
_DEAF_WAIT_SECONDS = 300.0
#: How long a notification to ourselves may take.
_PROBE_SECONDS = 5.0

_DIRECT = (
    "Set [orrery_executor] listen_url (environment AIRFLOW__ORRERY_EXECUTOR__LISTEN_URL) to a URL that leads"
    " to PostgreSQL itself; only this one connection needs it."
)
_URL = (
    "Set [database] sql_alchemy_conn, or [orrery_executor] listen_url if that is meant, to a URL such as"
    " postgresql://user:password@host:5432/airflow"
)


class Listener:
    """Hears notifications for the scheduler; connects when it is first drained, and again when it must."""

    def __init__(
        self,
        url: str,
        *,
        connect_args: Mapping[str, Any] | None = None,
        channel: str = CHANNEL,
        whom: str = "scheduler",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take SQLAlchemy's URL of the database, what its driver is given beside, and what to listen on.

        `whom` is woken: it is named in logs and in PostgreSQL's list of connections.

        Raises:
            InputError: that is no URL of a PostgreSQL.
        """
        parsed = _postgresql(url)
        dialect: Any = PGDialect_psycopg2
        _, named = dialect().create_connect_args(parsed)
        name = {"application_name": f"orrery-{whom.replace(' ', '-')}-listen"}
        self._arguments = {**_CONNECT, **name, **named, **(connect_args or {})}
        self._channel = channel
        self._whom = whom
        self._place = f"{parsed.host or 'localhost'}:{parsed.port or 5432}/{parsed.database or ''}"
        self._clock = clock
        # One descriptor for ever, whatever becomes of the connection behind it.
        self._poll = select.epoll()
        self._connection: Any = None
        self._descriptor = -1
        self._retry_at = 0.0
        self._wait_seconds = _FIRST_WAIT_SECONDS
        self._problem: str | None = None
        self._heard: set[str] = set()

    def fileno(self) -> int:
        """Return a descriptor that is readable when `drain` has something to do; it never changes."""
        return self._poll.fileno()

    @property
    def is_listening(self) -> bool:
        """Whether notifications arrive; where not, only the poll finds what has changed."""
        return self._connection is not None

    @property
    def problem(self) -> str | None:
        """Why it does not listen, for people; None while it does, or has not tried."""
        return self._problem

    def drain(self) -> bool:
        """Take all notifications, connect where that is due, and tell whether there may be something to do.

        To be called whenever the descriptor is readable, and at each poll.
        """
        if self._connection is None:
            if self._clock() < self._retry_at or not self._connect():
                return False
            self._heard.add("")
            return True
        try:
            while select.select([self._connection], [], [], 0)[0]:  # a farewell comes before the end
                self._connection.poll()
        except psycopg2.Error as error:
            self._lose(f"The connection was lost: {_first_line(error)}", wait_seconds=0)
            self._heard.add("")
            return True  # what was sent meanwhile is lost too: look
        heard = bool(self._connection.notifies)
        self._heard.update(notify.payload for notify in self._connection.notifies)
        self._connection.notifies.clear()
        return heard

    def take(self) -> set[str]:
        """Return what the notifications said that were drained since the last time; empty: look."""
        heard, self._heard = self._heard, set()
        return heard

    def close(self) -> None:
        """Stop listening for good."""
        self._disconnect()
        self._poll.close()

    def _connect(self) -> bool:
        try:
            connection = psycopg2.connect(**self._arguments)
        except (psycopg2.Error, OSError) as error:
            self._lose(f"No connection: {_first_line(error)}")
            return False
        try:
            connection.set_isolation_level(ISOLATION_LEVEL_AUTOCOMMIT)
            with connection.cursor() as cursor:
                cursor.execute(f"LISTEN {self._channel}")
            hears = self._hears(connection)
        except (psycopg2.Error, OSError) as error:
            connection.close()
            self._lose(f"It does not take LISTEN: {_first_line(error)}. {_DIRECT}")
            return False
        if not hears:
            connection.close()
            self._lose(
                "Notifications do not arrive: a connection pool such as PgBouncer in transaction mode drops"
                f" them. {_DIRECT}",
                wait_seconds=_DEAF_WAIT_SECONDS,
            )
            return False
        self._connection, self._descriptor = connection, connection.fileno()
        self._poll.register(self._descriptor, select.EPOLLIN)
        self._wait_seconds = _FIRST_WAIT_SECONDS
        if self._problem is not None:
            log.info("The %s is woken by notifications of %s again", self._whom, self._place)
        self._problem = None
        return True  # from now on all is heard; what was before is not known: look

    def _hears(self, connection: Any) -> bool:
        """Tell whether a notification of another session arrives.

        Of another one: a pool hands over what comes together with an answer, and drops what comes alone.
        """
        channel = f"orrery_probe_{secrets.token_hex(8)}"
        with connection.cursor() as cursor:
            cursor.execute(f"LISTEN {channel}")
            with closing(psycopg2.connect(**self._arguments)) as other:
                other.set_isolation_level(ISOLATION_LEVEL_AUTOCOMMIT)
                with other.cursor() as speaker:
                    speaker.execute(f"NOTIFY {channel}")
                heard = self._wait_for(channel, connection)
            # Through a pool these may meet a session that others use: leave it as it was.
            cursor.execute(f"UNLISTEN {channel}" if heard else "UNLISTEN *")
        return heard

    def _wait_for(self, channel: str, connection: Any) -> bool:
        until = time.monotonic() + _PROBE_SECONDS
        while (left := until - time.monotonic()) > 0:
            if select.select([connection], [], [], left)[0]:
                connection.poll()
                if any(notify.channel == channel for notify in connection.notifies):
                    connection.notifies.clear()
                    return True
        return False

    def _lose(self, problem: str, *, wait_seconds: float | None = None) -> None:
        self._disconnect()
        if wait_seconds is None:
            wait_seconds = self._wait_seconds
            self._wait_seconds = min(2 * self._wait_seconds, _LONGEST_WAIT_SECONDS)
        self._retry_at = self._clock() + wait_seconds
        if self._problem is None:  # once for each outage
            log.warning(
                "Notifications of %s do not wake the %s, its poll finds changes later. %s",
                self._place,
                self._whom,
                problem,
            )
        self._problem = problem

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(OSError):  # closed already by the driver, and so out of the poll
                self._poll.unregister(self._descriptor)
            connection.close()


def _postgresql(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise InputError("The URL to listen on cannot be read.", hint=_URL) from error  # it has a password
    if parsed.get_backend_name() not in ("postgresql", "postgres"):
        raise InputError(
            f"Only PostgreSQL can wake the scheduler, and the database is '{parsed.get_backend_name()}'.",
            hint=_URL,
        )
    return parsed


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
