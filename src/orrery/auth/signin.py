"""Signing in by name and password: limits that hold over all API servers, and equal work for everybody.

Attempts are counted before the password is looked at, so that many at once do not slip through. Three counts:
of a name from an address, of an address, of a name from all addresses. The last one shuts out strangers only:
from where somebody has signed in before, it is not asked, so nobody can lock others out of their own place.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from airflow.utils.session import create_session

from orrery.auth import passwords, store

if TYPE_CHECKING:
    from orrery.auth.policy import Account, Policy

WINDOW: Final = timedelta(minutes=15)
MOST_OF_NAME_AND_ADDRESS: Final = 8
MOST_OF_ADDRESS: Final = 100
MOST_OF_NAME: Final = 100


class SignInError(Exception):
    """Name and password do not fit, or the account may not sign in: it is not told which."""


@dataclass
class TooManyAttemptsError(Exception):
    """Too many sign-ins failed; `retry_after` seconds from now it may be tried again."""

    retry_after: int


@dataclass(frozen=True, slots=True)
class _Keys:
    name: str
    address: str

    @property
    def both(self) -> str:
        return f"both:{self.name[:150]}|{self.address}"

    @property
    def of_name(self) -> str:
        return f"name:{self.name[:150]}"

    @property
    def of_address(self) -> str:
        return f"address:{self.address}"


def sign_in(policy: Policy, username: str, password: str, *, address: str | None) -> Account:
    """Return the account of a name (or e-mail address) and its password.

    Raises:
        SignInError: they do not fit, or the account is disabled or a service account.
        TooManyAttemptsError: it has to wait.
    """
    now = datetime.now(UTC)
    name = username.strip().lower()
    account = policy.find(name) if name and name not in policy.accounts else None
    keys = _Keys(account.username if account else name, address or "unknown")
    counted = _count(keys, account.id if account else None, now)
    with create_session(scoped=False) as session:
        kept = store.password_hash(session, account.id) if account else None
    # The same work for a name that does not exist.
    is_right = passwords.verify(password, kept)
    with create_session(scoped=False) as session:
        if account is None or not is_right or not account.is_active:
            store.record(session, "sign-in.failed", now=now, actor=None, subject=name, address=address)
        else:
            store.forget_attempts(session, [keys.both])
            store.take_back_attempt(session, [key for key in counted if key != keys.both])
            store.note_address(session, account.id, keys.address, now)
            store.record(session, "sign-in.password", now=now, actor=account.username, address=address)
            if kept is not None and passwords.is_outdated(kept):
                # Not where it was changed meanwhile.
                store.replace_hash(session, account.id, kept, passwords.hashed(password))
            return account
    raise SignInError


def _count(keys: _Keys, user_id: str | None, now: datetime) -> list[str]:
    """Count an attempt, and return by which keys; the first that refuses is the last that counts."""
    counted: list[str] = []
    with create_session(scoped=False) as session:
        limits = [(keys.both, MOST_OF_NAME_AND_ADDRESS), (keys.of_address, MOST_OF_ADDRESS)]
        if not store.is_known_address(session, user_id, keys.address):
            limits.append((keys.of_name, MOST_OF_NAME))
        wait = 0
        for key, most in limits:
            count, since = store.count_attempt(session, key, window=WINDOW, now=now)
            counted.append(key)
            if count > most:
                wait = max(1, int((since + WINDOW - now).total_seconds()))
                store.record(
                    session,
                    "sign-in.limited",
                    now=now,
                    actor=None,
                    subject=keys.name,
                    address=keys.address,
                )
                break
    if wait:
        raise TooManyAttemptsError(wait)
    return counted
