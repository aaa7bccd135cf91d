"""The example's report: where a dot lies on the map, and what the page says."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import pytest
from examples.airports.include.airports import page, reports, rules, source, world_map

if TYPE_CHECKING:
    from pathlib import Path

SUMMARY: dict[str, Any] = {
    "airports": 28_285,
    "countries": 234,
    "with_iata": 7_871,
    "changed": 12,
    "regions": [["Americas", 18_898], ["Europe", 2_948]],
    "top_countries": [["US", 12_579]],
    "highest": [["SPNH", "Laguna <script>alert(1)</script>", "PE", 14_965]],
    "northernmost": [["CYLT", "Alert Airport", "CA", 82.5178]],
    "quarantine": [["_YEH", "Yinchuan & Helanshan", "the code is not four letters or digits"]],
}


class Reader(HTMLParser):
    """Collects what a browser would: the tags and the text, with each tag closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.text = ""
        self.images: list[str | None] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag == "img":
            self.images.append(dict(attrs)["src"])
        if tag not in {"meta", "img"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def read(text: str) -> Reader:
    reader = Reader()
    reader.feed(text)
    assert reader.open == []
    return reader


def test_the_page_says_the_numbers_and_shows_the_picture_beside_it() -> None:
    reader = read(page.html(SUMMARY, picture="/srv/reports/airports.png"))

    assert reader.images == ["airports.png"]
    for text in ("28,285", "234", "7,871", "18,898", "14,965 ft", "82.52°", "In quarantine (1)", "_YEH"):
        assert text in reader.text


def test_text_from_the_data_stays_text() -> None:
    reader = read(page.html(SUMMARY, picture="airports.png"))

    assert "script" not in reader.tags
    assert "Laguna <script>alert(1)</script>" in reader.text
    assert "Yinchuan & Helanshan" in reader.text


def test_an_empty_warehouse_makes_a_page_too() -> None:
    empty: dict[str, Any] = {key: [] if isinstance(value, list) else 0 for key, value in SUMMARY.items()}

    assert "every row passed every rule" in read(page.html(empty, picture="airports.png")).text


def test_every_region_has_a_colour() -> None:
    assert set(rules.REGION_OF_AREA.values()) == set(world_map.COLOURS)


@pytest.mark.parametrize("latitude", range(-90, 91, 15))
@pytest.mark.parametrize("longitude", range(-180, 181, 30))
def test_every_place_on_earth_lies_between_the_title_and_the_legend(longitude: int, latitude: int) -> None:
    x, y = world_map.pixel(longitude, latitude)

    assert 0 < x / world_map.SCALE < world_map.WIDTH
    assert 120 < y / world_map.SCALE < 880


def test_the_projection_is_equal_earth() -> None:
    # Edge of the world in the projection's paper: x of (180, 0) and y of (0, 90).
    assert world_map.projected(180, 0) == pytest.approx((2.7066, 0), abs=1e-4)
    assert world_map.projected(0, 90) == pytest.approx((0, 1.3173), abs=1e-4)
    east, north = world_map.projected(18.9, 69.7)
    assert world_map.projected(-18.9, -69.7) == pytest.approx((-east, -north))


def test_a_flaky_register_fails_the_first_attempt_only() -> None:
    with pytest.raises(ConnectionError, match="attempt 1"):
        source.read_register(attempt=1, flaky=True)


def test_a_report_replaces_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRPORTS_REPORTS", str(tmp_path / "reports"))

    reports.save("airports.html", b"old")
    path = reports.save("airports.html", b"new")

    assert path.read_bytes() == b"new"
    assert [file.name for file in path.parent.iterdir()] == ["airports.html"]
    assert path.stat().st_mode & 0o777 == 0o644
