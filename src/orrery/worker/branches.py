"""Branches: zygotes that have executed one DAG file, for files of which several tasks come.

The first task of a file executes it itself, as ever. So does every task of a file that is not plain.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import structlog

from orrery.worker.parsed import stamp
from orrery.worker.zygotes import ZygoteLostError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orrery.worker.zygotes import BundleKey, Child, Zygote, Zygotes

log = structlog.get_logger(__name__)

#: Each holds some MB of its own: the last used are kept.
_MOST = 16
#: The second task of a file within this time begins a branch; one unused for so long ends.
_IDLE_SECONDS = 60.0


@dataclass(kw_only=True)
class _File:
    used_at: float
    zygote: Zygote | None = None
    #: Of a file that cannot be forked from: what it looked like then.
    refused_at: list[int] | None = None
    path: str = ""


@dataclass(kw_only=True)
class Branches:
    """The branches of an agent, by bundle and file. Safe to use from several threads."""

    zygotes: Zygotes
    is_on: bool = True
    _files: dict[tuple[BundleKey, str], _File] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def fork(
        self, key: BundleKey, file: str, name: str, message: dict[str, Any], sockets: Sequence[int]
    ) -> Child:
        """Fork a task's child where that is quickest.

        Raises:
            ZygoteLostError: no zygote can be had.
        """
        branch = self._branch(key, file) if self.is_on else None
        if branch is not None:
            try:
                return branch.fork(name, message, sockets)
            except ZygoteLostError:
                self._drop(key, file)
        return self.zygotes.fork(key, name, message, sockets)

    def look(self) -> None:
        """End the branches that nobody uses."""
        now = time.monotonic()
        with self._lock:
            found = sorted(self._files.items(), key=lambda item: item[1].used_at, reverse=True)
            for place, (_, file) in enumerate(found):
                if file.zygote is not None and (place >= _MOST or now - file.used_at > _IDLE_SECONDS):
                    self._end(file)
            for where, file in found[_MOST * 8 :]:
                if file.zygote is None:
                    del self._files[where]

    def end_all(self) -> None:
        """End all: what they were forked from has changed."""
        with self._lock:
            for file in self._files.values():
                self._end(file)
                file.refused_at = None

    def _branch(self, key: BundleKey, name: str) -> Zygote | None:
        """Return the file's branch if there is one that is ready and of today; begin one if that pays."""
        now = time.monotonic()
        with self._lock:
            file = self._files.get((key, name))
            if file is None:
                self._files[key, name] = _File(used_at=now)
                return None
            was_used_at, file.used_at = file.used_at, now
            zygote = file.zygote
            if zygote is not None and zygote.refused is not None:
                log.info("A DAG file is executed by each of its tasks", file=name, reason=zygote.refused)
                file.refused_at = stamp(self._path(key, name))
                file.zygote = zygote = None
            if zygote is not None and not zygote.ready.is_set():
                return None
            if zygote is not None and not zygote.is_lost and _is_of_today(zygote):
                return zygote
            if zygote is not None:
                self._end(file)
            if file.refused_at is not None and file.refused_at == stamp(self._path(key, name)):
                return None
            if now - was_used_at < _IDLE_SECONDS:
                try:
                    file.zygote = self.zygotes.branch(key, name)
                except OSError as error:
                    log.warning("A DAG file could not be executed ahead", file=name, reason=str(error))
            return None

    def _path(self, key: BundleKey, name: str) -> str:
        # Only to see whether it changes: relative to a bundle that cannot be had it is nothing.
        from orrery.worker import compat  # noqa: PLC0415

        folder = compat.bundle_path(*key) if key else None
        return str(folder / name) if folder else name

    def _drop(self, key: BundleKey, name: str) -> None:
        with self._lock:
            self._end(self._files[key, name])

    def _end(self, file: _File) -> None:
        if file.zygote is not None:
            file.zygote.retire()
            file.zygote = None


def _is_of_today(zygote: Zygote) -> bool:
    return all(stamp(path) == made for path, made in zygote.made_from.items())
