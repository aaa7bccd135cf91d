"""svcs, which the execution API uses with FastAPI, loads that alone: not aiohttp, Flask and a test client.

svcs imports its integration with every web framework that is installed, and Airflow's providers install most.
In the API server and the DAG processor nothing uses them: 190 modules, 13 MB, a third of a second. With this
fix they are imported when somebody asks for them.

Private knowledge of svcs and FastAPI here: that `svcs/__init__.py` tries each integration and goes on without
it at an ImportError, as its integrations do with the test client, which they name in annotations only.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

#: Not loaded while svcs itself is.
_LATER = frozenset({"svcs.aiohttp", "svcs.flask", "fastapi.testclient", "starlette.testclient"})


def apply(_core: ModuleType) -> None:
    """Mend `svcs`, while it is being loaded: its own code imports `svcs._core` first."""
    svcs = sys.modules["svcs"]
    if not _is_loading(svcs):
        return

    def integration(name: str) -> Any:
        if f"svcs.{name}" in _LATER:
            return importlib.import_module(f"svcs.{name}")
        raise AttributeError(f"module 'svcs' has no attribute {name!r}")

    vars(svcs)["__getattr__"] = integration
    sys.meta_path.insert(0, _NotYet(svcs))


class _NotYet:
    """Says, while svcs is loaded, that some modules are not there; then it says nothing more."""

    def __init__(self, svcs: ModuleType) -> None:
        self._svcs = svcs

    def find_spec(self, name: str, _path: Sequence[str] | None = None, _target: object = None) -> None:
        """Find nothing.

        Raises:
            ModuleNotFoundError: it is one of those that come later.
        """
        if name in _LATER and _is_loading(self._svcs):
            raise ModuleNotFoundError(f"{name} is imported when it is used", name=name)


def _is_loading(module: ModuleType) -> bool:
    return bool(getattr(module.__spec__, "_initializing", False))
