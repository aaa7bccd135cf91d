"""What the process manager imports once for all components: it is there, and survives a fork."""

from __future__ import annotations

import json
import subprocess
import sys

from orrery.local.manager import MODULES

#: In a process of its own, as the process manager's is.
LOOK = """
import importlib, json, os, sys
for name in json.loads(sys.argv[1]):
    importlib.import_module(name)
from airflow import settings
print(json.dumps({
    "threads": len(os.listdir("/proc/self/task")),
    "sockets": sum("socket:" in os.readlink(f"/proc/self/fd/{fd}")
                   for fd in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{fd}")),
    "connections": settings.engine.pool.checkedout() if hasattr(settings.engine.pool, "checkedout") else 0,
    "main": "airflow.__main__" in sys.modules,
}))
"""


def test_the_modules_import_without_threads_sockets_or_connections() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", LOOK, json.dumps(MODULES)], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout.splitlines()[-1])
    # `airflow.__main__` is run by each component: imported before, it would be run twice.
    assert found == {"threads": 1, "sockets": 0, "connections": 0, "main": False}
