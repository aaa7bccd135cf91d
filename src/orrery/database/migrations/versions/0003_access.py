"""The tables of access: people, teams, roles, tokens, sign-ins, the audit; and what they do by themselves."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from orrery.database import access_triggers

revision = "a17f0c5d0003"
down_revision = "a17f0c5d0002"
branch_labels = None
depends_on = None

_TABLES = (
    "orrery_user",
    "orrery_identity",
    "orrery_team",
    "orrery_team_member",
    "orrery_team_group",
    "orrery_role",
    "orrery_binding",
    "orrery_token",
    "orrery_revocation",
    "orrery_policy_version",
    "orrery_token_use",
    "orrery_invitation",
    "orrery_login_attempt",
    "orrery_known_address",
    "orrery_access_audit",
)


def upgrade() -> None:
    """Create all of them."""
    key, name, word, secret = sa.String(36), sa.String(250), sa.String(32), sa.String(250)
    when = sa.DateTime(timezone=True)
    json = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
    counter = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "orrery_user",
        sa.Column("id", key, primary_key=True),
        sa.Column("kind", word, nullable=False),
        sa.Column("username", name, nullable=False, unique=True),
        sa.Column("email", name, unique=True),
        sa.Column("full_name", name, nullable=False),
        sa.Column("password_hash", secret),
        sa.Column("is_active", sa.Boolean, nullable=False),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("created_at", when, nullable=False),
    )
    op.create_table(
        "orrery_identity",
        sa.Column("provider", name, primary_key=True),
        sa.Column("subject", name, primary_key=True),
        sa.Column("user_id", key, sa.ForeignKey("orrery_user.id", ondelete="CASCADE"), nullable=False),
        sa.Column("groups", json, nullable=False),
        sa.Column("seen_at", when, nullable=False),
    )
    op.create_table(
        "orrery_team",
        sa.Column("id", key, primary_key=True),
        sa.Column("name", name, nullable=False, unique=True),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("created_at", when, nullable=False),
    )
    op.create_table(
        "orrery_team_member",
        sa.Column("team_id", key, sa.ForeignKey("orrery_team.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("user_id", key, sa.ForeignKey("orrery_user.id", ondelete="CASCADE"), primary_key=True),
    )
    op.create_table(
        "orrery_team_group",
        sa.Column("team_id", key, sa.ForeignKey("orrery_team.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("group", name, primary_key=True),
    )
    op.create_table(
        "orrery_role",
        sa.Column("name", name, primary_key=True),
        sa.Column("title", name, nullable=False),
        sa.Column("permissions", json, nullable=False),
        sa.Column("scopes", json, nullable=False),
        sa.Column("created_at", when, nullable=False),
    )
    op.create_table(
        "orrery_binding",
        sa.Column("id", key, primary_key=True),
        sa.Column("principal_kind", word, nullable=False),
        sa.Column("principal", name, nullable=False),
        sa.Column("role", name, nullable=False),
        sa.Column("scope_kind", word, nullable=False),
        sa.Column("scope_name", name, nullable=False),
        sa.Column("created_at", when, nullable=False),
        sa.Column("created_by", name, nullable=False),
        sa.UniqueConstraint(
            "principal_kind", "principal", "role", "scope_kind", "scope_name", name="orrery_binding_once"
        ),
    )
    op.create_table(
        "orrery_token",
        sa.Column("id", key, primary_key=True),
        sa.Column("owner_id", key, sa.ForeignKey("orrery_user.id", ondelete="CASCADE"), nullable=False),
        sa.Column("name", name, nullable=False),
        sa.Column("prefix", word, nullable=False),
        sa.Column("hash", sa.String(64), nullable=False, unique=True),
        sa.Column("role", name),
        sa.Column("scope_kind", word),
        sa.Column("scope_name", name),
        sa.Column("created_at", when, nullable=False),
        sa.Column("created_by", name, nullable=False),
        sa.Column("expires_at", when),
        sa.Column("revoked_at", when),
    )
    op.create_table(
        "orrery_revocation",
        sa.Column("id", name, primary_key=True),
        sa.Column("expires_at", when, nullable=False),
    )
    op.create_table(
        "orrery_policy_version",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("version", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "orrery_token_use",
        sa.Column("token_id", key, sa.ForeignKey("orrery_token.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("last_used_at", when, nullable=False),
    )
    op.create_table(
        "orrery_invitation",
        sa.Column("id", key, primary_key=True),
        sa.Column("email", name, nullable=False),
        sa.Column("hash", sa.String(64), nullable=False, unique=True),
        sa.Column("role", name),
        sa.Column("scope_kind", word),
        sa.Column("scope_name", name),
        sa.Column("created_at", when, nullable=False),
        sa.Column("created_by", name, nullable=False),
        sa.Column("expires_at", when, nullable=False),
        sa.Column("accepted_at", when),
    )
    op.create_table(
        "orrery_login_attempt",
        sa.Column("key", name, primary_key=True),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("since", when, nullable=False),
    )
    op.create_table(
        "orrery_known_address",
        sa.Column("user_id", key, sa.ForeignKey("orrery_user.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("address", sa.String(64), primary_key=True),
        sa.Column("seen_at", when, nullable=False),
    )
    op.create_table(
        "orrery_access_audit",
        sa.Column("id", counter, primary_key=True, autoincrement=True),
        sa.Column("at", when, nullable=False),
        sa.Column("event", sa.String(64), nullable=False),
        sa.Column("actor", name),
        sa.Column("subject", name),
        sa.Column("address", sa.String(64)),
        sa.Column("detail", json, nullable=False),
    )
    op.create_index("orrery_access_audit_at", "orrery_access_audit", ["at"])
    op.execute("INSERT INTO orrery_policy_version (id, version) VALUES (1, 0)")
    if op.get_context().dialect.name == "postgresql":
        for statement in access_triggers.creations():
            op.execute(statement)


def downgrade() -> None:
    """Drop all of them, and what they hold."""
    for table in reversed(_TABLES):
        op.drop_table(table)
    if op.get_context().dialect.name == "postgresql":
        for statement in access_triggers.removals():
            op.execute(statement)
