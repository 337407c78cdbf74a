"""What people and programs get to see: tables on a terminal, plain lines elsewhere, or JSON.

The law of this file: what a visitor wrote is shown as text and nothing else. Whatever a terminal
might obey or hide (control characters, ESC, bidirectional and zero-width marks) is shown as the
escape that JSON has for it, and rich never sees markup. Plain lines are for programs: one record a
line, values separated by tabs, nothing folded, no heading, no colour.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import click

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


class Column(NamedTuple):
    """One column: its title, how a record is written in it, and rich's name of a style."""

    title: str
    text: Callable[[Any], str | None]
    style: str = ""


def safe(text: str) -> str:
    """``text`` with everything that is not printable as JSON would escape it."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else json.dumps(each)[1:-1] for each in text)


def say(text: str, *, err: bool = False) -> None:
    """Print lines, made safe."""
    click.echo("\n".join(map(safe, text.split("\n"))), err=err)


def hint(text: str) -> None:
    """Tell a person what to do next; a program is told nothing."""
    if sys.stderr.isatty():
        say(text, err=True)


def on_terminal() -> bool:
    """Whether a person reads what is printed."""
    return sys.stdout.isatty()


def moment(time: str) -> str:
    """An ISO 8601 time: as it is, or to the second for people."""
    return time[:19].replace("T", " ") if on_terminal() else time


def document(value: Any, *, indent: int | None = None) -> str:
    """``value`` as JSON that is safe to look at, and loses nothing: JSON reads the escapes."""
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    return "\n".join(map(safe, text.split("\n")))


class Table:
    """Records, one a line; shown in as many parts as they come in.

    :param as_json: one JSON object a line instead, wherever it goes.
    """

    def __init__(self, columns: Sequence[Column], *, as_json: bool = False) -> None:
        self._columns = columns
        self._json = as_json
        # Above the first part only.
        self._titles = any(column.title for column in columns)

    def show(self, records: Iterable[Any]) -> int:
        """Print the records, and return how many there were."""
        shown = list(records)
        rows = [[safe(column.text(each) or "") for column in self._columns] for each in shown]
        if self._json or not on_terminal():
            for line in map(document, shown) if self._json else map("\t".join, rows):
                click.echo(line)
        elif rows:
            self._draw(rows)
        return len(shown)

    def _draw(self, rows: Sequence[Sequence[str]]) -> None:
        from rich.console import Console
        from rich.table import Table as Drawn
        from rich.text import Text

        drawn = Drawn(box=None, show_header=self._titles, pad_edge=False)
        for title, _, style in self._columns:
            drawn.add_column(title, header_style="dim", style=style, overflow="fold")
        for cells in rows:
            drawn.add_row(*map(Text, cells))
        self._titles = False
        Console(markup=False, emoji=False, highlight=False).print(drawn)
