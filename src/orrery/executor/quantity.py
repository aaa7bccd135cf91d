"""Amounts of CPU, memory, disk and GPUs, read from what people write (`notation` writes them).

The notation is Kubernetes': `500m` is half a CPU, `1Gi` is 1024^3 bytes, `250M` is 250 million bytes.
"""

from __future__ import annotations

import re
from decimal import ROUND_CEILING, ROUND_HALF_EVEN, Decimal

from orrery.errors import InputError

MIB = 1024**2
GIB = 1024**3

#: More than any machine has: whoever asks for it has mistaken the unit.
MOST_MILLICORES = 1024 * 1000
MOST_BYTES = 64 * 1024 * GIB
MOST_GPUS = 128
#: Less than any process needs: a plain 512 was meant as megabytes.
FEWEST_BYTES = MIB

_BINARY = {"Ki": 1024, "Mi": MIB, "Gi": GIB, "Ti": 1024**4, "Pi": 1024**5, "Ei": 1024**6}
_DECIMAL = {"k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15, "E": 10**18}
_BYTE_UNITS = {"": 1, **_DECIMAL, **_BINARY}
# Bounded, so that no text makes an integer of a million digits.
_AMOUNT = re.compile(
    r"([+-]?(?:[0-9]{1,30}(?:\.[0-9]{0,30})?|\.[0-9]{1,30})(?:[eE][+-]?[0-9]{1,3})?)([A-Za-z]*)", re.ASCII
)

_HUGE = 10**30

_CPU_EXPECTED = "a number of CPUs such as 0.5, 2 or '500m'"
_BYTES_EXPECTED = "an amount such as '512Mi', '2Gi' or '250M'"
_GPU_EXPECTED = "a whole number of GPUs, 0 or more"


class ResourceError(InputError):
    """A resource request is wrong: which key, what it says, and what it may say."""

    def __init__(self, key: str, value: object, problem: str, *, expected: str) -> None:
        super().__init__(
            f"Resource request: '{key}' is {_shown(value)}: {problem}.", hint=f"Write {expected}."
        )
        self.key = key
        self.value = value
        self.problem = problem
        self.expected = expected


def millicores(value: object, *, key: str = "cpu") -> int:
    """Return thousandths of a CPU: `0.5`, `"0.5"` and `"500m"` are 500.

    Raises:
        ResourceError: it is no amount, not above zero, below 1m or above 1024 CPUs.
    """
    number, unit = _split(value, key, _CPU_EXPECTED)
    if unit not in ("", "m"):
        raise ResourceError(key, value, f"CPUs have no unit '{unit}'", expected=_CPU_EXPECTED)
    amount = number if unit == "m" else number * 1000
    _check_range(key, value, amount, most=(MOST_MILLICORES, "1024 CPUs"), expected=_CPU_EXPECTED)
    # To the nearest: 0.1 + 0.2 is meant as 0.3.
    rounded = int(amount.to_integral_value(ROUND_HALF_EVEN))
    if rounded < 1:
        raise ResourceError(key, value, "it is less than 0.001 CPU, the finest share", expected=_CPU_EXPECTED)
    return rounded


def memory_bytes(value: object, *, key: str = "memory") -> int:
    """Return bytes: `"1Gi"`, `"250M"`, `1073741824`.

    Raises:
        ResourceError: it is no amount, below 1 MiB or above 64 TiB.
    """
    amount = _bytes(value, key)
    if amount == 0:
        raise ResourceError(key, value, "it must be above zero", expected=_BYTES_EXPECTED)
    if amount < FEWEST_BYTES:
        problem = f"{amount} bytes are less than a process needs"
        raise ResourceError(key, value, problem, expected=_meant(value))
    return amount


def disk_bytes(value: object, *, key: str = "disk") -> int:
    """Return bytes of disk; zero means that none is set aside.

    Raises:
        ResourceError: as for memory, except that zero is allowed.
    """
    amount = _bytes(value, key)
    return amount if amount == 0 else memory_bytes(value, key=key)


def gpus(value: object, *, key: str = "gpu") -> int:
    """Return a count of whole GPUs; zero means none.

    Raises:
        ResourceError: it is not a whole number from 0 to 128.
    """
    number, unit = _split(value, key, _GPU_EXPECTED)
    if unit:
        raise ResourceError(key, value, f"GPUs have no unit '{unit}'", expected=_GPU_EXPECTED)
    if number != 0:
        _check_range(key, value, number, most=(MOST_GPUS, f"{MOST_GPUS} GPUs"), expected=_GPU_EXPECTED)
    if number != number.to_integral_value():
        raise ResourceError(key, value, "a GPU is not divided", expected=_GPU_EXPECTED)
    return int(number)


def _bytes(value: object, key: str) -> int:
    number, unit = _split(value, key, _BYTES_EXPECTED)
    if unit not in _BYTE_UNITS:
        raise ResourceError(key, value, f"there is no unit '{unit}'", expected=_meant(value))
    amount = number * _BYTE_UNITS[unit]
    if amount != 0:
        _check_range(key, value, amount, most=(MOST_BYTES, "64 TiB"), expected=_BYTES_EXPECTED)
    return int(amount.to_integral_value(ROUND_CEILING))


def _split(value: object, key: str, expected: str) -> tuple[Decimal, str]:
    """Return number and unit of whatever a DAG or a JSON document holds there."""
    # True is an int to Python, and never an amount to a person.
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal | str):
        kind = "null" if value is None else type(value).__name__
        raise ResourceError(key, value, f"a value of type {kind} is no amount", expected=expected)
    if isinstance(value, str):
        match = _AMOUNT.fullmatch(value.strip())
        if match is None:
            raise ResourceError(key, value, "it is no amount", expected=expected)
        return Decimal(match[1]), match[2]
    if isinstance(value, int) and abs(value) >= _HUGE:
        raise ResourceError(key, value, "no machine has so much", expected=expected)
    # By way of text, so that the float 0.1 is a tenth and not its binary neighbour.
    number = Decimal(value) if isinstance(value, int) else Decimal(str(value))
    if not number.is_finite():
        raise ResourceError(key, value, "it is no finite number", expected=expected)
    return number, ""


def _check_range(key: str, value: object, amount: Decimal, *, most: tuple[int, str], expected: str) -> None:
    number, words = most
    if amount <= 0:
        problem = "it is below zero" if amount else "it must be above zero"
        raise ResourceError(key, value, problem, expected=expected)
    if amount > number:
        raise ResourceError(key, value, f"it is above {words}, more than any machine has", expected=expected)


def _meant(value: object) -> str:
    """Return what was probably meant, for `512` (megabytes), `1GB`, `1gi`."""
    match = _AMOUNT.fullmatch(str(value).strip())
    if match is None or len(str(value)) > 20:
        return _BYTES_EXPECTED
    number, unit = match[1], match[2]
    letter = unit[:1].upper() if unit.lower() not in ("m", "b", "bytes") else ""
    meant = f"{letter}i" if letter and f"{letter}i" in _BINARY else "Mi"
    return f"'{number}{meant}' if that is what you meant, or another amount such as '2Gi'"


def _shown(value: object) -> str:
    if isinstance(value, int) and abs(value) >= _HUGE:
        return "an integer of more than 30 digits"  # Python itself refuses to print the largest
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
