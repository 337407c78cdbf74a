"""``people``: who did it, and what is kept about them."""

from __future__ import annotations

from collections import deque
from functools import partial
from operator import itemgetter
from pathlib import Path

import click

from .. import Person
from ..console.rows import Rows
from .account import Account, Failed, Group, destination, output_option, with_account
from .journal import CAPTURED, sensitive_option
from .selection import every, known
from .show import Column, Table, document, json_option, moment, safe, say


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
    looked = {text: known(capture, text) for text in who}
    # One person may be known by several of them.
    found = dict.fromkeys(person for person in looked.values() if person)
    unknown = [repr(text) for text, person in looked.items() if person is None]
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
@sensitive_option
@json_option
@with_account
def show(account: Account, who: str, kind: str, show_sensitive: bool, as_json: bool) -> None:
    """Show one person, and the latest ten of what they did."""
    person = account.capture.person(**{kind: who})
    if person is None:
        raise Failed(f"no person is known as {who!r}")
    rows = Rows(account.backends, show_sensitive=show_sensitive)
    timeline = every(partial(account.backends.journal.of, person.id))
    activities = [rows.captured(each) for each in deque(timeline, 10)]
    if as_json:
        say(document({**person.plain(), "activities": activities}))
    else:
        Table(_PEOPLE).show([person.plain()])
        Table(CAPTURED).show(activities)


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
