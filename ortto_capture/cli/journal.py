"""``tail`` and ``export``: what happened."""

from __future__ import annotations

import csv
import json
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import click

from .. import Backends, Captured, Outcome
from ..backends.file import FileBackends
from .account import Account, Command, destination, output_option, with_account
from .show import Column, Table, document, hint, json_option, on_terminal, progress, safe

_MASK = "•••"
#: Rows asked for at a time.
PAGE = 500
#: Seconds between two looks of ``tail -f``.
PAUSE = 0.5

sensitive_option = click.option(
    "--show-sensitive", is_flag=True, help="Show what is declared sensitive, too."
)


class Rows:
    """How activities and refusals are shown: names for people, sensitive values masked.

    :param show_sensitive: mask nothing.
    """

    def __init__(self, backends: Backends, *, show_sensitive: bool) -> None:
        self._backends = backends
        self._show_sensitive = show_sensitive

    def captured(self, row: Captured) -> dict[str, Any]:
        """One activity."""
        return {
            "position": row.position,
            "event_id": row.event_id,
            "activity_id": row.activity_id,
            "person_id": row.person_id,
            "person": self._person(row.person_id),
            "assurance": row.assurance,
            "attributes": self._attributes(row),
            "source": row.source,
            "occurred_at": row.occurred_at.isoformat(),
            "received_at": row.received_at.isoformat(),
            "gpc": row.gpc,
        }

    def refused(self, outcome: Outcome) -> dict[str, Any]:
        """One refusal."""
        return {
            "number": outcome.number,
            "at": datetime.fromtimestamp(outcome.at, UTC).isoformat(),
            "route": outcome.route,
            "code": outcome.code,
            "reason": outcome.reason,
            "activity_id": outcome.activity_id,
            "person_id": outcome.person_id,
            "person": self._person(outcome.person_id),
            "field": outcome.field,
            "expected": outcome.expected,
        }

    def _attributes(self, row: Captured) -> dict[str, Any]:
        if self._show_sensitive:
            return dict(row.attributes)
        definition = self._backends.definitions.get(row.activity_id)
        # What is declared no longer may have been sensitive when it was.
        plain = {a.key for a in definition.attributes if not a.sensitive} if definition else set()
        return {key: value if key in plain else _MASK for key, value in row.attributes.items()}

    def _person(self, person_id: str | None) -> str | None:
        """How a person is called: by address, else by another identifier, else by id."""
        person = self._backends.people.get(person_id) if person_id else None
        if person is None:
            return person_id
        return person.email or person.identifiers[0].value


def _about(row: Mapping[str, Any]) -> str:
    """The attributes as people read them, by slug."""
    return "  ".join(
        f"{key.rpartition(':')[2]}={value if _plain(value) else document(value, indent=None)}"
        for key, value in row["attributes"].items()
    )


def _plain(value: Any) -> bool:
    """Whether a value needs no quotes to be told from its neighbours."""
    return isinstance(value, str) and value != "" and not any(map(str.isspace, value))


def _why(row: Mapping[str, Any]) -> str:
    # Where the reason is but the code again, once is enough.
    reason = row["reason"] if row["reason"] != row["code"] else ""
    expected = f"expected {row['expected']}" if row["expected"] else ""
    return " · ".join(filter(None, (row["code"], reason, row["field"], expected)))


def _day(name: str) -> Callable[[Mapping[str, Any]], str]:
    return lambda row: f"{datetime.fromisoformat(row[name]):%A %-d %B %Y}, UTC"


def _time(name: str) -> Callable[[Mapping[str, Any]], str]:
    return lambda row: f"{datetime.fromisoformat(row[name]):%H:%M:%S}"


def _text(name: str) -> Callable[[Mapping[str, Any]], str]:
    return lambda row: row[name] or ""


def captured_table(*, as_json: bool, several: bool = True) -> Table:
    """A table of activities.

    :param several: of several people, so that each is named.
    """
    return Table(
        [
            Column("TIME", _time("received_at"), "dim"),
            *([Column("PERSON", _text("person"))] if several else ()),
            Column("ACTIVITY", _text("activity_id"), "bold"),
            Column("ATTRIBUTES", _about),
        ],
        plain=[
            Column("", _text("received_at")),
            Column("", _text("person")),
            Column("", _text("activity_id")),
            Column("", lambda row: document(row["attributes"], indent=None)),
        ],
        heading=_day("received_at"),
        as_json=as_json,
    )


_REFUSAL = "at code reason route person activity_id field expected"


def _refused_table(*, as_json: bool) -> Table:
    return Table(
        [
            Column("TIME", _time("at"), "dim"),
            Column("PERSON", lambda row: row["person"] or "-"),
            Column("ACTIVITY", lambda row: row["activity_id"] or f"({row['route']})", "bold"),
            Column("WHY", _why, "yellow"),
        ],
        plain=[Column("", _text(name)) for name in _REFUSAL.split()],
        heading=_day("at"),
        as_json=as_json,
    )


class Feed:
    """What is new since the last look.

    :param look: returns at most so many of what comes after a position, the latest when that is 0.
    :param number: the position of one.
    :param start: the position before the very first.
    """

    def __init__(
        self,
        look: Callable[[int, int], Sequence[Any]],
        number: Callable[[Any], int],
        start: int,
    ) -> None:
        self._look = look
        self._number = number
        self._position = start

    def latest(self, limit: int) -> Sequence[Any]:
        """Return the latest ones, and begin after them."""
        return self._seen(self._look(0, max(limit, 1)))[:limit]

    def more(self) -> Sequence[Any]:
        """Return what came since."""
        return self._seen(self._look(self._position, PAGE))

    def _seen(self, found: Sequence[Any]) -> Sequence[Any]:
        if found:
            self._position = self._number(found[-1])
        return found


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
    backends = account.open()
    rows = Rows(backends, show_sensitive=show_sensitive)
    table = (_refused_table if refused else captured_table)(as_json=as_json)
    draw: Callable[[Any], dict[str, Any]]
    if refused:
        feed, draw = Feed(backends.outcomes.refusals, lambda each: each.number, 0), rows.refused
    else:
        # Below 0 a journal begins at its oldest, so none of the first few is missed.
        feed, draw = Feed(backends.journal.recent, lambda each: each.position, -1), rows.captured
    try:
        shown = table.show(map(draw, feed.latest(number)))
        if not follow:
            if not shown:
                hint("Nothing was refused so far." if refused else "Nothing arrived so far.")
            return
        hint("Waiting for what comes; Ctrl-C ends it.")
        while True:
            while table.show(map(draw, feed.more())):
                sys.stdout.flush()
            time.sleep(PAUSE)
    except KeyboardInterrupt:
        return


def _everything(backends: FileBackends, until: int) -> Iterator[Captured]:
    """The journal up to a position, oldest first."""
    after = -1
    while after < until and (page := backends.journal.recent(after, PAGE)):
        yield from (row for row in page if row.position <= until)
        after = page[-1].position


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
    backends = account.open()
    rows = Rows(backends, show_sensitive=show_sensitive)
    until = max((row.position for row in backends.journal.recent(0, 1)), default=0)
    with destination(output) as file:
        # Two readers of one terminal would write into each other's lines.
        quiet = output is None and on_terminal()

        def read(what: str) -> Iterator[Captured]:
            with progress(what, until, quiet=quiet) as advance:
                for row in _everything(backends, until):
                    yield row
                    advance(row.position)

        if form == "jsonl":
            for row in read("Writing"):
                file.write(document(rows.captured(row), indent=None) + "\n")
        else:
            keys = sorted({key for row in read("Looking") for key in row.attributes})
            _write_csv(file, map(rows.captured, read("Writing")), keys, safe if quiet else str)


_FIELDS = [
    "position", "event_id", "received_at", "occurred_at", "activity_id", "person_id", "person",
    "assurance", "source", "gpc",
]  # fmt: skip


def _write_csv(
    file: IO[str],
    rows: Iterable[Mapping[str, Any]],
    keys: Sequence[str],
    shown: Callable[[str], str],
) -> None:
    writer = csv.writer(file, quoting=csv.QUOTE_ALL)
    writer.writerow([*_FIELDS, *keys])
    for row in rows:
        values = [row[name] for name in _FIELDS]
        values += [row["attributes"].get(key) for key in keys]
        writer.writerow([shown(cell(value)) for value in values])


# What a spreadsheet may take for the start of a formula, after anything it may skip: blanks,
# controls, invisible marks. Line by line, because careless readers split quoted cells as well.
_SKIPPED = (
    r"[\x00-\x09\x0b\x0c\x0e-\x20\x7f-\xa0\xad\u1680\u2000-\u200f\u2028-\u202f\u205f-\u206f"
    r"\u3000\ufeff]*"
)
_FORMULA = re.compile(
    rf"\A(?=[\t\r\n])|(?:\A|(?<=[\r\n]))(?={_SKIPPED}[=+@\uff1d\uff0b\uff0d\uff20-])"
)


def cell(value: Any) -> str:
    """A value for a spreadsheet: text that might be run as a formula gets an apostrophe first."""
    if value is None:
        return ""
    if isinstance(value, str):
        return _FORMULA.sub("'", value)
    return json.dumps(value, ensure_ascii=False)
