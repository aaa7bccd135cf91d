"""A task that shows that the deployment still runs tasks."""
# mypy: ignore-errors

from airflow.sdk import dag, task


@dag(schedule=None)
def hello():
    @task
    def greet():
        print("hello from a task")
        return "hello"

    greet()


hello()
