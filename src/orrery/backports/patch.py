"""How a fix changes a method or a function of Airflow's: around the original, and once."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

_MARK = "__orrery_early_fix__"


def wrap(
    owner: type | ModuleType, name: str, around: Callable[[Callable[..., Any]], Callable[..., Any]]
) -> None:
    """Replace a method, class method or function by `around(original)`; a second time changes nothing.

    Raises KeyError where `owner` itself, a class or a module, has none of that `name`.
    """
    held = owner.__dict__[name]
    original = held.__func__ if isinstance(held, classmethod) else held
    if hasattr(original, _MARK):
        return
    changed = functools.wraps(original)(around(original))
    setattr(changed, _MARK, True)
    setattr(owner, name, classmethod(changed) if isinstance(held, classmethod) else changed)
