"""The rules of this project need no Airflow, and neither do their tests."""

from __future__ import annotations

from include.airports import rules

ROW = {
    "icao": "ENTC",
    "iata": "TOS",
    "name": "Tromso Airport",
    "city": "Tromso",
    "subd": "Troms",
    "country": "NO",
    "elevation": 31.0,
    "lat": 69.6833,
    "lon": 18.9189,
    "tz": "Europe/Oslo",
}


def test_a_good_row_passes():
    airports, rejects = rules.sort_out([ROW])
    assert [airport.region for airport in airports] == ["Europe"]
    assert rejects == []


def test_a_placeholder_code_goes_to_quarantine():
    airports, rejects = rules.sort_out([ROW | {"icao": "_TOS"}])
    assert airports == []
    assert [reject.reason for reject in rejects] == ["the code is not four letters or digits"]
