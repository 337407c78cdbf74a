"""What the store does when SQLite, the file or another process gets in its way."""

from __future__ import annotations

import os
import resource
import signal
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from ortto_capture import (
    Activity,
    BackendError,
    Capture,
    Charge,
    ConfigurationError,
    Outcome,
    Quota,
    Settings,
    StorageFull,
)
from ortto_capture.backends import file_limiter, store, store_scrub
from ortto_capture.backends.file import open_file
from ortto_capture.backends.group import Group, Job
from ortto_capture.backends.store import Store
from ortto_capture.backends.store_file import fault
from ortto_capture.locks import fork_safe_lock


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Store]:
    made = Store(tmp_path / "store.sqlite3")
    yield made
    made.close()


def said(name: str) -> sqlite3.OperationalError:
    """An error as SQLite raises it."""
    error = sqlite3.OperationalError("in SQLite's words")
    error.sqlite_errorname = name
    return error


class Failing:
    """A cursor on which one kind of statement fails, once."""

    def __init__(self, cursor: sqlite3.Cursor, statement: str, name: str) -> None:
        self._cursor = cursor
        self._statement = statement
        self._name: str | None = name

    def execute(self, sql: str, parameters: Any = ()) -> sqlite3.Cursor:
        if self._name and sql.startswith(self._statement):
            name, self._name = self._name, None
            raise said(name)
        return self._cursor.execute(sql, parameters)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)


def let_fail(opened: Store, statement: str, name: str) -> None:
    opened.atomically(lambda: opened.read("SELECT 1"))
    failing: Any = Failing(opened._writing(), statement, name)  # noqa: SLF001
    opened._writer = failing  # noqa: SLF001


def note(opened: Store, value: int) -> None:
    opened.atomically(lambda: opened.set_meta("scrub", value))


@pytest.mark.parametrize(
    ("name", "kind", "says"),
    [
        ("SQLITE_FULL", StorageFull, "no space is left"),
        ("SQLITE_BUSY", BackendError, "close that one"),
        ("SQLITE_BUSY_SNAPSHOT", BackendError, "close that one"),
        ("SQLITE_READONLY", BackendError, "writable for user"),
        ("SQLITE_CANTOPEN", BackendError, "writable for user"),
        ("SQLITE_CORRUPT_INDEX", BackendError, "restore a backup"),
        ("SQLITE_NOTADB", BackendError, "restore a backup"),
        ("SQLITE_IOERR_FSYNC", BackendError, "did not confirm a write"),
        ("SQLITE_IOERR_WRITE", BackendError, "check the disk"),
        ("SQLITE_IOERR_READ", BackendError, "check the disk"),
        ("SQLITE_TOOBIG", BackendError, "SQLITE_TOOBIG"),
    ],
)
def test_every_error_names_the_path_and_what_to_do(
    tmp_path: Path, name: str, kind: type[BackendError], says: str
) -> None:
    path = tmp_path / "store.sqlite3"
    path.touch()

    found = fault(said(name), path)

    assert type(found) is kind
    assert str(found).startswith(f"{path}: ")
    assert says in str(found)
    assert "SQLite's words" not in str(found)


def test_a_store_that_is_not_there_is_to_be_put_back(tmp_path: Path) -> None:
    assert "put it back" in str(fault(said("SQLITE_CANTOPEN"), tmp_path / "store.sqlite3"))


def test_an_error_whose_text_is_damaged_is_damage(tmp_path: Path) -> None:
    error = UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")

    assert "damaged" in str(fault(error, tmp_path / "store.sqlite3"))


@contextmanager
def files_at_most(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("limit", [4_096, 1 << 22])
def test_a_limit_for_file_sizes_is_a_full_disk(tmp_path: Path, limit: int) -> None:
    """Told by the sizes, or by trying."""
    path = tmp_path / "store.sqlite3"
    path.write_bytes(bytes(1_000))

    with files_at_most(limit):
        found = fault(said("SQLITE_IOERR_WRITE"), path)

    assert (type(found) is StorageFull) == (limit == 4_096)
    assert list(tmp_path.iterdir()) == [path]


def test_a_disk_that_cannot_be_written_any_more_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told by trying, where no limit tells."""
    monkeypatch.setattr("ortto_capture.backends.store_file.HEADROOM", -(1 << 30))
    path = tmp_path / "store.sqlite3"
    path.touch()

    with files_at_most(4_096):
        found = fault(said("SQLITE_IOERR_WRITE"), path)

    assert type(found) is StorageFull


def test_after_a_write_the_disk_did_not_confirm_nothing_more_is_stored(opened: Store) -> None:
    note(opened, 1)
    let_fail(opened, "COMMIT", "SQLITE_IOERR_FSYNC")

    for _ in range(2):
        with pytest.raises(BackendError, match="did not confirm"):
            note(opened, 2)
    assert opened.meta("scrub") == 1, "what was acknowledged can be read"
    with pytest.raises(BackendError, match="did not confirm"):
        opened.ping()
    with closing(Store(opened.path)) as again:
        note(again, 3)
        assert again.meta("scrub") == 3


@pytest.mark.parametrize("statement", ["BEGIN", "UPDATE", "COMMIT"])
@pytest.mark.parametrize("name", ["SQLITE_FULL", "SQLITE_IOERR_READ", "SQLITE_BUSY"])
def test_a_fault_undoes_everything_and_the_next_one_passes(
    opened: Store, statement: str, name: str
) -> None:
    let_fail(opened, statement, name)

    with pytest.raises(BackendError):
        note(opened, 1)
    assert opened.meta("scrub") == 0
    note(opened, 2)
    assert opened.meta("scrub") == 2


def test_a_fault_that_somebody_swallows_still_loses_the_transaction(opened: Store) -> None:
    let_fail(opened, "UPDATE", "SQLITE_IOERR_READ")

    def swallows() -> str:
        for attempt in (lambda: opened.set_meta("scrub", 1), lambda: opened.meta("epoch")):
            with pytest.raises(BackendError, match="check the disk"):
                attempt()
        with pytest.raises(BackendError, match="check the disk"):
            opened.set_meta("scrub", 2)
        return "done"

    with pytest.raises(BackendError, match="check the disk"):
        opened.atomically(swallows)
    assert opened.meta("scrub") == 0


def test_one_row_that_cannot_be_stored_is_nobody_elses_fault(opened: Store) -> None:
    let_fail(opened, "UPDATE", "SQLITE_TOOBIG")
    leading, waiting = threading.Event(), threading.Event()

    def first() -> None:
        leading.set()
        waiting.wait()

    with ThreadPoolExecutor(3) as pool:
        pool.submit(opened.atomically, first)
        leading.wait()
        asked = [pool.submit(note, opened, value) for value in (1, 2)]
        while len(opened._group) < 2:  # noqa: SLF001
            leading.wait(0.001)
        waiting.set()
        found = [type(each.exception()) for each in asked]

    assert set(found) == {BackendError, type(None)}


def while_somebody_writes(opened: Store, look: Callable[[], object]) -> object:
    """What ``look`` returns in this thread while another is in a transaction."""
    leading, waiting = threading.Event(), threading.Event()

    def write() -> None:
        opened.set_meta("scrub", 1)
        leading.set()
        waiting.wait()

    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(opened.atomically, write)
        leading.wait()
        try:
            return look()
        finally:
            waiting.set()
            done.exception()


def test_nobody_who_only_looks_waits_for_a_writer(opened: Store) -> None:
    assert while_somebody_writes(opened, lambda: opened.meta("scrub")) == 0
    assert opened.meta("scrub") == 1


def test_looking_while_the_store_is_away_fails_until_it_is_back(opened: Store) -> None:
    def look() -> str:
        opened._close_reader()  # noqa: SLF001
        away = opened.path.rename(opened.path.with_name("away"))
        with pytest.raises(BackendError, match="put it back"):
            opened.meta("scrub")
        away.rename(opened.path)
        return str(opened.meta("epoch"))

    assert while_somebody_writes(opened, look) == opened.meta("epoch")


def test_processes_queue_for_the_file(opened: Store) -> None:
    """Here another store in the same process: each has its own lock on the file."""
    with closing(Store(opened.path)) as other, ThreadPoolExecutor(1) as pool:

        def write() -> Any:
            opened.set_meta("scrub", 1)
            later = pool.submit(note, other, 2)
            # Long enough for it to have tried: it is never done before this ends.
            with pytest.raises(TimeoutError):
                later.result(timeout=0.05)
            return later

        opened.atomically(write).result()

    assert opened.meta("scrub") == 2


def test_a_process_that_never_ends_is_not_waited_for(
    opened: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "PATIENCE", 0.05)

    # The second store looks at the file's format under the same lock, so it is opened before.
    with closing(Store(opened.path)) as other:

        def held_by_the_first() -> None:
            opened.set_meta("scrub", 1)
            with pytest.raises(BackendError, match="another process writes and does not end"):
                note(other, 2)

        opened.atomically(held_by_the_first)
        note(other, 3)
    assert opened.meta("scrub") == 3


def test_a_lock_that_cannot_be_had_is_named(opened: Store) -> None:
    opened.close()
    lock = opened.path.with_suffix(".lock")
    lock.unlink()
    lock.mkdir()

    with pytest.raises(BackendError, match=r"store\.lock.*writable by user"):
        note(opened, 1)


def test_scrubbing_gives_way_to_whoever_reads(
    opened: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """At whatever moment; and says so when the file is not to be had at all."""
    monkeypatch.setattr(store, "BRIEFLY", 0.01)
    note(opened, 1)
    leftovers = store_scrub.Pages.leftovers
    with closing(sqlite3.connect(opened.path, isolation_level=None)) as somebody:

        def meanwhile(pages: store_scrub.Pages) -> list[int]:
            somebody.execute("UPDATE meta SET value = 2 WHERE name = 'scrub'")
            somebody.execute("BEGIN")
            somebody.execute("SELECT * FROM meta").fetchall()
            return leftovers(pages)

        monkeypatch.setattr(store_scrub.Pages, "leftovers", meanwhile)
        assert not opened.scrub()
        somebody.execute("ROLLBACK")
    monkeypatch.setattr(store_scrub.Pages, "leftovers", leftovers)
    assert opened.meta("scrub") == 2
    away = opened.path.rename(opened.path.with_name("away"))
    assert not opened.scrub()
    assert "could not be overwritten yet" in caplog.text
    away.rename(opened.path)
    assert opened.scrub()
    assert opened.meta("scrub") == 0


def test_a_copy_that_cannot_be_made_is_an_error(opened: Store, tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="copy"):
        opened.back_up(tmp_path / "nowhere" / "copy")


@pytest.mark.parametrize("damaged", [slice(0, 16), slice(100, 130)])
def test_what_is_wrong_with_the_whole_file_is_told(opened: Store, damaged: slice) -> None:
    assert opened.problems() == []
    opened.close()
    content = bytearray(opened.path.read_bytes())
    content[damaged] = b"\xff" * (damaged.stop - damaged.start)
    opened.path.write_bytes(content)

    assert str(opened.path) in opened.problems()[0]


class Impatient(BaseException):
    """Raised by a signal in the middle of waiting."""


def group_of(turn: Any) -> Group:
    """A group whose work is no more than what its members decide."""

    def work(jobs: list[Job[Any]]) -> bool:
        group.take(jobs)
        for job in jobs:
            job.run()
            job.finish()
        return True

    group = Group(turn, work)
    return group


def test_whoever_gives_up_waiting_is_not_waited_for() -> None:
    """A signal ends the main thread's waiting; nobody else's answer is lost by it."""
    leading, waiting = threading.Event(), threading.Event()
    group = group_of(fork_safe_lock(outer=True))

    def first() -> None:
        leading.set()
        waiting.wait()

    def give_up(*_: object) -> None:
        raise Impatient

    before = signal.signal(signal.SIGALRM, give_up)
    try:
        with ThreadPoolExecutor(2) as pool:
            done = pool.submit(group.ask, first)
            leading.wait()
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            with pytest.raises(Impatient):
                group.ask(lambda: "never run")
            assert len(group) == 0
            later = pool.submit(group.ask, lambda: "answered")
            waiting.set()
            assert later.result() == "answered"
            done.result()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_a_leader_that_is_interrupted_hands_over() -> None:
    """Whoever leads next is not kept waiting for a thread that is not there."""
    interrupted = [True]

    class Turn:
        def __enter__(self) -> None:
            if interrupted:
                interrupted.clear()
                raise Impatient

        def __exit__(self, *_: object) -> None:
            """Nothing is held."""

    group = group_of(Turn())
    with pytest.raises(Impatient):
        group.ask(lambda: "never run")

    assert group.ask(lambda: "answered") == "answered"


def two_ask(group: Group, entered: threading.Event, both: threading.Event) -> list[Future[str]]:
    """One that leads, once another waits."""
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(group.ask, lambda: "first")
        entered.wait()
        other = pool.submit(group.ask, lambda: "other")
        while len(group) < 2:
            pass
        both.set()
    return [first, other]


class WaitingTurn:
    """Lets whoever leads begin when another waits."""

    def __init__(self) -> None:
        self.entered, self.both = threading.Event(), threading.Event()

    def __enter__(self) -> None:
        self.entered.set()
        self.both.wait()

    def __exit__(self, *_: object) -> None:
        """Nothing is held."""


def test_whoever_is_being_taken_when_the_leader_is_interrupted_has_an_answer() -> None:
    class Waiting(deque[Job[Any]]):
        left = 2

        def popleft(self) -> Job[Any]:
            self.left -= 1
            if self.left == 0:
                raise Impatient
            return super().popleft()

    turn = WaitingTurn()
    group = group_of(turn)
    group._waiting = Waiting()  # noqa: SLF001
    asked = two_ask(group, turn.entered, turn.both)

    assert [type(each.exception()) for each in asked] == [Impatient, BackendError]
    assert len(group) == 0
    assert group.ask(lambda: "answered") == "answered"


def test_whoever_is_being_woken_when_the_leader_is_interrupted_is_woken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    interrupted = [True]
    wake = Job.wake

    def interrupt(job: Job[Any]) -> None:
        if job.ready is not None and interrupted:
            interrupted.clear()
            raise Impatient
        wake(job)

    monkeypatch.setattr(Job, "wake", interrupt)
    turn = WaitingTurn()
    group = group_of(turn)
    first, other = two_ask(group, turn.entered, turn.both)

    assert type(first.exception()) is Impatient
    assert other.result() == "other"


def test_a_row_that_cannot_be_decoded_leaves_nothing_open(opened: Store) -> None:
    """Else nobody could overwrite what was erased for as long as somebody keeps the error."""
    broken = "INSERT INTO outcomes VALUES (CAST(x'4a6f616eff' AS TEXT), 1)"
    opened.atomically(lambda: opened.write(broken))
    with pytest.raises(BackendError, match="restore a backup") as kept:
        opened.atomically(lambda: opened.read("SELECT code FROM outcomes"))

    assert opened.scrub()
    assert kept.value.__cause__ is None


def test_a_fork_waits_for_a_copy_that_is_being_made(opened: Store, tmp_path: Path) -> None:
    """Its connection would cross the fork, and what the child writes would be lost."""
    text = "x" * 1_500
    opened.atomically(
        lambda: [
            opened.write("INSERT INTO outcomes VALUES (?, 1)", (f"{number}{text}",))
            for number in range(20_000)
        ]
    )
    copying = threading.Event()

    def copy() -> None:
        copying.set()
        opened.back_up(tmp_path / "copy")

    with ThreadPoolExecutor(1) as pool:
        copied = pool.submit(copy)
        copying.wait()
        child = os.fork()
        if child == 0:
            note(opened, 7)
            os._exit(0)
        copied.result()
    opened.close()
    assert os.waitpid(child, 0)[1] == 0

    assert opened.meta("scrub") == 7


def test_what_the_driver_says_of_a_row_is_not_repeated(opened: Store) -> None:
    add = "INSERT INTO outcomes VALUES (CAST(x'4a6f616eff' AS TEXT), 1)"
    opened.atomically(lambda: opened.write(add))

    with pytest.raises(BackendError, match="is damaged") as raised:
        opened.read("SELECT code FROM outcomes")
    assert "Joan" not in str(raised.value)
    assert raised.value.__cause__ is None


def test_a_log_that_the_disk_did_not_take_over_stops_everything(
    opened: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "CHANGES", 1)
    let_fail(opened, "PRAGMA wal_checkpoint(PASSIVE)", "SQLITE_IOERR_FSYNC")
    note(opened, 1)

    with pytest.raises(BackendError, match="did not confirm"):
        note(opened, 2)


def test_what_is_erased_during_scrubbing_is_scrubbed_again(
    opened: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    note(opened, 1)
    leftovers = store_scrub.Pages.leftovers

    def meanwhile(pages: store_scrub.Pages) -> Any:
        opened.atomically(lambda: opened.count_meta("scrub"))
        return leftovers(pages)

    monkeypatch.setattr(store_scrub.Pages, "leftovers", meanwhile)
    assert not opened.scrub()
    assert opened.meta("scrub") == 2
    monkeypatch.undo()
    assert opened.scrub()
    assert opened.meta("scrub") == 0


# -- the directory around it


@pytest.mark.parametrize(
    ("name", "kind"), [("erased", "directory"), ("store.copying", "file"), ("secret", "directory")]
)
def test_what_should_not_be_there_is_named(tmp_path: Path, name: str, kind: str) -> None:
    if kind == "directory":
        (tmp_path / name).mkdir()
    else:
        (tmp_path / name).touch()

    with (
        pytest.raises(ConfigurationError, match=name if name != "store.copying" else "backup"),
        open_file(str(tmp_path)) as backends,
    ):
        backends.secret()


def test_a_directory_below_a_file_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(ConfigurationError, match=f"{tmp_path}/file"):
        open_file(str(tmp_path / "file" / "data"))


def test_only_so_many_full_quotas_are_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_limiter, "REMEMBERED", 2)
    with open_file(str(tmp_path)) as backends:
        limiter = backends.limiter
        limiter.release([], 0.0)
        for number in range(5):
            one = Charge(b"%016d" % number, Quota(1, 3600))
            assert limiter.acquire([one], 0.0) is None
            assert limiter.acquire([one], 0.0) is not None
        assert 0 < len(limiter._full) <= 3  # noqa: SLF001


def test_past_windows_are_dropped_a_batch_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_limiter, "BATCH", 2)
    with open_file(str(tmp_path)) as backends:
        for number in range(5):
            backends.limiter.acquire([Charge(b"%016d" % number, Quota(1, 3600))], 0.0)
        left = []
        for number in range(4):
            backends.limiter.acquire([Charge(b"%016d" % number, Quota(9, 3600))], 9 * 3600.0)
            left.append(len(backends._store.read("SELECT 1 FROM counts WHERE slot = 0")))  # noqa: SLF001

    assert left == [3, 1, 0, 0]


def test_a_child_forgets_the_outcomes_its_parent_gathered(tmp_path: Path) -> None:
    with open_file(str(tmp_path)) as backends:
        backends.outcomes.note(Outcome("accepted", 0.0, "activity"))
        assert backends.outcomes._timer is not None  # noqa: SLF001
        backends.outcomes._timer.cancel()  # noqa: SLF001
        backends.outcomes.before_fork()
        backends.outcomes.after_fork_in_child()

        assert backends.outcomes.counts() == {}


def test_a_refusal_that_was_damaged_is_reported(tmp_path: Path) -> None:
    with open_file(str(tmp_path)) as backends:
        backends.outcomes.note(Outcome("not-found", 0.0, "activity", "unknown"))
        backends.outcomes.flush()
        with closing(sqlite3.connect(tmp_path / "store.sqlite3", isolation_level=None)) as somebody:
            somebody.execute("UPDATE refusals SET outcome = '{'")

        with pytest.raises(BackendError, match="a refusal is damaged"):
            backends.outcomes.refusals()


def test_a_note_of_the_stores_own_that_is_gone_is_damage(tmp_path: Path) -> None:
    what = Activity("event", "act:cm:login", "nobody", {}, "", "claimed", 0.0, 0.0, False)
    with open_file(str(tmp_path)) as backends:
        kept = backends._store  # noqa: SLF001
        kept.atomically(lambda: kept.write("DELETE FROM meta WHERE name IN ('erased', 'last')"))

        with pytest.raises(BackendError, match="damaged"):
            kept.meta("erased")
        with pytest.raises(BackendError, match="damaged"):
            backends.journal.append(what)


def test_an_erased_name_that_another_process_had_noted_is_not_written(tmp_path: Path) -> None:
    settings = Settings(secret_keys=["an example secret of more than 32 bytes"])
    with open_file(str(tmp_path)) as backends, open_file(str(tmp_path)) as elsewhere:
        capture = Capture(backends=backends, settings=settings)
        capture.identify(email="anna@emaildomain.com")
        person = capture.person("anna@emaildomain.com")
        assert person is not None
        refusal = Outcome("rate-limit", 0.0, "activity", "person-limit", "act:cm:login", person.id)
        elsewhere.outcomes.note(refusal)
        capture.erase("anna@emaildomain.com")
        elsewhere.outcomes.note(refusal)
        elsewhere.outcomes.flush()

        assert {each.person_id for each in backends.outcomes.refusals()} == {None}
