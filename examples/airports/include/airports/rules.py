"""What makes a row of the register an airport that we keep. Pure: rows in, airports and rejects out."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

#: Area of a time zone name -> region. The register knows no continents, but every airport has a time zone.
REGION_OF_AREA = {
    "Africa": "Africa",
    "America": "Americas",
    "Antarctica": "Oceans and poles",
    "Arctic": "Oceans and poles",
    "Asia": "Asia",
    "Atlantic": "Oceans and poles",
    "Australia": "Oceania",
    "Europe": "Europe",
    "Indian": "Oceans and poles",
    "Pacific": "Oceania",
}

#: What is wrong -> how to tell that a row is right. The first rule that fails names the reject.
RULES: dict[str, Callable[[Mapping[str, Any]], bool]] = {
    "the code is not four letters or digits": lambda row: bool(re.fullmatch(r"[A-Z0-9]{4}", row["icao"])),
    "the IATA code is not three letters or digits": lambda row: bool(
        re.fullmatch(r"([A-Z0-9]{3})?", row["iata"])
    ),
    "the name is missing": lambda row: bool(row["name"].strip()),
    "the country is not a two-letter code": lambda row: bool(re.fullmatch(r"[A-Z]{2}", row["country"])),
    "the latitude is not within 90 degrees": lambda row: -90 <= row["lat"] <= 90,
    "the longitude is not within 180 degrees": lambda row: -180 <= row["lon"] <= 180,
    "the position is 0, 0: nobody lands there": lambda row: (row["lat"], row["lon"]) != (0, 0),
    "the elevation is not on this planet": lambda row: -1_500 <= row["elevation"] <= 29_100,
    "the time zone belongs to no region": lambda row: row["tz"].partition("/")[0] in REGION_OF_AREA,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Airport:
    """One airport that passed every rule. Elevation in feet, as aviation has it."""

    icao: str
    iata: str | None
    name: str
    city: str | None
    subdivision: str | None
    country: str
    region: str
    elevation_ft: int
    latitude: float
    longitude: float
    timezone: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Reject:
    """A row that broke a rule, and which one."""

    icao: str
    reason: str
    row: Mapping[str, Any]


def fault(row: Mapping[str, Any]) -> str | None:
    """Return what is wrong with a row, or None."""
    for reason, is_right in RULES.items():
        try:
            if not is_right(row):
                return reason
        except (KeyError, TypeError, AttributeError) as error:
            return f"a value is missing or of the wrong type ({error})"
    return None


def airport(row: Mapping[str, Any]) -> Airport:
    """Return the airport that a right row describes."""
    return Airport(
        icao=row["icao"],
        iata=row["iata"] or None,
        name=row["name"].strip(),
        city=row["city"] or None,
        subdivision=row["subd"] or None,
        country=row["country"],
        region=REGION_OF_AREA[row["tz"].partition("/")[0]],
        elevation_ft=round(row["elevation"]),
        latitude=row["lat"],
        longitude=row["lon"],
        timezone=row["tz"],
    )


def sort_out(rows: Iterable[Mapping[str, Any]]) -> tuple[list[Airport], list[Reject]]:
    """Part rows into airports and rejects; a code that comes twice is kept once."""
    airports: dict[str, Airport] = {}
    rejects: list[Reject] = []
    for row in rows:
        reason = fault(row)
        if reason is None and row["icao"] in airports:
            reason = "the code came before"
        if reason is None:
            airports[row["icao"]] = airport(row)
        else:
            rejects.append(Reject(icao=str(row.get("icao", "")), reason=reason, row=row))
    return list(airports.values()), rejects
