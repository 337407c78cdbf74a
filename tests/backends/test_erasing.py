"""Erasing and exporting a person on the file backend reaches everything (contract §7)."""

from __future__ import annotations

import os
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from ortto_capture import (
    BackendError,
    Capture,
    ConfigurationError,
    NotIdentified,
    RateLimited,
    Refused,
    Settings,
)
from ortto_capture.backends.file import FileBackends, open_file
from ortto_capture.testing import FakeClock

from ..faults.stage import outcomes
from .samples import LOGIN, NOON, activity, charge, content, events, person, sql

USER = "user@emaildomain.com"
#: More than two pages of any size that reads a person's activities page by page.
MANY = 2_203


@pytest.fixture
def backends(tmp_path: Path) -> Iterator[FileBackends]:
    with open_file(str(tmp_path / "data")) as opened:
        opened.definitions.declare([LOGIN])
        yield opened


def account(backends: FileBackends) -> Capture:
    return Capture(backends=backends, settings=Settings(), clock=FakeClock(NOON))


def busy_person(backends: FileBackends) -> str:
    """Store a person with many activities, every one of another kind, and each counted."""
    capture = account(backends)
    capture.identify(email=USER)
    who = capture.person(USER)
    assert who is not None

    def fill() -> None:
        for number in range(MANY):
            kind = f"act:cm:kind-{number}"
            stored = backends.journal.append(
                activity(number, who=who.id)._replace(activity_id=kind)
            )
            assert stored is not None

    backends.atomically(fill)
    return who.id


def test_an_export_holds_every_activity_however_many_there_are(backends: FileBackends) -> None:
    busy_person(backends)

    export = account(backends).export(USER)

    assert export is not None
    assert [each["event_id"] for each in export["activities"]] == [
        f"event-{number}" for number in range(MANY)
    ]


def test_an_erasure_takes_every_activity_however_many_there_are(backends: FileBackends) -> None:
    who = busy_person(backends)
    backends.journal.append(activity(0, who="another"))

    assert account(backends).erase(USER) == (MANY, True)

    assert [each.person_id for each in backends.journal.after("", 10_000)] == ["another"]
    assert backends.journal.of(who) == []


def test_an_erasure_takes_the_counters_of_every_kind_of_activity(tmp_path: Path) -> None:
    """Claimed and verified, of the first, the last, and what lies between two pages."""
    kinds = [replace(LOGIN, id=f"act:cm:kind-{number}") for number in range(1_101)]
    with open_file(f"{tmp_path}?durability=os") as backends:
        backends.definitions.declare(kinds)
        capture = account(backends)
        sessions = [
            capture.identify(email=USER).session,
            capture.identify(identity=capture.sign_identity(USER)).session,
        ]
        for number, kind in enumerate(kinds):
            capture.record(sessions[number % 2], kind.id)
        assert sql(tmp_path, "SELECT count(*) FROM counts") == [(1_101,)]

        assert capture.erase(USER) == (1_101, True)

        assert sql(tmp_path, "SELECT count(*) FROM counts") == [(0,)]


def test_an_export_holds_the_refusals_that_name_the_person(backends: FileBackends) -> None:
    capture = account(backends)
    session = capture.identify(email=USER).session
    with pytest.raises(Refused):
        capture.record(session, LOGIN.id, {"str:cm:unknown": "1"})

    export = capture.export(USER)

    assert export is not None
    assert [each["code"] for each in export["refusals"]] == ["bad-attribute"]


# -- other processes


def test_a_person_erased_by_another_process_is_not_identified_here_any_more(
    backends: FileBackends,
) -> None:
    here = account(backends)
    session = here.identify(email=USER).session
    here.record(session, LOGIN.id)
    with open_file(str(backends.directory)) as elsewhere:
        assert account(elsewhere).erase(USER) == (1, True)

    with pytest.raises(NotIdentified):
        here.record(session, LOGIN.id)
    assert here.identify(session=session) == (None, False)
    assert here.person(USER) is None
    assert here.export(USER) is None
    assert here.erase(USER) is None
    assert events(backends) == []
    fresh = here.identify(email=USER).session
    assert fresh != session
    assert here.record(fresh, LOGIN.id).position == 2


def test_a_refusal_gathered_in_another_process_does_not_name_the_erased(
    backends: FileBackends,
) -> None:
    """Noted before or after the person was erased, and written after."""
    with open_file(str(backends.directory)) as elsewhere:
        here, there = account(backends), account(elsewhere)
        backends.definitions.put(replace(LOGIN, limits={"person": "1/day"}))
        elsewhere.definitions.put(replace(LOGIN, limits={"person": "1/day"}))
        session = here.identify(email=USER).session
        there.record(session, LOGIN.id)
        with pytest.raises(RateLimited):
            there.record(session, LOGIN.id)
        who = here.person(USER)
        assert who is not None
        assert here.erase(USER) == (1, True)

        # Reading has them written.
        assert [each.person_id for each in outcomes(elsewhere).refused()] == [None]
        assert outcomes(backends).of(who.id) == []
    assert who.id.encode() not in content(backends.directory)


# -- bytes


def test_what_another_program_reads_meanwhile_is_overwritten_later(
    backends: FileBackends,
) -> None:
    capture = account(backends)
    capture.identify(email=USER)
    with closing(sqlite3.connect(backends.directory / "store.sqlite3")) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM people").fetchall()
        assert capture.erase(USER) == (0, False)
        assert USER.encode() in content(backends.directory)
        reader.rollback()

    assert backends.scrub()

    assert USER.encode() not in content(backends.directory)


# -- backups


def put_back(copy: Path, data: Path) -> None:
    """Restore a backup's store, as the how-to says: the tombstones stay."""
    for path in data.glob("store.sqlite3*"):
        path.unlink()
    (copy / "store.sqlite3").replace(data / "store.sqlite3")


def test_an_erased_person_does_not_come_back_with_a_backup(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with open_file(str(data)) as backends:
        backends.definitions.declare([LOGIN])
        capture = account(backends)
        for number in range(3):
            session = capture.identify(email=f"user{number}@emaildomain.com").session
            capture.record(session, LOGIN.id)
        copy = backends.backup(tmp_path / "copy")
        assert capture.erase("user1@emaildomain.com") == (1, True)
        again = capture.identify(email="user1@emaildomain.com")
    put_back(copy, data)

    with open_file(str(data)) as backends:
        capture = account(backends)
        assert capture.person("user1@emaildomain.com") is None
        assert len(events(backends)) == 2
        assert b"user1@emaildomain.com" not in content(data)
        assert capture.identify(email="user1@emaildomain.com").identified
    with open_file(str(data)) as backends:
        assert account(backends).person("user1@emaildomain.com") is not None, "only the one erased"
    assert again.identified


def test_counters_of_the_erased_do_not_come_back_with_a_backup(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with open_file(str(data)) as backends:
        backends.definitions.declare([LOGIN])
        capture = account(backends)
        capture.record(None, LOGIN.id, person={"email": USER})
        capture.record(None, LOGIN.id, identity=capture.sign_identity(USER))
        copy = backends.backup(tmp_path / "copy")
        capture.erase(USER)
    put_back(copy, data)

    with open_file(str(data)):
        assert sql(data, "SELECT count(*) FROM counts") == [(0,)]


def test_a_torn_line_spoils_no_other_tombstone(tmp_path: Path) -> None:
    """A full disk or a crash may leave half a line."""
    data = tmp_path / "data"
    with open_file(str(data)) as backends:
        capture = account(backends)
        for number in range(3):
            capture.identify(email=f"user{number}@emaildomain.com")
        copy = backends.backup(tmp_path / "copy")
        for number in range(2):
            capture.erase(f"user{number}@emaildomain.com")
            with (data / "erased").open("ab") as file:
                file.write(b"0123456")
    put_back(copy, data)

    with open_file(str(data)) as backends:
        known = [account(backends).person(f"user{n}@emaildomain.com") for n in range(3)]
        assert [each is not None for each in known] == [False, False, True]


def test_an_erasure_cut_short_after_its_tombstone_is_finished_at_opening(tmp_path: Path) -> None:
    """The tombstone is on the disk first: what it names is gone for every later process."""
    data = tmp_path / "data"
    with open_file(str(data)) as backends:
        backends.definitions.declare([LOGIN])
        capture = account(backends)
        for number in range(2):
            session = capture.identify(email=f"user{number}@emaildomain.com").session
            capture.record(session, LOGIN.id)
        first = capture.person("user1@emaildomain.com")
        assert first is not None
    child = os.fork()
    if child == 0:
        with open_file(str(data)) as backends:
            gone = first.id

            def erase() -> None:
                backends.bury(gone, [])
                os.kill(os.getpid(), signal.SIGKILL)

            backends.atomically(erase)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL

    with open_file(str(data)) as backends:
        assert account(backends).person("user1@emaildomain.com") is None
        assert account(backends).person("user0@emaildomain.com") is not None
        assert len(events(backends)) == 1
        assert b"user1@emaildomain.com" not in content(data)


def test_an_erasure_that_was_rolled_back_can_be_repeated(
    tmp_path: Path,
) -> None:
    """The person is there until they are erased again, which succeeds."""
    data = tmp_path / "data"
    with open_file(str(data)) as backends:
        capture = account(backends)
        capture.identify(email=USER)
        who = capture.person(USER)
        assert who is not None

        def erase_and_fail() -> None:
            backends.bury(who.id, [])
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            backends.atomically(erase_and_fail)
        assert capture.person(USER) == who, "not erased, and not half erased"
        assert capture.erase(USER) == (0, True)
    with open_file(str(data)) as backends:
        assert account(backends).person(USER) is None


# -- the file of tombstones


@pytest.mark.parametrize("there", [True, False], ids=["leads-somewhere", "leads-nowhere"])
def test_a_link_in_the_place_of_the_tombstones_is_not_followed(tmp_path: Path, there: bool) -> None:
    """Or another user of the machine has us append to a file of theirs."""
    data, precious = tmp_path / "data", tmp_path / "precious"
    with open_file(str(data)) as backends:
        capture = account(backends)
        capture.identify(email=USER)
        if there:
            precious.write_text("precious\n")
        (data / "erased").symlink_to(precious)

        with pytest.raises(BackendError, match=r"erased.*link"):
            capture.erase(USER)

        assert capture.person(USER) is not None
        assert precious.exists() == there
    if there:
        assert precious.read_text() == "precious\n"
        with pytest.raises(ConfigurationError, match="erased"):
            open_file(str(data))


def test_the_counter_of_a_person_who_was_erased_is_that_of_nothing(backends: FileBackends) -> None:
    """The same person id is charged again from the start: the port forgets the key."""
    backends.people.save(person(1))
    backends.record(activity(1), [charge()])

    backends.limiter.forget([charge().key])

    assert backends.limiter.acquire([charge()], NOON) is None
