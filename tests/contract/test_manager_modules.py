"""What the process manager imports and does once for all: it is there, and holds in any fork."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from orrery.config import secrets
from orrery.local.imported import MODULES, WARM_UPS

if TYPE_CHECKING:
    from pathlib import Path

#: In a process of its own, as the process manager's is.
LOOK = """
import importlib, json, os, sys, traceback
modules, warm_ups, hidden = json.loads(sys.argv[1])
asked = []
for method in ("__getitem__", "__contains__"):
    def wrapped(self, name, ask=getattr(type(os.environ), method)):
        if name in hidden:
            asked.append([f"{f.f_globals.get('__name__')}:{f.f_code.co_name}"
                          for f, _ in traceback.walk_stack(sys._getframe(1))])
        return ask(self, name)
    setattr(type(os.environ), method, wrapped)
import airflow
before = dict(os.environ._data)
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
    "main": sorted({"airflow.__main__", "orrery.worker.__main__"} & set(sys.modules)),
    "mappers": len(mappers) > 40 and all(mapper.configured for mapper in mappers),
    "parser": cli_parser.get_parser.cache_info().currsize,
    "environment": os.environ._data == before,
    "asked": asked,
}))
"""
#: Who may ask during the import for what only components know, and why a fork that learns it later is right.
MAY_ASK = {
    "airflow.settings:configure_vars",  # `take_on` does it again
    "airflow.configuration:mask_secrets",  # this too
    "airflow.configuration:_upgrade_postgres_metastore_conn",  # mends a scheme that we do not write
    "airflow.configuration:_validate_sqlite3_version",  # looks at SQLite only
    "airflow.models.base:get_id_collation_args",  # differs for MySQL only
}
#: These pass all of the environment on, or look for names of their own.
NO_READERS = {"orrery.boot:apply", "fsspec.config:set_conf_env", "platform:_syscmd_file"}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    home: Path = tmp_path_factory.mktemp("home")
    users = {"PATH": os.environ["PATH"], "HOME": str(home), "AIRFLOW_HOME": str(home)}
    hidden = [f"{name}{end}" for name in secrets.PLATFORM for end in ("", "_CMD", "_SECRET")]
    ended = subprocess.run(
        [sys.executable, "-c", LOOK, json.dumps([MODULES, WARM_UPS, [*hidden, "ORRERY_COMPONENT"]])],
        env=secrets.for_tasks(users),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return dict(json.loads(ended.stdout.splitlines()[-1]))


def test_all_is_imported_and_done_without_threads_sockets_or_connections(found: dict[str, Any]) -> None:
    # `__main__` is run by each component: imported before, it would be run twice.
    assert {name: value for name, value in found.items() if name != "asked"} == {
        "threads": 1,
        "sockets": 0,
        "connections": 0,
        "main": [],
        # What each component would do first is done.
        "mappers": True,
        "parser": 1,
        # What a module sets there would hold for the worker's tasks too.
        "environment": True,
    }


def test_nobody_keeps_what_a_component_learns_after_the_fork(found: dict[str, Any]) -> None:
    asked = [set(stack) for stack in found["asked"]]
    assert {who for stack in asked for who in stack & MAY_ASK} == MAY_ASK
    assert [stack for stack in found["asked"] if not set(stack) & (MAY_ASK | NO_READERS)] == []
