"""The end of a supervised process wakes its supervisor at once.

A supervisor sleeps in `select` on its child's sockets. The kernel closes those a moment before the child
can be waited for; a supervisor that looks in this moment finds the child alive and has nothing left that
could wake it, so it sleeps until its next heartbeat. A pidfd in the same selector wakes it. Where there is
none (Linux before 5.3, other systems) everything stays as it is.

Private names of Airflow used here: `WatchedSubprocess._register_pipe_readers`, `._check_subprocess_exit`,
`._exit_code`, `._process_exit_monotonic`, `._terminal_state`, and the form of the data in its selector.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from orrery.backports.patch import wrap

if TYPE_CHECKING:
    from collections.abc import Callable
    from selectors import BaseSelector
    from types import ModuleType

#: Airflow's own exit code for a process that is gone and left none.
_GONE = -1


def apply(supervisor: ModuleType) -> None:
    """Mend `airflow.sdk.execution_time.supervisor`."""
    watched = supervisor.WatchedSubprocess
    if hasattr(os, "pidfd_open"):
        wrap(watched, "_register_pipe_readers", _and_the_end)
    wrap(watched, "_check_subprocess_exit", _to_the_end)


def _and_the_end(register: Callable[..., None]) -> Callable[..., None]:
    def _register_pipe_readers(self: Any, *sockets: Any, **keywords: Any) -> None:
        register(self, *sockets, **keywords)
        # Without one (too many open files, an old kernel, a seccomp filter) Airflow polls as ever.
        with suppress(OSError):
            _End(self.pid).register(self.selector)

    return _register_pipe_readers


def _to_the_end(check: Callable[..., int | None]) -> Callable[..., int | None]:
    def _check_subprocess_exit(self: Any, *arguments: Any, **keywords: Any) -> int | None:
        code = check(self, *arguments, **keywords)
        if code is None and self._process_exit_monotonic is not None:
            # The process has ended, but somebody else took its exit code. A task that has told its end
            # is judged by that; of any other nobody can say that it succeeded.
            code = 0 if getattr(self, "_terminal_state", None) else _GONE
            self._exit_code = code
            self.process_log.warning("Process ended, but its exit code was lost", pid=self.pid)
        if code is not None:
            _forget(self.pid, self.selector)
        return code

    return _check_subprocess_exit


def _forget(pid: int, selector: BaseSelector) -> None:
    """Close what waits for the end of that process: it was noticed otherwise, or its wake-up served."""
    # A closed selector has no map, although its type says so; it has also let go of everything.
    for key in list((selector.get_map() or {}).values()):
        if isinstance(key.fileobj, _End) and key.fileobj.pid == pid:
            selector.unregister(key.fileobj)
            key.fileobj.close()


class _End:
    """The end of a process, as something that can be read; in the shape of the sockets beside it.

    Whoever serves the selector calls the handler, which wants no more, then `on_close`, then `close`.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._fd = -1
        self._owner = os.getpid()
        self._fd = os.pidfd_open(pid)

    def register(self, selector: BaseSelector) -> None:
        """Let the selector wake up for it, once."""

        def handle(_: _End) -> bool:
            # There is nothing to read: the supervisor looks for the exit code after each wake-up.
            return False

        def on_close(_: _End) -> None:
            # It may be gone already: the end can be noticed while the same wake-up is served.
            with suppress(KeyError, ValueError):
                selector.unregister(self)

        try:
            selector.register(self, 1, (handle, on_close))
        except BaseException:
            self.close()
            raise

    def fileno(self) -> int:
        """Return the pidfd, -1 once closed."""
        return self._fd

    def close(self) -> None:
        """Close it; repeated calls change nothing."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def __del__(self) -> None:
        # For a supervisor that fails. In a fork the number may by now be another file's.
        if self._fd >= 0 and os.getpid() == self._owner:
            self.close()
