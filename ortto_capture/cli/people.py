"""``people``: who visitors are, what is kept about them, and how it goes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import wraps
from pathlib import Path
from typing import Any, NamedTuple

import click

from .. import Capture, Captured, Person, Refused
from ..backends.file import FileBackends
from .account import Account, Failed, Group, destination, output_option, with_account
from .journal import PAGE, Rows, captured_table, sensitive_option
from .show import Column, Table, apart, counted, document, json_option, moment, record, safe, say

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
    Column("ID", lambda row: row["id"]),
    Column("KNOWN AS", _identifiers, "bold"),
    Column("NAME", _name),
    Column("PROVED", lambda row: row["assurance"]),
    Column("SINCE (UTC)", moment("created_at"), "dim"),
]


def _anybody(capture: Capture, text: str) -> Person | None:
    """Whoever is known by this e-mail address, external id or person id."""
    for lookup in (capture.person, lambda ei: capture.person(ei=ei), capture.backends.people.get):
        # What cannot be an address may be an id.
        with suppress(Refused):
            if person := lookup(text):
                return person
    return None


@people.command()
@click.argument("who", nargs=-1, required=True)
@json_option
@with_account
def find(account: Account, who: tuple[str, ...], as_json: bool) -> None:
    """Find people by e-mail address, external id or person id, whichever it is."""
    capture = account.capture(account.open())
    found = {text: _anybody(capture, text) for text in who}
    people = dict.fromkeys(person for person in found.values() if person)
    Table(_COLUMNS, as_json=as_json).show(map(Person.plain, people))
    if unknown := [repr(text) for text, person in found.items() if person is None]:
        raise Failed(f"nobody is known as {' or '.join(unknown)}")


class Who(NamedTuple):
    """How the one person is named that a command is about: by address or by external id."""

    email: str | None
    ei: str | None

    def __str__(self) -> str:
        return repr(self.email or self.ei)

    def unknown(self) -> Failed:
        """What to raise when nobody is."""
        return Failed(f"nobody is known as {self}")


def who_argument(command: Callable[..., None]) -> Callable[..., None]:
    """Take an e-mail address, or ``--ei``, as ``who``."""

    @click.argument("email", required=False)
    @click.option("--ei", metavar="ID", help="The external id, instead of an e-mail address.")
    @wraps(command)
    def named(email: str | None, ei: str | None, **options: Any) -> None:
        if bool(email) == bool(ei):
            raise click.UsageError("Name one person: by e-mail address, or by --ei.")
        try:
            command(who=Who(email or None, ei or None), **options)
        except Refused as error:
            kind = "e-mail address; an external id is named by --ei" if email else "external id"
            raise click.UsageError(f"{safe(repr(email or ei))} is no {kind}.") from error

    return named


def _timeline(backends: FileBackends, person_id: str) -> Iterator[Captured]:
    after = 0
    while page := backends.journal.of(person_id, after, PAGE):
        yield from page
        after = page[-1].position


@people.command()
@who_argument
@sensitive_option
@json_option
@with_account
def show(account: Account, who: Who, show_sensitive: bool, as_json: bool) -> None:
    """Show one person, and the latest of what they did."""
    backends = account.open()
    person = account.capture(backends).person(who.email, ei=who.ei)
    if person is None:
        raise who.unknown()
    rows = Rows(backends, show_sensitive=show_sensitive)
    latest = [rows.captured(row) for row in deque(_timeline(backends, person.id), LATEST)]
    row = person.plain()
    lines = {
        "id": person.id,
        **{identifier.kind: identifier.value for identifier in person.identifiers},
        "name": _name(row),
        "proved": person.assurance,
        "since (UTC)": moment("created_at")(row),
    }
    record({**row, "activities": latest}, lines, as_json=as_json)
    if latest and not as_json:
        apart()
        captured_table(as_json=False, several=False).show(latest)


@people.command()
@who_argument
@output_option
@with_account
def export(account: Account, who: Who, output: Path | None) -> None:
    """Write out everything kept about one person, as JSON."""
    everything = account.capture(account.open()).export(who.email, ei=who.ei)
    if everything is None:
        raise who.unknown()
    with destination(output) as file:
        file.write(document(everything) + "\n")


@people.command()
@who_argument
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@with_account
def erase(account: Account, who: Who, yes: bool, as_json: bool) -> None:
    """Erase one person, and everything they did. There is no way back."""
    capture = account.capture(account.open())
    if not yes and capture.person(who.email, ei=who.ei) is not None:
        click.confirm(f"Erase {safe(str(who))} and all of their activities?", abort=True, err=True)
    erased = capture.erase(who.email, ei=who.ei)
    if erased is None:
        raise who.unknown()
    if as_json:
        say(document(erased._asdict(), indent=None))
        return
    activities = counted(erased.activities, "activity", "activities")
    if erased.complete:
        say(f"erased, with {activities}")
    else:
        say(
            f"erased, with {activities}, bytes pending: somebody is reading the file; whoever "
            "writes next finishes it"
        )
