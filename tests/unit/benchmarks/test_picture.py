"""The picture is valid SVG, and its bars are as long as its numbers."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from benchmarks.lab.figures import Observation, Target, rows
from benchmarks.lab.picture import svg

SVG = "{http://www.w3.org/2000/svg}"


def drawn(
    values: dict[str, list[float]], *, target: Target | None = None, title: str = "t"
) -> ElementTree.Element:
    observations = [
        Observation(round=n, side=side, figure="chain <40> & more", value=value)
        for side, of_side in values.items()
        for n, value in enumerate(of_side)
    ]
    targets = {"chain <40> & more": target} if target else {}
    text = svg(rows(observations, targets), tuple(values), title=title)
    return ElementTree.fromstring(text)  # noqa: S314 - written by the line above


def bars(picture: ElementTree.Element) -> list[float]:
    return [float(box.get("width", 0)) for box in picture.iter(f"{SVG}rect") if box.get("class") == "bar"]


def texts(picture: ElementTree.Element) -> list[str]:
    return [text.text or "" for text in picture.iter(f"{SVG}text")]


def test_bars_are_in_proportion_to_the_medians() -> None:
    stock, orrery = bars(drawn({"stock": [40.0], "orrery": [10.0]}))
    assert stock == pytest.approx(4 * orrery)


def test_words_with_signs_of_xml_are_escaped() -> None:
    picture = drawn({"stock": [1.0]}, title="a < b & c")
    assert "chain <40> & more" in texts(picture)
    assert "a < b & c" in texts(picture)


def test_a_target_is_a_line_at_its_place_and_a_goal_a_dashed_one() -> None:
    target = Target(figure="chain <40> & more", milestone=20, goal=10)
    lines = list(drawn({"stock": [40.0]}, target=target).iter(f"{SVG}line"))
    milestone, goal = (float(line.get("x1", 0)) for line in lines)
    assert milestone > goal
    assert [line.get("stroke-dasharray") for line in lines] == [None, "2 2"]


def test_several_rounds_show_their_range() -> None:
    assert len(list(drawn({"stock": [1.0, 2.0, 4.0]}).iter(f"{SVG}line"))) == 1


def test_no_bar_is_longer_than_the_picture_when_a_target_is_far_away() -> None:
    picture = drawn({"stock": [1.0]}, target=Target(figure="chain <40> & more", milestone=1000))
    assert max(bars(picture)) < float(picture.get("width", 0))


@pytest.mark.parametrize("values", [[0.0], [-3.0], [float("nan")]])
def test_nothing_and_less_than_nothing_can_be_drawn(values: list[float]) -> None:
    assert all(length >= 0 for length in bars(drawn({"stock": values})))
