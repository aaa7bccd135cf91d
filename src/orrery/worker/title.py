"""What a process of the worker is called in the list of processes."""

from __future__ import annotations

import contextlib


def set_title(title: str, *, is_added: bool = False) -> None:
    """Call this process so; `is_added`: after what it is called already."""
    with contextlib.suppress(ImportError):
        from setproctitle import getproctitle, setproctitle  # noqa: PLC0415 - where Airflow is, it is

        setproctitle(getproctitle() + title if is_added else title)
