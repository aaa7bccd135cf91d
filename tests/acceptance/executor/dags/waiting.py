"""Tasks that give their place back while they wait: deferred, rescheduled, or for a person."""
# mypy: ignore-errors

from datetime import timedelta

from airflow.exceptions import TaskDeferralError
from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.providers.standard.sensors.time_delta import TimeDeltaSensor
from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger
from airflow.sdk import BaseOperator, PokeReturnValue, dag, get_current_context, task
from include.traces import count, leave
from include.triggers import BrokenTrigger


class TwiceDeferred(BaseOperator):
    """Defers, is resumed, defers again, and pushes what it was told."""

    template_fields = ("word",)

    def __init__(self, *, word, **arguments):
        super().__init__(**arguments)
        self.word = word

    def execute(self, context):
        context["ti"].xcom_push("first", self.word)
        self.defer(
            trigger=TimeDeltaTrigger(timedelta(milliseconds=300)), method_name="again", kwargs={"number": 1}
        )

    def again(self, context, number, event=None):
        context["ti"].xcom_push("second", number)
        self.defer(
            trigger=TimeDeltaTrigger(timedelta(milliseconds=300)), method_name="finish", kwargs={"number": 2}
        )

    def finish(self, context, number, event=None):
        return [self.word, number, context["ti"].try_number]


class DeferredTooLong(BaseOperator):
    def execute(self, context):
        self.defer(
            trigger=TimeDeltaTrigger(timedelta(hours=1)), method_name="never", timeout=timedelta(seconds=1)
        )

    def never(self, context, event=None):
        return "never"


class FailsWhenResumed(BaseOperator):
    def execute(self, context):
        self.defer(trigger=TimeDeltaTrigger(timedelta(milliseconds=200)), method_name="fail")

    def fail(self, context, event=None):
        if context["ti"].try_number == 1:
            raise TaskDeferralError("resumed only to fail")
        return context["ti"].try_number


class BrokenDeferral(BaseOperator):
    def execute(self, context):
        self.defer(trigger=BrokenTrigger(), method_name="never")

    def never(self, context, event=None):
        return "never"


@dag(schedule=None)
def fidelity_waiting():
    TwiceDeferred(task_id="twice", word="{{ dag_run.run_id }}")
    TwiceDeferred.partial(task_id="twice_mapped").expand(word=["a", "b", "c"])
    DeferredTooLong(task_id="too_long")
    FailsWhenResumed(task_id="fails_when_resumed", retries=1, retry_delay=timedelta(seconds=1))
    TimeDeltaSensor(task_id="delta", delta=timedelta(seconds=1), deferrable=True)

    # Not every second: LocalExecutor reports a rescheduled try as a success when the next may have begun,
    # and the scheduler fails the task for it.
    @task.sensor(mode="reschedule", poke_interval=8, timeout=600)
    def third_poke():
        ti = get_current_context()["ti"]
        leave("third_poke", "poke")
        return PokeReturnValue(is_done=count("third_poke") >= 3, xcom_value=ti.try_number)

    @task.sensor(mode="poke", poke_interval=0.2, timeout=600)
    def poke_in_place():
        leave("poke_in_place", "poke")
        return PokeReturnValue(is_done=count("poke_in_place") >= 3, xcom_value="poked")

    @task.sensor(mode="reschedule", poke_interval=8, timeout=4, soft_fail=True)
    def never_there():
        return False

    third_poke() >> poke_in_place()
    never_there()
    HITLOperator(
        task_id="nobody_answers",
        subject="Shall we?",
        options=["yes", "no"],
        defaults=["no"],
        response_timeout=timedelta(seconds=1),
    )


fidelity_waiting()
