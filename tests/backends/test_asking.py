"""How the file backend answers questions beside capture: bounded, on one state, leaving nothing."""

from __future__ import annotations

import os
import shutil
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ortto_capture import BackendError, Captured
from ortto_capture.backends import seek, store
from ortto_capture.backends.ask import answer
from ortto_capture.backends.file import FileBackends, open_file
from ortto_capture.errors import ReportsBusy, ReportTooLong
from ortto_capture.questions.answer import Found, Wanted
from ortto_capture.questions.query import Did, Members, Query

from .samples import DAY, NOON, activity, content, person, sql

LOGINS = Query("act:cm:login", split_by="person")
ALL = "SELECT count(*) FROM journal"


@pytest.fixture
def backends(tmp_path: Path) -> Iterator[FileBackends]:
    """A store in which one person has logged in three times."""
    with open_file(str(tmp_path / "data")) as opened:
        for number in range(3):
            opened.journal.append(activity(number))
        yield opened


def asked(backends: FileBackends) -> object:
    """How many logins there are."""
    return backends.journal.ask(LOGINS, NOON).total


# -- bounded


def test_a_report_that_takes_too_long_is_stopped_and_the_next_one_is_made(
    backends: FileBackends, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(store, "REPORT", 0.0)
        patched.setattr(store, "INSTRUCTIONS", 1)
        for question in (LOGINS, Members(Did("act:cm:login"))):
            with pytest.raises(ReportTooLong) as refused:
                backends.journal.ask(question, NOON)
            assert (refused.value.status, refused.value.code) == (422, "too-long")
        with pytest.raises(ReportTooLong):
            backends.journal.search(Wanted(text="a"))

    assert asked(backends) == 3


def test_a_report_that_waits_for_a_slow_disk_is_stopped_as_well(
    backends: FileBackends, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "LONGEST_REPORT", 0.0)
    monkeypatch.setattr(store, "INSTRUCTIONS", 1)

    with pytest.raises(ReportTooLong):
        asked(backends)


def test_a_second_report_waits_for_the_first(backends: FileBackends) -> None:
    entered, go_on = threading.Event(), threading.Event()

    def slow_report(run: store.Run) -> int:
        entered.set()
        go_on.wait()
        return len(list(run(ALL, {})))

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(backends.own.store.look, slow_report)
        entered.wait()
        second = pool.submit(asked, backends)
        go_on.set()

        assert (first.result(), second.result()) == (1, 3)


def test_a_second_report_is_refused_while_the_first_takes_longer_than_it_may_wait(
    backends: FileBackends, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Capture and the newest activities go on meanwhile, and so do reports afterwards."""
    entered, go_on = threading.Event(), threading.Event()

    def slow_report(run: store.Run) -> list[tuple[object, ...]]:
        before = list(run(ALL, {}))
        entered.set()
        go_on.wait()
        return [*before, *run(ALL, {})]

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(backends.own.store.look, slow_report)
        entered.wait()
        monkeypatch.setattr(store, "REPORT", 0.001)
        try:
            with pytest.raises(ReportsBusy) as refused:
                asked(backends)
            backends.journal.append(activity(9))
            assert len(backends.journal.latest()) == 4
            assert len(backends.journal.search(Wanted()).rows) == 4
        finally:
            go_on.set()
        monkeypatch.undo()

        # On the state of one moment.
        assert first.result() == [(3,), (3,)]
    assert (refused.value.status, refused.value.code) == (429, "busy")
    assert refused.value.retry_after == 1
    assert asked(backends) == 4


def test_a_report_cannot_write(backends: FileBackends) -> None:
    with pytest.raises(BackendError):
        backends.own.store.look(lambda run: run("DELETE FROM journal", {}))

    assert asked(backends) == 3


def test_a_report_within_a_decision_sees_what_it_has_stored(backends: FileBackends) -> None:
    def decide() -> object:
        backends.journal.append(activity(9))
        return asked(backends)

    assert backends.atomically(decide) == 4


def test_an_exception_in_a_report_leaves_room_for_the_next(backends: FileBackends) -> None:
    def interrupted(run: store.Run) -> None:
        next(run(ALL, {}))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        backends.own.store.look(interrupted)

    assert asked(backends) == 3
    assert backends.scrub()


# -- what is gone is gone


def test_an_erased_person_leaves_no_byte_though_reports_were_made(
    backends: FileBackends, tmp_path: Path
) -> None:
    backends.people.save(person(1))
    backends.journal.ask(LOGINS, NOON)
    backends.journal.search(Wanted(text="b.example"))

    def erase() -> None:
        backends.journal.erase("person-0001")
        backends.people.erase("person-0001")
        backends.bury("person-0001", [])

    backends.atomically(erase)

    assert asked(backends) == 0
    assert backends.journal.search(Wanted(text="b.example")) == Found([], "", None)
    assert backends.scrub()
    assert b"person-0001" not in content(tmp_path / "data")
    assert b"@b.example" not in content(tmp_path / "data")


def test_what_has_aged_out_is_in_no_answer(backends: FileBackends) -> None:
    backends.journal.append(activity(7, at=NOON - 9 * DAY, who="person-0007"))
    assert asked(backends) == 4

    backends.retain(NOON - DAY, 0)

    assert asked(backends) == 3
    assert backends.journal.ask(Members(None), NOON).total == 1
    assert backends.journal.first_and_last(["act:cm:login"]) == {"act:cm:login": (NOON, NOON)}


# -- the connection


def test_parent_and_child_both_answer_after_a_fork(backends: FileBackends) -> None:
    assert asked(backends) == 3
    child = os.fork()
    if child == 0:
        # Ends without what pytest would do.
        os._exit(0 if asked(backends) == 3 and backends.journal.append(activity(9)) else 1)

    _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == 0
    assert asked(backends) == 4


def test_a_store_that_was_restored_over_is_the_one_that_is_asked(
    backends: FileBackends, tmp_path: Path
) -> None:
    backup = backends.backup(tmp_path / "backup")
    backends.journal.append(activity(9))
    assert asked(backends) == 4

    for each in (tmp_path / "data").glob("store.sqlite3*"):
        each.unlink()
    shutil.copy(backup / "store.sqlite3", tmp_path / "data" / "store.sqlite3")

    assert asked(backends) == 3


def test_a_damaged_row_is_told_and_not_returned(backends: FileBackends, tmp_path: Path) -> None:
    sql(tmp_path / "data", "UPDATE journal SET source = 'x' WHERE position = 2")

    with pytest.raises(BackendError, match="position 2 is damaged"):
        backends.journal.search(Wanted())


def test_an_answer_needs_no_file_for_what_is_sorted(backends: FileBackends) -> None:
    """Another place in which people would be left behind."""
    assert list(backends.own.store.look(lambda run: list(run("PRAGMA temp_store", {})))) == [(2,)]


# -- plans: a wrong one costs minutes with as many rows as a busy website has


@pytest.mark.parametrize(
    ("question", "index"),
    [
        (Query("act:cm:login", by="day"), "journal_activity"),
        (Query(None, "people", by="day"), "journal_activity"),
        (Query(None, split_by="person", period="365d"), "journal_person"),
        (Query("act:cm:login", people=Did("act:cm:login", at_least=2)), "journal_activity"),
        (Query(None, "people", by="day", period="365d"), "journal_person"),
    ],
    ids=repr,
)
def test_a_report_goes_by_an_index(
    backends: FileBackends, tmp_path: Path, question: Query, index: str
) -> None:
    """As the file itself explains what was run."""
    statements: list[tuple[str, dict[str, Any]]] = []
    look = backends.own.store.look

    def watched(run: store.Run) -> None:
        def noted(statement: str, parameters: Mapping[str, Any]) -> Iterator[tuple[object, ...]]:
            statements.append((statement, dict(parameters)))
            return run(statement, parameters)

        answer(noted, question, NOON)

    look(watched)

    with closing(sqlite3.connect(tmp_path / "data" / "store.sqlite3")) as connection:
        plans = [
            row[3]
            for statement, parameters in statements
            for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
        ]
    about_rows = [plan for plan in plans if " journal" in plan]
    assert any(index in plan for plan in about_rows)
    assert all("INDEX" in plan for plan in about_rows)


# -- slices of a search


def test_a_search_answers_slice_by_slice_with_how_far_it_has_come(
    backends: FileBackends, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3, 40):
        backends.journal.append(activity(number, who=f"person-{number}"))
    for number in range(10, 30):
        backends.journal.erase(f"person-{number}")
    for name, value in (("SLICE", 0.0), ("STEP", 4), ("RARE", 0)):
        monkeypatch.setattr(seek, name, value)
    for wanted, expected in ((Wanted(text="event-1"), 1), (Wanted(("act:cm:login",)), 20)):
        found: list[Captured] = []
        slices, before = 0, ""
        while slices == 0 or before:
            one = backends.journal.search(wanted, before)
            assert (one.looked_back_to is None) == (one.before == "")
            found += one.rows
            before = one.before
            slices += 1

        assert len(found) == expected
        assert slices == 10


def test_a_search_in_an_empty_journal_finds_nothing(tmp_path: Path) -> None:
    with open_file(str(tmp_path / "empty")) as opened:
        assert opened.journal.search(Wanted()) == Found([], "", None)
        assert opened.journal.ask(LOGINS, NOON).rows == ()
