"""Whose account an identity is: the one it had, one with its verified address, or a new one."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from airflow.utils.session import create_session

from orrery.auth import store
from orrery.auth.changes import EMAIL
from orrery.auth.roles import PrincipalKind

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from orrery.auth.oidc.claims import Identity
    from orrery.auth.policy import Account, Policy
    from orrery.auth.provider import Provider
    from orrery.auth.roles import Place


class NotWelcomeError(Exception):
    """The provider knows them, this deployment does not let them in."""


def account_of(provider: Provider, identity: Identity, *, place: Place, address: str | None) -> str:
    """Return the id of somebody's account; write what the provider says of their groups, and the sign-in.

    Raises:
        NotWelcomeError: the account is disabled, or there is none and none is made.
    """
    now = datetime.now(UTC)
    with create_session(scoped=False) as session:
        store.lock_policy(session)
        policy = store.load_policy_here(session, place)
        known = store.identity(session, provider.id, identity.subject)
        account = policy.accounts.get(known) if known is not None else None
        if account is None:
            account = _linked(session, policy, provider, identity, now)
        if account is not None and not account.is_active:
            raise NotWelcomeError(f"the account '{account.username}' is disabled")
        if account is None:
            account_id, username = _created(session, policy, provider, identity, now)
        else:
            account_id, username = account.id, account.username
        store.save_identity(
            session,
            provider=provider.id,
            subject=identity.subject,
            user_id=account_id,
            groups=identity.groups,
            now=now,
        )
        store.note_address(session, account_id, address or "unknown", now)
        store.record(
            session,
            "sign-in.provider",
            now=now,
            actor=username,
            address=address,
            provider=provider.id,
            groups=len(identity.groups) if identity.has_groups else "none said",
        )
    return account_id


def _linked(
    session: Session, policy: Policy, provider: Provider, identity: Identity, now: datetime
) -> Account | None:
    """Return the account of a person with the same address, where that proves anything."""
    if not (provider.link_by_email and identity.is_email_verified and identity.email):
        return None
    found = next((each for each in policy.accounts.values() if each.email == identity.email), None)
    if found is None or found.kind is not PrincipalKind.USER:
        return None
    store.record(
        session,
        "user.linked",
        now=now,
        actor=found.username,
        subject=found.username,
        provider=provider.id,
        identity=identity.subject,
    )
    return found


def _created(
    session: Session, policy: Policy, provider: Provider, identity: Identity, now: datetime
) -> tuple[str, str]:
    if not provider.create_users:
        raise NotWelcomeError("there is no account for them, and the provider makes none (create_users)")
    is_proven = identity.is_email_verified and EMAIL.fullmatch(identity.email or "")
    email = identity.email if is_proven else None
    # A name of here is nobody's there: 'admin' of a provider gets another one.
    wished = (
        identity.username,
        f"{identity.username[:120]}@{provider.id}",
        f"{provider.id}:{identity.subject}",
    )
    free = (name[:250] for name in wished if policy.find(name[:250]) is None)
    username = next(free, None)
    if username is None:
        raise NotWelcomeError(f"all of these names are taken: {', '.join(wished)}")
    account_id = store.create_account(
        session,
        kind=PrincipalKind.USER,
        username=username,
        # An address is what people are found by: only one that is theirs, and nobody else's here.
        email=email if email and policy.find(email) is None else None,
        full_name=identity.full_name,
        password_hash=None,
        now=now,
    )
    store.record(session, "user.created", now=now, actor=username, subject=username, provider=provider.id)
    return account_id, username
