"""A program: a file is parsed and stored, something happens, it is parsed and stored again; printed as JSON.

The DAG processor's storing is Airflow's own, on PostgreSQL; only the parsing is done in this process. Told of
each story: how often all was stored the second time, whether the time of parsing went on, and all rows.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import shutil
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from airflow import settings
from airflow.api.common.delete_dag import delete_dag
from airflow.dag_processing import manager
from airflow.dag_processing.bundles.manager import DagBundlesManager
from airflow.dag_processing.dagbag import BundleDagBag
from airflow.dag_processing.processor import DagFileParsingResult
from airflow.jobs.job import Job
from airflow.jobs.scheduler_job_runner import SchedulerJobRunner
from airflow.models.dag import DagModel
from airflow.models.dagbundle import DagBundleModel
from airflow.serialization.serialized_objects import LazyDeserializedDAG
from sqlalchemy import text

if TYPE_CHECKING:
    from collections.abc import Callable

#: A yearly DAG whose run of this year is due, and one without a schedule. No two stories share an id.
FILE = """
from datetime import datetime, timedelta
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, Asset

with DAG("{name}", schedule="@yearly", start_date=datetime(2024, 1, 1), catchup=False,
         is_paused_upon_creation=False, tags=["t"], description="said", max_active_runs=2):
    EmptyOperator(task_id="a") >> EmptyOperator(task_id="b")
with DAG("{name}_too", schedule=None, is_paused_upon_creation=False):
    EmptyOperator(task_id="a")
"""
ASSET = FILE + '    EmptyOperator(task_id="c", outlets=[Asset("s3://bucket/{name}")])\n'
CHANGED = FILE + '    EmptyOperator(task_id="new")\n'
FOLDER = Path(os.environ["AIRFLOW__CORE__DAGS_FOLDER"])
HAS_FIX = hasattr(manager.DagFileProcessorManager.persist_parsing_result, "__orrery_early_fix__")


class Processor:
    """A DAG processor, as far as it stores."""

    stores = 0
    order = 1

    def parse(self, name: str, **more: Any) -> None:
        """Parse a file and store it, as the manager does."""
        file = FOLDER / f"{name}.py"
        bag = BundleDagBag(dag_folder=file, bundle_path=FOLDER, bundle_name="dags-folder")
        assert not bag.import_errors, bag.import_errors
        dags = [LazyDeserializedDAG.from_dag(dag) for dag in bag.dags.values()]
        dags = dags[:: self.order]  # Airflow's order changes from parsing to parsing
        self.order = -self.order
        given = {
            "bundle_name": "dags-folder",
            "bundle_version": None,
            "version_data": None,
            "parsing_result": DagFileParsingResult(
                fileloc=str(file), serialized_dags=dags, warnings=more.pop("warnings", None)
            ),
            "run_duration": 0.5,
            "relative_fileloc": file.name,
        } | more
        session = settings.NonScopedSession()
        with session.begin():
            manager.DagFileProcessorManager.persist_parsing_result(
                SimpleNamespace(), session=session, **given
            )


def counted(processor: Processor) -> None:
    original = manager.update_dag_parsing_results_in_db

    def store(*arguments: Any, **keywords: Any) -> None:
        processor.stores += 1
        original(*arguments, **keywords)

    manager.update_dag_parsing_results_in_db = store


def main() -> None:
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    processor = Processor()
    counted(processor)
    with settings.NonScopedSession() as session, session.begin():
        session.execute(text("TRUNCATE dag, dag_run, dag_bundle, dag_warning, import_error, asset CASCADE"))
        DagBundlesManager().sync_bundles_to_db(session=session)
        session.add(DagBundleModel(name="another"))
    told = {name: story(processor, name, what) for name, what in stories().items()}
    print("ANSWER" + json.dumps({"stories": told}))


def say(statement: str) -> Callable[[str], None]:
    """Return what says it to the database, of the story's first DAG."""

    def happen(name: str) -> None:
        with settings.NonScopedSession() as session, session.begin():
            session.execute(text(statement), names(name))

    return happen


def write(source: str) -> Callable[[str], None]:
    def happen(name: str) -> None:
        (FOLDER / f"{name}.py").write_text(source.replace("{name}", name))

    return happen


def run_due(name: str) -> None:
    """Let the scheduler make the DAG's next run, which becomes due in this moment."""
    with settings.NonScopedSession() as session, session.begin():
        dag = session.get(DagModel, name)
        job = Job()
        session.add(job)
        session.flush()
        runner = SchedulerJobRunner(job=job, executors=[])
        runner._create_dag_runs([dag], session)


def nothing(name: str) -> None:
    """What happens most often."""


def deleted(name: str) -> None:
    """Delete the DAG as the API server does."""
    with settings.NonScopedSession() as session, session.begin():
        delete_dag(name, session=session)


def set_longest(seconds: float) -> None:
    fix: Any = importlib.import_module("orrery.backports.unchanged_dags")
    fix._LONGEST_SECONDS = seconds


def later(name: str) -> None:
    if HAS_FIX:
        set_longest(0)


def soon(name: str) -> None:
    if HAS_FIX:
        set_longest(300)


@dataclass(frozen=True)
class Story:
    """What happens between the parsing that was stored and the one that is told of."""

    happen: Callable[[str], None] = nothing
    source: str = FILE
    #: What the manager gives besides, the second time.
    more: dict[str, Any] = field(default_factory=dict)
    #: What has happened before all that.
    before: Callable[[str], None] = nothing


def stories() -> dict[str, Story]:
    due = "UPDATE dag SET next_dagrun_create_after = now() - interval '2 days' WHERE dag_id = :dag"
    error = (
        "INSERT INTO import_error (timestamp, filename, bundle_name, stacktrace)"
        " VALUES (now(), :file, 'dags-folder', 'it was wrong')"
    )
    warning = (
        "INSERT INTO dag_warning (dag_id, warning_type, message, timestamp)"
        " VALUES (:dag, 'non-existent pool', 'no pool', now())"
    )
    running = (
        "INSERT INTO dag_run (dag_id, run_id, state, run_type, run_after, created_at, updated_at,"
        " log_template_id, span_status, clear_number, triggered_by)"
        " SELECT :dag, 'by-hand-' || n, 'running', 'manual', now(), now(), now(),"
        " (SELECT max(id) FROM log_template), 'not_started', 0, 'ui' FROM generate_series(1, 2) n"
    )
    gone = "DELETE FROM dag_run WHERE dag_id = :dag"
    return {
        "nothing": Story(),
        "paused": Story(say("UPDATE dag SET is_paused = true WHERE dag_id = :dag")),
        "a run was made": Story(run_due),
        "its run was deleted": Story(say(gone), before=run_due),
        "a next run by hand": Story(say(due)),
        "a description by hand": Story(say("UPDATE dag SET description = 'x' WHERE dag_id = :dag")),
        "a limit that is none": Story(
            say("UPDATE dag SET exceeds_max_non_backfill = true WHERE dag_id = :dag")
        ),
        "as many runs as may be": Story(say(running)),
        "stale": Story(say("UPDATE dag SET is_stale = true WHERE dag_id = :dag")),
        "deleted": Story(deleted),
        "another source": Story(write(FILE + "# said\n")),
        "another DAG": Story(write(CHANGED)),
        "an error that is over": Story(say(error)),
        "a warning that is over": Story(say(warning)),
        "a source by another": Story(
            say("UPDATE dag_code SET source_code = 'x', source_code_hash = 'y' WHERE dag_id = :dag")
        ),
        "a form by another": Story(say("UPDATE serialized_dag SET dag_hash = 'y' WHERE dag_id = :dag")),
        "another bundle": Story(more={"bundle_name": "another"}),
        "a bundle's version": Story(more={"bundle_version": "2"}),
        "an asset": Story(source=ASSET),
        "a warning": Story(
            more={"warnings": [{"dag_id": "?", "warning_type": "non-existent pool", "message": "no pool"}]}
        ),
        "five minutes later": Story(later),
        "soon after": Story(soon),
    }


def story(processor: Processor, title: str, what: Story) -> dict[str, Any]:
    name = re.sub(r"\W", "_", title)
    write(what.source)(name)
    processor.parse(name)
    # Of a DAG that is new the last run is due, and it is stored until that is made.
    run_due(name)
    processor.parse(name)
    what.before(name)
    # Since a serialized form that is younger than 30 s is not compared.
    say("UPDATE serialized_dag SET last_updated = now() - interval '1 hour'")(name)
    processor.parse(name)
    what.happen(name)
    long_ago = datetime.now(UTC) - timedelta(days=1)
    with settings.NonScopedSession() as session, session.begin():
        session.execute(text("UPDATE dag SET last_parsed_time = :t"), {"t": long_ago})
    processor.stores = 0
    given = json.loads(json.dumps(what.more).replace('"?"', f'"{name}"'))
    processor.parse(name, **given)
    first = processor.stores
    return {"stored": first, **rows(name)}


#: All that is known of a story's DAGs, but for times and ids.
ROWS = {
    "dags": "SELECT to_jsonb(dag) - 'last_parsed_time' FROM dag WHERE dag_id IN (:dag, :too) ORDER BY dag_id",
    "is_noted": "SELECT last_parsed_time > now() - interval '1 hour' FROM dag WHERE dag_id IN (:dag, :too)",
    "versions": "SELECT dag_id, version_number, bundle_name, bundle_version FROM dag_version"
    " WHERE dag_id IN (:dag, :too) ORDER BY dag_id, version_number",
    "forms": "SELECT dag_id, dag_hash FROM serialized_dag WHERE dag_id IN (:dag, :too)"
    " ORDER BY dag_id, created_at",
    "sources": "SELECT dag_id, source_code FROM dag_code WHERE dag_id IN (:dag, :too)"
    " ORDER BY dag_id, created_at",
    "tags": "SELECT dag_id, name FROM dag_tag WHERE dag_id IN (:dag, :too) ORDER BY dag_id",
    "errors": "SELECT stacktrace FROM import_error WHERE filename = :file",
    "warnings": "SELECT dag_id, message FROM dag_warning WHERE dag_id IN (:dag, :too)",
    "assets": "SELECT uri FROM asset WHERE uri = 's3://bucket/' || :dag",
}


def rows(name: str) -> dict[str, Any]:
    with settings.NonScopedSession() as session:
        return {
            what: [list(row) for row in session.execute(text(query), names(name))]
            for what, query in ROWS.items()
        }


def names(name: str) -> dict[str, str]:
    return {"dag": name, "too": f"{name}_too", "file": f"{name}.py"}


if __name__ == "__main__":
    main()
