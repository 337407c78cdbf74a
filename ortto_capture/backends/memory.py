"""The four ports in this process's memory: for tests, for trying out, for one process.

The law of this file: exact under threads, bounded, correct after ``fork``, and nothing runs in the
background. A process that ends forgets everything; several processes count each alone.
"""

from __future__ import annotations

import logging
import marshal
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice

from ..errors import StorageFull
from ..limiting import FixedWindows
from ..locks import fork_safe_lock
from ..model import Activity, Captured, Definition, Identifier, Outcome, Person
from ..ports import Backends

#: Of the formats of `marshal` the fastest to write: later ones look every object up, to write what
#: occurs twice but once (1.5 times as long, for 50 bytes less a row).
MARSHAL = 2
#: How long an event id is remembered (contract §4, row 11), in seconds.
EVENT_ID_SECONDS = 7 * 86_400

_log = logging.getLogger("ortto_capture")


class MemoryBackends(Backends):
    """All four ports in memory; typed, so that ``definitions.put`` is known to be there."""

    definitions: MemoryDefinitions
    people: MemoryPeople
    limiter: MemoryRateLimiter
    journal: MemoryJournal
    outcomes: MemoryOutcomes


def open_memory() -> MemoryBackends:
    """All four ports in memory, with room for a small site."""
    return MemoryBackends(
        definitions=MemoryDefinitions(),
        people=MemoryPeople(),
        limiter=MemoryRateLimiter(),
        journal=MemoryJournal(),
        outcomes=MemoryOutcomes(),
    )


class MemoryDefinitions:
    """Definitions in a dict."""

    def __init__(self, definitions: Sequence[Definition] = ()) -> None:
        self._definitions = {definition.id: definition for definition in definitions}

    def get(self, activity_id: str) -> Definition | None:
        """Return the definition with exactly this id, or None."""
        return self._definitions.get(activity_id)

    def all(self) -> Sequence[Definition]:
        """Return every definition, ordered by id."""
        return sorted(self._definitions.values(), key=lambda definition: definition.id)

    def put(self, definition: Definition) -> None:
        """Store ``definition``, replacing the one with its id."""
        self._definitions[definition.id] = definition


class MemoryPeople:
    """People in dicts.

    :param capacity: people at most, about 550 bytes each; one more is :class:`StorageFull`.
    """

    def __init__(self, capacity: int = 200_000) -> None:
        self.capacity = capacity
        self._people: dict[str, Person] = {}
        self._holders: dict[Identifier, str] = {}
        self._lock = fork_safe_lock()
        self._warned = False

    def __len__(self) -> int:
        return len(self._people)

    def __contains__(self, person_id: object) -> bool:
        """Whether this person is stored."""
        return person_id in self._people

    def get(self, person_id: str) -> Person | None:
        """Return the person with this id, or None."""
        return self._people.get(person_id)

    def find(self, identifiers: Sequence[Identifier]) -> Person | None:
        """Return the person who holds the first of these identifiers that anybody holds."""
        for identifier in identifiers:
            if (person_id := self._holders.get(identifier)) is not None:
                return self.get(person_id)
        return None

    def save(self, person: Person) -> Person:
        """Store or replace a person; somebody else who holds an identifier is returned instead."""
        with self._lock:
            holders = map(self._holders.get, person.identifiers)
            other = next((id_ for id_ in holders if id_ not in (None, person.id)), None)
            if other is not None:
                return self._people[other]
            before = self._people.get(person.id)
            if before is None and len(self._people) >= self.capacity:
                self._refuse()
            # In this order, because others look meanwhile: what is held is held throughout.
            self._people[person.id] = person
            self._holders.update(dict.fromkeys(person.identifiers, person.id))
            for identifier in before.identifiers if before else ():
                if identifier not in person.identifiers:
                    del self._holders[identifier]
        return person

    def erase(self, person_id: str) -> int:
        """Remove the person and every identifier; return how many people that were."""
        with self._lock:
            person = self._people.pop(person_id, None)
            for identifier in person.identifiers if person else ():
                del self._holders[identifier]
        return int(person is not None)

    def _refuse(self) -> None:
        if not self._warned:
            self._warned = True
            _log.warning(
                "%d people are held in memory, as many as may be: new ones get 503; raise "
                "MemoryPeople(capacity=...) or use a backend that stores them",
                len(self._people),
            )
        raise StorageFull("memory holds as many people as it may")


class MemoryRateLimiter(FixedWindows):
    """Counts in a dict; see :class:`~ortto_capture.limiting.FixedWindows` for ``capacity``."""

    in_process = True


class MemoryJournal:
    """The latest activities, in a ring.

    :param capacity: activities at most, about 600 bytes each. Beyond it the oldest are forgotten,
        and with them their event ids.
    """

    in_process = True

    def __init__(self, capacity: int = 100_000) -> None:
        self.capacity = capacity
        # Each as bytes: a dict a row would take three times the memory, and a full collection would
        # walk all of them. `marshal` is the fastest encoder there is and never leaves the process.
        # A position's place in both lists is its remainder by the capacity.
        self._rows: list[bytes] = []
        self._keys: list[str] = []
        self._positions: dict[str, int] = {}
        self._last = 0
        self._lock = fork_safe_lock()

    def __len__(self) -> int:
        return len(self._rows)

    def find(
        self, person_id: str, activity_id: str, event_id: str, since: float
    ) -> Captured | None:
        """Return the activity with this event id received at ``since`` or later, or None."""
        return self._find(_event_key(person_id, activity_id, event_id), since)

    def _find(self, key: str, since: float) -> Captured | None:
        position = self._positions.get(key)
        if position is None:
            return None
        found = self._at(position)
        return found if found.received_at.timestamp() >= since else None

    def append(self, activity: Activity) -> int | None:
        """Store ``activity``; None when its event id is journalled already."""
        key = _event_key(activity.person_id, activity.activity_id, activity.event_id)
        with self._lock:
            if key in self._positions and self._find(key, activity.received_at - EVENT_ID_SECONDS):
                return None
            row = marshal.dumps(tuple(activity), MARSHAL)  # type: ignore[arg-type]  # plain JSON
            position = self._last + 1
            if position <= self.capacity:
                self._rows.append(row)
                self._keys.append(key)
            else:
                place = self._last % self.capacity
                oldest = self._keys[place]
                if self._positions.get(oldest) == position - self.capacity:
                    del self._positions[oldest]
                self._rows[place] = row
                self._keys[place] = key
            self._positions[key] = self._last = position
        return position

    def recent(self, after: int = 0, limit: int = 100) -> Sequence[Captured]:
        """Return the latest ``limit``, or those that follow position ``after``, in order."""
        with self._lock:
            if after == 0:
                return list(islice(self._read(reversed(self._held())), limit))[::-1]
            return list(islice(self._read(self._held(after)), limit))

    def of(self, person_id: str, after: int = 0, limit: int = 100) -> Sequence[Captured]:
        """Return at most ``limit`` of a person's activities above position ``after``, in order."""
        with self._lock:
            every = self._read(self._held(after))
            return list(islice((row for row in every if row.person_id == person_id), limit))

    def erase(self, person_id: str) -> int:
        """Remove everything this person did; return how many activities that were."""
        with self._lock:
            theirs = self.of(person_id, limit=self.capacity)
            for row in theirs:
                place = (row.position - 1) % self.capacity
                self._rows[place], self._keys[place] = b"", ""
                self._positions.pop(_event_key(person_id, row.activity_id, row.event_id), None)
        return len(theirs)

    def _held(self, after: int = 0) -> range:
        return range(max(after, self._last - len(self._rows)) + 1, self._last + 1)

    def _read(self, positions: Iterable[int]) -> Iterator[Captured]:
        """The rows there, without those that were erased."""
        for position in positions:
            if self._rows[(position - 1) % self.capacity]:
                yield self._at(position)

    def _at(self, position: int) -> Captured:
        row = self._rows[(position - 1) % self.capacity]
        return Captured.at(position, Activity(*marshal.loads(row)))  # noqa: S302  # our own bytes


def _event_key(person_id: str, activity_id: str, event_id: str) -> str:
    # An event id has no spaces and an activity id neither, so that no two triples meet.
    return f"{event_id} {activity_id} {person_id}"


class MemoryOutcomes:
    """Counts of all outcomes and the last ``capacity`` refusals."""

    def __init__(self, capacity: int = 500) -> None:
        self._counts: Counter[str] = Counter()
        self._refusals: deque[Outcome] = deque(maxlen=capacity)
        self._last = 0
        self._lock = fork_safe_lock()

    def note(self, outcome: Outcome) -> None:
        """Count ``outcome`` and its notes; keep it when it has a reason."""
        with self._lock:
            for name in outcome.counted:
                self._counts[name] += 1
            if outcome.reason:
                self._last += 1
                self._refusals.append(outcome._replace(number=self._last))

    def counts(self) -> Mapping[str, int]:
        """Return how often each code and each note was seen."""
        with self._lock:
            return dict(self._counts)

    def refusals(self, after: int = 0, limit: int = 100) -> Sequence[Outcome]:
        """Return at most ``limit`` of the latest refusals numbered above ``after``, in order."""
        with self._lock:
            newest_first = islice(reversed(self._refusals), limit)
            found = [outcome for outcome in newest_first if outcome.number > after]
        return found[::-1]

    def erase(self, person_id: str) -> int:
        """Take the person's name off the refusals; return how many they were."""
        with self._lock:
            theirs = sum(each.person_id == person_id for each in self._refusals)
            self._refusals = deque(
                (
                    each._replace(person_id=None) if each.person_id == person_id else each
                    for each in self._refusals
                ),
                self._refusals.maxlen,
            )
        return theirs
