"""Rounds of a triggerer: what it asks the database, and what it does about triggers that come and go."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from airflow import settings
from airflow.jobs.job import Job
from airflow.jobs.triggerer_job_runner import TriggerRunnerSupervisor
from airflow.models import import_all_models
from airflow.models.base import Base
from airflow.models.trigger import Trigger
from sqlalchemy import delete, event


def triggerer(job: Job) -> Any:
    """What the two methods need of a triggerer, without its process."""
    found = SimpleNamespace(
        job=job,
        capacity=10,
        health_check_threshold=30.0,
        queues=None,
        team_name=None,
        running_triggers=set(),
        events=[],
        cancelling_triggers=set(),
        failed_triggers=[],
        creating_triggers=[],
        asked_for=[],
    )
    found.update_triggers = found.asked_for.append
    return found


def main() -> None:
    import_all_models()
    Base.metadata.create_all(settings.engine)
    session = settings.Session()
    job = Job(job_type="TriggererJob", state="running")
    job.latest_heartbeat = datetime.now(UTC)
    session.add(job)
    session.commit()
    session.refresh(job)
    session.expunge(job)
    runner = triggerer(job)
    statements: list[str] = []
    event.listen(settings.engine, "before_cursor_execute", lambda *given: statements.append(given[2]))
    told: dict[str, Any] = {}

    def round_(name: str) -> None:
        statements.clear()
        runner.asked_for.clear()
        TriggerRunnerSupervisor.load_triggers(runner)
        TriggerRunnerSupervisor.clean_unused(runner)
        told[name] = [len(statements) <= 1, [sorted(ids) for ids in runner.asked_for]]

    round_("nothing")
    trigger = Trigger(classpath="a.b", kwargs={})
    session.add(trigger)
    session.commit()
    number = trigger.id
    # No task needs it: nobody runs it, and it is deleted.
    round_("one has come")
    told["one that nobody needs"] = session.query(Trigger).count()
    runner.running_triggers.add(number)
    round_("it is gone, and still runs")
    runner.running_triggers.clear()
    round_("nothing again")
    session.execute(delete(Trigger))
    session.commit()
    Base.metadata.drop_all(settings.engine, tables=[Trigger.__table__], checkfirst=True)
    try:
        round_("the table is away")
    except Exception as error:
        told["the table is away"] = type(error).__name__
    print("ANSWER" + json.dumps(told))


if __name__ == "__main__":
    main()
