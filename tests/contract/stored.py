"""For the programs of contract tests: DAGs in Airflow's database, and a run of one of them."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from airflow import models, settings
from airflow.dag_processing.bundles.manager import DagBundlesManager
from airflow.dag_processing.dagbag import BundleDagBag, sync_bag_to_db
from airflow.models.base import Base
from airflow.models.dagbag import DBDagBag
from airflow.utils.db import synchronize_log_template
from airflow.utils.state import DagRunState
from airflow.utils.types import DagRunTriggeredByType, DagRunType

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def store(session: Any, source: str) -> BundleDagBag:
    """Write a DAG file into the folder of DAGs, and store what it says."""
    folder = Path(os.environ["AIRFLOW__CORE__DAGS_FOLDER"])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "d.py").write_text(source)
    DagBundlesManager().sync_bundles_to_db(session=session)
    session.commit()
    bag = BundleDagBag(dag_folder=folder, bundle_path=folder, bundle_name="dags-folder")
    assert not bag.import_errors, bag.import_errors
    sync_bag_to_db(bag, "dags-folder", None, session=session)
    session.commit()
    return bag


def begin(
    dags: DBDagBag,
    session: Any,
    dag_id: str,
    run_id: str,
    *,
    day: datetime = NOW,
    state: DagRunState = DagRunState.RUNNING,
) -> Any:
    """Make a run of the newest version of a DAG."""
    dag = dags.get_latest_version_of_dag(dag_id, session=session)
    assert dag
    return dag.create_dagrun(
        run_id=run_id,
        run_type=DagRunType.MANUAL,
        logical_date=day,
        data_interval=(day, day),
        run_after=day,
        state=state,
        triggered_by=DagRunTriggeredByType.TEST,
        session=session,
    )


def begin_on_sqlite(source: str) -> tuple[Any, DBDagBag, Any]:
    """Make all tables, store the DAG `d` of a file, and make a run of it; return session, DAGs and run."""
    models.import_all_models()
    Base.metadata.create_all(settings.engine)
    session = settings.Session()
    synchronize_log_template(session=session)
    store(session, source)
    dags = DBDagBag()
    run = begin(dags, session, "d", "r")
    session.commit()
    return session, dags, run
