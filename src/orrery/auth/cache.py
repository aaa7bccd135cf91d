"""The policy and the index of Dags in the memory of this process, at most two seconds old.

One thread listens for PostgreSQL's notifications. Where they are known not to arrive, such as behind a
connection pool, it looks every second; where they do, now and then in any case. Nothing in a request's path
asks the database.
"""

from __future__ import annotations

import logging
import os
import select
import threading
import time
from typing import TYPE_CHECKING, Final

from airflow.utils.session import create_session

from orrery.auth import store

if TYPE_CHECKING:
    from collections.abc import Callable

    from orrery.auth.policy import Policy
    from orrery.auth.roles import DagIndex, Place
    from orrery.database.listener import Listener

log = logging.getLogger(__name__)

POLL_SECONDS: Final = 1.0
#: Between two looks while notifications arrive and nobody asks for Dags: a safety net.
_QUIET_SECONDS: Final = 10.0
#: How often the thread reads the Dags while somebody asks for them.
_DAGS_SECONDS: Final = 2.0
#: A server that has not seen the database for so long must not decide by what it remembers.
OLDEST_SECONDS: Final = 30.0


class PolicyCache:
    """Gives the present policy; a thread of its own keeps it so, from the first question on."""

    def __init__(
        self,
        place: Place,
        *,
        open_listener: Callable[[], Listener] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._place = place
        self._open_listener = open_listener
        self._clock = clock
        self._lock = threading.Lock()
        self._policy: Policy | None = None
        self._policy_at = 0.0
        self._dags: DagIndex | None = None
        self._dags_at = 0.0
        self._fingerprint: str | None = None
        self._dags_asked = False
        #: The process whose thread it is: a server may fork after it has loaded us.
        self._pid = 0
        self._thread: threading.Thread | None = None
        self._stopped = threading.Event()

    @property
    def place(self) -> Place:
        """Where this deployment stands."""
        return self._place

    @property
    def policy(self) -> Policy:
        """The policy, as of two seconds ago at most."""
        self._ensure_thread()
        policy = self._policy
        if policy is None or self._clock() - self._policy_at > OLDEST_SECONDS:
            return self.refresh()
        return policy

    @property
    def dags(self) -> DagIndex:
        """What selects each Dag."""
        self._ensure_thread()
        self._dags_asked = True
        dags = self._dags
        if dags is None or self._clock() - self._dags_at > 2 * _DAGS_SECONDS:
            return self.refresh_dags()
        return dags

    def knows(self, dag_id: str) -> bool:
        """Tell whether there is a Dag, looking again for one that may have come just now."""
        if dag_id in self.dags.all:
            return True
        if self._clock() - self._dags_at < POLL_SECONDS:
            return False
        return dag_id in self.refresh_dags().all

    def refresh(self) -> Policy:
        """Read the policy where it has changed; after a change of one's own, before one answers."""
        with self._lock:
            at = self._clock()
            with create_session(scoped=False) as session:
                known = self._policy
                if known is None or store.policy_version(session) != known.version:
                    session.rollback()
                    known = store.load_policy(session, self._place)
            self._policy, self._policy_at = known, at
            return known

    def refresh_dags(self) -> DagIndex:
        """Read what selects each Dag where that has changed."""
        with self._lock:
            at = self._clock()
            with create_session(scoped=False) as session:
                fingerprint = store.dag_fingerprint(session)
                known = self._dags
                if known is None or fingerprint != self._fingerprint:
                    known = store.load_dags(session)
            self._dags, self._dags_at, self._fingerprint = known, at, fingerprint
            return known

    def close(self) -> None:
        """End the thread."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join(2 * POLL_SECONDS)

    def _ensure_thread(self) -> None:
        if self._pid == (pid := os.getpid()):
            return
        with self._lock:
            if self._pid == pid:
                return
            self._pid = pid
            self._thread = threading.Thread(target=self._watch, name="orrery-access", daemon=True)
            self._thread.start()

    def _watch(self) -> None:
        listener = self._open_listener() if self._open_listener else None
        is_well = True
        try:
            while not self._stopped.is_set():
                if listener is None:
                    self._stopped.wait(POLL_SECONDS)
                else:
                    is_quiet = listener.is_listening and not self._dags_asked
                    select.select([listener], [], [], _QUIET_SECONDS if is_quiet else POLL_SECONDS)
                    listener.drain()
                    listener.take()
                if self._stopped.is_set():
                    break
                try:
                    self.refresh()
                    if self._dags_asked and self._clock() - self._dags_at >= _DAGS_SECONDS:
                        self._dags_asked = False
                        self.refresh_dags()
                except Exception as error:
                    if is_well:  # once for each outage
                        log.warning("The policy of access cannot be read: %s", error)
                    is_well = False
                    self._stopped.wait(POLL_SECONDS)
                else:
                    is_well = True
        finally:
            if listener is not None:
                listener.close()
