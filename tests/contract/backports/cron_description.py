"""A program: cron timetables are made twice and asked for their words, printed as JSON.

Told besides: how often `cron-descriptor` was asked.
"""

from __future__ import annotations

import json
from typing import Any

from airflow.timetables import _cron
from airflow.timetables.interval import CronDataIntervalTimetable
from airflow.timetables.trigger import CronTriggerTimetable

#: One has a day of the month and one of the week, which are two descriptions; the last one is none.
EXPRESSIONS = ("@daily", "5 4 * * *", "0 0 1 * 5", "* * * * * *")


def main() -> None:
    asked: list[str] = []
    original = _cron.ExpressionDescriptor

    def descriptor(expression: str, *arguments: Any, **keywords: Any) -> Any:
        asked.append(expression)
        return original(expression, *arguments, **keywords)

    _cron.ExpressionDescriptor = descriptor
    words = [
        make(expression, timezone="UTC").description
        for expression in EXPRESSIONS
        for make in (CronDataIntervalTimetable, CronTriggerTimetable, CronTriggerTimetable)
    ]
    print("ANSWER" + json.dumps({"words": words, "described": len(asked)}))


if __name__ == "__main__":
    main()
