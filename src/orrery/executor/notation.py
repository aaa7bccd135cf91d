"""Amounts in writing: in Kubernetes' notation for programs, in words for people."""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal
from typing import Literal

from orrery.executor.quantity import GIB, MIB

_UNITS = (("Ti", 1024 * GIB), ("Gi", GIB), ("Mi", MIB), ("Ki", 1024))


def cpu_notation(amount_millicores: int) -> str:
    """Return Kubernetes' notation: `2`, `500m`."""
    whole, rest = divmod(amount_millicores, 1000)
    return f"{amount_millicores}m" if rest else str(whole)


def bytes_notation(amount_bytes: int) -> str:
    """Return Kubernetes' notation in the largest unit that says it exactly: `1Gi`, `1536Mi`, `1000001`."""
    for unit, size in _UNITS:
        if amount_bytes and amount_bytes % size == 0:
            return f"{amount_bytes // size}{unit}"
    return str(amount_bytes)


def cpu_text(amount_millicores: int) -> str:
    """Return words for people: `0.5 CPU`."""
    return f"{amount_millicores / 1000:.3f}".rstrip("0").rstrip(".") + " CPU"


def bytes_text(amount_bytes: int, *, rounding: Literal["nearest", "up", "down"] = "nearest") -> str:
    """Return words for people: `1.2 GiB`, `512 MiB`.

    Who compares two amounts rounds what is asked up and what is there down: then the words never say
    that 2 GiB do not fit into 2 GiB.
    """
    unit, size = next(((unit, size) for unit, size in _UNITS[:2] if amount_bytes >= size), ("Mi", MIB))
    mode = {"nearest": ROUND_HALF_EVEN, "up": ROUND_CEILING, "down": ROUND_FLOOR}[rounding]
    number = (Decimal(amount_bytes) / size).quantize(Decimal("0.01"), rounding=mode)
    return f"{number:f}".rstrip("0").rstrip(".") + f" {unit}B"
