"""What a starting deployment says: a line per step, as it happens."""

from __future__ import annotations

import contextlib
import sys
import time


class Progress:
    """Lines on stderr, so that stdout stays the result's. `colours`: a terminal gets some."""

    def __init__(self, *, quiet: bool = False, colours: bool = True) -> None:
        # A stream that was closed before we began is None, and print would take stdout for it.
        self._quiet = quiet or sys.stderr is None
        self._colour = not self._quiet and colours and sys.stderr.isatty()
        self._start = time.monotonic()

    @property
    def elapsed_seconds(self) -> float:
        """Seconds since the work began."""
        return time.monotonic() - self._start

    def step(self, text: str) -> None:
        """Say what begins now."""
        self._line(self._paint("·", "2"), text)

    def done(self, name: str) -> None:
        """Say what is there now, and when since the start."""
        self._line(self._paint("✓", "32"), f"{name:<14} {self.elapsed_seconds:5.1f} s")

    def failed(self, name: str, why: str) -> None:
        """Say what did not come up."""
        self._line(self._paint("✗", "31"), f"{name:<14} {why}")

    def note(self, text: str) -> None:
        """Say something worth knowing."""
        self._line(self._paint("!", "33"), text)

    def _line(self, mark: str, text: str) -> None:
        if self._quiet:
            return
        # Nobody reads any more, or it was closed: what is being started goes on.
        with contextlib.suppress(BrokenPipeError, ValueError):
            print(f"{mark} {text}", file=sys.stderr, flush=True)

    def _paint(self, text: str, colour: str) -> str:
        return f"\x1b[{colour}m{text}\x1b[0m" if self._colour else text
