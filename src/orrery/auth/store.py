"""All SQL of access: what the policy is made of, its changes, sign-ins that failed, the audit.

Sessions are the caller's, such as Airflow's `create_session()`; nothing here commits. Every function that
changes something writes the audit in the same transaction.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, cast
from uuid import uuid4

import sqlalchemy as sa
from airflow import settings
from airflow.configuration import conf
from sqlalchemy.dialects.postgresql import insert

from orrery.auth.policy import Account, Policy, Team, Token, role_of, scope_of
from orrery.auth.roles import BUILT_IN, Binding, Dag, DagIndex, PrincipalKind, Scope, ScopeKind
from orrery.database import access_tables as t
from orrery.database.access_triggers import RETENTION
from orrery.database.listener import Listener

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy.engine import CursorResult
    from sqlalchemy.orm import Session

    from orrery.auth.roles import Place, Role

log = logging.getLogger(__name__)

# -- reading ------------------------------------------------------------------------------------


def open_listener(listen_url: str | None = None) -> Listener:
    """Return an ear for changes of the policy, of that database URL or, without one, of Airflow's.

    Raises:
        InputError: that is no URL of a PostgreSQL.
    """
    options: dict[str, Any] = {"channel": t.CHANNEL, "whom": "access policy"}
    if listen_url:
        return Listener(listen_url, **options)
    arguments = conf.getimport("database", "sql_alchemy_connect_args", fallback=None)
    return Listener(settings.SQL_ALCHEMY_CONN, connect_args=arguments, **options)


def policy_version(session: Session) -> int:
    """Return a number that changes whenever the policy does."""
    return int(session.execute(sa.select(t.policy_version.c.version)).scalar_one())


def load_policy(session: Session, place: Place) -> Policy:
    """Read the whole policy, as of one moment: the session must not have begun a transaction."""
    session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
    return load_policy_here(session, place)


def load_policy_here(session: Session, place: Place) -> Policy:
    """Read the whole policy in a transaction that has begun, with what it has changed itself."""
    version = policy_version(session)
    members: defaultdict[str, set[str]] = defaultdict(set)
    for row in session.execute(sa.select(t.team_members)):
        members[row.team_id].add(row.user_id)
    team_groups: defaultdict[str, set[str]] = defaultdict(set)
    for row in session.execute(sa.select(t.team_groups)):
        team_groups[row.team_id].add(row.group)
    groups: defaultdict[str, set[str]] = defaultdict(set)
    for row in session.execute(sa.select(t.identities.c.user_id, t.identities.c.groups)):
        groups[row.user_id].update(map(str, row.groups))
    custom = [role_of(dict(row)) for row in session.execute(sa.select(t.roles)).mappings()]
    return Policy(
        version=version,
        place=place,
        accounts={row.id: _account(row) for row in _readable(session.execute(sa.select(t.users)))},
        teams={
            row.id: Team(
                id=row.id,
                name=row.name,
                description=row.description,
                members=frozenset(members[row.id]),
                groups=frozenset(team_groups[row.id]),
            )
            for row in session.execute(sa.select(t.teams))
        },
        roles={**{role.name: role for role in custom if role is not None}, **BUILT_IN},
        bindings=tuple(
            _binding(row)
            for row in _readable(session.execute(sa.select(t.bindings).order_by(t.bindings.c.created_at)))
        ),
        tokens={row.id: _token(row) for row in _readable(session.execute(sa.select(t.tokens)))},
        groups={user_id: frozenset(names) for user_id, names in groups.items()},
        revoked=frozenset(session.execute(sa.select(t.revocations.c.id)).scalars()),
    )


#: What the columns of kinds may hold.
_KINDS: Final = {
    "kind": frozenset(PrincipalKind),
    "principal_kind": frozenset(PrincipalKind),
    "scope_kind": frozenset({None, *ScopeKind}),
}


def _readable(rows: Iterable[Any]) -> Iterable[Any]:
    """Leave out rows of a kind that this release does not know: beside a newer one they give nothing here.

    They must not keep the others from being read, or nobody's rights could be taken any more.
    """
    for row in rows:
        values = row._mapping
        if all(values[name] in kinds for name, kinds in _KINDS.items() if name in values):
            yield row
        else:
            log.warning("A row of access is of a kind that this release does not know: %s", values["id"])


def load_dags(session: Session) -> DagIndex:
    """Read what selects each Dag."""
    from airflow.models.dag import DagModel, DagTag  # noqa: PLC0415 - only the API server asks

    tags: defaultdict[str, set[str]] = defaultdict(set)
    for dag_id, name in session.execute(sa.select(DagTag.dag_id, DagTag.name)):
        tags[dag_id].add(name)
    return DagIndex.of(
        Dag(dag_id, frozenset(tags.get(dag_id, ())), bundle)
        for dag_id, bundle in session.execute(sa.select(DagModel.dag_id, DagModel.bundle_name))
    )


def dag_fingerprint(session: Session) -> str:
    """Return a text that changes whenever a Dag, its tags or its bundle does."""
    return str(
        session.execute(
            sa.text(
                "SELECT (SELECT md5(string_agg(dag_id || E'\\n' || coalesce(bundle_name, ''), E'\\n'"
                " ORDER BY dag_id)) FROM dag)"
                " || (SELECT md5(coalesce(string_agg(dag_id || E'\\n' || name, E'\\n' ORDER BY dag_id, name),"
                " '')) FROM dag_tag)"
            )
        ).scalar()
    )


def password_hash(session: Session, user_id: str) -> str | None:
    """Return the hash of somebody's password; None where there is none."""
    return session.execute(
        sa.select(t.users.c.password_hash).where(t.users.c.id == user_id)
    ).scalar_one_or_none()


def token_uses(session: Session) -> dict[str, datetime]:
    """Return when each token was used last, to the minute."""
    return {row.token_id: row.last_used_at for row in session.execute(sa.select(t.token_uses))}


def _account(row: Any) -> Account:
    return Account(
        id=row.id,
        kind=PrincipalKind(row.kind),
        username=row.username,
        email=row.email,
        full_name=row.full_name,
        is_active=row.is_active,
        epoch=row.epoch,
        has_password=row.password_hash is not None,
    )


def _binding(row: Any) -> Binding:
    return Binding(
        row.id,
        PrincipalKind(row.principal_kind),
        row.principal,
        row.role,
        Scope(ScopeKind(row.scope_kind), row.scope_name),
    )


def _token(row: Any) -> Token:
    return Token(
        id=row.id,
        owner_id=row.owner_id,
        name=row.name,
        prefix=row.prefix,
        hash=row.hash,
        role=row.role,
        scope=scope_of(row.scope_kind, row.scope_name),
        created_at=row.created_at,
        expires_at=row.expires_at,
        is_revoked=row.revoked_at is not None,
    )


# -- people -------------------------------------------------------------------------------------


def lock_policy(session: Session) -> None:
    """Let no other change of the policy happen before this transaction ends.

    For what is only right as long as nobody else changes it: that an owner is left.
    """
    session.execute(sa.select(t.policy_version.c.version).with_for_update())


def create_account(
    session: Session,
    *,
    kind: PrincipalKind,
    username: str,
    email: str | None,
    full_name: str,
    password_hash: str | None,
    now: datetime,
) -> str:
    """Write an account and return its id.

    Raises:
        sqlalchemy.exc.IntegrityError: the name or the address is taken.
    """
    user_id = new_id()
    session.execute(
        sa.insert(t.users).values(
            id=user_id,
            kind=kind,
            username=username.strip().lower(),
            email=email.strip().lower() if email else None,
            full_name=full_name,
            password_hash=password_hash,
            is_active=True,
            epoch=1,
            created_at=now,
        )
    )
    return user_id


def update_account(session: Session, user_id: str, **values: Any) -> None:
    """Change an account's columns."""
    session.execute(sa.update(t.users).where(t.users.c.id == user_id).values(**values))


def replace_hash(session: Session, user_id: str, known: str, wanted: str) -> None:
    """Keep a password by another hash, where it is still the one that was known."""
    where = (t.users.c.id == user_id, t.users.c.password_hash == known)
    session.execute(sa.update(t.users).where(*where).values(password_hash=wanted))


def sign_out_everywhere(session: Session, user_id: str) -> None:
    """Void all sessions and short tokens of an account; its API tokens stay."""
    update_account(session, user_id, epoch=t.users.c.epoch + 1)


def delete_account(session: Session, user_id: str) -> None:
    """Remove an account with its tokens, memberships and bindings."""
    kinds = (PrincipalKind.USER, PrincipalKind.SERVICE_ACCOUNT)
    session.execute(
        sa.delete(t.bindings).where(t.bindings.c.principal == user_id, t.bindings.c.principal_kind.in_(kinds))
    )
    session.execute(sa.delete(t.users).where(t.users.c.id == user_id))


def save_identity(
    session: Session, *, provider: str, subject: str, user_id: str, groups: Iterable[str], now: datetime
) -> None:
    """Write who somebody is at an identity provider, and the groups it says; as seldom as they change."""
    wanted = sorted(set(groups))
    known = session.execute(
        sa.select(t.identities.c.user_id, t.identities.c.groups).where(
            t.identities.c.provider == provider, t.identities.c.subject == subject
        )
    ).one_or_none()
    if known is not None and known.user_id == user_id and known.groups == wanted:
        return
    written = insert(t.identities).values(
        provider=provider, subject=subject, user_id=user_id, groups=wanted, seen_at=now
    )
    session.execute(
        written.on_conflict_do_update(
            index_elements=["provider", "subject"],
            set_={"groups": wanted, "seen_at": now, "user_id": user_id},
        )
    )


def identity(session: Session, provider: str, subject: str) -> str | None:
    """Return the id of the account that somebody at a provider is; None: nobody yet."""
    return session.execute(
        sa.select(t.identities.c.user_id).where(
            t.identities.c.provider == provider, t.identities.c.subject == subject
        )
    ).scalar_one_or_none()


# -- teams, roles, bindings ---------------------------------------------------------------------


def create_team(session: Session, *, name: str, description: str, now: datetime) -> str:
    """Write a team and return its id."""
    team_id = new_id()
    session.execute(sa.insert(t.teams).values(id=team_id, name=name, description=description, created_at=now))
    return team_id


def delete_team(session: Session, team_id: str) -> None:
    """Remove a team and its bindings."""
    session.execute(
        sa.delete(t.bindings).where(
            t.bindings.c.principal == team_id, t.bindings.c.principal_kind == PrincipalKind.TEAM
        )
    )
    session.execute(sa.delete(t.teams).where(t.teams.c.id == team_id))


def set_members(session: Session, team_id: str, user_ids: Iterable[str]) -> None:
    """Make these the members of a team."""
    session.execute(sa.delete(t.team_members).where(t.team_members.c.team_id == team_id))
    if rows := [{"team_id": team_id, "user_id": user_id} for user_id in sorted(set(user_ids))]:
        session.execute(sa.insert(t.team_members), rows)


def set_team_groups(session: Session, team_id: str, groups: Iterable[str]) -> None:
    """Make these the groups whose people are in a team."""
    session.execute(sa.delete(t.team_groups).where(t.team_groups.c.team_id == team_id))
    if rows := [{"team_id": team_id, "group": group} for group in sorted(set(groups))]:
        session.execute(sa.insert(t.team_groups), rows)


def save_role(session: Session, role: Role, now: datetime) -> None:
    """Write a custom role, in the place of one of its name."""
    values = {
        "title": role.title,
        "permissions": sorted(role.permissions),
        "scopes": [str(scope) for scope in role.scopes],
    }
    written = insert(t.roles).values(name=role.name, created_at=now, **values)
    session.execute(written.on_conflict_do_update(index_elements=["name"], set_=values))


def delete_role(session: Session, name: str) -> None:
    """Remove a custom role; bindings that name it stay, dangle, and give nothing."""
    session.execute(sa.delete(t.roles).where(t.roles.c.name == name))


def create_binding(
    session: Session,
    *,
    kind: PrincipalKind,
    principal: str,
    role: str,
    scope: Scope,
    created_by: str,
    now: datetime,
) -> str | None:
    """Give a role and return the binding's id; None where it is given already."""
    written = insert(t.bindings).values(
        id=new_id(),
        principal_kind=kind,
        principal=principal,
        role=role,
        scope_kind=scope.kind,
        scope_name=scope.name,
        created_at=now,
        created_by=created_by,
    )
    return session.execute(
        written.on_conflict_do_nothing(constraint="orrery_binding_once").returning(t.bindings.c.id)
    ).scalar_one_or_none()


def delete_binding(session: Session, binding_id: str) -> None:
    """Take a role."""
    session.execute(sa.delete(t.bindings).where(t.bindings.c.id == binding_id))


# -- tokens and sessions ------------------------------------------------------------------------


def create_token(
    session: Session,
    *,
    owner_id: str,
    name: str,
    prefix: str,
    hashed: str,
    role: str | None,
    scope: Scope | None,
    expires_at: datetime | None,
    created_by: str,
    now: datetime,
) -> str:
    """Write an API token and return its id."""
    token_id = new_id()
    session.execute(
        sa.insert(t.tokens).values(
            id=token_id,
            owner_id=owner_id,
            name=name,
            prefix=prefix,
            hash=hashed,
            role=role,
            scope_kind=scope.kind if scope else None,
            scope_name=scope.name if scope else None,
            expires_at=expires_at,
            created_by=created_by,
            created_at=now,
        )
    )
    return token_id


def rotate_token(session: Session, token_id: str, *, prefix: str, hashed: str) -> None:
    """Give a token another secret; the old one is void."""
    session.execute(sa.update(t.tokens).where(t.tokens.c.id == token_id).values(prefix=prefix, hash=hashed))


def revoke_token(session: Session, token_id: str, now: datetime) -> None:
    """Void a token."""
    session.execute(sa.update(t.tokens).where(t.tokens.c.id == token_id).values(revoked_at=now))


def note_token_use(session: Session, token_id: str, now: datetime) -> bool:
    """Write that a token was used, and tell whether that was the first time."""
    written = insert(t.token_uses).values(token_id=token_id, last_used_at=now)
    is_first: sa.ColumnElement[bool] = sa.literal_column("(xmax = 0)")
    return bool(
        session.execute(
            written.on_conflict_do_update(index_elements=["token_id"], set_={"last_used_at": now}).returning(
                is_first
            )
        ).scalar_one()
    )


def revoke_session(session: Session, session_id: str, expires_at: datetime) -> None:
    """Void a session or a short token until it expires anyhow."""
    written = insert(t.revocations).values(id=session_id, expires_at=expires_at)
    session.execute(written.on_conflict_do_nothing())


def purge(session: Session, now: datetime, *, audit_days: int) -> int:
    """Delete what is over: revocations, attempts, invitations, and the audit beyond its retention."""
    session.execute(sa.text(f"SET LOCAL {RETENTION} = 'on'"))
    deleted = [
        session.execute(statement)
        for statement in (
            sa.delete(t.revocations).where(t.revocations.c.expires_at < now),
            sa.delete(t.login_attempts).where(t.login_attempts.c.since < now - timedelta(days=1)),
            sa.delete(t.known_addresses).where(t.known_addresses.c.seen_at < now - timedelta(days=90)),
            sa.delete(t.invitations).where(t.invitations.c.expires_at < now - timedelta(days=30)),
            sa.delete(t.audit).where(t.audit.c.at < now - timedelta(days=audit_days)),
        )
    ]
    session.execute(sa.text(f"SET LOCAL {RETENTION} = 'off'"))
    return sum(cast("CursorResult[Any]", each).rowcount for each in deleted)


# -- sign-ins -----------------------------------------------------------------------------------


def count_attempt(session: Session, key: str, *, window: timedelta, now: datetime) -> tuple[int, datetime]:
    """Count one more attempt, and return how many there are since when; for all API servers together."""
    written = insert(t.login_attempts).values(key=key, failures=1, since=now)
    is_over = t.login_attempts.c.since < now - window
    row = session.execute(
        written.on_conflict_do_update(
            index_elements=["key"],
            set_={
                "failures": sa.case((is_over, 1), else_=t.login_attempts.c.failures + 1),
                "since": sa.case((is_over, now), else_=t.login_attempts.c.since),
            },
        ).returning(t.login_attempts.c.failures, t.login_attempts.c.since)
    ).one()
    return row.failures, row.since


def forget_attempts(session: Session, keys: Iterable[str]) -> None:
    """Begin to count again."""
    session.execute(sa.delete(t.login_attempts).where(t.login_attempts.c.key.in_(list(keys))))


def take_back_attempt(session: Session, keys: Iterable[str]) -> None:
    """Count one attempt less: it was no failure."""
    session.execute(
        sa.update(t.login_attempts)
        .where(t.login_attempts.c.key.in_(list(keys)), t.login_attempts.c.failures > 0)
        .values(failures=t.login_attempts.c.failures - 1)
    )


def is_known_address(session: Session, user_id: str | None, address: str) -> bool:
    """Tell whether somebody has signed in from there."""
    found = sa.select(t.known_addresses).where(
        t.known_addresses.c.user_id == (user_id or ""), t.known_addresses.c.address == address
    )
    return session.execute(found).first() is not None


def note_address(session: Session, user_id: str, address: str, now: datetime) -> None:
    """Write that somebody has signed in from there."""
    written = insert(t.known_addresses).values(user_id=user_id, address=address, seen_at=now)
    session.execute(
        written.on_conflict_do_update(index_elements=["user_id", "address"], set_={"seen_at": now})
    )


# -- invitations --------------------------------------------------------------------------------


def create_invitation(
    session: Session,
    *,
    email: str,
    hashed: str,
    role: str | None,
    scope: Scope | None,
    created_by: str,
    now: datetime,
    expires_at: datetime,
) -> str:
    """Write an invitation and return its id."""
    invitation_id = new_id()
    session.execute(
        sa.insert(t.invitations).values(
            id=invitation_id,
            email=email.strip().lower(),
            hash=hashed,
            role=role,
            scope_kind=scope.kind if scope else None,
            scope_name=scope.name if scope else None,
            created_at=now,
            created_by=created_by,
            expires_at=expires_at,
        )
    )
    return invitation_id


def take_invitation(session: Session, hashed: str, now: datetime) -> Mapping[str, Any] | None:
    """Use an invitation up and return it; None where there is none, or it is used or over."""
    row = session.execute(
        sa.update(t.invitations)
        .where(
            t.invitations.c.hash == hashed,
            t.invitations.c.accepted_at.is_(None),
            t.invitations.c.expires_at > now,
        )
        .values(accepted_at=now)
        .returning(t.invitations)
    ).mappings()
    found = row.one_or_none()
    return None if found is None else dict(found)


def list_invitations(session: Session) -> list[dict[str, Any]]:
    """Return all invitations, the newest first, without their hashes."""
    columns = [column for column in t.invitations.c if column.name != "hash"]
    asked = sa.select(*columns).order_by(t.invitations.c.created_at.desc())
    return [dict(row) for row in session.execute(asked).mappings()]


def withdraw_invitation(session: Session, invitation_id: str) -> str | None:
    """Remove an invitation and return whom it was for; None where there is none that waits."""
    found = sa.delete(t.invitations).where(
        t.invitations.c.id == invitation_id, t.invitations.c.accepted_at.is_(None)
    )
    return session.execute(found.returning(t.invitations.c.email)).scalar_one_or_none()


# -- audit --------------------------------------------------------------------------------------


def record(
    session: Session,
    event: str,
    *,
    now: datetime,
    actor: str | None,
    subject: str | None = None,
    address: str | None = None,
    **detail: Any,
) -> None:
    """Write one event: who did what to whom, from where. Never a secret."""
    session.execute(
        sa.insert(t.audit).values(
            at=now,
            event=event,
            actor=_short(actor),
            subject=_short(subject),
            address=None if address is None else address[:64],
            detail=detail,
        )
    )


def read_audit(
    session: Session,
    *,
    limit: int,
    before: int | None = None,
    event: str | None = None,
    actor: str | None = None,
    since: datetime | None = None,
) -> Sequence[Mapping[str, Any]]:
    """Return events, the newest first."""
    asked = sa.select(t.audit).order_by(t.audit.c.id.desc()).limit(limit)
    if before is not None:
        asked = asked.where(t.audit.c.id < before)
    if event is not None:
        asked = asked.where(t.audit.c.event.startswith(event, autoescape=True))
    if actor is not None:
        asked = asked.where(t.audit.c.actor == actor)
    if since is not None:
        asked = asked.where(t.audit.c.at >= since)
    return [dict(row) for row in session.execute(asked).mappings()]


def new_id() -> str:
    """Return an id that nobody can guess."""
    return str(uuid4())


def _short(text: str | None) -> str | None:
    return None if text is None else text[:250]
