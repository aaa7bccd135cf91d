"""The table as a picture: a pair of bars per figure, with ranges and targets. Plain SVG, no library."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from benchmarks.lab.figures import number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.lab.figures import Row

_COLOURS = {"stock": "#9aa5b1", "orrery": "#2f6fde"}
_OTHER = ("#d08c2e", "#4f9d69", "#a05bb5", "#c0504d")
_LABELS, _BARS, _VALUES = 290, 400, 170
_BAR, _GAP, _TOP = 13, 14, 50


def svg(made: Sequence[Row], sides: Sequence[str], *, title: str) -> str:
    """Return the picture. Each figure has a scale of its own, from 0 to the largest value in it."""
    others = [side for side in sides if side not in _COLOURS]
    colours = _COLOURS | {side: _OTHER[n % len(_OTHER)] for n, side in enumerate(others)}
    drawn = [row for row in made if row.spreads]
    parts: list[str] = [_text(12, 22, title, size=15, weight="bold")]
    for place, side in enumerate(sides):
        x = _LABELS + place * 110
        parts.append(f'<rect x="{x}" y="31" width="11" height="11" fill="{colours[side]}"/>')
        parts.append(_text(x + 16, 41, side))
    parts.append(_text(_LABELS + len(sides) * 110, 41, "| milestone   ¦ goal"))
    y = _TOP + 6
    for row in drawn:
        parts += _row(row, sides, colours, y)
        y += len(sides) * _BAR + _GAP
    width, height = _LABELS + _BARS + _VALUES, y + 4
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"'
        f' viewBox="0 0 {width} {height}" font-family="sans-serif">\n'
        f'<rect width="{width}" height="{height}" fill="white"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _row(row: Row, sides: Sequence[str], colours: dict[str, str], y: float) -> list[str]:
    targets = [(row.target.milestone, ""), (row.target.goal, "2 2")]
    ends = [spread.highest for spread in row.spreads.values()]
    longest = max([*ends, *(wanted for wanted, _ in targets if wanted is not None)])
    scale = _BARS / longest if longest > 0 else 0.0
    middle = y + len(sides) * _BAR / 2 + 4
    parts = [_text(_LABELS - 10, middle, row.figure, anchor="end")]
    for place, side in enumerate(sides):
        spread = row.spreads.get(side)
        top = y + place * _BAR
        if spread is None:
            parts.append(_text(_LABELS + 4, top + 10, "not measured"))
            continue
        length = max(0.0, spread.median) * scale
        parts.append(_box(_LABELS, top, length, colours[side]))
        low, high = max(0.0, spread.lowest) * scale, max(0.0, spread.highest) * scale
        if spread.rounds > 1:
            parts.append(_line((_LABELS + low, top + 5.5), (_LABELS + high, top + 5.5), "#222"))
        parts.append(_text(_LABELS + max(length, high) + 5, top + 10, number(spread.median)))
    for wanted, dashes in targets:
        if wanted is not None:
            x = _LABELS + wanted * scale
            parts.append(_line((x, y - 3), (x, y + len(sides) * _BAR + 1), "#c22", dashes))
    return parts


def _box(x: float, y: float, width: float, colour: str) -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{_BAR - 2}"'
    return f'<rect class="bar" {place} fill="{colour}"/>'


def _line(begin: tuple[float, float], end: tuple[float, float], colour: str, dashes: str = "") -> str:
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    ends = 'x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"'.format(*begin, *end)
    return f'<line {ends} stroke="{colour}"{dashed}/>'


def _text(
    x: float, y: float, words: str, *, size: int = 11, anchor: str = "start", weight: str = "normal"
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}"'
        f' font-weight="{weight}">{escape(words)}</text>'
    )
