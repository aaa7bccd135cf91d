"""Where DAGs leave what they did, so that a test can read it: lines in files, one file for each DAG."""
# mypy: ignore-errors

import os
from pathlib import Path


def leave(name, text):
    """Append a line in one write: what several processes append at a time stays whole."""
    path = Path(os.environ["TRACES_FOLDER"]) / f"{name}.txt"
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        os.write(handle, f"{text}\n".encode())
    finally:
        os.close(handle)


def count(name):
    """Return how many lines were left under a name."""
    return len((Path(os.environ["TRACES_FOLDER"]) / f"{name}.txt").read_text().splitlines())


def callback(event):
    """Return a callback that leaves the event, its task and its try."""

    def leave_event(context):
        ti = context.get("ti")
        who = f"{ti.task_id} {ti.map_index} try {ti.try_number}" if ti else "run"
        dag = context["dag_run"].dag_id if context.get("dag_run") else ti.dag_id
        leave(dag, f"{event} {who}")

    return leave_event


def missed(word, context=None):
    """Leave a line about a missed deadline: called by Airflow, not by a task."""
    leave("deadlines", f"missed {word}")
