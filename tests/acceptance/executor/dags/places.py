"""Pools, priorities, queues of one at a time, setups and teardowns."""
# mypy: ignore-errors
# ruff: noqa: C901 - a DAG is as long as its tasks are many

from airflow.sdk import dag, get_current_context, setup, task, task_group, teardown
from include.traces import leave


def _note(text):
    leave(get_current_context()["dag"].dag_id, text)


@dag(schedule=None)
def fidelity_pools():
    # The pool has two slots: the wide task has them alone, and the heavier goes first.
    @task(pool="narrow", pool_slots=2)
    def wide(number):
        _note("wide begins")
        import time

        time.sleep(0.3)
        _note("wide ends")
        return number

    @task(pool="narrow", pool_slots=3)
    def too_wide():
        return "never"

    @task(max_active_tis_per_dag=1)
    def one_by_one(number):
        import time

        leave("one_by_one", "begins")
        time.sleep(0.3)
        leave("one_by_one", "ends")
        return number

    wide.expand(number=[1, 2, 3])
    one_by_one.expand(number=[1, 2, 3])


fidelity_pools()


@dag(schedule=None)
def fidelity_setups():
    @setup
    def open_it():
        _note("open")
        return "handle"

    @task
    def works(handle):
        return handle.upper()

    @task
    def fails():
        raise RuntimeError("the body fails")

    @teardown
    def close_it(handle):
        _note(f"close {handle}")

    @teardown
    def close_nothing():
        _note("close nothing")

    @teardown(on_failure_fail_dagrun=True)
    def close_and_tell(handle):
        _note(f"tell {handle}")

    @setup
    def cannot_open():
        raise RuntimeError("the setup fails")

    @task
    def not_reached():
        return "never"

    @task
    def after():
        return "after"

    @task_group
    def failing_body():
        handle = open_it()
        fails() >> close_it(handle).as_teardown(setups=handle)

    @task_group
    def failing_setup():
        cannot = cannot_open()
        cannot >> not_reached() >> close_nothing().as_teardown(setups=cannot)

    @task_group
    def good():
        handle = open_it()
        body = works(handle)
        body >> close_and_tell(handle).as_teardown(setups=handle)

    good() >> after()
    failing_body()
    failing_setup()


fidelity_setups()
