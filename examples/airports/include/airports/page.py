"""The report as one page of HTML. Pure: numbers in, text out; whatever comes from the data is escaped."""

from __future__ import annotations

from html import escape
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

STYLE = """
:root { color-scheme: light dark; --card: light-dark(#fff, #161d33); --line: light-dark(#dfe4f0, #2a3350);
  --faint: light-dark(#5d6785, #98a3c7); --bar: light-dark(#3b82d6, #60b2ff); }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 70rem; padding: 2rem 1.25rem 4rem; font: 16px/1.5 system-ui, sans-serif;
  background: light-dark(#f5f7fb, #0b1020); color: light-dark(#151b2e, #e8ecf8); }
h1 { margin: 0; font-size: 2rem; } h2 { margin: 0 0 .75rem; font-size: 1.1rem; }
p { margin: .25rem 0 1.5rem; color: var(--faint); }
img { width: 100%; height: auto; border-radius: 12px; display: block; }
.facts { display: grid; gap: 1rem; margin: 1rem 0;
  grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); }
.cards { display: grid; gap: 0 1rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); }
section { margin-bottom: 1rem; }
.facts div, section { background: var(--card); border: 1px solid var(--line); border-radius: 12px; }
.facts div { padding: .8rem 1rem; } .facts b { display: block; font-size: 1.6rem; line-height: 1.2; }
.facts span { color: var(--faint); font-size: .9rem; } section { padding: 1rem 1.2rem; overflow-x: auto; }
table { width: 100%; border-collapse: collapse; font-size: .93rem; }
td { padding: .3rem .6rem .3rem 0; border-top: 1px solid var(--line); vertical-align: top; }
tr:first-child td { border-top: 0; } td:last-child { padding-right: 0; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
meter { width: 100%; min-width: 6rem; height: .8rem; border: 0; border-radius: 9px;
  background: var(--line); appearance: none; }
meter::-webkit-meter-bar { background: var(--line); border: 0; border-radius: 9px; height: .8rem; }
meter::-webkit-meter-optimum-value { background: var(--bar); border-radius: 9px; }
meter::-moz-meter-bar { background: var(--bar); border-radius: 9px; }
code { font-size: .95em; }
"""


def html(summary: Mapping[str, Any], *, picture: str) -> str:
    """Return the page for a summary of the warehouse; the picture lies beside it."""
    facts = "".join(
        f"<div><b>{summary[key]:,}</b><span>{label}</span></div>"
        for key, label in (
            ("airports", "airports"),
            ("countries", "countries and territories"),
            ("with_iata", "with an IATA code"),
            ("changed", "new or changed in this run"),
        )
    )
    left = (
        _card("Regions", _bars(summary["regions"])),
        _card("The highest", _ranking(summary["highest"], "{:,} ft")),
        _card("The northernmost", _ranking(summary["northernmost"], "{:.2f}°")),
    )
    right = _card("Countries with the most airports", _bars(summary["top_countries"]))
    cards = f"<div>{''.join(left)}</div><div>{right}</div>"
    quarantine = _card(f"In quarantine ({len(summary['quarantine'])})", _table(summary["quarantine"]))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Airports of the world</title><style>{STYLE}</style></head><body>"
        "<h1>Airports of the world</h1><p>Written by the DAG <code>airports_report</code>, "
        "after <code>airports_ingest</code> announced new data.</p>"
        f'<img src="{escape(PurePath(picture).name)}" width="1600" height="940" '
        'alt="A map of the world on which every airport is a dot; the dots draw the continents.">'
        f'<div class="facts">{facts}</div><div class="cards">{cards}</div>{quarantine}</body></html>\n'
    )


def _card(title: str, content: str) -> str:
    return f"<section><h2>{title}</h2>{content}</section>"


def _bars(rows: Sequence[Sequence[Any]]) -> str:
    largest = max((count for _, count in rows), default=1)
    return _rows(
        f'<td>{escape(name)}</td><td><meter max="{largest}" value="{count}">{count}</meter></td>'
        f'<td class="number">{count:,}</td>'
        for name, count in rows
    )


def _ranking(rows: Sequence[Sequence[Any]], unit: str) -> str:
    return _rows(
        f"<td><code>{escape(icao)}</code></td><td>{escape(name)}, {escape(country)}</td>"
        f'<td class="number">{unit.format(value)}</td>'
        for icao, name, country, value in rows
    )


def _table(rows: Sequence[Sequence[Any]]) -> str:
    if not rows:
        return "<span>Nothing: every row passed every rule.</span>"
    return _rows(
        f"<td><code>{escape(icao)}</code></td><td>{escape(name)}</td><td>{escape(reason)}</td>"
        for icao, name, reason in rows
    )


def _rows(cells: Iterable[str]) -> str:
    return "<table>" + "".join(f"<tr>{row}</tr>" for row in cells) + "</table>"
