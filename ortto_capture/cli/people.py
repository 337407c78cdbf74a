"""``people``: who visitors are, what is kept about them, and how it goes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from operator import itemgetter
from pathlib import Path
from typing import Any

import click

from .. import Captured, Journal, Person, Refused
from ..console.rows import Rows
from .account import Account, Failed, Group, destination, output_option, with_account
from .journal import CAPTURED, PAGE, sensitive_option
from .show import Column, Table, counted, document, json_option, moment, record, safe, say

#: Activities that ``people show`` prints.
LATEST = 10


@click.group(cls=Group)
def people() -> None:
    """Who was identified; what is kept about them."""


def _name(row: dict[str, Any]) -> str:
    return " ".join(filter(None, (row["first"], row["last"])))


def _identifiers(row: dict[str, Any]) -> str:
    return "  ".join(
        each["value"] if each["kind"] == "email" else f"{each['kind']}={each['value']}"
        for each in row["identifiers"]
    )


_COLUMNS = [
    Column("ID", itemgetter("id")),
    Column("KNOWN AS", _identifiers, "bold"),
    Column("NAME", _name),
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
    found: dict[Person, None] = {}
    unknown = []
    for text in who:
        person = None
        for named in ({"email": text}, {"ei": text}):
            # What cannot be an address may be an id.
            with suppress(Refused):
                person = person or capture.person(**named)
        if person := person or capture.backends.people.get(text):
            found[person] = None
        else:
            unknown.append(repr(text))
    Table(_COLUMNS, as_json=as_json).show(map(Person.plain, found))
    if unknown:
        raise Failed(f"no person is known as {' or '.join(unknown)}")


def _named(command: Callable[..., None]) -> Callable[..., None]:
    """Take an e-mail address or ``--ei``."""
    option = click.option("--ei", metavar="ID", help="The external id, instead of an address.")
    return click.argument("email", required=False)(option(command))


def _who(email: str | None, ei: str | None) -> dict[str, Any]:
    """Name one person for ``Capture``, or end."""
    if bool(email) == bool(ei):
        raise click.UsageError("Name one person: by e-mail address, or by --ei.")
    return {"email": email} if email else {"ei": ei}


def _unknown(who: dict[str, Any]) -> Failed:
    return Failed(f"no person is known as {next(iter(who.values()))!r}")


def _timeline(journal: Journal, person_id: str) -> Iterator[Captured]:
    cursor = ""
    while page := journal.of(person_id, cursor, PAGE):
        yield from page
        cursor = page[-1].cursor


@people.command()
@_named
@sensitive_option
@json_option
@with_account
def show(
    account: Account, email: str | None, ei: str | None, show_sensitive: bool, as_json: bool
) -> None:
    """Show one person, and the latest of what they did."""
    who = _who(email, ei)
    person = account.capture.person(**who)
    if person is None:
        raise _unknown(who)
    rows = Rows(account.backends, show_sensitive=show_sensitive)
    latest = deque(_timeline(account.backends.journal, person.id), LATEST)
    row = {**person.plain(), "activities": [rows.captured(each) for each in latest]}
    lines = {
        "id": person.id,
        **dict(person.identifiers),
        "name": _name(row),
        "proved": person.assurance,
        "since (UTC)": moment(row["created_at"]),
    }
    record(row, lines, as_json=as_json)
    if not as_json:
        Table(CAPTURED).show(row["activities"])


@people.command()
@_named
@output_option
@with_account
def export(account: Account, email: str | None, ei: str | None, output: Path | None) -> None:
    """Write out everything kept about one person, as JSON."""
    who = _who(email, ei)
    everything = account.capture.export(**who)
    if everything is None:
        raise _unknown(who)
    with destination(output) as file:
        file.write(document(everything, indent=2) + "\n")


@people.command()
@_named
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@with_account
def erase(account: Account, email: str | None, ei: str | None, yes: bool, as_json: bool) -> None:
    """Erase one person, and everything they did. There is no way back."""
    who, capture = _who(email, ei), account.capture
    if not yes and capture.person(**who) is not None:
        said = f"Erase {safe(repr(email or ei))} and all of their activities?"
        click.confirm(said, abort=True, err=True)
    erased = capture.erase(**who)
    if erased is None:
        raise _unknown(who)
    said = f"erased, with {counted(erased.activities, 'activity', 'activities')}"
    if not erased.complete:
        said += ", bytes pending: another program reads the store; the next write removes them"
    say(document(erased._asdict()) if as_json else said)
