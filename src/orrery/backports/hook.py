"""Applies early fixes: each when the module that it mends has just been imported, never earlier.

A process that does not import that module loads nothing of the fix.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

    from orrery.backports.registry import Fix


def watch(fixes: Iterable[Fix]) -> None:
    """Apply each fix once its target is imported. Called before Airflow is loaded."""
    by_target: dict[str, list[Fix]] = {}
    for fix in fixes:
        by_target.setdefault(fix.target, []).append(fix)
    if by_target and not any(type(finder) is _Finder for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder(by_target))


def apply(fix: Fix, module: ModuleType) -> None:
    """Apply a fix to its target, unless this is not a version that it was written for.

    Whatever goes wrong, Airflow goes on without the fix, and a line in the log says so.
    """
    import logging  # noqa: PLC0415 - not before there is something to do

    log = logging.getLogger(__package__)
    installed = _version(fix.distribution)
    if installed not in fix.versions:
        log.warning(
            "The early fix '%s' is not applied: it is for %s, and %s is installed.",
            fix.id,
            fix.guard,
            installed or "none that is known",
        )
        return
    try:
        importlib.import_module(fix.module).apply(module)
    except Exception:
        log.exception("The early fix '%s' could not be applied; Airflow goes on without it.", fix.id)


def _version(distribution: str) -> str | None:
    from importlib import metadata  # noqa: PLC0415 - likewise

    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


class _Finder:
    """Runs the fixes of a module right after the module's own code. It stays: modules come at any time."""

    def __init__(self, fixes: dict[str, list[Fix]]) -> None:
        self._fixes = fixes

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in self._fixes:
            return None
        others = (finder for finder in sys.meta_path if finder is not self)
        spec = next((found for finder in others if (found := finder.find_spec(fullname, path, target))), None)
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def execute_and_mend(module: ModuleType) -> None:
            execute(module)
            for fix in self._fixes[fullname]:
                apply(fix, module)

        spec.loader.exec_module = execute_and_mend  # type: ignore[method-assign]
        return spec
