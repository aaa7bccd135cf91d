"""What the tables of access do by themselves: they tell of changes, and the audit refuses them.

Both are made by a migration, in PostgreSQL only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from orrery.database.access_tables import CHANNEL, POLICY, audit, policy_version

if TYPE_CHECKING:
    from collections.abc import Iterator

_CHANGED = "orrery_access_changed"
_COUNT = f"UPDATE {policy_version.name} SET version = version + 1"  # noqa: S608 - a table of ours
_KEPT = "orrery_access_audit_kept"
#: A transaction that sets it to 'on' may delete from the audit: retention.
RETENTION = "orrery.audit_retention"


def creations() -> Iterator[str]:
    """Yield the SQL that creates functions and triggers."""
    yield (
        f"CREATE OR REPLACE FUNCTION {_CHANGED}() RETURNS trigger LANGUAGE plpgsql AS $orrery$\n"
        f"BEGIN\n"
        f"    {_COUNT};\n"
        f"    PERFORM pg_catalog.pg_notify('{CHANNEL}', '');\n"
        f"    RETURN NULL;\n"
        f"END\n"
        f"$orrery$"
    )
    for table in POLICY:
        yield (
            f"CREATE TRIGGER {_CHANGED} AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON {table.name} "
            f"FOR EACH STATEMENT EXECUTE FUNCTION {_CHANGED}()"
        )
    yield (
        f"CREATE OR REPLACE FUNCTION {_KEPT}() RETURNS trigger LANGUAGE plpgsql AS $orrery$\n"
        f"BEGIN\n"
        f"    IF TG_OP = 'DELETE' AND current_setting('{RETENTION}', true) = 'on' THEN\n"
        f"        RETURN NULL;\n"
        f"    END IF;\n"
        f"    RAISE EXCEPTION 'The audit of access is append-only';\n"
        f"END\n"
        f"$orrery$"
    )
    yield (
        f"CREATE TRIGGER {_KEPT} BEFORE UPDATE OR DELETE OR TRUNCATE ON {audit.name} "
        f"FOR EACH STATEMENT EXECUTE FUNCTION {_KEPT}()"
    )


def removals() -> Iterator[str]:
    """Yield the SQL that removes them."""
    for function in (_CHANGED, _KEPT):
        yield f"DROP FUNCTION IF EXISTS {function}() CASCADE"
