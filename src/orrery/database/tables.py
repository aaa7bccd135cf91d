"""Orrery's tables, as they are at the newest revision.

They stand in Airflow's metadata database and in no relation to its tables: Airflow may clean up, rename
or restore its own without asking ours.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

#: Every table of ours begins with it.
PREFIX = "orrery_"
#: Where alembic notes the revision of our tables; Airflow's own stands in `alembic_version`.
VERSION_TABLE = f"{PREFIX}alembic_version"

#: As wide as Airflow's identifiers.
_ID = sa.String(250)
_WHEN = sa.DateTime(timezone=True)
_JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")

metadata = sa.MetaData()

#: One row for each try of a task: what it asked for, what it used, how it ended.
task_usage = sa.Table(
    f"{PREFIX}task_usage",
    metadata,
    sa.Column("ti_id", sa.Uuid, nullable=False),
    sa.Column("try_number", sa.Integer, nullable=False),
    sa.Column("dag_id", _ID, nullable=False),
    sa.Column("task_id", _ID, nullable=False),
    sa.Column("run_id", _ID, nullable=False),
    sa.Column("map_index", sa.Integer, nullable=False),
    sa.Column("queue", sa.String(256), nullable=False),
    sa.Column("node", sa.String(250)),
    # Asked for.
    sa.Column("cpu_millicores", sa.Integer, nullable=False),
    sa.Column("memory_bytes", sa.BigInteger, nullable=False),
    sa.Column("gpus", sa.Integer, nullable=False),
    sa.Column("disk_bytes", sa.BigInteger, nullable=False),
    # Used; NULL where it was not measured.
    sa.Column("memory_peak_bytes", sa.BigInteger),
    sa.Column("cpu_seconds", sa.Float),
    sa.Column("queued_at", _WHEN),
    sa.Column("placed_at", _WHEN),
    sa.Column("started_at", _WHEN),
    sa.Column("ended_at", _WHEN),
    # A word for programs, a sentence for people.
    sa.Column("ending", sa.String(32)),
    sa.Column("ending_text", sa.Text),
    sa.PrimaryKeyConstraint("ti_id", "try_number", name=f"{PREFIX}task_usage_pkey"),
)
sa.Index(
    f"{PREFIX}task_usage_newest",
    task_usage.c.dag_id,
    task_usage.c.task_id,
    task_usage.c.ended_at.desc(),
)

#: What each scheduler knows of nodes and tasks: one row, written again and again.
executor_snapshot = sa.Table(
    f"{PREFIX}executor_snapshot",
    metadata,
    sa.Column("scheduler", sa.String(250), primary_key=True),
    sa.Column("taken_at", _WHEN, nullable=False),
    sa.Column("body", _JSON, nullable=False),
)
