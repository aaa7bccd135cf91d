"""Make the benchmark's people in Airflow's Flask auth manager: somebody who sees fifty Dags.

python seed_fab.py PASSWORD DAG_ID...
"""

from __future__ import annotations

import sys

from airflow.providers.fab.www.app import create_app


def main(password: str, dag_ids: list[str]) -> None:
    app = create_app(enable_plugins=False)
    with app.app_context():
        security = app.appbuilder.sm
        role = security.add_role("Reader")
        for dag_id in dag_ids:
            security.add_permission_to_role(role, security.create_permission("can_read", f"DAG:{dag_id}"))
        user = security.add_user("reader", "A", "Reader", "reader@example.org", role, password=password)
        assert user, "the user was not made"


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
