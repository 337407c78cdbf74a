"""What callers see when SQLite, the disk or another process gets in the store's way."""

from __future__ import annotations

import os
import resource
import signal
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from ortto_capture import BackendError, Captured, StorageFull, UnknownActivity
from ortto_capture.backends import store
from ortto_capture.backends.file import FileBackends, open_file

from ..faults.driver import Driver, driven, slow
from ..faults.stage import outcomes, ping
from .samples import activity, charge, content, events, person, sql

#: So many times, where each is to fail.
ALWAYS = 1_000_000


@pytest.fixture
def driver() -> Iterator[Driver]:
    with driven() as driver:
        yield driver


@pytest.fixture
def backends(driver: Driver, tmp_path: Path) -> Iterator[FileBackends]:
    with open_file(str(tmp_path / "data")) as opened:
        opened.people.save(person(1))
        yield opened


# -- every error says what is wrong and what to do


@pytest.mark.parametrize(
    ("statement", "name", "kind", "says"),
    [
        ("COMMIT", "SQLITE_FULL", StorageFull, "no space is left"),
        ("COMMIT", "SQLITE_BUSY_SNAPSHOT", BackendError, "close that one"),
        ("BEGIN", "SQLITE_READONLY", BackendError, "writable for user"),
        ("BEGIN", "SQLITE_CANTOPEN", BackendError, "writable for user"),
        ("BEGIN", "SQLITE_CORRUPT_INDEX", BackendError, "restore a backup"),
        ("BEGIN", "SQLITE_NOTADB", BackendError, "restore a backup"),
        ("COMMIT", "SQLITE_IOERR_FSYNC", BackendError, "did not confirm a write"),
        ("COMMIT", "SQLITE_IOERR_WRITE", BackendError, "check the disk"),
        ("COMMIT", "SQLITE_IOERR_READ", BackendError, "check the disk"),
        ("COMMIT", "SQLITE_TOOBIG", BackendError, "SQLITE_TOOBIG"),
    ],
)
def test_every_error_names_the_path_and_the_remedy(
    backends: FileBackends,
    driver: Driver,
    statement: str,
    name: str,
    kind: type[BackendError],
    says: str,
) -> None:
    driver.fail(statement, name)

    with pytest.raises(BackendError) as raised:
        backends.journal.append(activity(1))

    assert type(raised.value) is kind
    assert str(raised.value).startswith(f"{backends.directory / 'store.sqlite3'}: ")
    assert says in str(raised.value)
    assert "SQLite's own words" not in str(raised.value)


@contextmanager
def files_at_most(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize(("limit", "kind"), [(4_096, StorageFull), (1 << 30, BackendError)])
def test_a_write_that_fails_at_the_limit_for_file_sizes_is_storage_full(
    backends: FileBackends, driver: Driver, limit: int, kind: type[BackendError]
) -> None:
    driver.fail("COMMIT", "SQLITE_IOERR_WRITE")
    before = set(backends.directory.iterdir())

    with pytest.raises(BackendError) as raised, files_at_most(limit):
        backends.journal.append(activity(1))

    assert type(raised.value) is kind
    assert set(backends.directory.iterdir()) <= before, "nothing is left of finding out"


def test_a_store_that_was_moved_away_is_to_be_put_back(backends: FileBackends) -> None:
    path = backends.directory / "store.sqlite3"
    backends.journal.append(activity(1))
    away = path.rename(backends.directory / "away")

    for use in (
        lambda: backends.journal.append(activity(2)),
        lambda: backends.people.get("person-0001"),
        backends.journal.latest,
        partial(ping, backends),
    ):
        with pytest.raises(BackendError, match=r"store\.sqlite3.*put it back"):
            use()
    away.rename(path)

    assert backends.people.get("person-0001") == person(1)
    assert backends.journal.append(activity(2)) is not None
    assert events(backends) == ["event-1", "event-2"]


def test_what_the_driver_says_of_a_damaged_row_is_not_repeated(backends: FileBackends) -> None:
    """It may hold what a visitor sent."""
    sql(backends.directory, "INSERT INTO outcomes VALUES (CAST(x'4a6f616eff' AS TEXT), 1)")

    with pytest.raises(BackendError, match=r"is damaged.*restore a backup") as kept:
        outcomes(backends).counts()

    assert "Joan" not in str(kept.value)
    assert kept.value.__cause__ is None
    assert backends.scrub(), "the error that is kept here keeps no statement open"


# -- a fault undoes everything


@pytest.mark.parametrize("statement", ["BEGIN", "INSERT", "COMMIT"])
@pytest.mark.parametrize("name", ["SQLITE_FULL", "SQLITE_IOERR_READ", "SQLITE_CORRUPT"])
def test_a_fault_undoes_everything_and_the_next_decision_is_stored(
    backends: FileBackends, driver: Driver, statement: str, name: str
) -> None:
    def both() -> None:
        backends.people.save(person(2))
        assert backends.limiter.acquire([charge()], 0.0) is None
        backends.journal.append(activity(1, who="person-0002"))

    driver.fail(statement, name)

    with pytest.raises(BackendError):
        backends.atomically(both)

    assert driver.failed[statement] == 1
    assert backends.people.get("person-0002") is None
    assert events(backends) == []
    backends.atomically(both)
    assert events(backends) == ["event-1"]


def test_a_decision_that_swallows_a_fault_is_undone_and_raises(
    backends: FileBackends, driver: Driver
) -> None:
    """It may have stored half of what it believes to have stored."""

    def swallows() -> str:
        backends.people.save(person(2))
        driver.fail("INSERT", "SQLITE_IOERR_READ")
        with suppress(BackendError):
            backends.people.save(person(3))
        with suppress(BackendError):
            backends.people.save(person(4))
        return "done"

    with pytest.raises(BackendError, match="check the disk"):
        backends.atomically(swallows)

    assert [backends.people.get(f"person-000{number}") for number in (2, 3, 4)] == [None] * 3


def test_a_lock_that_is_held_for_a_moment_is_waited_for(
    backends: FileBackends, driver: Driver
) -> None:
    driver.fail("BEGIN", "SQLITE_BUSY", times=5)

    assert backends.journal.append(activity(1)) is not None
    assert driver.failed["BEGIN"] == 5


def test_after_a_write_the_disk_did_not_confirm_nothing_more_is_stored(
    backends: FileBackends, driver: Driver, tmp_path: Path
) -> None:
    """The kernel may drop what it could not write, and say afterwards that all is well."""
    backends.journal.append(activity(1))
    driver.fail("COMMIT", "SQLITE_IOERR_FSYNC")

    for _ in range(2):
        with pytest.raises(BackendError, match="did not confirm"):
            backends.journal.append(activity(2))

    assert events(backends) == ["event-1"], "what was acknowledged can be read"
    with pytest.raises(BackendError, match="did not confirm"):
        ping(backends)
    with open_file(str(tmp_path / "data")) as again:
        assert again.journal.append(activity(3)) is not None


def test_a_log_that_the_disk_did_not_take_over_stops_everything(
    backends: FileBackends, driver: Driver
) -> None:
    """SQLite would move its log into the file by itself, and not tell that this failed."""
    driver.fail("PRAGMA wal_checkpoint", "SQLITE_IOERR_FSYNC")

    def many() -> None:
        for number in range(4_000):
            backends.journal.append(activity(number))

    with suppress(BackendError):
        backends.atomically(many)

    assert driver.failed["PRAGMA wal_checkpoint"] == 1
    with pytest.raises(BackendError, match="did not confirm"):
        backends.journal.append(activity(5_000))


# -- other writers


def while_another_thread_writes(backends: FileBackends, look: Callable[[], Any]) -> Any:
    """What ``look`` returns in this thread while another one is inside a decision."""
    deciding, looked = threading.Event(), threading.Event()

    def write() -> None:
        backends.people.save(person(2))
        deciding.set()
        looked.wait()

    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(backends.atomically, write)
        deciding.wait()
        try:
            return look()
        finally:
            looked.set()
            done.exception()


def test_reading_waits_for_no_writer_and_sees_what_is_committed(backends: FileBackends) -> None:
    def look() -> list[object]:
        ping(backends)
        return [backends.people.get("person-0002"), events(backends)]

    assert while_another_thread_writes(backends, look) == [None, []]
    assert backends.people.get("person-0002") == person(2)


def test_reading_fails_while_the_store_is_away_and_another_thread_writes(
    backends: FileBackends,
) -> None:
    path = backends.directory / "store.sqlite3"

    def look() -> None:
        away = path.rename(path.with_name("away"))
        with pytest.raises(BackendError, match="put it back"):
            backends.people.get("person-0001")
        away.rename(path)

    while_another_thread_writes(backends, look)

    assert backends.people.get("person-0001") == person(1)


def test_processes_take_turns(backends: FileBackends) -> None:
    """Here other backends in this process: they know nothing of the first."""
    with open_file(str(backends.directory)) as other, ThreadPoolExecutor(1) as pool:

        def write() -> Any:
            backends.journal.append(activity(1))
            later = pool.submit(other.journal.append, activity(2))
            # Long enough for it to have tried: it is never done before this decision ends.
            with pytest.raises(TimeoutError):
                later.result(timeout=0.05)
            return later

        captured = backends.atomically(write).result()

    assert [each.position for each in backends.journal.latest()] == [1, captured.position]


def test_a_process_that_never_commits_is_waited_for_no_longer_than_patience(
    backends: FileBackends, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "PATIENCE", 0.05)
    with open_file(str(backends.directory)) as other:

        def held_by_the_first() -> None:
            backends.journal.append(activity(1))
            with pytest.raises(BackendError, match=r"store\.sqlite3.*(close|find|fuser)"):
                other.journal.append(activity(2))

        backends.atomically(held_by_the_first)

        assert other.journal.append(activity(2)) is not None
    assert events(backends) == ["event-1", "event-2"]


def test_each_thread_waits_for_a_locked_file_from_its_own_arrival(
    backends: FileBackends, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eight requests before a locked file are all answered after two seconds, not after sixteen."""
    monkeypatch.setattr(store, "PATIENCE", 0.5)
    with closing(sqlite3.connect(backends.directory / "store.sqlite3")) as holder:
        holder.execute("BEGIN IMMEDIATE")
        began = monotonic()
        with ThreadPoolExecutor(8) as pool:
            asked = [pool.submit(backends.journal.append, activity(n)) for n in range(8)]
        took = monotonic() - began
        holder.rollback()

    assert {type(each.exception()) for each in asked} == {BackendError}
    assert took < 8 * 0.5 / 2
    assert events(backends) == []


# -- threads share a transaction, each with its own answer


def crowd(size: int, work: Callable[[int], object]) -> list[object]:
    """What ``work`` returned or raised in each of so many threads, begun at once."""
    start = threading.Barrier(size)

    def run(number: int) -> object:
        start.wait()
        try:
            return work(number)
        except BaseException as error:  # noqa: BLE001  # the answer of that thread
            return error

    with ThreadPoolExecutor(size) as pool:
        return list(pool.map(run, range(size)))


def test_threads_share_the_wait_for_a_slow_disk(backends: FileBackends, driver: Driver) -> None:
    driver.before("COMMIT", slow(0.005))
    before = driver.run["COMMIT"]

    def work(thread: int) -> None:
        for number in range(10):
            backends.journal.append(activity(thread * 100 + number))

    assert crowd(16, work) == [None] * 16

    assert len(set(events(backends))) == 160
    assert driver.run["COMMIT"] - before < 80


@pytest.mark.parametrize("name", ["SQLITE_FULL", "SQLITE_IOERR_WRITE", "SQLITE_IOERR_FSYNC"])
def test_a_commit_that_fails_is_told_to_every_thread_that_shared_it(
    tmp_path: Path, driver: Driver, name: str
) -> None:
    """None of what it held is stored, no counter is changed, and no thread got an answer."""
    shared = 0
    for round_ in range(10):
        with open_file(str(tmp_path / str(round_))) as backends:
            backends.people.save(person(1))
            driver.before("COMMIT", slow(0.005))
            driver.failed.clear()
            driver.fail("COMMIT", name, times=2)

            def work(number: int, backends: FileBackends = backends) -> object:
                return backends.record(activity(number), [charge(amount=100)])

            answers = crowd(8, work)
            driver.mend()
            failed = [each for each in answers if isinstance(each, BaseException)]
            shared += len(failed) > driver.failed["COMMIT"]

            assert {type(each) for each in failed} <= {BackendError, StorageFull}
            assert len({id(each) for each in failed}) == len(failed), "each thread has its own"
            stored = events(backends)
            assert len(stored) == 8 - len(failed)
            told = {each.event_id for each in answers if isinstance(each, Captured)}
            assert told == set(stored)
            counted = sql(backends.directory, "SELECT coalesce(sum(count), 0) FROM counts")
            assert counted == [(len(stored),)]
    assert shared, "no failed commit was shared by several threads"


def test_a_row_that_cannot_be_stored_fails_no_other_thread(
    backends: FileBackends, driver: Driver
) -> None:
    driver.before("COMMIT", slow(0.005))
    driver.fail("INSERT INTO journal", "SQLITE_TOOBIG")

    answers = crowd(8, lambda number: backends.journal.append(activity(number)))

    assert [type(each) for each in answers].count(BackendError) == 1
    assert len(events(backends)) == 7


class Impatient(BaseException):
    """Raised in the middle of anything, as by a signal's handler."""


@pytest.mark.parametrize("mistake", [ZeroDivisionError, KeyboardInterrupt, Impatient])
def test_a_decision_that_writes_and_raises_takes_nothing_of_its_neighbours_along(
    backends: FileBackends, driver: Driver, mistake: type[BaseException]
) -> None:
    """What it wrote is undone, its exception is raised in its own thread, the others are stored."""
    driver.before("COMMIT", slow(0.005))

    def work(number: int) -> object:
        who = person(number)

        def decide() -> object:
            backends.people.save(who)
            if number % 8 == 3:
                raise mistake
            return backends.journal.append(activity(number, who=who.id))

        return backends.atomically(decide)

    answers = [each for _ in range(3) for each in crowd(8, lambda n, base=_: work(8 * base + n))]  # type: ignore[misc]

    stored = [number for number in range(24) if number % 8 != 3]
    assert [type(each) for each in answers[3::8]] == [mistake] * 3
    assert sorted(events(backends)) == sorted(f"event-{number}" for number in stored)
    saved = [number for number in range(24) if backends.people.get(person(number).id)]
    assert saved == stored


def test_a_refusal_leaves_the_others_of_its_transaction_alone(
    backends: FileBackends, driver: Driver
) -> None:
    driver.before("COMMIT", slow(0.005))

    answers = crowd(8, lambda number: backends.record(activity(number), [charge(amount=3)]))

    kinds = [type(each).__name__ for each in answers]
    assert sorted(kinds) == ["Captured"] * 3 + ["Full"] * 5
    assert len(events(backends)) == 3
    assert sql(backends.directory, "SELECT sum(count) FROM counts") == [(3,)]


def test_no_answer_leaves_before_what_it_rests_on_is_on_the_disk(
    backends: FileBackends, driver: Driver
) -> None:
    """A duplicate, too, was decided on a row that a power cut could still take."""
    for round_ in range(5):
        driver.before("COMMIT", slow(0.01))
        driver.fail("COMMIT", "SQLITE_IOERR_WRITE")
        answers = crowd(8, lambda _, round_=round_: backends.record(activity(round_), []))  # type: ignore[misc]
        driver.mend()
        answered = [each for each in answers if isinstance(each, Captured)]

        assert bool(answered) == (f"event-{round_}" in events(backends)), answers
        assert sum(not each.duplicate for each in answered) <= 1


def test_no_refusal_leaves_before_what_it_rests_on_is_on_the_disk(
    backends: FileBackends, driver: Driver
) -> None:
    def unless_stored(number: int) -> object:
        def decide() -> object:
            if backends.journal.find(activity(number)) is not None:
                raise UnknownActivity
            return backends.journal.append(activity(number))

        return backends.atomically(decide)

    driver.before("COMMIT", slow(0.01))
    for round_ in range(5):
        driver.fail("COMMIT", "SQLITE_IOERR_WRITE")
        answers = crowd(8, lambda _, round_=round_: unless_stored(round_))  # type: ignore[misc]
        driver.mend()

        refused = [each for each in answers if isinstance(each, UnknownActivity)]
        assert not refused or f"event-{round_}" in events(backends), answers


def test_a_thread_that_a_signal_takes_out_of_the_queue_is_not_waited_for(
    backends: FileBackends,
) -> None:
    deciding, waiting = threading.Event(), threading.Event()

    def first() -> object:
        deciding.set()
        waiting.wait()
        return backends.journal.append(activity(1))

    def give_up(*_: object) -> None:
        raise Impatient

    before = signal.signal(signal.SIGALRM, give_up)
    try:
        with ThreadPoolExecutor(2) as pool:
            done = pool.submit(backends.atomically, first)
            deciding.wait()
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            with pytest.raises(Impatient):
                backends.journal.append(activity(2))
            later = pool.submit(backends.journal.append, activity(3))
            waiting.set()
            assert done.result(timeout=20) is not None
            assert later.result(timeout=20) is not None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        waiting.set()

    assert events(backends) == ["event-1", "event-3"]


def test_a_decision_inside_a_decision_is_a_part_of_it(backends: FileBackends) -> None:
    def outer() -> None:
        backends.atomically(lambda: backends.people.save(person(2)))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        backends.atomically(outer)

    assert backends.people.get("person-0002") is None


# -- copies and forks


def test_a_copy_that_cannot_be_made_names_the_path(backends: FileBackends, tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(BackendError, match=f"{tmp_path}/file"):
        backends.backup(tmp_path / "file" / "copy")


def test_a_copy_that_the_disk_has_no_room_for_is_an_error_and_no_backup(
    backends: FileBackends, tmp_path: Path
) -> None:
    def fill() -> None:
        for number in range(2_000):
            backends.journal.append(activity(number))

    backends.atomically(fill)

    with pytest.raises(BackendError, match="copy"), files_at_most(100_000):
        backends.backup(tmp_path / "copy")

    assert not (tmp_path / "copy" / "store.sqlite3").exists()
    assert len(events(backends)) == 2_000


def test_a_fork_during_a_copy_leaves_a_child_that_can_write(
    backends: FileBackends, tmp_path: Path
) -> None:
    note = {"txt:cm:note": "x" * 15_000}

    def fill() -> None:
        for number in range(1_000):
            backends.journal.append(activity(number)._replace(attributes=note))

    backends.atomically(fill)
    copying = threading.Event()

    def copy() -> None:
        copying.set()
        backends.backup(tmp_path / "copy")

    with ThreadPoolExecutor(1) as pool:
        copied = pool.submit(copy)
        copying.wait()
        child = os.fork()
        if child == 0:
            status = 1
            try:
                signal.signal(signal.SIGALRM, signal.SIG_DFL)
                signal.alarm(20)
                backends.journal.append(activity(20_000))
                status = 0
            finally:
                os._exit(status)
        copied.result()

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    backends.close()
    with open_file(str(backends.directory)) as again:
        assert events(again)[-1] == "event-20000"
    with open_file(str(tmp_path / "copy")) as copied_store:
        assert len(events(copied_store)) >= 1_000


@pytest.mark.parametrize("damaged", [slice(0, 16), slice(100, 130)])
def test_damage_to_the_whole_file_is_told(backends: FileBackends, damaged: slice) -> None:
    assert backends.problems() == []
    path = backends.directory / "store.sqlite3"
    backends.close()
    data = bytearray(path.read_bytes())
    data[damaged] = b"\xff" * (damaged.stop - damaged.start)
    path.write_bytes(data)

    try:
        with open_file(str(backends.directory)) as again:
            told = again.problems()
    except ValueError as error:
        told = [str(error)]

    assert str(path) in told[0]


# -- erased bytes


def test_overwriting_gives_way_to_a_reader_and_is_done_when_it_ends(
    backends: FileBackends, caplog: pytest.LogCaptureFixture
) -> None:
    path = backends.directory / "store.sqlite3"
    backends.people.save(person(2))
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM people").fetchall()

        def erase() -> None:
            backends.bury("person-0002", [])
            backends.people.erase("person-0002")

        backends.atomically(erase)
        assert not backends.scrub()
        reader.execute("ROLLBACK")
    away = path.rename(path.with_name("away"))
    assert not backends.scrub()
    assert "could not be overwritten yet" in caplog.text
    away.rename(path)

    assert backends.scrub()
    assert b"user2@emaildomain.com" not in content(backends.directory)


def test_what_is_erased_while_other_bytes_are_overwritten_is_overwritten_as_well(
    backends: FileBackends,
) -> None:
    def erase(number: int) -> object:
        for each in range(100 + 20 * number, 120 + 20 * number):
            gone = backends.people.save(person(each)).id

            def decide(gone: str = gone) -> None:
                backends.bury(gone, [])
                backends.people.erase(gone)

            backends.atomically(decide)
            backends.scrub()
        return None

    assert crowd(4, erase) == [None] * 4

    assert backends.scrub()
    left = content(backends.directory)
    assert [n for n in range(100, 180) if f"user{n}@".encode() in left] == []
