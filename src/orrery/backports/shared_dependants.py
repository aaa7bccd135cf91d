"""What FastAPI finds out about a dependency of a route is found out once, not for each route that has it.

Airflow's 250 routes are declared three or four times over, once for each router that takes one in, and most
depend on the same functions: who asks, whether that is allowed, filters, the session. FastAPI looks at the
signature of each of these, and those that it depends on, for each copy of each route: 4400 times in the API
server, of which a thousand differ. With this fix equal ones are one object. FastAPI changes such an object
only while it makes it, but for that of a route itself, which is not shared.

Private knowledge of FastAPI's `dependencies.utils` here: `get_dependant` calls itself by that name for what a
dependency depends on, then with scopes; of `path` only the names of its parameters count.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from orrery.backports.patch import wrap

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from types import ModuleType


def apply(utils: ModuleType) -> None:
    """Mend `fastapi.dependencies.utils`."""
    wrap(utils, "get_dependant", lambda original: _sharing(original, utils.get_path_param_names))


def _sharing(original: Callable[..., Any], names_in: Callable[[str], set[str]]) -> Callable[..., Any]:
    """Return `get_dependant` as it is called for dependencies: equal ones give the same object."""
    known: dict[Hashable, Any] = {}
    lock = threading.RLock()

    def get_dependant(*, path: str, call: Callable[..., Any], **about: Any) -> Any:
        if "own_oauth_scopes" not in about:  # of a route itself, or of what a test has put in another's place
            return original(path=path, call=call, **about)
        try:
            key = (call, frozenset(names_in(path)), *((name, _frozen(about[name])) for name in sorted(about)))
            hash(key)
        except TypeError:
            return original(path=path, call=call, **about)
        with lock:
            if key not in known:
                known[key] = original(path=path, call=call, **about)
            return known[key]

    return get_dependant


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
