"""The first owner: made once, where the organization has none."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from airflow.utils.session import create_session

from orrery.auth import passwords, store
from orrery.auth.roles import OWNER, Place, PrincipalKind, Scope, ScopeKind
from orrery.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger(__name__)


def ensure_owner(file: Path | None, place: Place) -> bool:
    """Make the owner whose name and password are in a file, unless there is an owner; tell whether it did.

    Raises:
        InputError: the file cannot be read, or is not what it should be.
    """
    if file is None:
        return False
    try:
        [(username, password)] = json.loads(file.read_text(encoding="utf-8")).items()
    except (OSError, ValueError, AttributeError) as error:
        raise InputError(
            f"The first owner cannot be read from {file}: {error}.",
            hint='It should be JSON with one name and one password: {"admin": "..."}',
        ) from error
    return create_owner(place, username=str(username), email=None, password=str(password)) is not None


def create_owner(place: Place, *, username: str, email: str | None, password: str) -> str | None:
    """Make an owner of the organization where there is none, and return its id; None where there is one.

    API servers may do so at the same time: one of them does.

    Raises:
        InputError: the name is that of a service account.
    """
    now = datetime.now(UTC)
    username = username.strip().lower()
    kept = passwords.hashed(password)
    with create_session(scoped=False) as session:
        store.lock_policy(session)
        policy = store.load_policy_here(session, place)
        if policy.owners:
            return None
        account = policy.find(username)
        if account is not None and account.kind is not PrincipalKind.USER:
            raise InputError(
                f"'{username}' is a service account: it cannot own the organization.",
                hint="Choose another name: orrery auth bootstrap --username NAME",
            )
        user_id = account.id if account else None
        if user_id is None:
            user_id = store.create_account(
                session,
                kind=PrincipalKind.USER,
                username=username,
                email=email,
                full_name=username,
                password_hash=kept,
                now=now,
            )
        store.create_binding(
            session,
            kind=PrincipalKind.USER,
            principal=user_id,
            role=OWNER,
            scope=Scope(ScopeKind.ORGANIZATION, place.organization),
            created_by="bootstrap",
            now=now,
        )
        store.record(session, "owner.bootstrapped", now=now, actor="bootstrap", subject=username)
    log.info("The first owner of the organization is '%s'", username)
    return user_id
