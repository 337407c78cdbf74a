"""What a person may ask for: everything that is kept about them, and that it be erased.

The law of this file: it reaches every port, and says so when one cannot do its part. It knows no
medium; where removed bytes may still be read, the medium itself overwrites them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import Any

from .errors import ConfigurationError
from .model import Captured, Erased, Person
from .ports import Backends, Erasing, Forgetting, Timeline, Traceless

#: Activities read at a time.
PAGE = 500


def export(backends: Backends, person: Person) -> dict[str, Any]:
    """Everything kept about a person, as plain JSON types; times are ISO 8601, UTC.

    :raises ConfigurationError: when the journal cannot be read by person.
    """
    return {
        "person": person.plain(),
        "activities": [
            {
                "position": each.position,
                "event_id": each.event_id,
                "activity_id": each.activity_id,
                "attributes": each.attributes,
                "source": each.source,
                "assurance": each.assurance,
                "occurred_at": each.occurred_at.isoformat(),
                "received_at": each.received_at.isoformat(),
                "gpc": each.gpc,
            }
            for each in _activities(backends, person.id)
        ],
    }


def erase(
    backends: Backends, person_id: str, counters: Callable[[set[str]], Collection[bytes]]
) -> Erased:
    """Remove a person, their identifiers, activities and counters, in one step.

    :param counters: the rate limiter's keys of this person for some activity ids.
    :raises ConfigurationError: when one of the ports cannot erase.
    :raises BackendError: nothing was removed, or it will be when the store is opened again.
    """
    people, limiter, journal, outcomes = (
        backends.people,
        backends.limiter,
        backends.journal,
        backends.outcomes,
    )
    if not isinstance(people, Erasing):
        raise _unable(people, "erase")
    if not isinstance(journal, Erasing):
        raise _unable(journal, "erase")
    if not isinstance(limiter, Forgetting):
        raise _unable(limiter, "forget")

    def decide() -> int:
        # Only what was accepted was counted, and that is in the journal.
        keys = counters({each.activity_id for each in _activities(backends, person_id)})
        if isinstance(backends, Traceless):
            backends.bury(person_id, keys)
        limiter.forget(keys)
        activities = journal.erase(person_id)
        people.erase(person_id)
        if isinstance(outcomes, Erasing):
            outcomes.erase(person_id)
        return activities

    activities = backends.atomically(decide)
    return Erased(activities, backends.scrub() if isinstance(backends, Traceless) else True)


def _activities(backends: Backends, person_id: str) -> Iterator[Captured]:
    journal = backends.journal
    if not isinstance(journal, Timeline):
        raise _unable(journal, "of")
    after = 0
    while page := journal.of(person_id, after, PAGE):
        yield from page
        after = page[-1].position


def _unable(port: object, method: str) -> ConfigurationError:
    return ConfigurationError(
        "backends", f"{type(port).__name__} cannot do this; give it the method {method}()"
    )
