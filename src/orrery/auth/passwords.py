"""Local passwords: argon2id, the same work for whoever does not exist, no more than memory allows."""

from __future__ import annotations

import threading
from functools import cache
from typing import Final

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

from orrery.errors import InputError

#: Characters of the shortest password.
SHORTEST: Final = 12
#: Bytes of the longest: hashing is work that a stranger asks for.
LONGEST_BYTES: Final = 1024

#: RFC 9106, section 4, its second recommended option: 64 MiB, three passes.
_HASHER: Final = PasswordHasher(
    time_cost=3, memory_cost=64 * 1024, parallelism=4, hash_len=32, salt_len=16, type=Type.ID
)
#: 256 MiB at a time in one process; whoever comes then waits.
_AT_A_TIME: Final = threading.BoundedSemaphore(4)


def check_strength(password: str, *, username: str) -> None:
    """Refuse a password that is too short, too long, or the user's name.

    Raises:
        InputError: it is refused.
    """
    if len(password) < SHORTEST:
        raise InputError(
            f"The password has {len(password)} characters, and {SHORTEST} are needed.",
            hint="Take a few words that you can remember.",
        )
    if len(password.encode()) > LONGEST_BYTES:
        raise InputError(f"The password has more than {LONGEST_BYTES} bytes.", hint="Take a shorter one.")
    if password.casefold() == username.casefold():
        raise InputError("The password is the user's name.", hint="Take another one.")


def hashed(password: str) -> str:
    """Return the hash to keep, with its salt and parameters in it."""
    with _AT_A_TIME:
        return _HASHER.hash(password)


def verify(password: str, kept: str | None) -> bool:
    """Tell whether a password is the one whose hash was kept; where none was, do the same work and say no."""
    if len(password.encode()) > LONGEST_BYTES:
        return False
    with _AT_A_TIME:
        try:
            is_right = _HASHER.verify(_nobodys() if kept is None else kept, password)
        except (VerificationError, InvalidHashError):
            return False
    return is_right and kept is not None


def is_outdated(kept: str) -> bool:
    """Tell whether a hash was made with other parameters than ours, so that it should be made again."""
    return _HASHER.check_needs_rehash(kept)


@cache
def _nobodys() -> str:
    return _HASHER.hash("nobody has this password")
