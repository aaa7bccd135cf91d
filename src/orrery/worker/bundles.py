"""What the zygotes were made from: the bundles, and whether something that they imported has changed."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from airflow.dag_processing.bundles.base import BaseDagBundle


def configured() -> list[BaseDagBundle]:
    """Return the configured bundles, made anew: each may be any code, and take its time."""
    from airflow.dag_processing.bundles.manager import DagBundlesManager  # noqa: PLC0415

    return list(DagBundlesManager().get_all_dag_bundles())


def hidden(socket: Path, environment: Mapping[str, str]) -> list[Path]:
    """Return what a task with a file system of its own must not see: secrets, and the agent's socket."""
    secrets = environment.get("ORRERY_SECRETS_DIR")
    return [socket, *([Path(secrets)] if secrets else [])]


def visible(environment: Mapping[str, str], bundles: Iterable[BaseDagBundle]) -> list[Path]:
    """Return what such a task needs to see wherever it lies: Airflow's home, DAGs, logs, the project."""
    from airflow.configuration import AIRFLOW_HOME, conf  # noqa: PLC0415

    found = [
        Path(AIRFLOW_HOME),
        Path(conf.get("core", "dags_folder")),
        Path(conf.get("core", "plugins_folder")),
        Path(conf.get("logging", "base_log_folder")),
        *(Path(place) for place in environment.get("PYTHONPATH", "").split(":") if place),
    ]
    for bundle in bundles:
        with contextlib.suppress(Exception):  # a bundle may be any code, and not there yet
            found.append(Path(bundle.path))
    return found


def fingerprint() -> str:
    """Return a digest that changes with the installed packages, the plug-ins and airflow.cfg."""
    from airflow.configuration import AIRFLOW_CONFIG, conf  # noqa: PLC0415

    digest = hashlib.sha256()
    for folder in sorted({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}):
        _add(digest, Path(folder))
    for extra in filter(None, sys.path):
        if extra.endswith("site-packages"):
            _add(digest, Path(extra))
    _add(digest, Path(AIRFLOW_CONFIG))
    plugins = Path(conf.get("core", "plugins_folder"))
    if plugins.is_dir():
        for root, folders, names in os.walk(plugins):
            folders[:] = [each for each in folders if each != "__pycache__"]
            for name in names:
                _add(digest, Path(root) / name)
    return digest.hexdigest()


def _add(digest: hashlib._Hash, path: Path) -> None:
    try:
        found = path.stat()
    except OSError:
        digest.update(f"{path} is not there".encode())
    else:
        digest.update(f"{path} {found.st_mtime_ns} {found.st_size}".encode())
