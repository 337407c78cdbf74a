"""What other programs may read in a store, and that reading it is all they do."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ortto_capture import Attribute, Capture, Definition, open_backends
from ortto_capture.testing import FakeClock

PAID = Definition(
    "act:cm:paid",
    "Paid",
    client_side=True,
    attributes=[Attribute("int:cm:price"), Attribute("str:cm:plan")],
)
#: The promise of docs/how-to/using-the-data.md.
PROMISED = {
    "activities": [
        "position",
        "event_id",
        "activity_id",
        "person_id",
        "attributes",
        "source",
        "assurance",
        "occurred_at",
        "received_at",
        "gpc",
    ],
    "profiles": [
        "person_id",
        "email",
        "ei",
        "first",
        "last",
        "assurance",
        "created_at",
        "identifiers",
    ],
}
Reader = sqlite3.Connection


@pytest.fixture
def capture(tmp_path: Path) -> Iterator[Capture]:
    """An account with two people: one is vouched for, the other only claims."""
    with open_backends(f"file:{tmp_path / 'data'}") as backends:
        backends.definitions.declare([PAID])
        capture = Capture(backends=backends, clock=FakeClock())
        capture.record_for("act:cm:paid", {"int:cm:price": 12}, email="jo@example.com", ei=7)
        session = capture.identify(email="al@example.com", first="Ål", last="Apple").session
        capture.record(session, "act:cm:paid", {"str:cm:plan": "a; b"}, age=1234.0, gpc=True)
        yield capture


def store(folder: Path) -> Path:
    return folder / "data" / "store.sqlite3"


@pytest.fixture
def reader(capture: Capture, tmp_path: Path) -> Iterator[Reader]:
    """Another program's connection, which can only read."""
    with closing(sqlite3.connect(f"{store(tmp_path).as_uri()}?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        yield connection


def rows(reader: Reader, view: str) -> list[dict[str, Any]]:
    return [dict(row) for row in reader.execute(f"SELECT * FROM {view}")]  # noqa: S608  # our own names


@pytest.mark.parametrize("view", PROMISED)
def test_the_views_have_the_columns_that_are_promised(reader: Reader, view: str) -> None:
    assert [list(row) for row in rows(reader, view)] == [PROMISED[view]] * 2


def test_activities_say_what_an_export_says(reader: Reader, capture: Capture) -> None:
    def alike(row: dict[str, Any]) -> dict[str, Any]:
        times = {name: datetime.fromisoformat(row[name]) for name in ("occurred_at", "received_at")}
        return {**row, **times, "gpc": bool(row["gpc"])}

    exported = [alike(each.plain()) for each in capture.backends.journal.latest()]
    read = [alike(row) | {"attributes": json.loads(row["attributes"])} for row in rows_of(reader)]

    assert read == exported


def rows_of(reader: Reader) -> list[dict[str, Any]]:
    return rows(reader, "activities ORDER BY position")


def test_profiles_say_who_people_are(reader: Reader, capture: Capture) -> None:
    read = {row["email"]: row for row in rows(reader, "profiles")}

    for email, row in read.items():
        person = capture.person(email)
        assert person is not None
        assert (row["person_id"], row["first"], row["last"], row["assurance"]) == (
            person.id,
            person.first,
            person.last,
            person.assurance,
        )
        assert json.loads(row["identifiers"]) == dict(person.identifiers)
        made = datetime.fromisoformat(row["created_at"])
        assert made == datetime.fromtimestamp(person.created_at, UTC)
    assert read["jo@example.com"]["ei"] == "7"
    assert read["al@example.com"]["ei"] is None


def test_no_time_is_off_by_a_millisecond(reader: Reader, capture: Capture) -> None:
    """Whole milliseconds go through a floating-point division in SQL."""
    for age in range(1000):
        capture.record_for("act:cm:paid", ei=1, at=1_700_000_000 - age / 1000)

    for row, captured in zip(rows_of(reader), capture.backends.journal.latest(2000), strict=True):
        assert datetime.fromisoformat(row["occurred_at"]) == captured.occurred_at


def test_a_person_who_is_erased_is_in_no_view(reader: Reader, capture: Capture) -> None:
    capture.erase("jo@example.com")

    assert [row["email"] for row in rows(reader, "profiles")] == ["al@example.com"]
    assert len(rows(reader, "activities")) == 1


def test_a_store_without_the_views_has_them_when_it_was_opened(
    capture: Capture, tmp_path: Path
) -> None:
    """One that an older version made; and a view of the operator's own stays."""
    with closing(sqlite3.connect(store(tmp_path))) as older:
        older.executescript(
            "DROP VIEW profiles; DROP VIEW activities; CREATE VIEW activities AS SELECT 1;"
            "CREATE VIEW mine AS SELECT count(*) AS many FROM journal;"
        )
    with (
        open_backends(f"file:{tmp_path / 'data'}"),
        closing(sqlite3.connect(store(tmp_path))) as now,
    ):
        assert now.execute("SELECT count(email) FROM profiles").fetchone() == (2,)
        assert now.execute("SELECT max(position) FROM activities").fetchone() == (2,)
        assert now.execute("SELECT many FROM mine").fetchone() == (2,)


def test_opening_does_not_wait_for_a_writer_to_make_them(capture: Capture, tmp_path: Path) -> None:
    """Another opening makes them."""
    address = f"file:{tmp_path / 'data'}"
    with closing(sqlite3.connect(store(tmp_path), isolation_level=None)) as older:
        older.execute("DROP VIEW profiles")
        older.execute("BEGIN IMMEDIATE")
        open_backends(address).close()
        older.execute("ROLLBACK")
        assert "profiles" not in dict(older.execute("SELECT name, sql FROM sqlite_schema"))

        open_backends(address).close()
        assert "profiles" in dict(older.execute("SELECT name, sql FROM sqlite_schema"))
