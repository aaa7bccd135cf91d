"""API tokens as text: `orrery_pat_` and 43 characters that nobody can guess. Kept is only a hash of them.

A plain SHA-256 is enough: what is hashed has 256 random bits, and nothing to be guessed by trying.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, field
from typing import Final

PREFIX: Final = "orrery_pat_"
INVITATION_PREFIX: Final = "orrery_inv_"
#: Characters of the secret that are kept and shown, so that people know their tokens apart.
_SHOWN: Final = 6


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token that was just made. Its text is shown once and never written down."""

    text: str = field(repr=False)
    prefix: str
    hash: str


def new(prefix: str = PREFIX) -> NewToken:
    """Make a token."""
    text = prefix + secrets.token_urlsafe(32)
    return NewToken(text, text[: len(prefix) + _SHOWN], hashed(text))


def hashed(text: str) -> str:
    """Return what is kept of a token."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
