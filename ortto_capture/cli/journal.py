"""``tail`` and ``export``: what happened."""

from __future__ import annotations

import csv
import json
import re
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from itertools import takewhile
from operator import attrgetter, itemgetter
from pathlib import Path
from typing import Any

import click

from .. import Captured
from ..console.rows import Rows
from ..model import Activity
from .account import (
    CONFIGURATION,
    Account,
    Failed,
    destination,
    output_option,
    with_account,
)
from .selection import PAGE, check_activities, check_cursor, every, selected, selecting
from .show import Column, Table, document, hint, json_option, moment, on_terminal, safe

#: Seconds between two looks of ``tail -f``.
PAUSE = 0.5
#: No backend keeps so many refused requests.
ALL_REFUSED = 100_000

sensitive_option = click.option(
    "--show-sensitive", is_flag=True, help="Show what is declared sensitive, too."
)


CAPTURED = [
    Column("TIME (UTC)", lambda row: moment(row["received_at"]), "dim"),
    Column("PERSON", itemgetter("person")),
    Column("ACTIVITY", itemgetter("activity_id"), "bold"),
    Column("ATTRIBUTES", lambda row: document(row["attributes"])),
]
_WHY = itemgetter("code", "reason", "field", "expected")
_REFUSED = [
    Column("TIME (UTC)", lambda row: moment(row["at"]), "dim"),
    Column("PERSON", lambda row: row["person"] or "-"),
    Column("ACTIVITY", lambda row: row["activity_id"] or f"({row['route']})", "bold"),
    # Where the reason is but the code again, once is enough.
    Column("WHY", lambda row: " · ".join(filter(None, dict.fromkeys(_WHY(row)))), "yellow"),
]
#: Programs get each of them alone.
_REFUSED_PLAIN = [
    Column("", itemgetter(name))
    for name in ("at", "code", "reason", "route", "person", "activity_id", "field", "expected")
]


@click.command()
@click.option("-f", "--follow", is_flag=True, help="Go on as they arrive, until Ctrl-C.")
@click.option(
    "-n", "--number", type=click.IntRange(0), default=20, show_default=True, help="How many first."
)
@click.option("--refused", is_flag=True, help="What was refused, and exactly why.")
@selecting
@sensitive_option
@json_option
@with_account
def tail(
    account: Account,
    /,
    follow: bool,
    number: int,
    refused: bool,
    show_sensitive: bool,
    as_json: bool,
    **chosen: Any,
) -> None:
    """Show the latest activities."""
    backends, wanted = account.backends, selected(account, **chosen)
    rows = Rows(backends, show_sensitive=show_sensitive)
    begun: Iterable[Any]
    kept: Callable[[], Iterable[Any]]
    cursor: Any = wanted.after
    look: Any
    if refused:
        columns, draw = (_REFUSED if on_terminal() else _REFUSED_PLAIN), rows.refused
        if backends.outcomes is None:
            raise Failed("these backends do not remember what was refused", CONFIGURATION)
        look, place, cursor = backends.outcomes.refused, attrgetter("number"), _number(cursor)
        begun, kept = look(cursor, ALL_REFUSED), partial(look, 0, ALL_REFUSED)
    else:
        columns, draw = CAPTURED, partial(_with_cursor, rows)
        look, place = backends.journal.after, attrgetter("cursor")
        check_cursor(backends.journal, cursor)
        # At least one, even where none is to be shown: it says where to go on.
        latest = max(number, 1)
        begun = backends.journal.latest(latest) if wanted.everything else every(look, cursor)
        kept = partial(every, look)
    # What is followed may come yet.
    if not follow:
        check_activities(account, wanted, kept)
    first: deque[Any] = deque(maxlen=number)
    for row in begun:
        cursor = place(row)
        if wanted(row):
            first.append(row)
    table = Table(columns, as_json=as_json)
    with suppress(KeyboardInterrupt):
        if not (table.show(map(draw, first)) or follow):
            hint("Nothing was refused so far." if refused else "Nothing arrived so far.")
        while follow:
            if page := look(cursor, PAGE):
                cursor = place(page[-1])
                table.show([draw(row) for row in page if wanted(row)])
            else:
                time.sleep(PAUSE)


def _number(after: str) -> int:
    """Where refused requests go on: a number of theirs."""
    if after and not after.isdecimal():
        raise click.BadParameter(f"{after!r} is no number of a refused request")
    return int(after or 0)


def _with_cursor(rows: Rows, captured: Captured) -> dict[str, Any]:
    """A row with what ``--after`` goes on from."""
    return {**rows.captured(captured), "cursor": captured.cursor}


@click.command()
@click.option(
    "--format",
    "form",
    type=click.Choice(["jsonl", "csv"]),
    default="jsonl",
    show_default=True,
    help="jsonl loses nothing; csv is for spreadsheets.",
)
@output_option
@selecting
@sensitive_option
@with_account
def export(
    account: Account,
    /,
    form: str,
    output: Path | None,
    show_sensitive: bool,
    **chosen: Any,
) -> None:
    """Write out activities, oldest first."""
    journal, wanted = account.backends.journal, selected(account, **chosen)
    check_cursor(journal, wanted.after)
    check_activities(account, wanted, partial(every, journal.after))
    rows = Rows(account.backends, show_sensitive=show_sensitive)
    until = max((row.position for row in journal.latest(1)), default=0)

    def everything() -> Iterator[Captured]:
        found = every(journal.after, wanted.after)
        return (row for row in takewhile(lambda row: row.position <= until, found) if wanted(row))

    with destination(output) as file:
        if form == "jsonl":
            for row in everything():
                file.write(document(_with_cursor(rows, row)) + "\n")
            return
        keys = sorted({key for row in everything() for key in row.attributes})
        names = [*_FIELDS, *keys]
        writer = csv.DictWriter(file, names, extrasaction="ignore", quoting=csv.QUOTE_ALL)
        writer.writeheader()
        for row in everything():
            shown = _with_cursor(rows, row)
            shown |= shown["attributes"]
            writer.writerow({name: cell(value) for name, value in shown.items()})


_FIELDS = [
    "position",
    *(name for name in Activity._fields if name != "attributes"),
    *("person", "cursor"),
]

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
