"""The host's own word: what its programs record, in whose name, and when it is refused."""

from __future__ import annotations

import asyncio
import logging
import math
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from ortto_capture import (
    BackendError,
    Capture,
    Captured,
    Definition,
    InvalidAttributes,
    NeedsVerified,
    NotIdentified,
    Refused,
    Settings,
    UnknownActivity,
    open_backends,
)
from ortto_capture.errors import BadToken, MalformedRequest
from ortto_capture.testing import FakeClock

JO = "jo@example.com"
PAID = "act:cm:paid"
SETTINGS = Settings(secret_keys=["an example secret of more than 32 bytes"], person_limit="1/day")


@pytest.fixture(params=["memory:", "file"])
def capture(request: pytest.FixtureRequest, tmp_path: Any) -> Iterator[Capture]:
    address = "memory:" if request.param == "memory:" else f"file:{tmp_path}"
    with open_backends(address) as backends:
        backends.definitions.declare(
            [
                Definition(PAID, "Paid", attributes=["int:cm:price"]),
                Definition("act:cm:refunded", "Refunded", needs="verified"),
                Definition("act:cm:login", "Logged in", client_side=True),
                Definition("act:cm:old", "Old", client_side=True, archived=True),
            ]
        )
        yield Capture(backends=backends, settings=SETTINGS, clock=FakeClock())


def recorded(captured: Captured | None) -> Captured:
    assert captured is not None
    return captured


def test_what_pages_may_not_send_is_exactly_what_the_host_records(capture: Capture) -> None:
    stored = recorded(capture.record_for(PAID, {"int:cm:price": 12}, email=JO))

    assert (stored.assurance, stored.source, stored.attributes) == (
        "verified",
        "server",
        {"int:cm:price": 12},
    )
    person = capture.person(JO)
    assert person is not None
    assert (person.id, person.assurance) == (stored.person_id, "verified")
    assert capture.backends.journal.latest() == [stored]


def test_a_person_is_found_by_either_identifier(capture: Capture) -> None:
    first = recorded(capture.record_for(PAID, email=JO, ei=7))
    second = recorded(capture.record_for(PAID, email=" JO@Example.com "))
    third = recorded(capture.record_for(PAID, ei="7"))

    assert first.person_id == second.person_id == third.person_id


def test_no_limit_is_taken_and_none_stops_it(capture: Capture) -> None:
    for _ in range(5):
        capture.record_for("act:cm:login", email=JO)
    session = capture.identify(identity=capture.sign_identity(JO)).session

    assert capture.record(session, "act:cm:login").position
    assert capture.record_for("act:cm:login", email=JO)


def test_a_repetition_returns_the_first(capture: Capture) -> None:
    first = recorded(capture.record_for(PAID, email=JO, event_id="order-1"))
    again = recorded(capture.record_for(PAID, email=JO, event_id="order-1"))

    assert (again.duplicate, again.position) == (True, first.position)


def test_a_visitor_s_session_is_enough_where_the_host_knows_no_more(capture: Capture) -> None:
    session = capture.identify(email=JO).session
    stored = recorded(capture.record_for(PAID, session=session))

    assert (stored.assurance, stored.source) == ("claimed", "server")
    with pytest.raises(NeedsVerified):
        capture.record_for("act:cm:refunded", session=session)
    verified = capture.identify(identity=capture.sign_identity(JO)).session
    assert recorded(capture.record_for("act:cm:refunded", session=verified)).position


def test_who_the_host_names_comes_before_the_session(capture: Capture) -> None:
    session = capture.identify(email="ann@example.com").session
    stored = recorded(capture.record_for(PAID, email=JO, session=session))
    jo = capture.person(JO)

    assert jo is not None
    assert stored.person_id == jo.id


@pytest.mark.parametrize(
    ("arguments", "refusal"),
    [
        ({"activity_id": "act:cm:unknown"}, UnknownActivity),
        ({"activity_id": "act:cm:old"}, UnknownActivity),
        ({"activity_id": "act::system"}, UnknownActivity),
        ({"attributes": {"int:cm:price": "12"}}, InvalidAttributes),
        ({"attributes": {"int:cm:price": math.nan}}, MalformedRequest),
        ({"email": None}, NotIdentified),
        ({"email": None, "session": ""}, NotIdentified),
        ({"email": None, "session": "oc1.forged"}, BadToken),
        ({"email": "no address"}, MalformedRequest),
        ({"email": " ", "ei": ""}, NotIdentified),
        ({"email": None, "ei": 2**53}, MalformedRequest),
        ({"event_id": "not well formed"}, MalformedRequest),
        ({"at": datetime(2026, 1, 1)}, MalformedRequest),  # noqa: DTZ001  # that is the mistake
        ({"at": "2026-11-26T00:00:00Z"}, MalformedRequest),
        ({"at": date(2026, 11, 26)}, MalformedRequest),
        ({"at": 10**400}, MalformedRequest),
        ({"at": math.nan}, MalformedRequest),
        ({"at": -1.0}, MalformedRequest),
    ],
)
def test_a_refusal_is_raised_or_logged_and_counted(
    capture: Capture,
    caplog: pytest.LogCaptureFixture,
    arguments: dict[str, Any],
    refusal: type[Refused],
) -> None:
    given: dict[str, Any] = {"activity_id": PAID, "email": JO, **arguments}
    with pytest.raises(refusal) as refused:
        capture.record_for(**given)

    with caplog.at_level(logging.INFO, "ortto_capture"):
        assert capture.record_for(**given, on_refused="log") is None
    assert f"{given['activity_id']} was not recorded: {refused.value}" in caplog.messages
    # A checkout of a visitor whom no page has identified is no mistake of the host.
    expected = "INFO" if refused.value.code == "not-identified" else "WARNING"
    assert [each.levelname for each in caplog.records] == [expected]
    assert JO not in caplog.text
    assert capture.backends.journal.latest() == []
    assert capture.backends.outcomes is not None
    assert capture.backends.outcomes.counts()[refused.value.code] == 2


def test_a_store_that_is_away_is_logged_too(caplog: pytest.LogCaptureFixture) -> None:
    class Away:
        def get(self, activity_id: str) -> None:
            raise BackendError("the disk is gone")

    away: Any = Away()
    backends = replace(open_backends("memory:"), definitions=away)
    capture = Capture(backends=backends, settings=SETTINGS)

    assert capture.record_for(PAID, email=JO, on_refused="log") is None
    assert "the disk is gone" in caplog.text
    with pytest.raises(BackendError):
        capture.record_for(PAID, email=JO)


def test_it_happened_when_the_host_says(capture: Capture) -> None:
    now = datetime.fromtimestamp(FakeClock()(), UTC)
    last_year = now - timedelta(days=365)

    said: list[tuple[datetime | float | None, datetime]] = [
        (last_year, last_year),
        (last_year.timestamp(), last_year),
        (None, now),
        (now, now),
        (now + timedelta(hours=1), now),
    ]
    for at, occurred_at in said:
        assert recorded(capture.record_for(PAID, email=JO, at=at)).occurred_at == occurred_at


def test_the_moment_is_stored_to_the_millisecond() -> None:
    """By a clock that runs."""
    with open_backends("memory:") as backends:
        backends.definitions.put(Definition(PAID, "Paid"))
        running = Capture(backends=backends, settings=SETTINGS)
        for _ in range(100):
            stored = recorded(running.record_for(PAID, email=JO, at=1_790_000_000.123))
            assert stored.activity.occurred_at == 1_790_000_000.123


def test_a_blank_identifier_counts_as_absent(capture: Capture) -> None:
    session = capture.identify(email=JO).session

    assert recorded(capture.record_for(PAID, email="", session=session)).assurance == "claimed"


def test_a_coroutine_does_not_wait_for_storage(capture: Capture) -> None:
    here = threading.get_ident()
    threads: list[int] = []

    def noting(each: Captured) -> None:
        threads.append(threading.get_ident())

    async def checkout() -> Captured | None:
        loop = asyncio.get_running_loop()
        task = asyncio.create_task(
            capture.arecord(PAID, {"int:cm:price": 1}, email=JO, event_id="order-1")
        )
        assert loop.is_running()
        with pytest.raises(UnknownActivity):
            await capture.arecord("act:cm:unknown", email=JO)
        return await task

    capture.subscribe(noting)
    stored = recorded(asyncio.run(checkout()))

    assert (stored.event_id, stored.assurance) == ("order-1", "verified")
    assert capture.flush()
    assert here not in threads
