"""The file backend keeps its directory in order, and what it stores whole (contract §7, §10)."""

from __future__ import annotations

import os
import shutil
import stat
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import Client

from ortto_capture import (
    BackendError,
    Capture,
    CaptureApp,
    ConfigurationError,
    Journal,
    Person,
    RateLimited,
    Settings,
    open_backends,
)
from ortto_capture.backends.file import FileBackends, open_file
from ortto_capture.model import Activity, Full, Identifier, Outcome
from ortto_capture.testing import FakeClock

from ..faults.driver import driven
from ..faults.stage import outcomes, ping
from .samples import DAY, LOGIN, NOON, TABLES, activity, charge, content, events, person, sql


@pytest.fixture
def backends(tmp_path: Path) -> Iterator[FileBackends]:
    with open_file(str(tmp_path / "data")) as opened:
        yield opened


def account(backends: FileBackends, clock: FakeClock | None = None, **settings: Any) -> Capture:
    """An account with one activity."""
    backends.definitions.declare([LOGIN])
    return Capture(backends=backends, settings=Settings(**settings), clock=clock or FakeClock(NOON))


# -- rows 11 to 13 in one step


def test_an_activity_is_recorded_with_its_charges(backends: FileBackends) -> None:
    backends.people.save(person(1))

    captured = backends.record(activity(1), [charge()])

    assert captured is not None
    assert backends.journal.latest() == [captured]
    assert isinstance(backends.record(activity(2), [charge()]), Full)
    assert events(backends) == ["event-1"]


def test_nothing_is_recorded_for_a_person_who_is_not_stored(backends: FileBackends) -> None:
    assert backends.record(activity(1), [charge()]) is None

    assert events(backends) == []
    assert backends.limiter.acquire([charge()], NOON) is None, "and nothing was charged"


def test_a_repeated_event_is_the_first_one_and_is_not_charged(backends: FileBackends) -> None:
    backends.people.save(person(1))
    first = backends.record(activity(1), [charge(amount=2)])
    assert first is not None
    assert not isinstance(first, Full)

    for _ in range(3):
        assert backends.record(activity(1), [charge(amount=2)]) == first._replace(duplicate=True)

    assert events(backends) == ["event-1"]
    assert backends.limiter.acquire([charge(amount=2)], NOON) is None


@pytest.mark.parametrize("then", [NOON - 30 * DAY, NOON])
def test_a_repetition_is_found_however_far_the_host_dates_the_event_back(
    backends: FileBackends, then: float
) -> None:
    """And whatever the repetition says about when it occurred."""
    first = backends.journal.append(activity(1)._replace(occurred_at=NOON - 30 * DAY))
    again = activity(1)._replace(occurred_at=then, received_at=NOON + DAY)

    assert backends.journal.find(again) == first
    assert backends.journal.append(again) is None


def test_a_person_is_stored_with_the_activity_or_not_at_all(backends: FileBackends) -> None:
    who = person(2)
    assert backends.record(activity(1, who=who.id), [charge()], [who]) is not None

    other = person(3)
    assert isinstance(backends.record(activity(2, who=other.id), [charge()], [other]), Full)

    assert backends.people.get(who.id) == who
    assert backends.people.get(other.id) is None


class Audit:
    """A journal around another, put in its place by the host."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.heard: list[str] = []

    def append(self, given: Activity) -> object:
        self.heard.append(given.event_id)
        return self.journal.append(given)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.journal, name)


def test_a_journal_that_took_the_place_of_ours_is_asked(backends: FileBackends) -> None:
    audit: Any = Audit(backends.journal)
    changed = replace(backends, journal=audit)
    capture = account(changed)
    session = capture.identify(email="user@emaildomain.com").session
    capture.record(session, LOGIN.id, event_id="event-1")

    assert audit.heard == ["event-1"]
    assert events(backends) == ["event-1"]


def test_people_with_activities_in_another_journal_are_not_idle(backends: FileBackends) -> None:
    elsewhere = open_backends("memory:").journal
    changed = replace(backends, journal=elsewhere)
    backends.people.save(person(1, created_at=0))
    changed.record(activity(1), [])

    changed.retain(0, NOON)

    assert backends.people.get("person-0001") is not None


def test_people_who_took_the_place_of_ours_are_asked(backends: FileBackends) -> None:
    changed = replace(backends, people=open_backends("memory:").people)
    capture = account(changed)
    session = capture.identify(email="user@emaildomain.com").session

    assert capture.record(session, LOGIN.id).position == 1
    assert changed.record(activity(2, who="not-stored"), []) is None
    assert sql(backends.directory, "SELECT count(*) FROM identifiers") == [(0,)]


# -- opening


def test_the_directory_is_made_for_its_owner_only(backends: FileBackends) -> None:
    backends.definitions.put(LOGIN)
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
    """By SQLite's own word for it: 2 syncs at every commit, 1 only when the log is moved."""
    open_file(str(tmp_path / "data")).close()
    with driven() as driver, open_file(f"{tmp_path / 'data'}{query}") as backends:
        backends.journal.append(activity(1))

        assert driver.synchronous == {level}


def test_a_relative_path_stays_where_it_was_when_the_process_changes_its_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or rows, people and counters go to another store that lies there, with a 200."""
    (tmp_path / "elsewhere").mkdir()
    open_file(str(tmp_path / "elsewhere" / "data")).close()
    monkeypatch.chdir(tmp_path)
    with open_file("data") as backends:
        capture = account(backends)
        secret = backends.secret()
        for place in ("elsewhere", "/"):
            monkeypatch.chdir(tmp_path / place)
            capture.record(None, LOGIN.id, person={"email": "user@emaildomain.com"})
            backends.definitions.put(replace(LOGIN, name=place))
            assert backends.secret() == secret
            assert capture.erase("user@emaildomain.com") == (1, True)
        capture.record(None, LOGIN.id, event_id="last", person={"email": "a@emaildomain.com"})
        copy = backends.backup(tmp_path / "copy")

    with open_file(str(tmp_path / "elsewhere" / "data")) as other:
        assert events(other) == []
        assert other.definitions.all() == []
    for directory in (tmp_path / "data", copy):
        with open_file(str(directory)) as again:
            assert events(again) == ["last"]
            assert again.definitions.get(LOGIN.id) == replace(LOGIN, name="/")


def test_nothing_is_held_open_when_construction_returns(tmp_path: Path) -> None:
    """A server may fork behind Python's back: children must inherit no connection and no lock."""
    with open_file(str(tmp_path / "data")) as first:
        first.journal.append(activity(1))

    opened = open_file(str(tmp_path / "data"))
    held = [os.path.realpath(each) for each in Path("/proc/self/fd").iterdir()]
    opened.close()

    assert [each for each in held if each.startswith(str(tmp_path))] == []


def test_everything_is_there_when_it_is_opened_again(tmp_path: Path) -> None:
    with open_file(str(tmp_path / "data")) as backends:
        capture = account(backends)
        session = capture.identify(email="user@emaildomain.com", first="Zoë").session
        captured = capture.record(session, LOGIN.id, {"str::email": "a@b.example"}, age=1_234.5)
        epoch = backends.epoch
    with open_file(str(tmp_path / "data")) as backends:
        capture = account(backends)

        assert backends.epoch == epoch
        assert backends.journal.latest() == [captured]
        assert outcomes(backends).counts()["accepted"] == 1
        assert capture.identify(session=session) == (session, True), "the secret is kept as well"


@pytest.mark.parametrize("version", [1, 999])
def test_a_store_of_another_format_is_refused_and_left_alone(tmp_path: Path, version: int) -> None:
    open_file(str(tmp_path)).close()
    sql(tmp_path, f"PRAGMA user_version = {version}")
    before = (tmp_path / "store.sqlite3").read_bytes()

    with pytest.raises(ConfigurationError, match=rf"store\.sqlite3.*\b{version}\b") as refused:
        open_file(str(tmp_path))

    assert len(str(refused.value).partition("store.sqlite3")[2]) > 40, "the remedy"
    assert (tmp_path / "store.sqlite3").read_bytes() == before


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "not a store"),
        (b"no database at all" * 100, "damaged, or no store"),
        (None, "no plain file"),
    ],
)
def test_something_else_under_the_name_of_the_store_is_refused(
    tmp_path: Path, data: bytes | None, says: str
) -> None:
    path = tmp_path / "store.sqlite3"
    if data is None:
        path.mkdir()
    else:
        path.write_bytes(data)

    with pytest.raises(ConfigurationError, match=says) as refused:
        open_file(str(tmp_path))

    assert str(path) in str(refused.value)


def test_a_damaged_page_is_told_and_never_read(tmp_path: Path) -> None:
    with open_file(str(tmp_path)) as backends:
        for number in range(50):
            backends.journal.append(activity(number))
    path = tmp_path / "store.sqlite3"
    data = bytearray(path.read_bytes())
    size = int.from_bytes(data[16:18], "big")
    # The number of cells of every page of a tree but that of the schema.
    for page in range(1, len(data) // size):
        is_schema = b"CREATE " in data[page * size : (page + 1) * size]
        if data[page * size] in (5, 13) and data[page * size + 4] and not is_schema:
            data[page * size + 4] ^= 1
    path.write_bytes(data)

    with open_file(str(tmp_path)) as backends:
        assert any(str(path) in each for each in backends.problems())
        with pytest.raises(BackendError, match=r"damaged.*restore a backup"):
            backends.journal.latest()


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


def test_only_what_is_ours_is_cleared_away_when_a_store_is_made(tmp_path: Path) -> None:
    """``store.sqlite3.new-layout`` is a file of the operator's."""
    (tmp_path / "store.sqlite3.new-layout").write_text("precious")
    (tmp_path / "store.sqlite3.newest").mkdir()

    open_file(str(tmp_path)).close()
    open_file(str(tmp_path)).close()

    assert (tmp_path / "store.sqlite3.new-layout").read_text() == "precious"
    assert (tmp_path / "store.sqlite3.newest").is_dir()


@pytest.mark.parametrize(
    "use",
    [
        lambda each: each.people.get("person-0001"),
        lambda each: each.people.save(person(2)),
        lambda each: each.journal.append(activity(2)),
        lambda each: each.journal.latest(),
        lambda each: each.limiter.acquire([charge()], NOON),
        lambda each: each.record(activity(2), []),
        lambda each: each.atomically(lambda: None),
        lambda each: outcomes(each).refused(),
        lambda each: each.retain(NOON, NOON),
        ping,
    ],
    ids=[
        "get",
        "save",
        "append",
        "latest",
        "acquire",
        "record",
        "atomically",
        "refused",
        "retain",
        "ping",
    ],
)
def test_closed_backends_say_that_they_are_closed(backends: FileBackends, use: Any) -> None:
    backends.people.save(person(1))
    backends.close()
    backends.close()

    for _ in range(2):
        with pytest.raises(BackendError, match="closed"):
            use(backends)


def test_a_request_to_closed_backends_is_503_and_an_outcome_of_it_harms_nothing(
    backends: FileBackends,
) -> None:
    client = Client(CaptureApp(account(backends)))
    backends.close()

    body = {"activity_id": LOGIN.id, "person": {"email": "user@emaildomain.com"}}
    assert client.post("/-/events/activity", json=body).status_code == 503
    assert client.get("/-/health").status_code == 503


# -- limits


def test_a_full_quota_has_room_again_when_what_filled_it_is_undone(backends: FileBackends) -> None:
    one = charge()

    def fill_and_fail() -> None:
        assert backends.limiter.acquire([one], NOON) is None
        assert backends.limiter.acquire([one], NOON) is not None
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        backends.atomically(fill_and_fail)
    assert backends.limiter.acquire([one], NOON) is None
    assert backends.limiter.acquire([one], NOON) is not None
    backends.limiter.release([one], NOON)
    assert backends.limiter.acquire([one], NOON) is None
    with open_file(str(backends.directory)) as other:
        assert other.limiter.acquire([one], NOON) is not None
        backends.limiter.forget([one.key])
        assert other.limiter.acquire([one], NOON) is None, "another process forgot it"


def test_a_changed_quota_counts_at_once_in_every_process(backends: FileBackends) -> None:
    with open_file(str(backends.directory)) as other:
        for each in (backends, other):
            each.limiter.acquire([charge(amount=1)], NOON)
            assert each.limiter.acquire([charge(amount=1)], NOON) is not None

        assert backends.limiter.acquire([charge(amount=3)], NOON) is None, "raised"
        assert other.limiter.acquire([charge(amount=3)], NOON) is None, "elsewhere, too"
        assert other.limiter.acquire([charge(amount=3)], NOON) is not None
        assert backends.limiter.acquire([charge(amount=2)], NOON) is not None, "lowered"
        assert backends.limiter.acquire([charge(amount=4)], NOON) is None


def test_a_changed_limit_counts_with_the_next_request(backends: FileBackends) -> None:
    with open_file(str(backends.directory)) as elsewhere:
        capture = account(backends)
        visitor = {"email": "user@emaildomain.com"}
        answers = []
        for most in (1, 2, 1, 3):
            elsewhere.definitions.put(replace(LOGIN, limits={"person": f"{most}/day"}))
            backends.definitions.put(replace(LOGIN, limits={"person": f"{most}/day"}))
            for _ in range(2):
                try:
                    capture.record(None, LOGIN.id, person=visitor)
                except RateLimited:
                    answers.append((most, "full"))
                else:
                    answers.append((most, "stored"))

    assert answers == [
        (1, "stored"),
        (1, "full"),
        (2, "stored"),
        (2, "full"),
        (1, "full"),
        (1, "full"),
        (3, "stored"),
        (3, "full"),
    ]


def test_a_refusal_for_a_full_quota_writes_nothing(backends: FileBackends) -> None:
    backends.limiter.acquire([charge()], NOON)
    backends.limiter.acquire([charge()], NOON)
    before = content(backends.directory)

    for _ in range(5):
        assert backends.limiter.acquire([charge()], NOON) is not None

    assert content(backends.directory) == before


def test_counts_of_past_windows_are_dropped_a_few_with_every_charge(
    backends: FileBackends,
) -> None:
    """So that no request waits for all of them."""

    def fill() -> None:
        for number in range(2_000):
            backends.limiter.acquire([charge(number)], NOON)

    backends.atomically(fill)
    left = []
    for hours in range(1, 100):
        backends.limiter.acquire([charge(hours)], NOON + 3600 * hours)
        left += sql(backends.directory, "SELECT count(*) FROM counts")

    assert left[0][0] > 1_000, "not all of them at once"  # type: ignore[operator]
    assert left[-1][0] <= 3  # type: ignore[operator]


def test_no_charges_are_always_counted(backends: FileBackends) -> None:
    assert backends.limiter.acquire([], NOON) is None
    backends.limiter.release([], NOON)
    backends.limiter.forget([])


def test_rotating_the_secret_keys_does_not_split_the_counters(backends: FileBackends) -> None:
    """While workers with the old list of keys and workers with the new one run side by side."""
    old, new = "the older of two example secrets, long enough", "the newer of two secrets, long too"
    before = account(backends, secret_keys=[old], person_limit="2/day", ip_limit="3/hour")
    with open_file(str(backends.directory)) as elsewhere:
        after = account(elsewhere, secret_keys=[new, old], person_limit="2/day", ip_limit="3/hour")
        visitor = {"email": "user@emaildomain.com"}
        before.record(None, LOGIN.id, person=visitor, ip="203.0.113.7")
        after.record(None, LOGIN.id, person=visitor, ip="203.0.113.7")

        for capture in (before, after):
            with pytest.raises(RateLimited):
                capture.record(None, LOGIN.id, person=visitor)
        before.record(None, LOGIN.id, person={"email": "b@emaildomain.com"}, ip="203.0.113.7")
        with pytest.raises(RateLimited):
            after.record(None, LOGIN.id, person={"email": "c@emaildomain.com"}, ip="203.0.113.7")


# -- the journal


def test_ids_that_differ_in_case_or_spelling_are_different_ids(backends: FileBackends) -> None:
    spellings = ["Order-1", "order-1", "ORDER-1", "order-1 ", "ordér-1", "orde\u0301r-1"]
    for each in spellings:
        held = (Identifier("ei", each), Identifier("email", f"{each}@b.example"))
        who = person(1)._replace(id=each, identifiers=held)
        assert backends.people.save(who) == who
        for event in spellings:
            captured = backends.journal.append(
                activity(1)._replace(event_id=event, person_id=each, activity_id=f"act:cm:{each}")
            )
            assert captured is not None, (each, event)

    assert len(events(backends)) == len(spellings) ** 2
    for each in spellings:
        found = backends.people.find([Identifier("ei", each)])
        assert found is not None
        assert found.id == each
        mine = backends.journal.of(each)
        assert [one.event_id for one in mine] == spellings
        assert {one.activity_id for one in mine} == {f"act:cm:{each}"}
    backends.people.erase("order-1")
    backends.journal.erase("order-1")
    assert backends.people.get("Order-1") is not None
    assert len(backends.journal.of("ORDER-1")) == len(spellings)


def test_an_event_that_was_only_claimed_hides_no_verified_one(backends: FileBackends) -> None:
    backends.people.save(person(1))
    claimed, verified = activity(1), activity(1, assurance="verified")
    assert backends.record(claimed, []) is not None

    assert backends.journal.find(verified) is None
    captured = backends.record(verified, [])

    assert captured is not None
    assert not isinstance(captured, Full)
    assert not captured.duplicate
    assert [each.assurance for each in backends.journal.latest()] == ["claimed", "verified"]


def test_a_reader_sees_what_another_process_stores_and_goes_on_from_its_cursor(
    backends: FileBackends,
) -> None:
    with open_file(str(backends.directory)) as reader:
        backends.journal.append(activity(1))
        [first] = reader.journal.after("")
        backends.journal.append(activity(2))
        backends.journal.append(activity(3, who="person-0002"))
        backends.journal.erase("person-0001")

        assert [each.event_id for each in reader.journal.after(first.cursor)] == ["event-3"]
        backends.journal.erase("person-0002")
        fresh = backends.journal.append(activity(4))
        assert fresh is not None
        assert fresh.position == 4, "no position is given twice"
        assert [each.event_id for each in reader.journal.after(first.cursor)] == ["event-4"]


# -- retention


def test_activities_are_forgotten_in_bounded_batches(backends: FileBackends) -> None:
    count = 5_000

    def fill() -> None:
        for number in range(count):
            backends.journal.append(activity(number, at=NOON + number))

    backends.atomically(fill)

    assert backends.retain(NOON + count - 5, 0)
    assert len(events(backends)) > 5, "no visitor waits for all of it"
    for _ in range(count):
        if not backends.retain(NOON + count - 5, 0):
            break
    assert events(backends) == [f"event-{number}" for number in range(count - 5, count)]
    fresh = backends.journal.append(activity(9_999))
    assert fresh is not None
    assert fresh.position == count + 1


def test_only_claimed_people_without_activity_are_forgotten(backends: FileBackends) -> None:
    active = person(1, created_at=0)
    vouched = person(4, created_at=0, assurance="verified")
    for each in (active, person(2, created_at=0), person(3), vouched):
        backends.people.save(each)
    backends.journal.append(activity(1, who=active.id))

    while backends.retain(0, NOON):
        pass

    left = [number for number in range(1, 5) if backends.people.get(f"person-{number:04}")]
    assert left == [1, 3, 4]
    assert backends.people.find([Identifier("email", "user2@emaildomain.com")]) is None


def test_people_are_forgotten_in_bounded_batches(backends: FileBackends) -> None:
    def fill() -> None:
        for number in range(5_000):
            backends.people.save(person(number, created_at=0))

    backends.atomically(fill)

    assert backends.retain(0, NOON)
    assert backends.people.get(person(4_999).id) is not None
    for _ in range(5_000):
        if not backends.retain(0, NOON):
            break
    assert sql(backends.directory, "SELECT count(*) FROM people, identifiers") == [(0,)]


def test_nothing_names_a_person_any_more_who_was_forgotten(tmp_path: Path) -> None:
    with open_file(str(tmp_path)) as backends:
        backends.people.save(person(1))
        backends.people.save(person(2, assurance="verified"))
        backends.journal.append(activity(1))
        backends.journal.append(activity(2, who="person-0002"))
        while backends.retain(NOON + 1, NOON + 1):
            pass

    assert b"person-0001" not in content(tmp_path)
    assert b"person-0002" in content(tmp_path)


def test_a_person_who_is_vouched_for_meanwhile_is_not_forgotten(tmp_path: Path) -> None:
    """Whether a person is idle is decided in the transaction that removes them."""
    idle = person(1, created_at=0)
    storing, removing = threading.Event(), threading.Event()
    with (
        driven() as driver,
        open_file(str(tmp_path)) as backends,
        open_file(str(tmp_path)) as elsewhere,
        ThreadPoolExecutor(1) as pool,
    ):
        backends.people.save(idle)

        def vouch() -> None:
            elsewhere.people.save(idle._replace(assurance="verified"))
            storing.set()
            removing.wait()

        done = pool.submit(elsewhere.atomically, vouch)
        storing.wait()
        # From here on the transaction that removes people waits for the other one.
        driver.before("BEGIN", removing.set)
        backends.retain(0, NOON)
        done.result()

        assert backends.people.get(idle.id) == idle._replace(assurance="verified")


def test_the_pipeline_forgets_by_the_settings(backends: FileBackends) -> None:
    clock = FakeClock(NOON)
    capture = account(backends, clock, retain_activities_days=400, retain_idle_people_days=30)
    session = capture.identify(email="user@emaildomain.com").session
    capture.identify(email="idle@emaildomain.com")
    capture.record(session, LOGIN.id)
    clock.advance(31 * DAY)
    second = capture.record(session, LOGIN.id)
    clock.advance(120)
    third = capture.record(session, LOGIN.id)
    assert capture.person("idle@emaildomain.com") is None
    assert len(backends.journal.latest()) == 3
    clock.advance(369 * DAY)
    fresh = capture.identify(email="user@emaildomain.com").session
    fourth = capture.record(fresh, LOGIN.id)
    clock.advance(120)
    fifth = capture.record(fresh, LOGIN.id)

    assert backends.journal.latest() == [second, third, fourth, fifth]


# -- clocks (contract §7: retention never trusts one clock reading)


def test_one_request_under_a_clock_that_is_far_ahead_removes_nothing(
    backends: FileBackends, caplog: pytest.LogCaptureFixture
) -> None:
    clock = FakeClock(NOON)
    capture = account(backends, clock)
    capture.identify(email="idle@emaildomain.com")
    for number in range(5):
        clock.advance(10)
        capture.record(None, LOGIN.id, event_id=f"event-{number}", person={"email": "a@b.example"})
    clock.advance(401 * DAY)
    capture.record(None, LOGIN.id, event_id="ahead", person={"email": "b@b.example"})
    clock.advance(-401 * DAY)
    for number in range(5, 10):
        clock.advance(100)
        capture.record(None, LOGIN.id, event_id=f"event-{number}", person={"email": "c@b.example"})

    assert len(events(backends)) == 11
    assert capture.person("idle@emaildomain.com") is not None
    assert sum("nothing old is removed" in each.getMessage() for each in caplog.records) == 1


def test_a_clock_beyond_what_the_process_has_run_removes_nothing_however_often_it_is_read(
    backends: FileBackends, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    clock = FakeClock(NOON)
    monkeypatch.setattr("time.time", clock)
    backends.definitions.declare([LOGIN])
    capture = Capture(backends=backends, clock=clock)
    capture.record(None, LOGIN.id, event_id="before", person={"email": "a@b.example"})
    clock.advance(500 * DAY)
    for number in range(5):
        clock.advance(100)
        capture.record(None, LOGIN.id, event_id=f"{number}", person={"email": "b@b.example"})

    assert events(backends) == ["before", "0", "1", "2", "3", "4"]
    assert sum("nothing old is removed" in each.getMessage() for each in caplog.records) == 1


def test_a_clock_that_was_set_back_does_not_stop_retention(backends: FileBackends) -> None:
    clock = FakeClock(NOON)
    capture = account(backends, clock, retain_activities_days=10)
    backends.people.save(person(1))
    capture.record(None, LOGIN.id, event_id="first", person={"email": "a@b.example"})
    clock.advance(-3 * DAY)
    for number in range(3, 10):
        backends.record(activity(number, at=clock.now - number * 4 * DAY), [])
    for _ in range(3):
        clock.advance(120)
        capture.record(None, LOGIN.id, person={"email": "a@b.example"})

    left = [each.activity.received_at for each in backends.journal.after("", 1_000)]
    assert min(left) >= clock.now - 10 * DAY


def test_limits_hold_when_the_clock_is_set_back(backends: FileBackends) -> None:
    assert backends.limiter.acquire([charge()], NOON + 3_600) is None
    assert backends.limiter.acquire([charge()], NOON) is None
    assert backends.limiter.acquire([charge()], NOON) is not None
    assert backends.limiter.acquire([charge()], NOON + 3_600) is not None


# -- the secret


def test_the_secret_is_the_same_for_every_process(backends: FileBackends) -> None:
    with open_file(str(backends.directory)) as other, ThreadPoolExecutor(8) as pool:
        found = {each.result() for each in [pool.submit(b.secret) for b in [backends, other] * 4]}

    [secret] = found
    assert secret is not None
    assert len(secret) >= 32


def test_a_secret_that_is_too_short_is_refused(backends: FileBackends) -> None:
    (backends.directory / "secret").write_text("short\n")

    with pytest.raises(ConfigurationError, match=r"secret_keys.*less than 32 bytes"):
        backends.secret()


def test_a_secret_that_others_can_read_is_warned_about_once(
    backends: FileBackends, caplog: pytest.LogCaptureFixture
) -> None:
    secret = backends.secret()
    (backends.directory / "secret").chmod(0o644)

    for _ in range(3):
        assert backends.secret() == secret

    told = [each.getMessage() for each in caplog.records if each.levelname == "WARNING"]
    assert len(told) == 1
    assert str(backends.directory / "secret") in told[0]
    assert "chmod" in told[0]


def test_a_secret_of_another_user_is_warned_about_and_our_own_is_not(
    backends: FileBackends, caplog: pytest.LogCaptureFixture
) -> None:
    backends.secret()
    assert caplog.records == []
    # Only root can give a file away.
    other = 65_534 if os.geteuid() == 0 else os.geteuid()
    os.chown(backends.directory / "secret", other, -1)

    backends.secret()

    assert len(caplog.records) == (os.geteuid() == 0)


# -- copies


def test_a_backup_is_a_whole_directory_of_its_own(backends: FileBackends, tmp_path: Path) -> None:
    capture = account(backends)
    session = capture.identify(email="user@emaildomain.com").session
    captured = capture.record(session, LOGIN.id)

    copy = backends.backup(str(tmp_path / "copy"))

    with open_file(str(copy)) as opened:
        assert opened.journal.latest() == [captured]
        assert opened.definitions.get(LOGIN.id) == LOGIN
        assert account(opened).identify(session=session).identified
        assert opened.epoch != backends.epoch, "its positions go their own way"
    with pytest.raises(BackendError, match="not empty"):
        backends.backup(copy)


# -- damage


def person_of(number: int) -> Person:
    """A person in whom no member has its default."""
    held = (*person(number).identifiers, Identifier("ei", f"external-{number}"))
    return person(number, assurance="verified")._replace(identifiers=held, last="Apple")


def activity_of(number: int) -> Activity:
    """An activity in which no member has its default."""
    given = activity(number, who=person(number).id, assurance="verified")
    return given._replace(source="site", gpc=True, occurred_at=NOON - number)


def look(backends: FileBackends) -> list[object]:
    """All that can be read of people and activities; None for what is not there, or damaged."""
    held = [each for number in (1, 2) for each in person_of(number).identifiers]
    looks: list[Callable[[], object]] = [
        *(partial(backends.people.get, person_of(number).id) for number in (1, 2)),
        *(partial(backends.people.find, [each]) for each in held),
        *(partial(journal_of, backends, number) for number in (0, 1)),
    ]
    found: list[object] = []
    for each in looks:
        found.append(None)
        with suppress(BackendError):
            found[-1] = each()
    return found


def journal_of(backends: FileBackends, number: int) -> object:
    """One of the activities."""
    found = backends.journal.after("")
    return found[number] if number < len(found) else None


def wrong(found: list[object], sound: list[object]) -> bool:
    """Whether there is a value that was not stored."""
    return any(each is not None and each != right for each, right in zip(found, sound, strict=True))


def test_every_stored_member_is_in_a_checksum(backends: FileBackends, tmp_path: Path) -> None:
    """Another program changes one column after the other: each change is told, none is returned."""
    for number in (1, 2):
        backends.people.save(person_of(number))
        backends.journal.append(activity_of(number))
    sound = look(backends)
    backends.close()
    unseen = []
    for table in TABLES:
        for _, column, kind, *_ in sql(backends.directory, f"PRAGMA table_info({table})"):
            if column == "position":
                # The key of the row itself: SQLite's own check compares it with the indexes.
                continue
            place = tmp_path / f"{table}-{column}"
            shutil.copytree(backends.directory, place)
            other = f"{column} || 'x'" if kind == "TEXT" else f"{column} + 1000"
            if column in ("identifiers", "attributes"):
                # Still JSON, of another address.
                other = f"replace({column}, '@', 'x@')"
            sql(place, f"UPDATE {table} SET {column} = {other}")  # noqa: S608
            with open_file(str(place)) as changed:
                if wrong(look(changed), sound):
                    unseen.append(f"{table}.{column} is returned")
                if not changed.problems():
                    unseen.append(f"{table}.{column} is not told")

    assert unseen == []


def test_damaged_rows_are_reported_and_never_returned(backends: FileBackends) -> None:
    capture = account(backends)
    session = capture.identify(email="user@emaildomain.com", first="John").session
    capture.record(session, LOGIN.id)
    who = capture.person("user@emaildomain.com")
    assert who is not None
    assert backends.problems() == []
    where = backends.directory
    sql(where, 'UPDATE journal SET attributes = \'{"str::email":"else@b.example"}\'')
    sql(where, "UPDATE people SET first = 'Jack'")

    for look in (
        backends.journal.latest,
        lambda: backends.journal.after(""),
        lambda: backends.journal.of(who.id),
        lambda: backends.people.get(who.id),
        lambda: backends.people.find([Identifier("email", "user@emaildomain.com")]),
    ):
        with pytest.raises(BackendError, match=r"store\.sqlite3.*damaged.*restore a backup"):
            look()
    assert len(backends.problems()) >= 2


@pytest.mark.parametrize("value", ["X'00'", "NULL", "'text'"])
def test_a_value_of_a_type_we_never_stored_is_damage(backends: FileBackends, value: str) -> None:
    backends.journal.append(activity(1))
    sql(backends.directory, f"UPDATE journal SET received_at = {value}")  # noqa: S608

    with pytest.raises(BackendError, match="damaged"):
        backends.journal.latest()


def test_a_note_of_the_stores_own_that_is_gone_is_damage(tmp_path: Path) -> None:
    with open_file(str(tmp_path)) as backends:
        backends.journal.append(activity(1))
    sql(tmp_path, "DELETE FROM meta")

    with pytest.raises(ConfigurationError, match=r"store\.sqlite3.*damaged"):
        open_file(str(tmp_path))


# -- health


def test_the_store_can_be_asked_whether_it_is_there(backends: FileBackends) -> None:
    ping(backends)
    health = Client(CaptureApp(account(backends)))
    assert health.get("/-/health").status_code == 200
    away = backends.directory.rename(backends.directory.with_name("away"))
    with pytest.raises(BackendError, match=r"store\.sqlite3.*put it back"):
        backends.journal.append(activity(1))
    with pytest.raises(BackendError, match="put it back"):
        ping(backends)
    assert health.get("/-/health").status_code == 503
    away.rename(backends.directory)

    assert health.get("/-/health").status_code == 200
    captured = backends.journal.append(activity(1))
    assert captured is not None
    assert captured.position == 1


# -- outcomes


def refusal(number: int, person_id: str | None = None) -> Outcome:
    """One refused request."""
    return Outcome("not-found", NOON + number, "activity", "unknown", person_id=person_id)


def test_outcomes_that_cannot_be_written_now_are_written_later(backends: FileBackends) -> None:
    away = backends.directory.rename(backends.directory.with_name("away"))
    outcomes(backends).note(Outcome("storage-full", NOON, "activity", "StorageFull"))
    with pytest.raises(BackendError):
        outcomes(backends).counts()
    away.rename(backends.directory)

    assert outcomes(backends).counts() == {"storage-full": 1}
    assert [each.code for each in outcomes(backends).refused()] == ["storage-full"]


def test_outcomes_that_had_to_wait_keep_their_order_and_go_with_the_person(
    backends: FileBackends,
) -> None:
    """The refused and the passed, and their tallies, while the directory is away."""
    noted = [
        each._replace(at=NOON + number, person_id=f"person-{number % 2}")
        for number in range(8)
        for each in [refusal(0) if number % 3 else Outcome("identified", NOON, "track")]
    ]
    away = backends.directory.rename(backends.directory.with_name("away"))
    for each in noted:
        outcomes(backends).note(each)
        with pytest.raises(BackendError):
            outcomes(backends).passed()
    away.rename(backends.directory)

    assert backends.atomically(lambda: outcomes(backends).erase("person-1")) == 4
    found = [*outcomes(backends).refused(), *outcomes(backends).passed()]
    assert [each._replace(number=0) for each in sorted(found, key=lambda each: each.number)] == [
        each._replace(person_id=None) if each.person_id == "person-1" else each for each in noted
    ]
    assert outcomes(backends).tally(NOON) == {(NOON, "", "unknown"): 5}


def test_the_last_few_hundred_refusals_are_kept_and_their_numbers_rise(
    backends: FileBackends,
) -> None:
    for number in range(1_500):
        outcomes(backends).note(refusal(number))
        if number % 100 == 0:
            outcomes(backends).counts()

    kept = outcomes(backends).refused(limit=10_000)

    assert 100 <= len(kept) <= 1_000
    assert [each.at for each in kept] == [NOON + n for n in range(1_500 - len(kept), 1_500)]
    numbers = [each.number for each in kept]
    assert numbers == sorted(set(numbers))
    assert outcomes(backends).refused(numbers[-3]) == kept[-2:]
    assert outcomes(backends).counts() == {"not-found": 1_500}


def test_outcomes_gathered_before_a_fork_are_counted_once(backends: FileBackends) -> None:
    for _ in range(3):
        outcomes(backends).note(Outcome("accepted", NOON, "activity"))
    child = os.fork()
    if child == 0:
        status = 1
        try:
            outcomes(backends).note(Outcome("accepted", NOON, "activity"))
            backends.close()
            status = 0
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

    assert outcomes(backends).counts() == {"accepted": 4}


def test_a_refusal_that_was_damaged_is_reported(backends: FileBackends) -> None:
    outcomes(backends).note(refusal(1))
    outcomes(backends).refused()
    sql(backends.directory, "UPDATE latest SET outcome = '{'")

    with pytest.raises(BackendError, match="damaged"):
        outcomes(backends).refused()
