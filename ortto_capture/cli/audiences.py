"""``audiences``: who fulfils a condition that is saved with a name."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from functools import partial
from operator import itemgetter
from typing import Any

import click

from ..reports import Audience
from .account import Account, Failed, Group, destination, output_option, with_account
from .journal import cell
from .show import Column, Table, document, hint, json_option
from .stats import asked

#: Members asked for at a time.
PAGE = 1_000


@click.group(cls=Group)
def audiences() -> None:
    """People who fulfil a condition that is saved with a name."""


_SAVED = [
    Column("NAME", itemgetter("name"), "bold"),
    Column("TITLE", itemgetter("title")),
    Column("PEOPLE", lambda row: "" if row["count"] is None else str(row["count"])),
    Column("CONDITION", lambda row: row["problem"] or document(row["people"])),
]


@audiences.command("list")
@json_option
@with_account
def list_(account: Account, as_json: bool) -> None:
    """List the audiences, and how many people each has now."""
    saved = account.capture.audiences

    def row(name: str, value: Audience | None, problem: str) -> dict[str, Any]:
        return {
            "name": name,
            "title": value.title if value else "",
            "people": value.plain()["people"] if value else None,
            "count": asked(partial(saved.count, value.people)) if value else None,
            "problem": problem,
        }

    rows = (row(each.name, each.value, each.problem) for each in saved.all())
    if not Table(_SAVED, as_json=as_json).show(rows):
        hint("None yet. They are made on the console's page Audiences, or in Python.")


_MEMBERS = [
    Column("PERSON", itemgetter("person_id")),
    Column("EMAIL", itemgetter("email"), "bold"),
    Column("EXTERNAL ID", itemgetter("ei")),
    Column("NAME", lambda row: " ".join(filter(None, (row["first"], row["last"])))),
]


@audiences.command()
@click.argument("name")
@click.option(
    "--format",
    "form",
    type=click.Choice(["lines", "csv"]),
    default="lines",
    help="csv is for spreadsheets and for mailing tools.",
)
@output_option
@json_option
@with_account
def members(account: Account, name: str, form: str, output: Any, as_json: bool) -> None:
    """Write out who belongs to an audience now."""
    found = account.capture.audiences.get(name)
    if found is None:
        raise Failed(f"no audience has the name {name!r}; see: ortto-capture audiences list")
    if found.value is None:
        raise Failed(f"the audience {name!r} cannot be read: {found.problem}")
    rows = _members(account, name)
    if form != "csv":
        if output is not None:
            raise click.UsageError("--output goes with --format csv")
        Table(_MEMBERS, as_json=as_json).show(rows)
        return
    with destination(output) as file:
        writer = csv.DictWriter(file, _NAMES, quoting=csv.QUOTE_ALL)
        writer.writeheader()
        for row in rows:
            writer.writerow({key: cell(value) for key, value in row.items()})


_NAMES = ["person_id", "email", "ei", "first", "last", "assurance"]


def _members(account: Account, name: str) -> Iterator[dict[str, Any]]:
    page = partial(account.capture.audiences.members, name, limit=PAGE)
    after = ""
    while ids := asked(partial(page, after=after)):
        for person_id in ids:
            person = account.backends.people.get(person_id)
            # They may have been erased since.
            if person is not None:
                known = dict(person.identifiers)
                yield {
                    "person_id": person.id,
                    "email": person.email,
                    "ei": known.get("ei"),
                    "first": person.first,
                    "last": person.last,
                    "assurance": person.assurance,
                }
        after = ids[-1]
