"""What goes wrong in a benchmark."""

from __future__ import annotations


class BenchError(Exception):
    """A measure could not be taken, or a side not be started; its figures are missing."""
