"""Resources: what a task asks for and what a node has, as one value of whole numbers."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from decimal import ROUND_CEILING, Decimal
from operator import le
from typing import TYPE_CHECKING

from orrery.executor import notation, quantity
from orrery.executor.quantity import ResourceError

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    #: Reads one amount and names the key in its errors.
    Reader = Callable[..., int]

__all__ = ["Asked", "ResourceError", "Resources", "nearest"]

#: Amounts above zero, as (index of the resource in `FIELDS`, amount).
Asked = tuple[tuple[int, int], ...]

#: How a task may name them in `executor_config={"resources": ...}`: (our field, how it is read).
_KEYS: dict[str, tuple[str, Reader]] = {
    "cpu": ("cpu_millicores", quantity.millicores),
    "memory": ("memory_bytes", quantity.memory_bytes),
    "gpu": ("gpus", quantity.gpus),
    "disk": ("disk_bytes", quantity.disk_bytes),
}
#: Kubernetes' own names of the same.
_KUBERNETES_NAMES = {"gpu": "nvidia.com/gpu", "disk": "ephemeral-storage"}
_KNOWN = _KEYS | {name: _KEYS[key] for key, name in _KUBERNETES_NAMES.items()}


@dataclass(frozen=True, kw_only=True, slots=True)
class Resources:
    """Amounts of four resources, none below zero. Without arguments: nothing."""

    cpu_millicores: int = 0
    memory_bytes: int = 0
    gpus: int = 0
    disk_bytes: int = 0

    def __post_init__(self) -> None:
        for name, amount in zip(FIELDS, self.amounts, strict=True):
            if type(amount) is not int or amount < 0:
                raise ResourceError(name, amount, "it is no amount", expected="an integer, 0 or more")

    @classmethod
    def parse(cls, value: object, *, default: Resources | None = None) -> Resources:
        """Read a mapping such as `{"cpu": "500m", "memory": "1Gi", "gpu": 1}`.

        A key that is left out has the default's amount.

        Raises:
            ResourceError: a key is unknown or given twice, or a value is wrong.
        """
        amounts = dict((default or cls()).as_mapping())
        seen: dict[str, str] = {}
        for key, entry in _mapping(value).items():
            if key not in _KNOWN:
                raise ResourceError(
                    str(key), entry, "there is no such resource", expected=nearest(key, _KEYS)
                )
            field, read = _KNOWN[key]
            if field in seen:
                raise ResourceError(key, entry, f"'{seen[field]}' says the same", expected="one of the two")
            seen[field] = key
            amounts[field] = read(entry, key=key)
        return cls(**amounts)

    @classmethod
    def from_mapping(cls, value: Mapping[str, Any]) -> Resources:
        """Return what `as_mapping` has written, exactly.

        Raises:
            ResourceError: it has another form.
        """
        unknown = [name for name in value if name not in FIELDS]
        if unknown:
            raise ResourceError(
                unknown[0], value[unknown[0]], "there is no such field", expected=nearest(unknown[0], FIELDS)
            )
        return cls(**value)

    def as_mapping(self) -> dict[str, int]:
        """Return integers by name, units in the names: for JSON and for tables."""
        return dict(zip(FIELDS, self.amounts, strict=True))

    def kubernetes(self) -> dict[str, str]:
        """Return `resources.requests` of a pod; `parse` reads it back."""
        requests = {
            "cpu": notation.cpu_notation(self.cpu_millicores),
            "memory": notation.bytes_notation(self.memory_bytes),
        }
        if self.gpus:
            requests[_KUBERNETES_NAMES["gpu"]] = str(self.gpus)
        if self.disk_bytes:
            requests[_KUBERNETES_NAMES["disk"]] = notation.bytes_notation(self.disk_bytes)
        return requests

    def __str__(self) -> str:
        """Return words for people: `0.5 CPU, 1 GiB, 1 GPU, 10 GiB disk`."""
        parts = [notation.cpu_text(self.cpu_millicores), notation.bytes_text(self.memory_bytes)]
        parts += [f"{self.gpus} GPU"] if self.gpus else []
        parts += [f"{notation.bytes_text(self.disk_bytes)} disk"] if self.disk_bytes else []
        return ", ".join(parts)

    @property
    def amounts(self) -> tuple[int, int, int, int]:
        """The four numbers, in the order of the fields."""
        return (self.cpu_millicores, self.memory_bytes, self.gpus, self.disk_bytes)

    @property
    def asked(self) -> Asked:
        """The amounts above zero, each with its index: what is not asked need not be looked at."""
        return tuple((index, amount) for index, amount in enumerate(self.amounts) if amount)

    def __add__(self, other: Resources) -> Resources:
        return _of(mine + theirs for mine, theirs in zip(self.amounts, other.amounts, strict=True))

    def __sub__(self, other: Resources) -> Resources:
        """Return what is left.

        Raises:
            ResourceError: something of the other does not fit: less than nothing does not exist.
        """
        return _of(mine - theirs for mine, theirs in zip(self.amounts, other.amounts, strict=True))

    def without(self, other: Resources) -> Resources:
        """Return what is left, nothing where the other has more."""
        return _of(max(0, mine - theirs) for mine, theirs in zip(self.amounts, other.amounts, strict=True))

    def scaled(self, factor: float | Decimal) -> Resources:
        """Return all amounts times a factor of at least zero, rounded up to whole ones."""
        exact = Decimal(str(factor))
        return _of(int((amount * exact).to_integral_value(ROUND_CEILING)) for amount in self.amounts)

    def fits(self, room: Resources) -> bool:
        """Tell whether that room has enough of each."""
        return all(map(le, self.amounts, room.amounts))

    def times_in(self, room: Resources) -> int:
        """Return how many of these fit side by side into that room.

        Raises:
            ResourceError: this is nothing, so that any number would fit.
        """
        counts = [theirs // mine for mine, theirs in zip(self.amounts, room.amounts, strict=True) if mine]
        if not counts:
            raise ResourceError("resources", str(self), "nothing is asked", expected="at least CPU or memory")
        return min(counts)


#: The names of the four, in order.
FIELDS = tuple(field.name for field in fields(Resources))


def nearest(name: object, known: Mapping[str, object] | tuple[str, ...]) -> str:
    """Return advice that names the known name most like that one, else all of them."""
    near = difflib.get_close_matches(str(name).lower(), list(known), n=1)
    return f"'{near[0]}'" if near else "one of " + ", ".join(f"'{each}'" for each in known)


def _mapping(value: object) -> Mapping[Any, object]:
    if isinstance(value, Mapping):
        return value
    raise ResourceError(
        "resources", value, "it is no mapping", expected='a mapping such as {"cpu": "500m", "memory": "1Gi"}'
    )


def _of(amounts: Any) -> Resources:
    return Resources(**dict(zip(FIELDS, amounts, strict=True)))
