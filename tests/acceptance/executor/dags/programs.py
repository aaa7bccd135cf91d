"""Tasks that are programs, and tasks that end in ways no exception tells."""
# mypy: ignore-errors
# ruff: noqa: C901 - a DAG is as long as its tasks are many

import os
import shutil
import signal
import subprocess
import sys

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import dag, task
from include.traces import callback


@dag(schedule=None)
def fidelity_programs():
    BashOperator(task_id="ends_well", bash_command="echo first; echo '{{ ds }}'")
    BashOperator(task_id="fails", bash_command="exit 3")
    BashOperator(task_id="skips", bash_command="exit 99")
    BashOperator(task_id="skips_on_7", bash_command="exit 7", skip_on_exit_code=7)
    BashOperator(task_id="environment", bash_command="echo $COLOUR", env={"COLOUR": "green"})
    BashOperator(
        task_id="is_told",
        bash_command="echo $AIRFLOW_CTX_DAG_ID $AIRFLOW_CTX_TASK_ID $AIRFLOW_CTX_TRY_NUMBER",
    )
    BashOperator(task_id="works_in_a_folder", bash_command="touch here && ls", cwd=None)
    BashOperator(task_id="large_output", bash_command="head -c 300000 /dev/zero | tr '\\0' x | fold -w 100")

    @task.bash
    def from_python():
        return "echo from python"

    @task.external_python(python=sys.executable)
    def elsewhere(number):
        import sys

        return [number * 2, sys.version_info.major]

    @task.external_python(python=sys.executable)
    def fails_elsewhere():
        raise RuntimeError("in another interpreter")

    from_python()
    elsewhere(21)
    fails_elsewhere()
    if shutil.which("sudo") and os.getuid() == 0:

        @task(run_as_user="nobody")
        def another_user():
            import getpass

            return getpass.getuser()

        another_user()


fidelity_programs()


@dag(
    schedule=None,
    default_args={"on_failure_callback": callback("failure"), "on_retry_callback": callback("retry")},
)
def fidelity_ends():
    @task
    def exits(code):
        os._exit(code)

    @task
    def killed(number):
        os.kill(os.getpid(), number)

    @task
    async def asynchronous():
        import asyncio

        await asyncio.sleep(0.1)
        return "awaited"

    @task
    def leaves(code):
        sys.exit(code)

    @task
    def base_exception():
        class Unusual(BaseException):
            pass

        raise Unusual("caught by nobody")

    @task
    def keyboard_interrupt():
        raise KeyboardInterrupt

    @task
    def recursion():
        return recursion.function()

    @task
    def talkative():
        for number in range(10_000):
            print(f"{number:08} {'x' * 90}")
        return "said"

    @task
    def one_long_line():
        print("y" * 1_000_000)
        return "said"

    @task
    def bytes_that_are_no_text():
        sys.stdout.flush()
        os.write(1, b"\xff\xfe no text \x00\n")
        return "written"

    @task
    def to_stderr():
        print("to stderr", file=sys.stderr)
        subprocess.run(["sh", "-c", "echo of a child; echo of a child to stderr >&2"], check=True)
        return "said"

    exits.override(task_id="exits_3")(3)
    exits.override(task_id="exits_0")(0)
    exits.override(task_id="exits_3_twice", retries=1, retry_delay=1.0)(3)
    killed.override(task_id="killed_hard")(signal.SIGKILL)
    killed.override(task_id="terminated")(signal.SIGTERM)
    leaves.override(task_id="leaves_0")(0)
    leaves.override(task_id="leaves_2")(2)
    leaves.override(task_id="leaves_with_words")("words")
    asynchronous()
    base_exception()
    keyboard_interrupt()
    recursion()
    talkative()
    one_long_line()
    bytes_that_are_no_text()
    to_stderr()


fidelity_ends()


@dag(schedule=None)
def fidelity_marked():
    # What others do to a running task: see the tests of marks and clears.
    @task(on_failure_callback=callback("failure"), on_success_callback=callback("success"))
    def long():
        import time

        time.sleep(120)

    @task
    def short():
        return "short"

    @task(trigger_rule="all_done")
    def below():
        return "below"

    long() >> below()
    long.override(task_id="long_too")() >> below.override(task_id="below_too")()
    short() >> below.override(task_id="below_short")()


fidelity_marked()
