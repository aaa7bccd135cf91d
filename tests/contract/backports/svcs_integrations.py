"""svcs as the execution API loads it: which modules come with it, and what a later user gets."""

from __future__ import annotations

import importlib
import json
import sys
import threading
from typing import Any

NAMES = ("aiohttp", "flask", "fastapi.testclient", "starlette.testclient")


def loaded() -> list[str]:
    return [name for name in NAMES if name in sys.modules]


def used_through_attributes() -> list[str]:
    import svcs

    app = svcs.flask.get_pings.__module__
    return [app, svcs.aiohttp.__name__, svcs.fastapi.lifespan.__name__, svcs.starlette.__name__]


def refused() -> str:
    import svcs

    try:
        svcs.no_such_framework  # type: ignore[attr-defined]  # noqa: B018
    except AttributeError as error:
        return str(error)
    return "nothing"


def main() -> None:
    from airflow.api_fastapi.execution_api.app import create_task_execution_api_app

    told: dict[str, Any] = {"with Airflow": loaded(), "routes": len(create_task_execution_api_app().routes)}
    seen: list[list[str]] = []
    # Also of a thread that has not imported it before.
    thread = threading.Thread(target=lambda: seen.append(used_through_attributes()))
    thread.start()
    thread.join()
    told["used"] = [seen[0], used_through_attributes()]
    told["test client"] = importlib.import_module("fastapi.testclient").TestClient.__name__
    told["refused"] = refused()
    told["at last"] = loaded()
    print("ANSWER" + json.dumps(told))


if __name__ == "__main__":
    main()
