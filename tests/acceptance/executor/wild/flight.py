"""A hundred small tasks that stay in flight until they are told to land, and write down when they run."""
# mypy: ignore-errors

import os
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

from airflow.sdk import dag, task

TASKS = 100
#: A task that nobody tells to land gives up; a test has failed by then.
PATIENCE_SECONDS = 300


@dag(schedule=None, max_active_tasks=2 * TASKS)
def flight():
    @task(
        retries=2,
        retry_delay=timedelta(seconds=1),
        executor_config={"resources": {"cpu": "10m", "memory": "96Mi"}},
    )
    def fly(number, ti=None, run_id=None):
        folder = Path(os.environ["TRACES_FOLDER"]) / run_id

        def note(*words):
            handle = os.open(folder / f"{number}.txt", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
            os.write(handle, f"{' '.join(map(str, words))} {ti.try_number} {time.time():.3f}\n".encode())
            os.close(handle)

        note("start", os.getpid())
        if number % 10 == 0:
            # What leaves the task's session must not outlive the task.
            left = subprocess.Popen(["sleep", "3600"], start_new_session=True)
            note("left", left.pid)
        # The even ones land while the fault lasts, the odd ones afterwards.
        signal_to_land = folder / ("half" if number % 2 == 0 else "go")
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not signal_to_land.exists():
            if time.monotonic() > deadline:
                sys.exit("nobody has told this task to land")
            time.sleep(0.2)
        note("end", os.getpid())
        return number

    @task(trigger_rule="all_done")
    def landed():
        return "landed"

    fly.expand(number=list(range(TASKS))) >> landed()


flight()
