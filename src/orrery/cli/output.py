"""What commands share on their way out: `-o json`, tables, colours only on a terminal."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, TypeVar

import click

Format = Literal["table", "json"]
F = TypeVar("F", bound=Callable[..., Any])


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
    click.echo(json.dumps(value, indent=2, default=str, ensure_ascii=False))


def print_table(
    headings: Sequence[str], rows: Iterable[Sequence[object]], *, title: str | None = None
) -> None:
    """Print a plain table for people; `None` becomes an empty cell."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*("" if cell is None else str(cell) for cell in row))
    # What stands in a cell is shown as it is: a path with brackets is no markup.
    Console(markup=False, emoji=False).print(table)


def print_facts(facts: Iterable[tuple[str, object]]) -> None:
    """Print name and value pairs in two columns; pairs without a value are left out."""
    pairs = [(name, str(value)) for name, value in facts if value not in (None, "")]
    width = max((len(name) for name, _ in pairs), default=0)
    for name, value in pairs:
        click.echo(f"{click.style(name.ljust(width), dim=True)}  {value}")
