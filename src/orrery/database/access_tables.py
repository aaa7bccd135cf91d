"""The tables of access: people, teams, roles, tokens, the audit. Part of `tables.metadata`.

What decides who may do what is in few small tables, which each API server holds in memory. Whoever
changes one of them (`POLICY`) moves the number in `orrery_policy_version` and sends a notification, by a
trigger. What changes all the time (uses of tokens, failed sign-ins, the audit) stands apart from them.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from orrery.database.tables import PREFIX, metadata

#: What API servers listen on; a notification says nothing but 'look'.
CHANNEL = "orrery_access"

_KEY = sa.String(36)
_NAME = sa.String(250)
_HASH = sa.String(250)
_WORD = sa.String(32)
_WHEN = sa.DateTime(timezone=True)
_JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
_COUNTER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

#: People and service accounts. Names and addresses are kept in lower case.
users = sa.Table(
    f"{PREFIX}user",
    metadata,
    sa.Column("id", _KEY, primary_key=True),
    sa.Column("kind", _WORD, nullable=False),  # user | service_account
    sa.Column("username", _NAME, nullable=False, unique=True),
    sa.Column("email", _NAME, unique=True),
    sa.Column("full_name", _NAME, nullable=False),
    sa.Column("password_hash", _HASH),
    sa.Column("is_active", sa.Boolean, nullable=False),
    # Sessions and short tokens of an older epoch are void: sign-out everywhere, new password, disabled.
    sa.Column("epoch", sa.Integer, nullable=False),
    sa.Column("created_at", _WHEN, nullable=False),
)

#: Who somebody is at an identity provider, and the groups that it said last.
identities = sa.Table(
    f"{PREFIX}identity",
    metadata,
    sa.Column("provider", _NAME, primary_key=True),
    sa.Column("subject", _NAME, primary_key=True),
    sa.Column("user_id", _KEY, sa.ForeignKey(users.c.id, ondelete="CASCADE"), nullable=False),
    sa.Column("groups", _JSON, nullable=False),
    sa.Column("seen_at", _WHEN, nullable=False),
)

teams = sa.Table(
    f"{PREFIX}team",
    metadata,
    sa.Column("id", _KEY, primary_key=True),
    sa.Column("name", _NAME, nullable=False, unique=True),
    sa.Column("description", sa.Text, nullable=False),
    sa.Column("created_at", _WHEN, nullable=False),
)

team_members = sa.Table(
    f"{PREFIX}team_member",
    metadata,
    sa.Column("team_id", _KEY, sa.ForeignKey(teams.c.id, ondelete="CASCADE"), primary_key=True),
    sa.Column("user_id", _KEY, sa.ForeignKey(users.c.id, ondelete="CASCADE"), primary_key=True),
)

#: Whoever is in the group is in the team.
team_groups = sa.Table(
    f"{PREFIX}team_group",
    metadata,
    sa.Column("team_id", _KEY, sa.ForeignKey(teams.c.id, ondelete="CASCADE"), primary_key=True),
    sa.Column("group", _NAME, primary_key=True),
)

roles = sa.Table(
    f"{PREFIX}role",
    metadata,
    sa.Column("name", _NAME, primary_key=True),
    sa.Column("title", _NAME, nullable=False),
    sa.Column("permissions", _JSON, nullable=False),
    sa.Column("scopes", _JSON, nullable=False),
    sa.Column("created_at", _WHEN, nullable=False),
)

#: `principal` is the id of a user or team, or the name of a group.
bindings = sa.Table(
    f"{PREFIX}binding",
    metadata,
    sa.Column("id", _KEY, primary_key=True),
    sa.Column("principal_kind", _WORD, nullable=False),
    sa.Column("principal", _NAME, nullable=False),
    sa.Column("role", _NAME, nullable=False),
    sa.Column("scope_kind", _WORD, nullable=False),
    sa.Column("scope_name", _NAME, nullable=False),
    sa.Column("created_at", _WHEN, nullable=False),
    sa.Column("created_by", _NAME, nullable=False),
    sa.UniqueConstraint(
        "principal_kind", "principal", "role", "scope_kind", "scope_name", name=f"{PREFIX}binding_once"
    ),
)

#: Of a token only its hash is kept, and its beginning, by which people know it.
tokens = sa.Table(
    f"{PREFIX}token",
    metadata,
    sa.Column("id", _KEY, primary_key=True),
    sa.Column("owner_id", _KEY, sa.ForeignKey(users.c.id, ondelete="CASCADE"), nullable=False),
    sa.Column("name", _NAME, nullable=False),
    sa.Column("prefix", _WORD, nullable=False),
    sa.Column("hash", sa.String(64), nullable=False, unique=True),
    # NULL: all that its owner may; else no more than this role at this scope, and no more than the owner.
    sa.Column("role", _NAME),
    sa.Column("scope_kind", _WORD),
    sa.Column("scope_name", _NAME),
    sa.Column("created_at", _WHEN, nullable=False),
    sa.Column("created_by", _NAME, nullable=False),
    sa.Column("expires_at", _WHEN),
    sa.Column("revoked_at", _WHEN),
)

#: Sessions and short tokens that were signed out, by their id, until they expire anyhow.
revocations = sa.Table(
    f"{PREFIX}revocation",
    metadata,
    sa.Column("id", _NAME, primary_key=True),
    sa.Column("expires_at", _WHEN, nullable=False),
)

#: One row: how often any of the tables above has changed.
policy_version = sa.Table(
    f"{PREFIX}policy_version",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("version", sa.BigInteger, nullable=False),
)

POLICY = (users, identities, teams, team_members, team_groups, roles, bindings, tokens, revocations)

token_uses = sa.Table(
    f"{PREFIX}token_use",
    metadata,
    sa.Column("token_id", _KEY, sa.ForeignKey(tokens.c.id, ondelete="CASCADE"), primary_key=True),
    sa.Column("last_used_at", _WHEN, nullable=False),
)

invitations = sa.Table(
    f"{PREFIX}invitation",
    metadata,
    sa.Column("id", _KEY, primary_key=True),
    sa.Column("email", _NAME, nullable=False),
    sa.Column("hash", sa.String(64), nullable=False, unique=True),
    sa.Column("role", _NAME),
    sa.Column("scope_kind", _WORD),
    sa.Column("scope_name", _NAME),
    sa.Column("created_at", _WHEN, nullable=False),
    sa.Column("created_by", _NAME, nullable=False),
    sa.Column("expires_at", _WHEN, nullable=False),
    sa.Column("accepted_at", _WHEN),
)

#: Failed sign-ins since a window began, for all API servers together. A key says of whom and from where.
login_attempts = sa.Table(
    f"{PREFIX}login_attempt",
    metadata,
    sa.Column("key", _NAME, primary_key=True),
    sa.Column("failures", sa.Integer, nullable=False),
    sa.Column("since", _WHEN, nullable=False),
)

#: From where somebody has signed in: those addresses stay open when strangers are shut out.
known_addresses = sa.Table(
    f"{PREFIX}known_address",
    metadata,
    sa.Column("user_id", _KEY, sa.ForeignKey(users.c.id, ondelete="CASCADE"), primary_key=True),
    sa.Column("address", sa.String(64), primary_key=True),
    sa.Column("seen_at", _WHEN, nullable=False),
)

#: Append-only: a trigger refuses to change it, and to delete anything but by retention.
audit = sa.Table(
    f"{PREFIX}access_audit",
    metadata,
    sa.Column("id", _COUNTER, primary_key=True, autoincrement=True),
    sa.Column("at", _WHEN, nullable=False),
    sa.Column("event", sa.String(64), nullable=False),
    sa.Column("actor", _NAME),
    sa.Column("subject", _NAME),
    sa.Column("address", sa.String(64)),
    sa.Column("detail", _JSON, nullable=False),
)
sa.Index(f"{PREFIX}access_audit_at", audit.c.at)

#: All tables of ours, these and those of `tables`.
all_tables = metadata
