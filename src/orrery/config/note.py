"""Something the user should read once."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Note:
    """One message; `key` tells it from others and marks, in the environment, that it has been said."""

    key: str
    text: str
