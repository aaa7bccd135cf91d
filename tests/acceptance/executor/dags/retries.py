"""Tries and their endings, with callbacks that leave a trace."""
# mypy: ignore-errors

from datetime import timedelta

from airflow.exceptions import AirflowFailException, AirflowSkipException
from airflow.sdk import dag, get_current_context, task
from include.traces import callback

EVENTS = {
    f"on_{event}_callback": callback(event) for event in ("execute", "success", "retry", "failure", "skipped")
}
AGAIN = {"retries": 1, "retry_delay": timedelta(seconds=1)}


@dag(
    schedule=None,
    default_args=EVENTS,
    on_success_callback=callback("dag success"),
    on_failure_callback=callback("dag failure"),
)
def fidelity_retries():
    @task(**AGAIN)
    def second_time_lucky():
        ti = get_current_context()["ti"]
        ti.xcom_push("try", ti.try_number)
        if ti.try_number == 1:
            raise RuntimeError("the first try fails")
        return ti.try_number

    @task(**AGAIN)
    def exhausted():
        raise RuntimeError("each try fails")

    @task(**AGAIN)
    def fails_for_good():
        raise AirflowFailException("no retry will help")

    @task(**AGAIN)
    def skips():
        raise AirflowSkipException("nothing to do")

    @task(execution_timeout=timedelta(seconds=1), **AGAIN)
    def too_slow():
        import time

        if get_current_context()["ti"].try_number == 1:
            time.sleep(60)
        return "in time"

    @task(trigger_rule="all_done")
    def after_all():
        return "done"

    [second_time_lucky(), exhausted(), fails_for_good(), skips(), too_slow()] >> after_all()


fidelity_retries()
