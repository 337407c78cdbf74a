"""The ports in this process's memory: for tests, for trying out, for one process.

The law of this file: exact under threads, bounded, correct after ``fork``, and nothing runs in the
background. A process that ends forgets everything; several processes count each alone.
"""

from __future__ import annotations

import json
import marshal
from collections import Counter, deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Literal

from ..errors import StorageFull
from ..limiting import FixedWindows
from ..locks import fork_safe_lock
from ..model import (
    EVENT_ID_SECONDS,
    Activity,
    Captured,
    Charge,
    Definition,
    Document,
    Full,
    Identifier,
    Outcome,
    Person,
)
from ..ports import Backends, Definitions, Documents, Journal, Outcomes, People, RateLimiter
from ..questions import plain
from ..questions.answer import Answer, Found, Wanted
from ..questions.query import Question

#: The fastest of the formats of `marshal` to write: later ones look every object up, to write what
#: occurs twice but once (1.5 times as long, for 50 bytes less a row).
MARSHAL = 2


class MemoryDefinitions:
    """Definitions in a dict."""

    def __init__(self, definitions: Sequence[Definition] = ()) -> None:
        self._definitions = {definition.id: definition for definition in definitions}
        self._declared: set[str] = set()

    def get(self, activity_id: str) -> Definition | None:
        return self._definitions.get(activity_id)

    def all(self) -> Sequence[Definition]:
        return sorted(self._definitions.values(), key=lambda definition: definition.id)

    def put(self, definition: Definition) -> None:
        self._definitions[definition.id] = definition

    def declare(self, definitions: Sequence[Definition]) -> None:
        for definition in definitions:
            self.put(definition.declared_over(self.get(definition.id)))
            self._declared.add(definition.id)

    def written(self, activity_id: str) -> Literal["store", "code", "file"]:
        return "code" if activity_id in self._declared else "store"

    def stored(self, activity_id: str) -> Definition | None:
        return self.get(activity_id)


class MemoryPeople:
    """People in dicts.

    :param capacity: people at most, about 550 bytes each; one more is :class:`StorageFull`.
    """

    def __init__(self, capacity: int = 200_000) -> None:
        self.capacity = capacity
        self._people: dict[str, Person] = {}
        self._holders: dict[Identifier, str] = {}
        self._lock = fork_safe_lock()

    def __len__(self) -> int:
        return len(self._people)

    def get(self, person_id: str) -> Person | None:
        return self._people.get(person_id)

    def find(self, identifiers: Sequence[Identifier]) -> Person | None:
        for identifier in identifiers:
            if (person_id := self._holders.get(identifier)) is not None:
                return self.get(person_id)
        return None

    def save(self, person: Person) -> Person:
        with self._lock:
            holders = map(self._holders.get, person.identifiers)
            other = next((id_ for id_ in holders if id_ not in (None, person.id)), None)
            if other is not None:
                return self._people[other]
            before = self._people.get(person.id)
            if before is None and len(self._people) >= self.capacity:
                raise StorageFull(
                    f"{len(self._people)} people are held in memory, as many as may be: raise "
                    "MemoryPeople(capacity=...), or use a backend that stores them"
                )
            # In this order, because other threads look meanwhile: what is held is held throughout.
            self._people[person.id] = person
            self._holders.update(dict.fromkeys(person.identifiers, person.id))
            for identifier in before.identifiers if before else ():
                if identifier not in person.identifiers:
                    del self._holders[identifier]
        return person

    def erase(self, person_id: str) -> int:
        with self._lock:
            person = self._people.pop(person_id, None)
            for identifier in person.identifiers if person else ():
                del self._holders[identifier]
        return int(person is not None)


class MemoryJournal:
    """The latest activities, in a ring.

    :param capacity: activities at most, about 600 bytes each. Beyond it the oldest are forgotten,
        and with them their event ids.
    """

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

    def find(self, activity: Activity) -> Captured | None:
        position = self._positions.get(_event_key(activity))
        if position is None:
            return None
        with self._lock:
            found = next(self._read([position]), None)
        since = activity.received_at - EVENT_ID_SECONDS
        return found if found is not None and found.activity.received_at >= since else None

    def append(self, activity: Activity) -> Captured | None:
        key = _event_key(activity)
        row = marshal.dumps(tuple(activity), MARSHAL)  # type: ignore[arg-type]  # plain JSON
        with self._lock:
            if key in self._positions and self.find(activity) is not None:
                return None
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
        return Captured(position, str(position), activity)

    def latest(self, limit: int = 100) -> Sequence[Captured]:
        with self._lock:
            return list(islice(self._read(reversed(self._held())), limit))[::-1]

    def after(self, cursor: str, limit: int = 100) -> Sequence[Captured]:
        with self._lock:
            return list(islice(self._read(self._held(cursor)), limit))

    def of(self, person_id: str, cursor: str = "", limit: int = 100) -> Sequence[Captured]:
        with self._lock:
            every = self._read(self._held(cursor))
            return list(islice((each for each in every if each.person_id == person_id), limit))

    def erase(self, person_id: str) -> int:
        with self._lock:
            theirs = self.of(person_id, limit=self.capacity)
            for each in theirs:
                place = (each.position - 1) % self.capacity
                self._rows[place], self._keys[place] = b"", ""
                self._positions.pop(_event_key(each.activity), None)
        return len(theirs)

    def ask(self, question: Question, now: float) -> Answer:
        return plain.answer(question, now, (each.activity for each in self._newest_first()))

    def search(self, wanted: Wanted, before: str = "", limit: int = 100) -> Found:
        return plain.look(wanted, self._newest_first(before), limit)

    def first_and_last(self, activity_ids: Collection[str]) -> Mapping[str, tuple[float, float]]:
        every = (each.activity for each in self._newest_first())
        return plain.first_and_last(activity_ids, every)

    def _newest_first(self, before: str = "") -> Iterator[Captured]:
        """The activities that are held at this moment, read while others are stored."""
        with self._lock:
            last = int(before or self._last + 1) - 1
            rows = [(each, self._rows[(each - 1) % self.capacity]) for each in self._held()]
        for position, row in reversed(rows):
            if row and position <= last:
                yield _captured(position, row)

    def _held(self, cursor: str = "") -> range:
        """The positions that are held and follow ``cursor``."""
        return range(max(int(cursor or 0), self._last - len(self._rows)) + 1, self._last + 1)

    def _read(self, positions: Iterable[int]) -> Iterator[Captured]:
        """The activities there, without those that were erased."""
        for position in positions:
            if row := self._rows[(position - 1) % self.capacity]:
                yield _captured(position, row)


def _captured(position: int, row: bytes) -> Captured:
    return Captured(position, str(position), Activity(*marshal.loads(row)))  # noqa: S302  # our own bytes


def _event_key(activity: Activity) -> str:
    # None of the four contains a space, so that no two events meet in one key.
    return f"{activity.event_id} {activity.activity_id} {activity.person_id} {activity.assurance}"


class MemoryOutcomes:
    """Counts of all outcomes, the last ``capacity`` refused and as many passed ones.

    :param tallied: hours, activities and reasons that are tallied apart at most; beyond it the
        oldest are forgotten.
    """

    def __init__(self, capacity: int = 500, tallied: int = 10_000) -> None:
        self._counts: Counter[str] = Counter()
        self._refused: deque[Outcome] = deque(maxlen=capacity)
        self._passed: deque[Outcome] = deque(maxlen=capacity)
        self._tallied = tallied
        self._tally: Counter[tuple[float, str, str]] = Counter()
        self._last = 0
        self._lock = fork_safe_lock()

    def note(self, outcome: Outcome) -> None:
        with self._lock:
            self._counts[outcome.code] += 1
            for note in outcome.notes:
                self._counts[f"note:{note}"] += 1
            if outcome.is_kept:
                self._last += 1
                kept = self._refused if outcome.reason else self._passed
                kept.append(outcome._replace(number=self._last))
            if outcome.reason:
                self._tally[outcome.refusal] += 1
                if len(self._tally) > self._tallied:
                    del self._tally[next(iter(self._tally))]

    def counts(self) -> Mapping[str, int]:
        with self._lock:
            return dict(self._counts)

    def refused(self, after: int = 0, limit: int = 100) -> Sequence[Outcome]:
        return self._latest(self._refused, after, limit)

    def passed(self, after: int = 0, limit: int = 100) -> Sequence[Outcome]:
        return self._latest(self._passed, after, limit)

    def tally(self, since: float) -> Mapping[tuple[float, str, str], int]:
        with self._lock:
            return {key: count for key, count in self._tally.items() if key[0] + 3_600 > since}

    def of(self, person_id: str) -> Sequence[Outcome]:
        with self._lock:
            kept = sorted([*self._refused, *self._passed], key=lambda each: each.number)
        return [each for each in kept if each.person_id == person_id]

    def erase(self, person_id: str) -> int:
        with self._lock:
            theirs = len(self.of(person_id))
            for kept in (self._refused, self._passed):
                for place, each in enumerate(kept):
                    if each.person_id == person_id:
                        kept[place] = each._replace(person_id=None)
        return theirs

    def _latest(self, kept: deque[Outcome], after: int, limit: int) -> Sequence[Outcome]:
        with self._lock:
            newest_first = islice(reversed(kept), limit)
            found = [outcome for outcome in newest_first if outcome.number > after]
        return found[::-1]


class MemoryDocuments:
    """Documents in a dict.

    :param capacity: documents at most; one more is :class:`StorageFull`.
    """

    def __init__(self, capacity: int = 10_000) -> None:
        self.capacity = capacity
        #: As text, so that no program changes by accident what is stored.
        self._stored: dict[tuple[str, str], tuple[str, int]] = {}
        self._last = 0
        self._lock = fork_safe_lock()

    def get(self, kind: str, name: str) -> Document | None:
        text, version = self._stored.get((kind, name), ("", 0))
        return Document(kind, name, json.loads(text), version) if version else None

    def all(self, kind: str) -> Sequence[Document]:
        with self._lock:
            names = sorted(name for each, name in self._stored if each == kind)
            return [found for name in names if (found := self.get(kind, name)) is not None]

    def put(self, kind: str, name: str, value: Any, version: int | None = None) -> Document | None:
        text = json.dumps(value, allow_nan=False)
        with self._lock:
            _, stored = self._stored.get((kind, name), ("", 0))
            if version is not None and version != stored:
                return None
            if not stored and len(self._stored) >= self.capacity:
                raise StorageFull(
                    f"{self.capacity} documents are held in memory, as many as may be"
                )
            self._last += 1
            self._stored[kind, name] = (text, self._last)
            return self.get(kind, name)

    def remove(self, kind: str, name: str, version: int | None = None) -> bool:
        with self._lock:
            _, stored = self._stored.get((kind, name), ("", 0))
            removed = bool(stored) and version in (None, stored)
            if removed:
                del self._stored[kind, name]
            return removed


@dataclass(frozen=True, kw_only=True)
class MemoryBackends(Backends):
    """All ports in memory, with room for a small site."""

    definitions: Definitions = field(default_factory=MemoryDefinitions)
    people: People = field(default_factory=MemoryPeople)
    limiter: RateLimiter = field(default_factory=FixedWindows)
    journal: Journal = field(default_factory=MemoryJournal)
    outcomes: Outcomes | None = field(default_factory=MemoryOutcomes)
    documents: Documents | None = field(default_factory=MemoryDocuments)
    in_process: bool = True

    def record(
        self, activity: Activity, charges: Sequence[Charge], people: Sequence[Person] = ()
    ) -> Captured | Full | None:
        with self._lock:
            return self._record(activity, charges, people)
