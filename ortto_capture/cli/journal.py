"""``tail`` and ``export``: what happened."""

from __future__ import annotations

import csv
import json
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import attrgetter, itemgetter
from pathlib import Path
from typing import Any

import click

from .. import Captured, Journal
from ..console.rows import Rows
from .account import Account, Command, destination, output_option, until_told, with_account
from .show import Column, Table, document, hint, json_option, moment, on_terminal, safe

#: Rows asked for at a time.
PAGE = 500
#: Seconds between two looks of ``tail -f``.
PAUSE = 0.5

sensitive_option = click.option(
    "--show-sensitive", is_flag=True, help="Show what is declared sensitive, too."
)

CAPTURED = [
    Column("TIME (UTC)", lambda row: moment(row["received_at"]), "dim"),
    Column("PERSON", itemgetter("person")),
    Column("ACTIVITY", itemgetter("activity_id"), "bold"),
    Column("ATTRIBUTES", lambda row: document(row["attributes"])),
]


def _why(row: dict[str, Any]) -> str:
    # Where the reason is but the code again, once is enough.
    reason = row["reason"] if row["reason"] != row["code"] else ""
    expected = f"expected {row['expected']}" if row["expected"] else ""
    return " · ".join(filter(None, (row["code"], reason, row["field"], expected)))


_REFUSED = [
    Column("TIME (UTC)", lambda row: moment(row["at"]), "dim"),
    Column("PERSON", lambda row: row["person"] or "-"),
    Column("ACTIVITY", lambda row: row["activity_id"] or f"({row['route']})", "bold"),
    Column("WHY", _why, "yellow"),
]
#: Programs get each of them alone.
_REFUSED_PLAIN = [
    Column("", itemgetter(name))
    for name in "at code reason route person activity_id field expected".split()
]


@click.command(cls=Command)
@click.option("-f", "--follow", is_flag=True, help="Go on as they arrive, until Ctrl-C.")
@click.option(
    "-n", "--number", type=click.IntRange(0), default=20, show_default=True, help="How many first."
)
@click.option("--refused", is_flag=True, help="What was refused, and exactly why.")
@sensitive_option
@json_option
@with_account
def tail(
    account: Account, follow: bool, number: int, refused: bool, show_sensitive: bool, as_json: bool
) -> None:
    """Show the latest activities."""
    draw: Callable[[Any], dict[str, Any]]
    look: Callable[[Any, int], Sequence[Any]]
    with until_told():
        backends = account.open()
        rows = Rows(backends, show_sensitive=show_sensitive)
        # Where none are to be shown, one says where to go on.
        first = max(number, 1)
        cursor: Any
        if refused:
            columns = _REFUSED if on_terminal() else _REFUSED_PLAIN
            look, draw, place, cursor = backends.outcomes.refused, rows.refused, "number", 0
            page = look(cursor, first)
        else:
            columns = CAPTURED
            look, draw, place, cursor = backends.journal.after, rows.captured, "cursor", ""
            page = backends.journal.latest(first)
        table = Table(columns, as_json=as_json, even=follow)
        shown = table.show(map(draw, page[:number]))
        if not (shown or follow):
            hint("Nothing was refused so far." if refused else "Nothing arrived so far.")
        while follow:
            cursor = attrgetter(place)(page[-1]) if page else cursor
            page = look(cursor, PAGE)
            if not table.show(map(draw, page)):
                time.sleep(PAUSE)


def _everything(journal: Journal, until: int) -> Iterator[Captured]:
    """The journal up to a position, oldest first."""
    cursor, last = "", 0
    while last < until and (page := journal.after(cursor, PAGE)):
        yield from (row for row in page if row.position <= until)
        cursor, last = page[-1].cursor, page[-1].position


@click.command(cls=Command)
@click.option(
    "--format",
    "form",
    type=click.Choice(["jsonl", "csv"]),
    default="jsonl",
    show_default=True,
    help="jsonl loses nothing; csv is for spreadsheets.",
)
@output_option
@sensitive_option
@with_account
def export(account: Account, form: str, output: Path | None, show_sensitive: bool) -> None:
    """Write out all activities, oldest first."""
    from rich.console import Console
    from rich.progress import track

    backends = account.open()
    rows = Rows(backends, show_sensitive=show_sensitive)
    until = max((row.position for row in backends.journal.latest(1)), default=0)
    # A progress bar would write into the lines that are shown on the same terminal.
    quiet = not sys.stderr.isatty() or (output is None and on_terminal())

    def read(what: str) -> Iterable[Captured]:
        every = _everything(backends.journal, until)
        bar = Console(stderr=True)
        return track(every, what, until, console=bar, transient=True, disable=quiet)

    with destination(output) as file:
        if form == "jsonl":
            for row in read("Writing"):
                file.write(document(rows.captured(row)) + "\n")
            return
        keys = sorted({key for row in read("Looking") for key in row.attributes})
        writer = csv.writer(file, quoting=csv.QUOTE_ALL)
        writer.writerow(map(cell, [*_FIELDS, *keys]))
        for row in read("Writing"):
            values = rows.captured(row)
            attributes = values["attributes"]
            cells = [values[name] for name in _FIELDS] + [attributes.get(key) for key in keys]
            writer.writerow(map(cell, cells))


_FIELDS = [
    "position", "event_id", "received_at", "occurred_at", "activity_id", "person_id", "person",
    "assurance", "source", "gpc",
]  # fmt: skip

#: Where a spreadsheet may see a formula begin: at the start of a cell, and of what it takes for
#: one where its separator is the semicolon. Tabs and line ends are escapes by then.
_FORMULA = re.compile(r'(?:^|;)[ "]*(?=[=+\-@\uff1d\uff0b\uff0d\uff20])')


def cell(value: Any) -> str:
    """A value for a spreadsheet: printable, an apostrophe before what might be run as a formula."""
    if value is None:
        return ""
    if isinstance(value, int | float):
        return json.dumps(value)
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return _FORMULA.sub(r"\g<0>'", safe(text))
