"""Bytes a key and bytes an activity, by tracemalloc."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from typing import cast
from uuid import uuid4

from ortto_capture.backends.memory import MemoryJournal, MemoryPeople
from ortto_capture.limiting import FixedWindows
from ortto_capture.model import Activity, Charge, Quota

from .measure import Figure
from .programs import KEY, body, call, environ, event_id, ours

NOW = 1_795_392_000.0


def bytes_each(work: Callable[[], None], times: int) -> float:
    """What ``work``, done so many times, leaves allocated each time."""
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(times):
        work()
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return (after - before) / times


def figures(scale: float = 1.0) -> Iterator[Figure]:
    """All figures of this file."""
    times = int(100_000 * scale)
    limiter = FixedWindows(capacity=10_000_000)
    quota = Quota(10, 86_400)

    def one_key() -> None:
        limiter.acquire([Charge(uuid4().bytes, quota)], NOW)

    yield Figure("limiter, a key", bytes_each(one_key, times), 140, unit="B")

    app, capture = ours()
    session = capture.identify(email="user@emaildomain.com").session
    journal = capture.backends.journal
    call(app, environ(body(session)))
    [sample] = journal.latest()
    alone = MemoryJournal(capacity=10_000_000)

    def one_activity() -> None:
        alone.append(
            Activity(
                event_id(),
                sample.activity_id,
                sample.person_id,
                sample.attributes,
                KEY,
                "claimed",
                NOW,
                NOW,
                False,
            )
        )

    yield Figure(
        "journal, an activity of 430 bytes", bytes_each(one_activity, times), 700, unit="B"
    )

    _, other = ours()
    people = cast("MemoryPeople", other.backends.people)

    def one_person() -> None:
        other.identify(email=f"user{len(people)}@emaildomain.com", first="John", last="Apple")

    yield Figure("a person", bytes_each(one_person, times // 4), unit="B")
