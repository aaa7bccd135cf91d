"""The threads that supervise tasks: one for each that runs, kept for the next when it has ended."""

from __future__ import annotations

import contextvars
import queue
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Supervisors:
    """Threads that wait for work. They end with the process: nobody waits for them."""

    def __init__(self) -> None:
        self._work: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        #: Threads that wait for work nobody has put yet.
        self._idle = 0

    def start(self, run: Callable[[], None]) -> None:
        """Run it in a thread of its own, at once; it raises nothing."""
        with self._lock:
            is_anyone_idle = self._idle > 0
            if is_anyone_idle:
                self._idle -= 1
        self._work.put(run)
        if not is_anyone_idle:
            threading.Thread(target=self._serve, name="supervisor", daemon=True).start()

    def _serve(self) -> None:
        while True:
            # What one task's work has bound is not the next one's.
            contextvars.copy_context().run(self._work.get())
            with self._lock:
                self._idle += 1
