"""Exactly ten, exactly a hundred, whatever the threads do.

The law of this file: a switch of threads every microsecond, and no mercy: one too many or one too
few in any round is a failure.
"""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from ortto_capture import (
    Capture,
    Definition,
    RateLimited,
    Refused,
    Settings,
    open_backends,
)
from ortto_capture.backends.memory import MemoryRateLimiter
from ortto_capture.testing import FakeClock

from .services import campaign

THREADS = 64
ROUNDS = campaign(200)
LOGIN = "act:cm:login"


@pytest.fixture(autouse=True)
def _switch_at_every_turn() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def account() -> Capture:
    backends = open_backends("memory:")
    backends.definitions.put(Definition(LOGIN, "Logged in", client_side=True))
    settings = Settings(secret_keys=["an example secret of more than 32 bytes"])
    return Capture(backends=backends, settings=settings, clock=FakeClock())


def keys(capture: Capture) -> int:
    """How many counters are held."""
    limiter = capture.backends.limiter
    assert isinstance(limiter, MemoryRateLimiter)
    return len(limiter)


def outcomes(record: Callable[[int, int], object], times: int) -> Counter[str]:
    """What came of ``record(thread, time)``, called by all threads at once."""
    found: list[str] = []
    start = threading.Barrier(THREADS)

    def run(thread: int) -> None:
        start.wait()
        for time in range(times):
            try:
                record(thread, time)
            except RateLimited as refused:
                found.append(refused.reason)
            except Refused as refused:
                found.append(refused.code)
            else:
                found.append("accepted")

    threads = [threading.Thread(target=run, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return Counter(found)


def test_one_person_from_many_addresses_is_accepted_exactly_ten_times() -> None:
    for _round in range(ROUNDS):
        capture = account()
        session = capture.identify(email="user@emaildomain.com").session

        counted = outcomes(
            lambda thread, _, capture=capture, session=session: capture.record(  # type: ignore[misc]
                session, LOGIN, ip=f"203.0.113.{thread}"
            ),
            2,
        )

        assert counted == {"accepted": 10, "person-limit": 2 * THREADS - 10}
        rows = capture.backends.journal.recent()
        assert len(rows) == 10
        assert keys(capture) <= 11, "a refused request left the key of its address behind"


def test_one_address_of_many_people_is_accepted_exactly_a_hundred_times() -> None:
    for _round in range(ROUNDS // 4):
        capture = account()
        sessions = [
            capture.identify(email=f"user{number}@emaildomain.com").session
            for number in range(THREADS)
        ]

        counted = outcomes(
            lambda thread, _, capture=capture, sessions=sessions: capture.record(  # type: ignore[misc]
                sessions[thread], LOGIN, ip="203.0.113.7"
            ),
            3,
        )

        assert counted == {"accepted": 100, "ip-limit": 3 * THREADS - 100}
        assert len(capture.backends.journal.recent(limit=1000)) == 100
        people = {row.person_id for row in capture.backends.journal.recent(limit=1000)}
        assert keys(capture) == len(people) + 1, "a refused person left a key behind"


def test_one_event_id_is_stored_once_and_counted_once() -> None:
    for _round in range(ROUNDS // 4):
        capture = account()
        session = capture.identify(email="user@emaildomain.com").session

        counted = outcomes(
            lambda _, __, capture=capture, session=session: capture.record(  # type: ignore[misc]
                session, LOGIN, ip="203.0.113.7", event_id="the-same"
            ),
            1,
        )

        assert counted == {"accepted": THREADS}
        assert len(capture.backends.journal.recent()) == 1
        more = [capture.record(session, LOGIN, ip="203.0.113.7") for _ in range(9)]
        assert len(more) == 9
        with pytest.raises(RateLimited):
            capture.record(session, LOGIN, ip="203.0.113.7")


def test_refused_requests_of_every_kind_change_no_counter() -> None:
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

    counted = outcomes(refused, 10)

    assert counted.keys() == {"not-found", "bad-session", "bad-attribute"}
    assert keys(capture) == before
    for _ in range(6):
        capture.record(session, LOGIN, ip="203.0.113.7")
    with pytest.raises(RateLimited):
        capture.record(session, LOGIN, ip="203.0.113.7")
