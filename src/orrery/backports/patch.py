"""How a fix changes a method of Airflow's: around the original, and once."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_MARK = "__orrery_early_fix__"


def wrap(owner: type, name: str, around: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    """Replace the method `name`, also a class method, by `around(original)`; a second time changes nothing.

    Raises KeyError where `owner` itself has no such method.
    """
    held = owner.__dict__[name]
    original = held.__func__ if isinstance(held, classmethod) else held
    if hasattr(original, _MARK):
        return
    changed = functools.wraps(original)(around(original))
    setattr(changed, _MARK, True)
    setattr(owner, name, classmethod(changed) if isinstance(held, classmethod) else changed)
