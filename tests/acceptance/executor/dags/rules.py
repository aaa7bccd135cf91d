"""Every trigger rule below every mixture of upstream ends; branches and short circuits."""
# mypy: ignore-errors

from airflow.exceptions import AirflowSkipException
from airflow.sdk import TriggerRule, dag, task

MIXTURES = ("success", "success failed", "success skipped", "skipped", "failed", "failed skipped")


@task
def end_as(state):
    if state == "failed":
        raise RuntimeError("failed as asked")
    if state == "skipped":
        raise AirflowSkipException("skipped as asked")
    return state


@dag(schedule=None, max_active_tasks=64)
def fidelity_rules():
    @task.python
    def reached():
        return "reached"

    for number, mixture in enumerate(MIXTURES):
        ends = [end_as.override(task_id=f"{state}_{number}")(state) for state in mixture.split()]
        for rule in TriggerRule:
            if rule is TriggerRule.ALL_DONE_SETUP_SUCCESS:
                continue  # of teardowns only
            ends >> reached.override(task_id=f"{rule.value}_{number}", trigger_rule=rule)()


fidelity_rules()


@dag(schedule=None)
def fidelity_branches():
    @task.branch
    def choose():
        return ["left", "right.first"]

    @task
    def left():
        return "left"

    @task
    def middle():
        return "middle"

    from airflow.sdk import task_group

    @task_group
    def right():
        @task
        def first():
            return 1

        @task
        def second(number):
            return number + 1

        return second(first())

    @task(trigger_rule="none_failed_min_one_success")
    def join():
        return "joined"

    @task.short_circuit
    def stop_here():
        return False

    @task.short_circuit(ignore_downstream_trigger_rules=False)
    def stop_softly():
        return False

    @task
    def not_reached():
        return "never"

    @task(trigger_rule="all_done")
    def reached_softly():
        return "softly"

    chosen = choose()
    joined = join()
    chosen >> [left(), middle(), right()] >> joined
    joined >> stop_here() >> not_reached()
    joined >> stop_softly() >> not_reached.override(task_id="skipped_softly")() >> reached_softly()


fidelity_branches()
