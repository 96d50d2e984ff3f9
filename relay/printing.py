"""How commands show times and tables on a terminal."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

import click


def moment(unix: float | None) -> str:
    """A time as people of this machine's zone write it; "never" for none."""
    if not unix:
        return "never"
    return datetime.datetime.fromtimestamp(unix).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def one_line(text: str) -> str:
    """What others wrote, without what a terminal would obey."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


def print_table(rows: Sequence[tuple[str, ...]]) -> None:
    """Print rows of equally many cells, the heading first."""
    rows = [tuple(map(one_line, row)) for row in rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
