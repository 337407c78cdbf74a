"""``tail``, ``export`` and ``people``: what happened, and who did it."""

from __future__ import annotations

import csv
import json
import re
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from itertools import takewhile
from operator import attrgetter, itemgetter
from pathlib import Path
from typing import Any

import click

from .. import Captured, Person, Refused
from ..console.rows import Rows
from ..model import Activity
from .account import (
    CONFIGURATION,
    Account,
    Failed,
    Group,
    destination,
    output_option,
    with_account,
)
from .show import Column, Table, document, hint, json_option, moment, on_terminal, safe, say

#: Rows asked for at a time.
PAGE = 500
#: Seconds between two looks of ``tail -f``.
PAUSE = 0.5

_sensitive_option = click.option(
    "--show-sensitive", is_flag=True, help="Show what is declared sensitive, too."
)


def _every(look: Callable[[str, int], Sequence[Captured]]) -> Iterator[Captured]:
    """What ``look`` returns, page by page, the oldest first."""
    cursor = ""
    while page := look(cursor, PAGE):
        yield from page
        cursor = page[-1].cursor


_CAPTURED = [
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
@_sensitive_option
@json_option
@with_account
def tail(
    account: Account, follow: bool, number: int, refused: bool, show_sensitive: bool, as_json: bool
) -> None:
    """Show the latest activities."""
    backends = account.backends
    rows = Rows(backends, show_sensitive=show_sensitive)
    # Where none are to be shown, one says where to go on.
    first = max(number, 1)
    page: Sequence[Any]
    draw: Any
    look: Any
    cursor: Any
    if refused:
        columns, draw = (_REFUSED if on_terminal() else _REFUSED_PLAIN), rows.refused
        if backends.outcomes is None:
            raise Failed("these backends do not remember what was refused", CONFIGURATION)
        look, place, cursor = backends.outcomes.refused, attrgetter("number"), 0
        page = look(cursor, first)
    else:
        columns, draw = _CAPTURED, rows.captured
        look, place, cursor = backends.journal.after, attrgetter("cursor"), ""
        page = backends.journal.latest(first)
    table = Table(columns, as_json=as_json)
    with suppress(KeyboardInterrupt):
        shown = table.show(map(draw, page[:number]))
        if not (shown or follow):
            hint("Nothing was refused so far." if refused else "Nothing arrived so far.")
        while follow:
            cursor = place(page[-1]) if page else cursor
            page = look(cursor, PAGE)
            if not table.show(map(draw, page)):
                time.sleep(PAUSE)


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
@_sensitive_option
@with_account
def export(account: Account, form: str, output: Path | None, show_sensitive: bool) -> None:
    """Write out all activities, oldest first."""
    journal = account.backends.journal
    rows = Rows(account.backends, show_sensitive=show_sensitive)
    until = max((row.position for row in journal.latest(1)), default=0)

    def everything() -> Iterator[Captured]:
        return takewhile(lambda row: row.position <= until, _every(journal.after))

    with destination(output) as file:
        if form == "jsonl":
            for row in everything():
                file.write(document(rows.captured(row)) + "\n")
            return
        keys = sorted({key for row in everything() for key in row.attributes})
        names = [*_FIELDS, *keys]
        writer = csv.DictWriter(file, names, extrasaction="ignore", quoting=csv.QUOTE_ALL)
        writer.writeheader()
        for row in everything():
            shown = rows.captured(row)
            shown |= shown["attributes"]
            writer.writerow({name: cell(value) for name, value in shown.items()})


_FIELDS = ["position", *(name for name in Activity._fields if name != "attributes"), "person"]

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


@click.group(cls=Group)
def people() -> None:
    """Who was identified; what is kept about them."""


_KIND = "{kind}={value}".format_map
_PEOPLE = [
    Column("ID", itemgetter("id")),
    Column("KNOWN AS", lambda row: "  ".join(map(_KIND, row["identifiers"])), "bold"),
    Column("NAME", lambda row: " ".join(filter(None, (row["first"], row["last"])))),
    Column("PROVED", itemgetter("assurance")),
    Column("SINCE (UTC)", lambda row: moment(row["created_at"]), "dim"),
]


@people.command()
@click.argument("who", nargs=-1, required=True)
@json_option
@with_account
def find(account: Account, who: tuple[str, ...], as_json: bool) -> None:
    """Find people by e-mail address, external id or person id, whichever it is."""
    capture = account.capture
    lookups = (capture.person, lambda ei: capture.person(ei=ei), capture.backends.people.get)
    found: dict[Person, None] = {}
    unknown = []
    for text in who:
        for lookup in lookups:
            # What cannot be an address may be an id.
            with suppress(Refused):
                if person := lookup(text):
                    found[person] = None
                    break
        else:
            unknown.append(repr(text))
    Table(_PEOPLE, as_json=as_json).show(map(Person.plain, found))
    if unknown:
        raise Failed(f"no person is known as {' or '.join(unknown)}")


_who_argument = click.argument("who")
_ei_option = click.option(
    "--ei", "kind", flag_value="ei", default="email", help="WHO is an external id, not an address."
)


@people.command()
@_who_argument
@_ei_option
@_sensitive_option
@json_option
@with_account
def show(account: Account, who: str, kind: str, show_sensitive: bool, as_json: bool) -> None:
    """Show one person, and the latest ten of what they did."""
    person = account.capture.person(**{kind: who})
    if person is None:
        raise Failed(f"no person is known as {who!r}")
    rows = Rows(account.backends, show_sensitive=show_sensitive)
    timeline = _every(partial(account.backends.journal.of, person.id))
    activities = [rows.captured(each) for each in deque(timeline, 10)]
    if as_json:
        say(document({**person.plain(), "activities": activities}))
    else:
        Table(_PEOPLE).show([person.plain()])
        Table(_CAPTURED).show(activities)


@people.command("export")
@_who_argument
@_ei_option
@output_option
@with_account
def export_person(account: Account, who: str, kind: str, output: Path | None) -> None:
    """Write out everything kept about one person, as JSON."""
    everything = account.capture.export(**{kind: who})
    if everything is None:
        raise Failed(f"no person is known as {who!r}")
    with destination(output) as file:
        file.write(document(everything, indent=2) + "\n")


@people.command()
@_who_argument
@_ei_option
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@with_account
def erase(account: Account, who: str, kind: str, yes: bool, as_json: bool) -> None:
    """Erase one person, and everything they did. There is no way back."""
    capture = account.capture
    if not yes and capture.person(**{kind: who}) is not None:
        said = f"Erase {safe(repr(who))} and all of their activities?"
        click.confirm(said, abort=True, err=True)
    erased = capture.erase(**{kind: who})
    if erased is None:
        raise Failed(f"no person is known as {who!r}")
    said = f"erased, activities: {erased.activities}"
    if not erased.complete:
        said += ", bytes pending: another program reads the store; the next write removes them"
    say(document(erased._asdict()) if as_json else said)
