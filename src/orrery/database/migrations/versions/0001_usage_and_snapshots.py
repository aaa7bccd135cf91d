"""The tables of the packing executor: usage of each try, and snapshots of the schedulers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "a17f0c5d0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create both tables."""
    when = sa.DateTime(timezone=True)
    op.create_table(
        "orrery_task_usage",
        sa.Column("ti_id", sa.Uuid, nullable=False),
        sa.Column("try_number", sa.Integer, nullable=False),
        sa.Column("dag_id", sa.String(250), nullable=False),
        sa.Column("task_id", sa.String(250), nullable=False),
        sa.Column("run_id", sa.String(250), nullable=False),
        sa.Column("map_index", sa.Integer, nullable=False),
        sa.Column("queue", sa.String(256), nullable=False),
        sa.Column("node", sa.String(250)),
        sa.Column("cpu_millicores", sa.Integer, nullable=False),
        sa.Column("memory_bytes", sa.BigInteger, nullable=False),
        sa.Column("gpus", sa.Integer, nullable=False),
        sa.Column("disk_bytes", sa.BigInteger, nullable=False),
        sa.Column("memory_peak_bytes", sa.BigInteger),
        sa.Column("cpu_seconds", sa.Float),
        sa.Column("queued_at", when),
        sa.Column("placed_at", when),
        sa.Column("started_at", when),
        sa.Column("ended_at", when),
        sa.Column("ending", sa.String(32)),
        sa.Column("ending_text", sa.Text),
        sa.PrimaryKeyConstraint("ti_id", "try_number", name="orrery_task_usage_pkey"),
    )
    op.create_index(
        "orrery_task_usage_newest", "orrery_task_usage", ["dag_id", "task_id", sa.text("ended_at DESC")]
    )
    op.create_table(
        "orrery_executor_snapshot",
        sa.Column("scheduler", sa.String(250), primary_key=True),
        sa.Column("taken_at", when, nullable=False),
        sa.Column("body", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False),
    )


def downgrade() -> None:
    """Drop both tables, and what they hold."""
    op.drop_table("orrery_executor_snapshot")
    op.drop_table("orrery_task_usage")
