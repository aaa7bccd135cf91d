"""Plain Python that DAGs share: `from include.orbits import longitude`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import combinations

#: Days that a planet takes around the Sun.
PERIODS = {
    "Mercury": 87.97,
    "Venus": 224.70,
    "Earth": 365.26,
    "Mars": 686.98,
    "Jupiter": 4332.59,
    "Saturn": 10759.22,
    "Uranus": 30688.5,
    "Neptune": 60182.0,
}

#: Mean longitude in degrees at noon of 2000-01-01.
STARTS = {
    "Mercury": 252.25,
    "Venus": 181.98,
    "Earth": 100.46,
    "Mars": 355.45,
    "Jupiter": 34.40,
    "Saturn": 49.94,
    "Uranus": 313.23,
    "Neptune": 304.88,
}

EPOCH = datetime(2000, 1, 1, 12, tzinfo=UTC)


def longitude(planet: str, moment: datetime) -> float:
    """Return a planet's mean longitude around the Sun, 0 to 360 degrees."""
    days = (moment - EPOCH).total_seconds() / 86400
    return (STARTS[planet] + 360 * days / PERIODS[planet]) % 360


def closest_pair(degrees: Mapping[str, float]) -> tuple[str, str, float]:
    """Return the two planets with the smallest angle between them, and that angle."""

    def apart(pair: tuple[str, str]) -> float:
        difference = abs(degrees[pair[0]] - degrees[pair[1]])
        return min(difference, 360 - difference)

    first, second = min(combinations(sorted(degrees), 2), key=apart)
    return first, second, apart((first, second))
