"""Contract §5: both limits in one step or neither, exactly ten, exactly a hundred, under threads.

The law of this file: threads switch every microsecond, and one activity too many or too few in any
round is a failure. Processes are counted in ``tests/faults``.
"""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeAlias

import pytest

from ortto_capture import (
    Capture,
    Definition,
    RateLimited,
    Refused,
    Settings,
    open_backends,
)
from ortto_capture.limiting import FixedWindows
from ortto_capture.testing import FakeClock

from .services import campaign

THREADS = 64
ROUNDS = campaign(60)
FEWER = campaign(20)
LOGIN = "act:cm:login"


@pytest.fixture(autouse=True)
def _switch_at_every_turn() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def account(**changed: str) -> Capture:
    backends = open_backends("memory:")
    backends.definitions.put(Definition(LOGIN, "Logged in", client_side=True))
    secret = "an example secret of more than 32 bytes"
    settings = Settings(secret_keys=[secret], **changed)  # type: ignore[arg-type]
    return Capture(backends=backends, settings=settings, clock=FakeClock())


def keys(capture: Capture) -> int:
    """How many counters are held."""
    limiter = capture.backends.limiter
    assert isinstance(limiter, FixedWindows)
    return len(limiter)


Record: TypeAlias = Callable[[int, int], object]
#: Calls ``record(thread, time)`` so many times in every thread at once; returns who got what.
Crowd: TypeAlias = Callable[[Record, int], list[tuple[int, str]]]


@pytest.fixture(scope="module")
def crowd() -> Iterator[Crowd]:
    """All threads, kept between rounds: to start them would cost more than the round."""
    with ThreadPoolExecutor(THREADS) as pool:

        def call(record: Record, times: int) -> list[tuple[int, str]]:
            start = threading.Barrier(THREADS)

            def run(thread: int) -> list[tuple[int, str]]:
                start.wait()
                return [(thread, outcome(record, thread, time)) for time in range(times)]

            runs = [pool.submit(run, number) for number in range(THREADS)]
            return [each for run in runs for each in run.result()]

        yield call


def outcome(record: Record, thread: int, time: int) -> str:
    """What came of one call."""
    try:
        record(thread, time)
    except RateLimited as refused:
        return refused.reason
    except Refused as refused:
        return refused.code
    return "accepted"


def again(capture: Capture, session: str | None) -> Record:
    """One more from this person."""
    return lambda *_: capture.record(session, LOGIN)


def counted(found: list[tuple[int, str]]) -> Counter[str]:
    return Counter(what for _, what in found)


def accepted(found: list[tuple[int, str]]) -> Counter[int]:
    """How often each thread was."""
    return Counter(thread for thread, what in found if what == "accepted")


def test_one_person_from_many_addresses_is_accepted_exactly_ten_times(crowd: Crowd) -> None:
    for _round in range(ROUNDS):
        capture = account()
        session = capture.identify(email="user@emaildomain.com").session

        found = crowd(
            lambda thread, _, capture=capture, session=session: capture.record(  # type: ignore[misc]
                session, LOGIN, ip=f"203.0.113.{thread}"
            ),
            2,
        )

        assert counted(found) == {"accepted": 10, "person-limit": 2 * THREADS - 10}
        assert len(capture.backends.journal.latest(1000)) == 10
        assert keys(capture) == 1 + len(accepted(found)), "a refused address left its key behind"


def test_one_address_of_many_people_is_accepted_exactly_a_hundred_times(crowd: Crowd) -> None:
    for _round in range(ROUNDS):
        capture = account()
        sessions = [
            capture.identify(email=f"user{number}@emaildomain.com").session
            for number in range(THREADS)
        ]

        found = crowd(
            lambda thread, _, capture=capture, sessions=sessions: capture.record(  # type: ignore[misc]
                sessions[thread], LOGIN, ip="203.0.113.7"
            ),
            3,
        )

        assert counted(found) == {"accepted": 100, "ip-limit": 3 * THREADS - 100}
        assert len(capture.backends.journal.latest(1000)) == 100
        assert keys(capture) == 1 + len(accepted(found)), "a refused person left a key behind"
        for thread in range(0, THREADS, 8):
            left = 10 - accepted(found)[thread]
            # Without an address only the person's own quota decides.
            tries = [outcome(again(capture, sessions[thread]), 0, 0) for _ in range(left + 1)]
            assert tries == ["accepted"] * left + ["person-limit"], "a refusal was counted"


def test_one_event_id_is_stored_once_and_counted_once(crowd: Crowd) -> None:
    for _round in range(ROUNDS):
        capture = account()
        session = capture.identify(email="user@emaildomain.com").session

        found = crowd(
            lambda _, __, capture=capture, session=session: capture.record(  # type: ignore[misc]
                session, LOGIN, ip="203.0.113.7", event_id="the-same"
            ),
            1,
        )

        assert counted(found) == {"accepted": THREADS}
        assert len(capture.backends.journal.latest(1000)) == 1
        tries = [outcome(again(capture, session), 0, 0) for _ in range(10)]
        assert tries == ["accepted"] * 9 + ["person-limit"], "counted once"


def test_new_people_from_one_address_are_exactly_a_hundred(crowd: Crowd) -> None:
    """Whether they come by ``track`` or bring an activity along."""
    for _round in range(FEWER):
        capture = account()

        def come(thread: int, time: int, capture: Capture = capture) -> None:
            email = f"new{thread}-{time}@emaildomain.com"
            if thread % 2:
                capture.identify(email=email, ip="203.0.113.7")
            else:
                capture.record(None, f"act:cm:n{time}", person={"email": email}, ip="203.0.113.7")

        for time in range(4):
            capture.backends.definitions.put(Definition(f"act:cm:n{time}", "N", client_side=True))
        found = crowd(come, 4)

        assert counted(found) == {"accepted": 100, "new-people-limit": 4 * THREADS - 100}


def test_a_person_who_comes_in_many_threads_at_once_is_one_and_charged_once(crowd: Crowd) -> None:
    for _round in range(FEWER):
        capture = account(new_people_limit="1/hour")
        sessions: set[str] = set()

        found = crowd(
            lambda *_, capture=capture, sessions=sessions: sessions.add(
                str(capture.identify(email="user@emaildomain.com", ip="203.0.113.7").session)
            ),
            1,
        )

        assert counted(found) == {"accepted": THREADS}
        assert len(sessions) == 1, "one person, and a clock that stands"


def test_claimed_changes_of_a_profile_are_made_exactly_as_often_as_the_limit_has_room(
    crowd: Crowd,
) -> None:
    for _round in range(FEWER):
        capture = account(new_people_limit="5/hour")
        capture.identify(email="user@emaildomain.com")

        found = crowd(
            lambda thread, time, capture=capture: capture.identify(  # type: ignore[misc]
                email="user@emaildomain.com", first=f"{thread} {time}", ip="203.0.113.7"
            ),
            2,
        )

        assert counted(found) == {"accepted": 2 * THREADS}
        assert capture.backends.outcomes is not None
        assert capture.backends.outcomes.counts()["note:profile-kept"] == 2 * THREADS - 5


def test_one_event_id_is_stored_once_for_each_assurance(crowd: Crowd) -> None:
    for _round in range(FEWER):
        capture = account()
        token = capture.sign_identity("user@emaildomain.com")

        def record(thread: int, _: int, capture: Capture = capture, token: str = token) -> None:
            if thread % 2:
                capture.record(None, LOGIN, event_id="the-same", identity=token)
            else:
                claimed = {"email": "user@emaildomain.com"}
                capture.record(None, LOGIN, event_id="the-same", person=claimed)

        assert counted(crowd(record, 1)) == {"accepted": THREADS}
        rows = capture.backends.journal.latest(1000)
        assert sorted(row.assurance for row in rows) == ["claimed", "verified"]
        assert len({row.person_id for row in rows}) == 1


def test_refused_requests_of_every_kind_change_no_counter(crowd: Crowd) -> None:
    capture = account()
    session = capture.identify(email="user@emaildomain.com").session
    for _ in range(4):
        capture.record(session, LOGIN, ip="203.0.113.7")
    before = keys(capture)

    def refused(thread: int, time: int) -> None:
        if thread % 3 == 0:
            capture.record(session, "act:cm:unknown", ip=f"198.51.100.{thread}")
        elif thread % 3 == 1:
            capture.record("oc1.forged", LOGIN, ip=f"198.51.100.{thread}")
        else:
            capture.record(session, LOGIN, {"str:cm:no": time}, ip=f"198.51.100.{thread}")

    assert counted(crowd(refused, 10)).keys() == {"not-found", "bad-session", "bad-attribute"}
    assert keys(capture) == before
    for _ in range(6):
        capture.record(session, LOGIN, ip="203.0.113.7")
    with pytest.raises(RateLimited):
        capture.record(session, LOGIN, ip="203.0.113.7")
