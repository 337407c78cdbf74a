"""People, activities and charges for the tests of the file backend, and another program's SQL."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from ortto_capture import Attribute, Definition, Person
from ortto_capture.backends.file import FileBackends
from ortto_capture.model import Activity, Assurance, Charge, Identifier, Quota

LOGIN = Definition(
    "act:cm:login", "Logged in", client_side=True, attributes=[Attribute("str::email")]
)
#: 2026-11-23 12:00 UTC.
NOON = 1_795_435_200.0
DAY = 86_400
#: The names of the tables that hold people and activities, row by row.
TABLES = ("people", "identifiers", "journal")


def person(number: int, *, created_at: float = NOON, assurance: Assurance = "claimed") -> Person:
    """A person with an address."""
    address = Identifier("email", f"user{number}@emaildomain.com")
    return Person(f"person-{number:04}", (address,), "John", None, assurance, created_at)


def activity(
    number: int, *, who: str = "person-0001", at: float = NOON, assurance: Assurance = "claimed"
) -> Activity:
    """One login."""
    note = {"str::email": f"{number}@b.example"}
    return Activity(f"event-{number}", LOGIN.id, who, note, "", assurance, at, at, False)


def charge(number: int = 0, amount: int = 1, seconds: int = 3600) -> Charge:
    """One of these against a quota."""
    return Charge(b"%016d" % number, Quota(amount, seconds))


def events(backends: FileBackends) -> list[str]:
    """The event ids that are stored, from the oldest."""
    return [each.event_id for each in backends.journal.after("", 100_000)]


def sql(data: Path, statement: str, *parameters: object) -> list[tuple[object, ...]]:
    """What another program does to the file."""
    with closing(sqlite3.connect(data / "store.sqlite3", isolation_level=None)) as connection:
        return connection.execute(statement, parameters).fetchall()


def content(data: Path) -> bytes:
    """The bytes of every file."""
    return b"".join(each.read_bytes() for each in data.rglob("*") if each.is_file())
