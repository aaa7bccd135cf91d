"""What commands share on their way out: `-o json`, tables, colours only on a terminal."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, TextIO, TypeVar

import click

Format = Literal["table", "json"]
F = TypeVar("F", bound=Callable[..., Any])

#: Columns of a page that nobody looks at.
_ENDLESS = 100_000


def colours_wanted(environment: Mapping[str, str]) -> bool:
    """Say whether a terminal gets colours: not with NO_COLOR (https://no-color.org), nor with TERM=dumb."""
    return not environment.get("NO_COLOR") and environment.get("TERM") != "dumb"


def is_terminal(stream: TextIO | None) -> bool:
    """Say whether a person looks at a stream; None is one that was closed before we began."""
    return stream is not None and stream.isatty()


def output_option(command: F) -> F:
    """Add `-o/--output table|json`; the function receives it as `output`."""
    return click.option(
        "-o",
        "--output",
        type=click.Choice(["table", "json"]),
        default="table",
        show_default=True,
        help="How to print the result.",
    )(command)


def print_json(value: object) -> None:
    """Print a value as indented JSON on stdout; dates and paths become strings."""
    # Where a letter could not be written it is escaped: JSON must not lose any.
    is_utf = (getattr(sys.stdout, "encoding", None) or "").lower().startswith("utf")
    click.echo(json.dumps(value, indent=2, default=str, ensure_ascii=not is_utf))


def print_table(
    headings: Sequence[str], rows: Iterable[Sequence[object]], *, title: str | None = None
) -> None:
    """Print a plain table for people; `None` becomes an empty cell.

    A terminal gets lines that fit; to a pipe or a file each row is one line.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*("" if cell is None else str(cell) for cell in row))
    # What stands in a cell is shown as it is: a path with brackets is no markup.
    console = Console(
        markup=False,
        emoji=False,
        width=None if is_terminal(sys.stdout) else _ENDLESS,
        color_system="auto" if colours_wanted(os.environ) else None,
    )
    with console.capture() as printed:
        console.print(table)
    click.echo(printed.get(), nl=False)


def print_facts(facts: Iterable[tuple[str, object]]) -> None:
    """Print name and value pairs in two columns; pairs without a value are left out."""
    pairs = [(name, str(value)) for name, value in facts if value not in (None, "")]
    width = max((len(name) for name, _ in pairs), default=0)
    for name, value in pairs:
        click.echo(f"{click.style(name.ljust(width), dim=True)}  {value}")


def duration(seconds: int | None) -> str | None:
    """Return a length of time as people say it, rounded down: `5 min`; None stays None."""
    if seconds is None:
        return None
    if seconds < 60:
        return f"{seconds} s"
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if minutes < 60:
        return f"{minutes} min"
    return f"{hours} h" if hours < 48 else f"{days} d"
