"""The example's rules: which rows of the register are airports."""

from __future__ import annotations

from typing import Any

import pytest
from examples.airports.include.airports import rules
from hypothesis import given
from hypothesis import strategies as st

TROMSO: dict[str, Any] = {
    "icao": "ENTC",
    "iata": "TOS",
    "name": " Tromso Airport ",
    "city": "Tromso",
    "subd": "",
    "country": "NO",
    "elevation": 31.4,
    "lat": 69.6833,
    "lon": 18.9189,
    "tz": "Europe/Oslo",
    "lid": "",
}


def test_a_right_row_becomes_an_airport() -> None:
    airports, rejects = rules.sort_out([TROMSO])

    assert rejects == []
    assert airports == [
        rules.Airport(
            icao="ENTC",
            iata="TOS",
            name="Tromso Airport",
            city="Tromso",
            subdivision=None,
            country="NO",
            region="Europe",
            elevation_ft=31,
            latitude=69.6833,
            longitude=18.9189,
            timezone="Europe/Oslo",
        )
    ]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"icao": "_YEH"}, "the code is not four letters or digits"),
        ({"icao": "entc"}, "the code is not four letters or digits"),
        ({"iata": "TO"}, "the IATA code"),
        ({"name": "  "}, "the name is missing"),
        ({"country": "Norway"}, "the country"),
        ({"lat": 96.0}, "the latitude"),
        ({"lon": -180.1}, "the longitude"),
        ({"lat": 0.0, "lon": 0.0}, "nobody lands there"),
        ({"elevation": 30_000.0}, "the elevation"),
        ({"tz": "Mars/Olympus"}, "the time zone"),
        ({"lat": None}, "of the wrong type"),
    ],
)
def test_a_wrong_row_is_rejected_with_the_reason(change: dict[str, Any], reason: str) -> None:
    row = TROMSO | change

    airports, (reject,) = rules.sort_out([row])

    assert airports == []
    assert reason in reject.reason
    assert reject.icao == row["icao"]
    assert reject.row == row


def test_a_missing_value_is_a_reject_and_no_crash() -> None:
    row = {key: value for key, value in TROMSO.items() if key != "elevation"}

    _, (reject,) = rules.sort_out([row])

    assert "elevation" in reject.reason


def test_a_code_that_comes_twice_is_kept_once() -> None:
    airports, (reject,) = rules.sort_out([TROMSO, TROMSO | {"name": "Another"}])

    assert [airport.name for airport in airports] == ["Tromso Airport"]
    assert reject.reason == "the code came before"


@given(
    st.lists(
        st.fixed_dictionaries(
            {},
            optional={
                "icao": st.text(max_size=5) | st.just("ENTC"),
                "iata": st.none() | st.text(max_size=4),
                "name": st.text(max_size=3) | st.integers(),
                "lat": st.floats(),
                "tz": st.sampled_from(["Europe/Oslo", "", "Asia"]),
            },
        )
    )
)
def test_no_row_is_lost_or_counted_twice(changes: list[dict[str, Any]]) -> None:
    rows = [TROMSO | change for change in changes]

    airports, rejects = rules.sort_out(rows)

    assert len(airports) + len(rejects) == len(rows)
    assert len({airport.icao for airport in airports}) == len(airports)
