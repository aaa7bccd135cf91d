"""Of which tasks the rendered fields of old runs were deleted a moment ago.

Airflow deletes them each time a task of a newer run stores its own. Of a thousand mapped tasks of one run
only the first finds any.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

#: A Dag, a task of it, a run.
Place = tuple[str, str, str]

#: A task of an old run may store its fields late: they are looked for again after this time.
KEPT_SECONDS = 30.0
_MOST = 10_000


class Cleared:
    """A memory of some seconds. Threads may share it: at worst, one looks once more."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until: dict[Place, float] = {}

    def due(self, places: Iterable[Place]) -> set[Place]:
        """Return those of which nothing was deleted lately."""
        now = self._clock()
        return {place for place in places if self._until.get(place, 0.0) <= now}

    def note(self, places: Iterable[Place]) -> None:
        """Remember that their old fields are deleted, once that is committed."""
        if len(self._until) > _MOST:
            self._until.clear()
        self._until |= dict.fromkeys(places, self._clock() + KEPT_SECONDS)
