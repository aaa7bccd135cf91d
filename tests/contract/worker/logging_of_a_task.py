"""A program: how logging is set up in a task's process, and what arrives, printed as JSON.

logging_of_a_task.py stock | shortcut
"""

from __future__ import annotations

import json
import logging
import os
import sys
from typing import Any

import structlog

from orrery.worker import compat, shortcuts


def main() -> None:
    if sys.argv[1] == "stock":
        shortcuts.install = lambda: None
    compat.preload()
    from airflow.sdk.execution_time import supervisor

    ours, theirs = os.pipe()
    supervisor._configure_logs_over_json_channel(theirs)
    logging.getLogger("some.library").info("said by %s", "logging", extra={"more": 5})
    logging.getLogger("some.library").debug("not said")
    logging.getLogger("airflow.task").warning("said by the task's logger")
    structlog.get_logger("task").info("said by structlog", key="value")
    try:
        int("x")
    except ValueError:
        logging.getLogger("some.library").exception("an error")
    os.set_blocking(ours, False)
    said = [json.loads(line) for line in os.read(ours, 1 << 16).splitlines()]
    for line in said:
        assert line.pop("timestamp")
    found = {
        "loggers": {name: described(logging.getLogger(name)) for name in names()},
        "root": described(logging.getLogger()),
        "said": said,
    }
    print("ANSWER" + json.dumps(found, default=repr))


def names() -> list[str]:
    known = logging.root.manager.loggerDict
    return sorted(name for name, logger in known.items() if isinstance(logger, logging.Logger))


def described(logger: logging.Logger) -> dict[str, Any]:
    return {
        "level": logger.level,
        "effective": logger.getEffectiveLevel(),
        "propagates": logger.propagate,
        "is_disabled": logger.disabled,
        "handlers": [
            [type(handler).__name__, handler.level, type(handler.formatter).__name__]
            for handler in logger.handlers
        ],
        "filters": [type(each).__name__ for each in logger.filters],
    }


if __name__ == "__main__":
    main()
