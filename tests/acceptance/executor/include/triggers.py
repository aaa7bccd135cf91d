"""A trigger that fails in the triggerer."""
# mypy: ignore-errors

from airflow.triggers.base import BaseTrigger


class BrokenTrigger(BaseTrigger):
    def serialize(self):
        return ("include.triggers.BrokenTrigger", {})

    async def run(self):
        if self is not None:
            raise RuntimeError("the trigger fails")
        yield
