"""The file backend: its ports keep their contracts, and its directory keeps in order."""

from __future__ import annotations

import sqlite3
import stat
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import Client

from ortto_capture import (
    Attribute,
    BackendError,
    Capture,
    CaptureApp,
    ConfigurationError,
    Definition,
    DefinitionEditor,
    Definitions,
    Identifier,
    Journal,
    NotIdentified,
    Outcomes,
    People,
    Person,
    RateLimiter,
    Settings,
    open_backends,
)
from ortto_capture.backends.file import FileBackends, Tombstones, open_file
from ortto_capture.backends.file_outcomes import FileOutcomes
from ortto_capture.backends.file_rows import BATCH
from ortto_capture.backends.store_file import MIGRATIONS, prepare
from ortto_capture.model import Activity, Assurance, Charge, Outcome, Quota
from ortto_capture.testing import (
    DefinitionsContract,
    ErasureContract,
    FakeClock,
    JournalContract,
    OutcomesContract,
    PeopleContract,
    RateLimiterContract,
)

LOGIN = Definition(
    "act:cm:login", "Logged in", client_side=True, attributes=[Attribute("str::email")]
)
NOON = 1_795_435_200.0


@pytest.fixture
def backends(tmp_path: Path) -> Iterator[FileBackends]:
    with open_file(str(tmp_path / "data")) as opened:
        yield opened


class TestFileDefinitions(DefinitionsContract):
    @pytest.fixture
    def definitions(self, backends: FileBackends) -> Definitions:
        return backends.definitions


class TestFilePeople(PeopleContract):
    @pytest.fixture
    def people(self, backends: FileBackends) -> People:
        return backends.people


class TestFileRateLimiter(RateLimiterContract):
    @pytest.fixture
    def limiter(self, backends: FileBackends) -> RateLimiter:
        return backends.limiter


class TestFileJournal(JournalContract):
    @pytest.fixture
    def journal(self, backends: FileBackends) -> Journal:
        return backends.journal


class TestFileOutcomes(OutcomesContract):
    @pytest.fixture
    def outcomes(self, backends: FileBackends) -> Outcomes:
        return backends.outcomes


class TestErasureOnFiles(ErasureContract):
    @pytest.fixture
    def backends(self, tmp_path: Path) -> Iterator[FileBackends]:
        with open_file(str(tmp_path / "data")) as opened:
            yield opened


def define(backends: FileBackends) -> None:
    assert isinstance(backends.definitions, DefinitionEditor)
    backends.definitions.put(LOGIN)


def account(
    backends: FileBackends, clock: FakeClock | None = None, **settings: str | int
) -> Capture:
    define(backends)
    return Capture(
        backends=backends,
        settings=Settings.from_mapping(settings),
        clock=clock or FakeClock(),
    )


def person(number: int, *, created_at: float = NOON, vouched: bool = False) -> Person:
    address = Identifier("email", f"user{number}@emaildomain.com")
    assurance: Assurance = "verified" if vouched else "claimed"
    return Person(f"person-{number:04}", (address,), "John", None, assurance, created_at)


def activity(number: int, *, who: str = "nobody", at: float = NOON) -> Activity:
    return Activity(f"event-{number}", LOGIN.id, who, {"n": number}, "", "claimed", at, at, False)


def sql(data: Path, statement: str, *parameters: object) -> list[tuple[object, ...]]:
    """What somebody else does to the file."""
    with closing(sqlite3.connect(data / "store.sqlite3", isolation_level=None)) as connection:
        return connection.execute(statement, parameters).fetchall()


# -- one look at all of it


def test_what_somebody_did_is_appended_when_they_are_stored(backends: FileBackends) -> None:
    backends.people.save(person(1))

    assert backends.append(activity(1, who="person-0001")) == 1
    assert [each.event_id for each in backends.journal.recent()] == ["event-1"]


def test_nothing_is_appended_for_somebody_who_is_not_stored(backends: FileBackends) -> None:
    assert backends.append(activity(1, who="person-0001")) is None
    assert backends.journal.recent() == []


def test_nothing_is_appended_twice(backends: FileBackends) -> None:
    backends.people.save(person(1))
    backends.append(activity(1, who="person-0001"))

    assert backends.append(activity(1, who="person-0001")) is None
    assert len(backends.journal.recent()) == 1


class Audit:
    """A journal around another, which somebody has put in its place."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.heard: list[str] = []

    def append(self, given: Activity) -> int | None:
        self.heard.append(given.event_id)
        return self.journal.append(given)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.journal, name)


def test_a_journal_that_took_the_place_of_ours_is_asked(backends: FileBackends) -> None:
    capture = account(backends)
    audit: Any = Audit(backends.journal)
    backends.journal = audit
    session = capture.identify(email="user@emaildomain.com").session
    capture.record(session, LOGIN.id, event_id="event-1")
    backends.people.save(person(1, created_at=0))
    backends.retain(0, NOON)

    assert backends.people.get("person-0001") is not None, "may be active elsewhere"
    assert audit.heard == ["event-1"]
    assert len(backends.journal.recent()) == 1


def test_people_who_took_the_place_of_ours_are_asked(backends: FileBackends) -> None:
    elsewhere: Any = open_backends("memory:").people
    backends.people = elsewhere
    capture = account(backends)
    session = capture.identify(email="user@emaildomain.com").session

    assert capture.record(session, LOGIN.id).position == 1
    assert backends.append(activity(2, who="nobody")) is None


# -- opening


def test_the_directory_is_made_for_its_owner_only(backends: FileBackends) -> None:
    define(backends)
    backends.secret()

    mode = stat.S_IMODE(backends.directory.stat().st_mode)
    files = {each.name: stat.S_IMODE(each.stat().st_mode) for each in backends.directory.iterdir()}

    assert mode == 0o700
    assert {"activities.json", "store.sqlite3", "secret"} <= set(files)
    assert set(files.values()) == {0o600}


@pytest.mark.parametrize("address", ["file:", "file:./data?durability=none", "file:./data?x=1"])
def test_an_address_that_says_nothing_useful_is_refused(address: str) -> None:
    with pytest.raises(ConfigurationError, match="durability=os"):
        open_backends(address)


@pytest.mark.parametrize(
    ("query", "level"), [("", 2), ("?durability=full", 2), ("?durability=os", 1)]
)
def test_answers_wait_for_the_disk_unless_told_otherwise(
    tmp_path: Path, query: str, level: int
) -> None:
    with open_file(f"{tmp_path / 'data'}{query}") as backends:
        store = backends._store  # noqa: SLF001
        assert store.atomically(lambda: store.read("PRAGMA synchronous")) == [(level,)]


def test_everything_is_there_when_it_is_opened_again(tmp_path: Path) -> None:
    with open_file(str(tmp_path / "data")) as backends:
        capture = account(backends)
        session = capture.identify(email="user@emaildomain.com", first="Zoë").session
        captured = capture.record(session, LOGIN.id, {"str::email": "a@b.example"})
        epoch = backends.epoch
    with open_file(str(tmp_path / "data")) as backends:
        capture = account(backends)

        assert backends.epoch == epoch
        assert backends.journal.recent() == [captured]
        assert backends.outcomes.counts()["accepted"] == 1
        assert capture.identify(session=session) == (session, True), "the secret is kept as well"


def test_a_store_made_by_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    open_file(str(tmp_path)).close()
    sql(tmp_path, "PRAGMA user_version = 999")
    before = (tmp_path / "store.sqlite3").read_bytes()

    with pytest.raises(ConfigurationError, match=r"store\.sqlite3.*999.*update ortto-capture"):
        open_file(str(tmp_path))

    assert (tmp_path / "store.sqlite3").read_bytes() == before


def test_a_store_of_an_older_format_is_brought_forward(tmp_path: Path) -> None:
    """By the steps it lacks, in one transaction; what is in it stays."""
    with open_file(str(tmp_path)) as backends:
        backends.journal.append(activity(1))
    path, lock = tmp_path / "store.sqlite3", tmp_path / "store.lock"
    broken = (*MIGRATIONS, "CREATE TABLE extra (x); CREATE TABLE extra (x);")

    with pytest.raises(ConfigurationError):
        prepare(path, lock, broken)
    assert sql(tmp_path, "PRAGMA user_version") == [(len(MIGRATIONS),)]
    prepare(path, lock, (*MIGRATIONS, "CREATE TABLE extra (x);"))

    assert sql(tmp_path, "PRAGMA user_version") == [(len(MIGRATIONS) + 1,)]
    assert sql(tmp_path, "SELECT count(*) FROM journal, (SELECT count(*) FROM extra)") == [(1,)]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "not a store"),
        (b"no database at all" * 100, "damaged, or no store"),
        (None, "no plain file"),
    ],
)
def test_something_else_under_the_name_of_the_store_is_refused(
    tmp_path: Path, content: bytes | None, says: str
) -> None:
    path = tmp_path / "store.sqlite3"
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)

    with pytest.raises(ConfigurationError, match=says) as refused:
        open_file(str(tmp_path))

    assert str(path) in str(refused.value)


def test_a_damaged_store_is_refused_when_it_is_opened(tmp_path: Path) -> None:
    with open_file(str(tmp_path)) as backends:
        for number in range(50):
            backends.journal.append(activity(number))
    path = tmp_path / "store.sqlite3"
    content = bytearray(path.read_bytes())
    # The number of cells of a page in the middle.
    content[4096 * 4 + 3] ^= 1
    path.write_bytes(content)

    with pytest.raises(ConfigurationError, match=r"damaged.*restore a backup"):
        open_file(str(tmp_path))


# -- one transaction for many


def test_those_who_wait_share_one_transaction(backends: FileBackends) -> None:
    """The first waits for nobody; everybody who comes meanwhile goes with it."""
    store = backends._store  # noqa: SLF001
    leading, waiting = threading.Event(), threading.Event()

    def first() -> int | None:
        leading.set()
        waiting.wait()
        return backends.journal.append(activity(0))

    with ThreadPoolExecutor(9) as pool:
        leader = pool.submit(store.atomically, first)
        leading.wait()
        others = [pool.submit(backends.journal.append, activity(n)) for n in range(1, 9)]
        wait_until(lambda: len(store._group) == 8)  # noqa: SLF001
        before = store.transactions
        waiting.set()
        positions = [each.result() for each in [leader, *others]]

    assert sorted(filter(None, positions)) == list(range(1, 10))
    assert store.transactions == before + 1


def test_one_that_fails_does_not_fail_its_neighbours(backends: FileBackends) -> None:
    """They are run again without it, and nothing of it stays."""
    store = backends._store  # noqa: SLF001
    leading, waiting = threading.Event(), threading.Event()

    def first() -> None:
        leading.set()
        waiting.wait()

    def writes_and_fails() -> None:
        backends.people.save(person(1))
        raise ZeroDivisionError

    def writes_and_refuses() -> None:
        raise NotIdentified

    with ThreadPoolExecutor(5) as pool:
        leader = pool.submit(store.atomically, first)
        leading.wait()
        decisions: list[Callable[[], object]] = [
            lambda: backends.journal.append(activity(1)),
            writes_and_fails,
            writes_and_refuses,
            lambda: backends.journal.append(activity(2)),
        ]
        others = []
        for decision in decisions:
            others.append(pool.submit(store.atomically, decision))
            wait_until(lambda: len(store._group) == len(others))  # noqa: SLF001
        waiting.set()
        leader.result()
        found = [each.exception() or each.result() for each in others]

    assert [type(each) for each in found] == [int, ZeroDivisionError, NotIdentified, int]
    assert len(backends.journal.recent()) == 2
    assert backends.people.get("person-0001") is None


def test_a_thread_that_is_interrupted_leaves_the_others_an_answer(backends: FileBackends) -> None:
    store = backends._store  # noqa: SLF001
    leading, waiting = threading.Event(), threading.Event()

    def first() -> None:
        leading.set()
        waiting.wait()

    def interrupted() -> None:
        backends.people.save(person(1))
        raise KeyboardInterrupt

    with ThreadPoolExecutor(3) as pool:
        asked: list[Future[Any]] = [pool.submit(store.atomically, first)]
        leading.wait()
        for decision in (interrupted, lambda: backends.journal.append(activity(1))):
            asked.append(pool.submit(store.atomically, decision))
            wait_until(lambda: len(store._group) == len(asked) - 1)  # noqa: SLF001
        waiting.set()
        found = [type(each.exception()) for each in asked]

    assert found == [KeyboardInterrupt, BackendError, BackendError]
    assert backends.people.get("person-0001") is None
    assert backends.journal.append(activity(2)) == 1


def test_a_full_quota_is_remembered_only_while_it_is_full(backends: FileBackends) -> None:
    """What a lost transaction had filled has room again; so has what was given back."""
    one = Charge(b"k" * 16, Quota(1, 3600))

    def fill_and_fail() -> None:
        assert backends.limiter.acquire([one], NOON) is None
        assert backends.limiter.acquire([one], NOON) is not None
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        backends._store.atomically(fill_and_fail)  # noqa: SLF001
    assert backends.limiter.acquire([one], NOON) is None
    assert backends.limiter.acquire([one], NOON) is not None
    backends.limiter.release([one], NOON)
    assert backends.limiter.acquire([one], NOON) is None
    with open_file(str(backends.directory)) as other:
        assert other.limiter.acquire([one], NOON) is not None
        backends.limiter.forget([one.key])
        assert other.limiter.acquire([one], NOON) is None, "another process forgot it"


def test_a_refusal_for_a_full_quota_writes_nothing(backends: FileBackends) -> None:
    one = Charge(b"k" * 16, Quota(1, 3600))
    backends.limiter.acquire([one], NOON)
    backends.limiter.acquire([one], NOON)
    before = backends._store.transactions  # noqa: SLF001

    for _ in range(5):
        assert backends.limiter.acquire([one], NOON) is not None

    assert backends._store.transactions == before  # noqa: SLF001


def test_counts_of_past_windows_are_dropped(backends: FileBackends) -> None:
    """A few with every charge, so that nobody waits for all of them."""
    quota = Quota(1, 3600)
    for number in range(20):
        backends.limiter.acquire([Charge(b"%016d" % number, quota)], NOON)
    for hours in (1, 2):
        backends.limiter.acquire([Charge(b"%016d" % hours, quota)], NOON + 3600 * hours)

    assert sql(backends.directory, "SELECT count(*) FROM counts") == [(2,)]


# -- forgetting


def test_activities_are_forgotten_in_batches(backends: FileBackends) -> None:
    def fill() -> None:
        for number in range(BATCH + 10):
            backends.journal.append(activity(number, at=NOON + number))

    backends._store.atomically(fill)  # noqa: SLF001

    assert backends.retain(NOON + BATCH + 5, 0)
    assert len(backends.journal.recent(limit=5000)) == 10
    assert not backends.retain(NOON + BATCH + 5, 0)
    assert [row.event_id for row in backends.journal.recent()] == [
        f"event-{number}" for number in range(BATCH + 5, BATCH + 10)
    ]
    assert backends.journal.append(activity(9_999)) == BATCH + 11


def test_only_people_nobody_vouched_for_and_without_activity_are_forgotten(
    backends: FileBackends,
) -> None:
    active = person(1, created_at=0)
    for each in (active, person(2, created_at=0), person(3), person(4, created_at=0, vouched=True)):
        backends.people.save(each)
    backends.journal.append(activity(1, who=active.id))

    assert not backends.retain(0, NOON)

    left = [number for number in range(1, 5) if backends.people.get(f"person-{number:04}")]
    assert left == [1, 3, 4]
    assert backends.people.find([Identifier("email", "user2@emaildomain.com")]) is None


def test_people_are_looked_through_a_batch_at_a_time(backends: FileBackends) -> None:
    def fill() -> None:
        for number in range(BATCH + 1):
            backends.people.save(person(number, created_at=0))

    backends._store.atomically(fill)  # noqa: SLF001

    assert backends.retain(0, NOON)
    assert sql(backends.directory, "SELECT count(*) FROM people") == [(1,)]
    assert not backends.retain(0, NOON)
    assert sql(backends.directory, "SELECT count(*) FROM people") == [(0,)]


def test_the_pipeline_forgets_by_the_settings_once_a_minute(backends: FileBackends) -> None:
    clock = FakeClock()
    capture = account(backends, clock, retain_activities_days=400, retain_idle_people_days=30)
    session = capture.identify(email="user@emaildomain.com").session
    capture.identify(email="idle@emaildomain.com")
    capture.record(session, LOGIN.id)
    clock.advance(31 * 86_400)
    second = capture.record(session, LOGIN.id)
    assert capture.person("idle@emaildomain.com") is None
    assert len(backends.journal.recent()) == 2
    clock.advance(369 * 86_400 + 1)
    fresh = capture.identify(email="user@emaildomain.com").session
    third = capture.record(fresh, LOGIN.id)

    assert backends.journal.recent() == [second, third]


# -- erasing


def test_an_erased_person_does_not_come_back_with_a_backup(tmp_path: Path) -> None:
    with open_file(str(tmp_path / "data")) as backends:
        capture = account(backends)
        for number in range(3):
            session = capture.identify(email=f"user{number}@emaildomain.com").session
            capture.record(session, LOGIN.id)
        copy = backends.backup(tmp_path / "copy")
        assert capture.erase("user1@emaildomain.com") == (1, True)
        again = capture.identify(email="user1@emaildomain.com")
    (copy / "store.sqlite3").replace(tmp_path / "data" / "store.sqlite3")

    with open_file(str(tmp_path / "data")) as backends:
        capture = account(backends)
        assert capture.person("user1@emaildomain.com") is None
        assert len(backends.journal.recent()) == 2
        assert b"user1@emaildomain.com" not in everything(tmp_path / "data")
        assert capture.identify(email="user1@emaildomain.com").identified
    with open_file(str(tmp_path / "data")) as backends:
        assert account(backends).person("user1@emaildomain.com") is not None, "only the one erased"
    assert again.identified


def test_what_somebody_reads_meanwhile_is_overwritten_later(backends: FileBackends) -> None:
    capture = account(backends)
    capture.identify(email="user@emaildomain.com")
    with closing(sqlite3.connect(backends.directory / "store.sqlite3")) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM people").fetchall()
        assert capture.erase("user@emaildomain.com") == (0, False)
        assert b"user@emaildomain.com" in everything(backends.directory)
        reader.rollback()
    backends._scrub_at = 0  # noqa: SLF001  # as if a second had passed

    capture.identify(email="somebody.else@emaildomain.com")

    assert b"user@emaildomain.com" not in everything(backends.directory)


def test_a_torn_line_spoils_no_other_tombstone(tmp_path: Path) -> None:
    """A full disk or a crash may leave half a line."""
    stones = Tombstones(tmp_path / "erased")
    stones.add("one", [b"k" * 16], NOON)
    with (tmp_path / "erased").open("ab") as file:
        file.write(b"0123456")
    stones.add("two", [], NOON)

    found = Tombstones(tmp_path / "erased").read()
    assert found[stones.hash("one")] == [b"k" * 16]
    assert found[stones.hash("two")] == []


# -- the rest of the directory


def test_the_secret_is_the_same_for_every_process(backends: FileBackends) -> None:
    with open_file(str(backends.directory)) as other, ThreadPoolExecutor(8) as pool:
        found = {each.result() for each in [pool.submit(b.secret) for b in [backends, other] * 4]}

    assert len(found) == 1
    assert len(found.pop()) >= 32


def test_a_secret_that_is_too_short_is_refused(backends: FileBackends) -> None:
    (backends.directory / "secret").write_text("short\n")

    with pytest.raises(ConfigurationError, match=r"secret_keys.*less than 32 bytes"):
        backends.secret()


def test_a_backup_is_a_whole_directory_of_its_own(backends: FileBackends, tmp_path: Path) -> None:
    capture = account(backends)
    session = capture.identify(email="user@emaildomain.com").session
    captured = capture.record(session, LOGIN.id)

    copy = backends.backup(str(tmp_path / "copy"))

    with open_file(str(copy)) as opened:
        assert opened.journal.recent() == [captured]
        assert opened.definitions.get(LOGIN.id) == LOGIN
        assert account(opened).identify(session=session).identified
        assert opened.epoch != backends.epoch, "its positions go their own way"
    with pytest.raises(BackendError, match="not empty"):
        backends.backup(copy)


def test_damaged_rows_are_reported_and_never_returned(backends: FileBackends) -> None:
    capture = account(backends)
    session = capture.identify(email="user@emaildomain.com", first="John").session
    capture.record(session, LOGIN.id)
    assert backends.problems() == []
    where = backends.directory
    sql(where, 'UPDATE journal SET attributes = \'{"str::email":"else@b.example"}\'')
    sql(where, "UPDATE people SET first = 'Jack'")
    sql(where, "UPDATE identifiers SET person_id = 'somebody'")

    for look in (
        backends.journal.recent,
        lambda: backends.people.get(next(iter(sql(where, "SELECT id FROM people")[0]))),  # type: ignore[arg-type]
        lambda: backends.people.find([Identifier("email", "user@emaildomain.com")]),
    ):
        with pytest.raises(BackendError, match=r"store\.sqlite3.*damaged.*restore a backup"):
            look()
    assert len(backends.problems()) == 3


@pytest.mark.parametrize("value", ["X'00'", "NULL", "'text'"])
def test_a_value_of_a_type_we_never_stored_is_damage(backends: FileBackends, value: str) -> None:
    backends.journal.append(activity(1))
    sql(backends.directory, f"UPDATE journal SET received_at = {value}")  # noqa: S608

    with pytest.raises(BackendError, match="damaged"):
        backends.journal.recent()


def test_the_store_can_be_asked_whether_it_is_there(backends: FileBackends) -> None:
    backends.journal.ping()
    health = Client(CaptureApp(account(backends)))
    assert health.get("/-/health").status_code == 200
    away = backends.directory.rename(backends.directory.with_name("away"))
    with pytest.raises(BackendError, match=r"store\.sqlite3.*put it back"):
        backends.journal.append(activity(1))
    with pytest.raises(BackendError, match="put it back"):
        backends.journal.ping()
    assert health.get("/-/health").status_code == 503
    away.rename(backends.directory)

    assert health.get("/-/health").status_code == 200
    assert backends.journal.append(activity(1)) == 1


def test_outcomes_that_cannot_be_written_now_are_written_later(backends: FileBackends) -> None:
    away = backends.directory.rename(backends.directory.with_name("away"))
    backends.outcomes.note(Outcome("storage-full", NOON, "activity", "StorageFull"))
    backends.outcomes.flush()
    away.rename(backends.directory)

    assert backends.outcomes.counts() == {"storage-full": 1}
    assert [each.code for each in backends.outcomes.refusals()] == ["storage-full"]


def test_the_last_refusals_are_kept_and_their_numbers_rise(tmp_path: Path) -> None:
    with open_file(str(tmp_path)) as backends:
        outcomes = FileOutcomes(backends._store, capacity=3)  # noqa: SLF001
        for number in range(5):
            outcomes.note(Outcome("not-found", NOON + number, "activity", "unknown"))
            outcomes.flush()

        kept = outcomes.refusals(limit=10)

    assert [(each.number, each.at - NOON) for each in kept] == [(3, 2.0), (4, 3.0), (5, 4.0)]


def everything(data: Path) -> bytes:
    return b"".join(each.read_bytes() for each in data.iterdir())


def wait_until(true: Callable[[], bool]) -> None:
    """For what another thread is about to do; each look gives it a turn."""
    while not true():
        threading.Event().wait(0.001)
