"""Which rows a command is about: since when, of which activity, of whom, from where on.

The law of this file: a row is wanted or it is not; the journal is read in its own order and from a
cursor on, so that what follows the last row that a program has is all that is new.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, NamedTuple

import click

from .. import Capture, Captured, Journal, Person, Refused
from ..model import Outcome
from .account import Account, Failed
from .activities import one

#: Rows asked for at a time.
PAGE = 500
_AGO = re.compile(r"(\d{1,6})([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


def _moment(text: str) -> float:
    """A time in ISO 8601, UTC where it does not say otherwise, or how long ago: epoch seconds."""
    if ago := _AGO.fullmatch(text):
        return time.time() - int(ago[1]) * _SECONDS[ago[2]]
    try:
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError) as error:
        said = "write 2026-07-31 or 2026-07-31T12:00:00+02:00, or 90m, 24h or 7d for as long ago"
        raise click.BadParameter(said) from error


def selecting(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that select rows."""
    for option in (
        click.option("--after", default="", metavar="CURSOR", help="What follows this row."),
        click.option("--person", metavar="WHO", help="Of this person alone."),
        click.option("--activity", multiple=True, metavar="ID", help="This one; may be repeated."),
        click.option("--until", type=_moment, help="Received before that time."),
        click.option("--since", type=_moment, help="Received then or later: 2026-07-31, or 24h."),
    ):
        command = option(command)
    return command


class Selection(NamedTuple):
    """Which rows are wanted; ``after`` is where reading begins."""

    since: float | None
    until: float | None
    activities: Sequence[str]
    person_id: str | None
    after: str

    def __call__(self, row: Captured | Outcome) -> bool:
        """Tell whether this row is wanted."""
        at = row.activity.received_at if isinstance(row, Captured) else row.at
        return (
            (self.since is None or at >= self.since)
            and (self.until is None or at < self.until)
            and (not self.activities or row.activity_id in self.activities)
            and (self.person_id is None or row.person_id == self.person_id)
        )

    @property
    def everything(self) -> bool:
        """Whether every row is wanted."""
        return self == Selection(None, None, (), None, "")


def selected(
    account: Account,
    *,
    since: float | None,
    until: float | None,
    activity: Sequence[str],
    person: str | None,
    after: str,
) -> Selection:
    """Return what the options select.

    :raises Failed: the person is not known.
    """
    found = known(account.capture, person) if person is not None else None
    if person is not None and found is None:
        raise Failed(f"no person is known as {person!r}")
    return Selection(since, until, activity, found.id if found else None, after)


def check_activities(
    account: Account, wanted: Selection, rows: Callable[[], Iterable[Captured | Outcome]]
) -> None:
    """Tell a mistaken id from one that no visitor did: no definition and no row has it.

    :param rows: returns all that there are; called when an id has no definition.
    :raises Failed: naming the definitions that look like it.
    """
    definitions = account.backends.definitions
    missing = {each for each in wanted.activities if definitions.get(each) is None}
    for row in rows() if missing else ():
        missing.discard(row.activity_id or "")
    for each in sorted(missing):
        one(account.backends, each)


def known(capture: Capture, text: str) -> Person | None:
    """Find a person by e-mail address, external id or person id, whichever it is."""
    for lookup in (capture.person, lambda ei: capture.person(ei=ei), capture.backends.people.get):
        # What cannot be an address may be an id.
        with suppress(Refused):
            if person := lookup(text):
                return person
    return None


def every(look: Callable[[str, int], Sequence[Captured]], cursor: str = "") -> Iterator[Captured]:
    """What ``look`` returns, page by page, the oldest first."""
    while page := look(cursor, PAGE):
        yield from page
        cursor = page[-1].cursor


def check_cursor(journal: Journal, cursor: str) -> None:
    """Refuse what is no cursor of this journal, as wrong usage."""
    try:
        journal.after(cursor, 1)
    except ValueError as error:
        raise click.BadParameter(f"{cursor!r} is no cursor of this journal") from error
