"""Mapped tasks and groups, of any length."""
# mypy: ignore-errors
# ruff: noqa: C901 - a DAG is as long as its tasks are many

from airflow.exceptions import AirflowSkipException
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import dag, get_current_context, task, task_group


@dag(schedule=None)
def fidelity_mapping():
    @task
    def numbers():
        return [3, 1, 2]

    @task
    def none():
        return []

    @task
    def pairs():
        return [{"a": 1, "b": 2}, {"a": 3, "b": 4}]

    @task(map_index_template="{{ number }} squared")
    def square(number):
        get_current_context()["number"] = number
        return number * number

    @task
    def add(a, b, c=0):
        return a + b + c

    @task
    def odd_only(number):
        if number % 2 == 0:
            raise AirflowSkipException("even")
        return number

    @task(trigger_rule="none_failed")
    def total(values):
        return sum(values)

    @task
    def words():
        return {"one": 1, "two": 2}

    @task
    def say(pair):
        return f"{pair[0]}={pair[1]}"

    @task(trigger_rule="all_done")
    def after_none():
        return "after"

    @task_group
    def inside(number):
        @task
        def up(value):
            return value + 10

        @task
        def fails_on_two(value):
            if value == 12:
                raise RuntimeError("twelve")
            return value

        return fails_on_two(up(number))

    @task(trigger_rule="all_done")
    def gathered(values):
        return sorted(value for value in values if value is not None)

    several = numbers()
    total(square.expand(number=several))
    add.expand_kwargs(pairs())
    add.override(task_id="add_product").partial(c=100).expand(a=[1, 2], b=several)
    total.override(task_id="total_of_odd")(odd_only.expand(number=several))
    square.override(task_id="square_of_none").expand(number=none()) >> after_none()
    say.expand(pair=words())
    gathered(inside.expand(number=several))
    square.override(task_id="of_mapped").expand(number=several.map(lambda number: number * 2))
    add.override(task_id="zipped").expand_kwargs(
        several.zip(several).map(lambda pair: {"a": pair[0], "b": pair[1]})
    )
    BashOperator.partial(task_id="echo", do_xcom_push=True).expand(
        bash_command=["echo one", "echo two", "exit 99"]
    )


fidelity_mapping()
