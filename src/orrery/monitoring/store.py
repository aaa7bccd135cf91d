"""What monitoring keeps in Airflow's metadata database: for now, the pool of the system's tasks."""

from __future__ import annotations

from airflow.models.pool import Pool
from airflow.utils.session import create_session

from orrery.monitoring.policy import SYSTEM_POOL

POOL_SLOTS = 8
POOL_DESCRIPTION = (
    "Orrery Runtime's own tasks; restored when changed. A full default_pool must not stop them."
)


def ensure_system_pool() -> None:
    """Create the pool, or give it its slots back (a pool of 0 slots would silence the monitoring)."""
    with create_session() as session:
        pool = Pool.get_pool(SYSTEM_POOL, session=session)
        if pool is None or pool.slots != POOL_SLOTS or pool.include_deferred:
            Pool.create_or_update_pool(
                name=SYSTEM_POOL,
                slots=POOL_SLOTS,
                description=POOL_DESCRIPTION,
                include_deferred=False,
                session=session,
            )
