"""What checks a route's parameters and answers is made when the route is first used, not when it is declared.

Airflow declares some 250 routes, and FastAPI declares each three or four times over, once for each router
that takes it in. For every parameter, body and answer of every copy, the documented errors included,
FastAPI has Pydantic make a type adapter at once: 4200 in the API server, of which requests use a few dozen.
With this fix an adapter is made when it is first asked for. That is only done where making it cannot fail:
a wrong annotation is told when the route is declared, as ever.

Private names used here: FastAPI's `ModelField.__post_init__`, and `_type_adapter`, which it sets.
"""

from __future__ import annotations

import datetime
import decimal
import enum
import threading
import types
import typing
import uuid
from typing import TYPE_CHECKING, Any

from orrery.backports.patch import wrap

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

_ADAPTER = "_type_adapter"
_PLAIN = frozenset(
    {str, int, float, bool, bytes, type(None), uuid.UUID, decimal.Decimal}
    | {datetime.datetime, datetime.date, datetime.time, datetime.timedelta, list, dict}
)
_COMPOUND = frozenset({list, set, frozenset, tuple, dict, typing.Union, types.UnionType})


def apply(compat: ModuleType) -> None:
    """Mend `fastapi._compat.v2`."""

    def make_now_or_later(original: Callable[[Any], None]) -> Callable[[Any], None]:
        def post_init(self: Any) -> None:
            if not is_certain(self.field_info):
                original(self)

        setattr(compat.ModelField, _ADAPTER, _Later(original))
        return post_init

    wrap(compat.ModelField, "__post_init__", make_now_or_later)


class _Later:
    """Stands on the class for what `make` sets on an instance: found there by who asks before it was set."""

    def __init__(self, make: Callable[[Any], None]) -> None:
        self._make = make
        # Making it silences some warnings for a moment, which only one thread at a time may do.
        self._lock = threading.Lock()

    def __get__(self, field: Any, owner: type | None = None) -> Any:
        if field is None:
            return self
        with self._lock:
            if _ADAPTER not in vars(field):
                self._make(field)
        return vars(field)[_ADAPTER]


def is_certain(field_info: Any) -> bool:
    """Tell whether a type adapter for it can be made for sure.

    Further conditions on the value, and the choice of a model by a field, may not suit the type.
    """
    return not field_info.metadata and field_info.discriminator is None and _is_certain(field_info.annotation)


def _is_certain(annotation: Any) -> bool:
    origin = typing.get_origin(annotation)
    if origin in _COMPOUND:
        return all(each is ... or _is_certain(each) for each in typing.get_args(annotation))
    if not isinstance(annotation, type) or origin is not None:
        return False
    if annotation in _PLAIN:
        return True
    # By then Pydantic has made a model's own schema, which the adapter takes.
    return bool(vars(annotation).get("__pydantic_complete__")) or _is_plain_enum(annotation)


def _is_plain_enum(annotation: type) -> bool:
    return issubclass(annotation, enum.Enum) and not hasattr(annotation, "__get_pydantic_core_schema__")
