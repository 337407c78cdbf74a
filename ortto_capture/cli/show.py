"""What people and programs get to see: tables on a terminal, plain lines elsewhere, or JSON.

The law of this file: what a stranger wrote is shown as text and nothing else. Whatever a terminal
might obey or hide (control characters, ESC, bidirectional and zero-width marks) is shown as the
escape that JSON has for it, and rich never sees markup. Plain lines are for programs: one record a
line, values separated by tabs, nothing folded, no heading, no colour.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

import click

if TYPE_CHECKING:
    from rich.console import Console

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


class Column(NamedTuple):
    """One column: its title, how a record is written in it, and rich's name of a style."""

    title: str
    text: Callable[[Any], str]
    style: str | Callable[[Any], str] = ""


def safe(text: str) -> str:
    """``text`` with everything that is not printable as JSON would escape it."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else json.dumps(each)[1:-1] for each in text)


def say(text: str, *, err: bool = False) -> None:
    """Print lines, made safe."""
    click.echo("\n".join(map(safe, text.split("\n"))), err=err)


def apart() -> None:
    """Leave a line free between two things, where people look."""
    if on_terminal():
        click.echo()


def hint(text: str) -> None:
    """Tell a person what to do next; programs are told nothing."""
    if sys.stderr.isatty():
        say(text, err=True)


def counted(number: int, one: str, several: str = "") -> str:
    """A number and its noun: ``1 problem``, ``3 problems``."""
    return f"{number:,} {one if number == 1 else several or one + 's'}"


def on_terminal() -> bool:
    """Whether a person reads what is printed."""
    return sys.stdout.isatty()


def moment(name: str) -> Callable[[Mapping[str, Any]], str]:
    """How the time ``name`` of a record is written: exactly, or to the second for people."""

    def written(row: Mapping[str, Any]) -> str:
        time: str = row[name]
        return time[:19].replace("T", " ") if on_terminal() else time

    return written


def document(value: Any, *, indent: int | None = 2) -> str:
    """``value`` as JSON that is safe to look at, and loses nothing: JSON reads the escapes."""
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    return "\n".join(map(safe, text.split("\n")))


def _console() -> Console:
    from rich.console import Console

    # Made for each use: a terminal may have been resized since.
    return Console(markup=False, emoji=False, highlight=False)


class Table:
    """Records, one a line; shown in as many parts as they come in.

    :param columns: what people see on a terminal.
    :param plain: what programs see elsewhere, when that is more.
    :param heading: what stands above the records that have it in common, on a terminal.
    :param as_json: one JSON object a line instead, wherever it goes.
    """

    def __init__(
        self,
        columns: Sequence[Column],
        *,
        as_json: bool,
        plain: Sequence[Column] | None = None,
        heading: Callable[[Any], str] | None = None,
    ) -> None:
        self._columns = columns
        self._plain = plain or columns
        self._heading = heading or (lambda _: "")
        self._json = as_json
        self._widths = [len(column.title) for column in columns]
        self._above: str | None = None

    def show(self, records: Iterable[Mapping[str, Any]]) -> int:
        """Print the records, and return how many there were."""
        if on_terminal() and not self._json:
            shown = list(records)
            for above, alike in groupby(shown, self._heading):
                self._draw(above, list(alike))
            return len(shown)
        count = 0
        for each in records:
            cells = (safe(column.text(each)) for column in self._plain)
            click.echo(document(each, indent=None) if self._json else "\t".join(cells))
            count += 1
        return count

    def _draw(self, above: str, records: Sequence[Mapping[str, Any]]) -> None:
        from rich.cells import cell_len
        from rich.table import Table as Drawn
        from rich.text import Text

        console = _console()
        rows = [[safe(column.text(each)) for column in self._columns] for each in records]
        # Remembered, so that the parts line up.
        self._widths = [
            max(width, *map(cell_len, column))
            for width, column in zip(self._widths, zip(*rows, strict=True), strict=True)
        ]
        first, new = self._above is None, above != self._above
        self._above = above
        if new and above:
            console.print(Text(("" if first else "\n") + above, "bold"))
        drawn = Drawn(box=None, show_header=first, pad_edge=False, padding=(0, 2, 0, 0))
        for column, width in zip(self._columns, _fitting(self._widths, console.width), strict=True):
            drawn.add_column(column.title, header_style="dim", width=width, overflow="fold")
        for each, cells in zip(records, rows, strict=True):
            styles = [c.style(each) if callable(c.style) else c.style for c in self._columns]
            drawn.add_row(*map(Text, cells, styles))
        console.print(drawn)


def _fitting(wanted: Sequence[int], width: int) -> list[int]:
    """Column widths that fit: the last has a third of the room if it needs it, the widest give."""
    *widths, last = wanted
    room = max(width - 2 * len(wanted), 8 * len(wanted))
    last = min(last, max(room // 3, room - sum(widths)))
    while sum(widths) + last > room:
        widest = max(range(len(widths)), key=widths.__getitem__)
        widths[widest] -= 1
    return [*widths, last]


def record(value: Mapping[str, Any], lines: Mapping[str, str], *, as_json: bool) -> None:
    """Print one thing: as JSON, or as its ``lines``, each with its name in front."""
    if as_json:
        click.echo(document(value, indent=2 if on_terminal() else None))
        return
    if not on_terminal():
        for name, text in lines.items():
            click.echo(f"{name}\t{safe(text)}")
        return
    from rich.table import Table as Drawn
    from rich.text import Text

    drawn = Drawn.grid(padding=(0, 2, 0, 0))
    drawn.add_column(style="dim")
    drawn.add_column(overflow="fold")
    for name, text in lines.items():
        drawn.add_row(Text(name), Text(safe(text)))
    _console().print(drawn)


@contextmanager
def progress(
    what: str, total: int | None = None, *, quiet: bool = False
) -> Iterator[Callable[[int], None]]:
    """Show on stderr how far long work is, if a person is there to see it.

    :param total: how much there is; unknown when left out.
    """
    if quiet or not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task(what, total=total)
        yield lambda done: shown.update(task, completed=done)
