"""The week that ``demo`` begins with."""

from __future__ import annotations

from collections import Counter

import pytest

from ortto_capture import Capture, Settings, open_backends
from ortto_capture.cli.shop import DEFINITIONS
from ortto_capture.cli.shop.history import live_through
from ortto_capture.ports import Backends

NOW = 1_790_000_000.0
DAY = 86_400


def account() -> tuple[Capture, Backends]:
    """The demo's account, as it is before its shop opens."""
    backends = open_backends("memory:")
    backends.definitions.declare(DEFINITIONS)
    return Capture(backends=backends, settings=Settings(secret_keys=["x" * 32])), backends


def test_something_happened_on_each_of_seven_days() -> None:
    capture, backends = account()
    live_through(capture, NOW)
    days = Counter(
        int((NOW - each.activity.occurred_at) // DAY) for each in backends.journal.latest(1000)
    )

    assert days.keys() == set(range(7))
    assert min(days.values()) >= 5


def test_each_person_of_it_is_told_from_real_ones_by_the_address() -> None:
    capture, backends = account()
    live_through(capture, NOW)
    people = {each.person_id for each in backends.journal.latest(1000)}
    emails = {person.email or "" for each in people if (person := backends.people.get(each))}

    assert len(emails) == len(people) > 5
    assert {each.partition("@")[2] for each in emails} == {"sample.example"}


def test_some_of_it_was_refused() -> None:
    capture, backends = account()
    live_through(capture, NOW)

    assert backends.outcomes is not None
    assert {each.reason for each in backends.outcomes.refused()} == {"unknown-activity"}


def test_every_start_makes_the_same_week() -> None:
    weeks = []
    for _ in range(2):
        capture, backends = account()
        live_through(capture, NOW)
        weeks.append(
            [
                (each.activity_id, each.attributes, each.activity.occurred_at)
                for each in backends.journal.latest(1000)
            ]
        )

    assert weeks[0] == weeks[1]


@pytest.mark.parametrize("activity_id", ["act:cm:login", "act:cm:cup-poured"])
def test_where_anything_happened_already_there_is_no_sample(activity_id: str) -> None:
    capture, backends = account()
    capture.record_for(activity_id, {}, email="jo@example.com")

    assert live_through(capture, NOW) == 0
    assert len(backends.journal.latest(10)) == 1
