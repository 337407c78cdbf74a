"""What a person may ask for: everything that is kept about them, and that it be erased.

The law of this file: it reaches every port. It knows no medium; where removed bytes may still be
read, the medium itself overwrites them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import Any

from .model import Captured, Person
from .ports import Backends

#: Activities read at a time.
PAGE = 500


def export(backends: Backends, person: Person) -> dict[str, Any]:
    """Everything kept about a person, as plain JSON types; times are ISO 8601, UTC."""
    kept = backends.outcomes.of(person.id) if backends.outcomes is not None else ()
    outcomes = [each.plain() for each in kept]
    return {
        "person": person.plain(),
        "activities": [each.plain() for each in _activities(backends, person.id)],
        "refusals": [each for each in outcomes if each["reason"]],
        "passed": [each for each in outcomes if not each["reason"]],
    }


def erase(
    backends: Backends, person_id: str, counters: Callable[[set[str]], Collection[bytes]]
) -> int:
    """Remove a person, their identifiers, activities and counters, within ``atomically``.

    :param counters: the rate limiter's keys of this person for some activity ids.
    :returns: how many activities were removed.
    :raises BackendError: nothing was removed, or it will be when the store is opened again.
    """
    # Only what was accepted was counted, and that is in the journal.
    keys = counters({each.activity_id for each in _activities(backends, person_id)})
    backends.bury(person_id, keys)
    backends.limiter.forget(keys)
    activities = backends.journal.erase(person_id)
    backends.people.erase(person_id)
    if backends.outcomes is not None:
        backends.outcomes.erase(person_id)
    return activities


def _activities(backends: Backends, person_id: str) -> Iterator[Captured]:
    cursor = ""
    while page := backends.journal.of(person_id, cursor, PAGE):
        yield from page
        cursor = page[-1].cursor
