"""What a zygote imports before it forks: Airflow, plug-ins, and what the bundle's files import.

Only modules that are no user's: code of the bundle itself is executed by each task anew, so that an
edited file counts at once and no state is shared.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import os
import sys
import sysconfig
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from orrery.worker import compat
from orrery.worker.channel import STARTS_THREADS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

log = structlog.get_logger(__name__)

#: Modules that start threads, hold connections or a device when imported: a fork would break them.
DENIED = frozenset(
    {"grpc", "torch", "tensorflow", "jax", "cupy", "pycuda", "numba", "ray", "pyspark", "jpype", "gevent"}
)
_MOST_FILES = 2000
_LARGEST_FILE = 1024 * 1024


def preload(bundles: Sequence[tuple[str, str | None]], deny: frozenset[str]) -> tuple[dict[str, str], int]:
    """Import all that tasks of the bundles will need; return what was left out and why, and a count.

    A module that fails, or that starts a thread, is told and left to the tasks: theirs is a cold start.
    """
    before = len(sys.modules)
    compat.preload()
    left_out: dict[str, str] = {}
    for bundle in bundles:
        path = compat.bundle_path(*bundle)
        wanted = _imports_of(path) if path is not None else ()
        for name in sorted(set(wanted)):
            if reason := _reason_against(name, path, deny):
                if reason != "local":
                    left_out[name] = reason
                continue
            if problem := _import(name):
                left_out[name] = problem
    if bundles:
        compat.forget_database()
    return left_out, len(sys.modules) - before


def threads() -> int:
    """Return how many threads this process has, those that Python does not know included."""
    try:
        return len(os.listdir("/proc/self/task"))  # noqa: PTH208 - no objects wanted
    except OSError:
        return threading.active_count()


def _import(name: str) -> str | None:
    before = threads()
    try:
        importlib.import_module(name)
    except BaseException as error:
        return f"its import failed: {type(error).__name__}: {error}"[:300]
    if threads() > before:
        # It cannot be undone here: the agent makes another zygote without it.
        return STARTS_THREADS
    return None


def _reason_against(name: str, bundle: Path | None, deny: frozenset[str]) -> str | None:
    """Return why a module is not preloaded; None when it is."""
    top = name.partition(".")[0]
    if top in DENIED or top in deny or name in deny:
        return "it is on the list of modules that are never preloaded"
    if top in sys.stdlib_module_names or name in sys.modules:
        return None
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError, AttributeError):
        return "local"
    if spec is None or not _is_installed(spec.origin, spec.submodule_search_locations, bundle):
        return "local"
    return None


def _is_installed(origin: str | None, locations: Iterable[str] | None, bundle: Path | None) -> bool:
    """Tell whether a module lies among the installed packages, and not in a folder of the user's."""
    places = [origin] if origin and origin not in ("built-in", "frozen") else list(locations or ())
    roots = {sysconfig.get_path(name) for name in ("purelib", "platlib", "stdlib")}
    for place in places:
        path = Path(place).resolve()
        if bundle is not None and path.is_relative_to(bundle.resolve()):
            return False
        if not any(path.is_relative_to(Path(root).resolve()) for root in roots if root):
            # The site-packages below another one: a project's own requirements.
            return "site-packages" in path.parts
    return bool(places)


def _imports_of(folder: Path) -> Iterator[str]:
    """Yield the modules that the folder's Python files import at their top level, each as written."""
    files = 0
    for root, folders, names in os.walk(folder):
        folders[:] = [each for each in folders if not each.startswith((".", "__pycache__", "node_modules"))]
        for name in names:
            if not name.endswith(".py"):
                continue
            files += 1
            if files > _MOST_FILES:
                return
            yield from _imports(Path(root) / name)


def _imports(file: Path) -> Iterator[str]:
    try:
        if file.stat().st_size > _LARGEST_FILE:
            return
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError):
        return  # the DAG processor tells
    for node in tree.body:
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
