"""What the process manager imports and does once for all components: it is there, and survives a fork."""

from __future__ import annotations

import json
import subprocess
import sys

from orrery.local.manager import MODULES, WARM_UPS

#: In a process of its own, as the process manager's is.
LOOK = """
import importlib, json, os, sys
modules, warm_ups = json.loads(sys.argv[1])
for name in modules:
    importlib.import_module(name)
for name, function in warm_ups:
    getattr(importlib.import_module(name), function)()
from airflow import settings
from airflow.cli import cli_parser
from airflow.models.base import Base
mappers = list(Base.registry.mappers)
print(json.dumps({
    "threads": len(os.listdir("/proc/self/task")),
    "sockets": sum("socket:" in os.readlink(f"/proc/self/fd/{fd}")
                   for fd in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{fd}")),
    "connections": settings.engine.pool.checkedout() if hasattr(settings.engine.pool, "checkedout") else 0,
    "main": "airflow.__main__" in sys.modules,
    "mappers": len(mappers) > 40 and all(mapper.configured for mapper in mappers),
    "parser": cli_parser.get_parser.cache_info().currsize,
}))
"""


def test_all_is_imported_and_done_without_threads_sockets_or_connections() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", LOOK, json.dumps([MODULES, WARM_UPS])],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout.splitlines()[-1])
    # `airflow.__main__` is run by each component: imported before, it would be run twice.
    assert found == {
        "threads": 1,
        "sockets": 0,
        "connections": 0,
        "main": False,
        # What each component would do first is done.
        "mappers": True,
        "parser": 1,
    }
