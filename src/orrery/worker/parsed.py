"""A DAG file that was executed once, in a process of its own from which its tasks are forked.

A task executes its whole DAG file before it begins: with forty tasks in it that is half of a small
task's work. Of a plain file (see `plain`) the result is the same each time.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orrery.worker import plain
from orrery.worker.preload import threads


class NotForkableError(Exception):
    """A file's tasks have to execute it themselves; the message says why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bundle:
    """Where a DAG file lies."""

    name: str
    version: str | None
    file: str


def execute(bundle: Bundle) -> dict[str, list[int]]:
    """Execute the file and keep its DAGs for the tasks; return what it was made from, by `stamp`.

    Raises:
        NotForkableError: it is not plain, or something went wrong that a task should tell.
    """
    from airflow.dag_processing import dagbag  # noqa: PLC0415
    from airflow.dag_processing.bundles.manager import DagBundlesManager  # noqa: PLC0415
    from airflow.sdk.execution_time import task_runner  # noqa: PLC0415

    found = DagBundlesManager().get_bundle(name=bundle.name, version=bundle.version)
    found.initialize()
    path = Path(found.path, bundle.file)
    _require_plain(path)
    before = set(sys.modules)
    # Who asks the platform at the top of a file gets no answer here.
    runner: Any = task_runner
    runner.SUPERVISOR_COMMS = _NoPlatform()
    try:
        bag = dagbag.BundleDagBag(
            dag_folder=os.fspath(path),
            safe_mode=False,
            load_op_links=False,
            bundle_path=found.path,
            bundle_name=bundle.name,
        )
    finally:
        del runner.SUPERVISOR_COMMS
    if bag.import_errors or not bag.dags:
        raise NotForkableError("it does not import")
    made_from = [path]
    for name in set(sys.modules) - before:
        place = getattr(sys.modules.get(name), "__file__", None)
        if place and not _is_installed(place):
            if Path(place) != path:
                _require_plain(Path(place))
            made_from.append(Path(place))
    if threads() > 1:
        raise NotForkableError("it starts threads")
    _hand_over(dagbag, path, bag)
    return {os.fspath(each): stamp(each) for each in made_from}


def stamp(path: Path | str) -> list[int]:
    """Return what changes when a file does; empty when it is gone."""
    try:
        found = os.stat(path)  # noqa: PTH116 - for each task: no objects
    except OSError:
        return []
    return [found.st_mtime_ns, found.st_size, found.st_ino]


def _require_plain(path: Path) -> None:
    try:
        problem = plain.judge(path.read_bytes())
    except OSError as error:
        raise NotForkableError(f"{path} cannot be read: {error.strerror}") from error
    if problem is not None:
        raise NotForkableError(f"{path.name}, {problem}")


def _is_installed(place: str) -> bool:
    roots = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    path = Path(place).resolve()
    return "site-packages" in path.parts or any(
        path.is_relative_to(Path(root).resolve()) for root in roots if root
    )


def _hand_over(dagbag: Any, path: Path, bag: Any) -> None:
    """Give the DAGs to who asks for that file, in this process and its children: a task does, once."""
    original = dagbag.BundleDagBag

    def executed_or_new(*arguments: Any, **keywords: Any) -> Any:
        if keywords.get("dag_folder") == os.fspath(path):
            return bag
        return original(*arguments, **keywords)

    dagbag.BundleDagBag = executed_or_new


class _NoPlatform:
    """In the place of a task's connection to its supervisor."""

    def __getattr__(self, name: str) -> Any:
        # A BaseException: the file may not go on with a default.
        raise _AskedPlatformError


class _AskedPlatformError(BaseException):
    pass
