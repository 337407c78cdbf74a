"""Ports over plain dicts and lists that keep every promise, made so that one can be broken.

The law of this file: simple before fast. Every decision a port takes is a method of its own, so
that a mistake is one method replaced (see ``test_wrong_backends``).
"""

from __future__ import annotations

import copy
import json
import math
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from threading import RLock
from typing import Any, Self, TypeVar

from ortto_capture.errors import BackendError, ConfigurationError, StorageFull
from ortto_capture.model import (
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
from ortto_capture.ports import Backends
from ortto_capture.questions import plain
from ortto_capture.questions.answer import Answer, Found, Wanted
from ortto_capture.questions.query import Question

T = TypeVar("T")


@dataclass
class Medium:
    """What outlives a port: rows and numbers; it can be away, and it can be full."""

    rows: dict[Any, Any] = field(default_factory=dict)
    last: int = 0
    writes: int = 0
    away: bool = False
    full: bool = False
    secret: dict[str, bytes] = field(default_factory=dict)


class DictPort:
    """What all of them share: a medium, a lock, and faults as the ports raise them."""

    def __init__(self, medium: Medium | None = None) -> None:
        self.medium = medium or Medium()
        self.lock = RLock()
        self.closed = False
        #: What a mistake remembers.
        self.own: dict[str, Any] = {}

    @property
    def rows(self) -> dict[Any, Any]:
        return self.medium.rows

    @contextmanager
    def use(self) -> Iterator[None]:
        """Every method works inside."""
        with self.lock:
            try:
                self.drive()
                yield
            except OSError as error:
                self.fail(error)

    def drive(self) -> None:
        """Fails as a driver does."""
        if self.medium.away or self.closed:
            raise ConnectionError("the medium is away")

    def fail(self, error: OSError) -> None:
        raise BackendError("the medium is away") from error

    def make_room(self) -> None:
        if self.medium.full:
            raise StorageFull("the medium is full")

    def pause(self) -> None:
        """Where another thread could come in, were there no lock."""

    def reopened(self) -> Self:
        return type(self)(self.medium)

    def broken(self) -> Self:
        return type(self)(Medium(away=True))

    def filled(self) -> Self:
        return type(self)(Medium(full=True))


class DictDefinitions(DictPort):
    #: Where people write them, if only people may.
    place: str | None = None

    def get(self, activity_id: str) -> Definition | None:
        return self.rows.get(self.asked(activity_id))

    def all(self) -> Sequence[Definition]:
        return sorted(self.rows.values(), key=self.order)

    def put(self, definition: Definition) -> None:
        self.refuse()
        self.write(definition)

    def declare(self, definitions: Sequence[Definition]) -> None:
        with self.use():
            changed = [self.declared(each) for each in definitions]
            changed = [each for each in changed if self.differs(each)]
            if changed:
                self.refuse()
            for each in changed:
                self.write(each)

    def write(self, definition: Definition) -> None:
        with self.use():
            self.pause()
            self.rows[self.key(definition.id)] = self.stored(definition)
            self.medium.writes += 1

    def refuse(self) -> None:
        if self.place:
            raise ConfigurationError("definitions", f"write them in {self.place}")

    def asked(self, activity_id: str) -> str:
        return self.key(activity_id)

    def key(self, activity_id: str) -> str:
        return activity_id

    def order(self, definition: Definition) -> Any:
        return definition.id

    def stored(self, definition: Definition) -> Definition:
        return definition

    def declared(self, definition: Definition) -> Definition:
        return definition.declared_over(self.get(definition.id))

    def differs(self, definition: Definition) -> bool:
        return self.get(definition.id) != definition


class HandWrittenDefinitions(DictDefinitions):
    place = "/etc/activities.toml"


class DictPeople(DictPort):
    def get(self, person_id: str) -> Person | None:
        with self.use():
            return self.rows.get(self.key(person_id))

    def find(self, identifiers: Sequence[Identifier]) -> Person | None:
        with self.use():
            holders = (self.holder(each) for each in identifiers)
            return next((each for each in holders if each is not None), None)

    def save(self, person: Person) -> Person:
        with self.use():
            other = self.another_holder(person)
            if other is not None:
                return other
            self.make_room()
            self.pause()
            self.rows[self.key(person.id)] = self.stored(person)
            return person

    def erase(self, person_id: str) -> int:
        with self.use():
            return int(self.rows.pop(self.key(person_id), None) is not None)

    def another_holder(self, person: Person) -> Person | None:
        holders = (self.holder(each) for each in person.identifiers)
        return next((each for each in holders if each and each.id != person.id), None)

    def holder(self, identifier: Identifier) -> Person | None:
        """Who holds it, found by looking through all of them."""
        wanted = self.identifier(identifier)
        people: Iterable[Person] = list(self.rows.values())
        return next((each for each in people if wanted in self.held(each)), None)

    def held(self, person: Person) -> list[Any]:
        return [self.identifier(each) for each in person.identifiers]

    def key(self, person_id: str) -> str:
        return person_id

    def identifier(self, identifier: Identifier) -> Any:
        return identifier

    def stored(self, person: Person) -> Person:
        return person


class DictLimiter(DictPort):
    """Counts by ``(seconds, window, key)``."""

    def acquire(self, charges: Sequence[Charge], now: float) -> Full | None:
        with self.use():
            if full := self.full(charges, now):
                self.refused(charges, now)
                return max(full, key=self.preferred)
            self.pause()
            self.make_room()
            for each in charges:
                self.count(each, now, self.counted(each, now) + 1)
            return None

    def release(self, charges: Sequence[Charge], now: float) -> None:
        with self.use():
            for each in charges:
                counted = self.counted(each, now)
                self.pause()
                if counted:
                    self.count(each, now, counted - 1)

    def taken(self, charge: Charge, now: float) -> int:
        with self.use():
            return self.counted(charge, now)

    def forget(self, keys: Collection[bytes]) -> None:
        with self.use():
            gone = {self.key(each) for each in keys}
            for row in [row for row in self.rows if row[2] in gone]:
                del self.rows[row]

    def ping(self) -> None:
        with self.use():
            pass

    def full(self, charges: Sequence[Charge], now: float) -> list[Full]:
        """Which quotas have no room for all their charges of this call."""
        wanted = Counter(self.row(each, now) for each in charges)
        return [
            Full(each, self.wait(each.quota.seconds, now))
            for each in charges
            if self.counted(each, now) + wanted[self.row(each, now)] > self.amount(each)
        ]

    def refused(self, charges: Sequence[Charge], now: float) -> None:
        """What a refusal leaves behind: nothing."""

    def preferred(self, full: Full) -> float:
        return full.retry_after

    def amount(self, charge: Charge) -> int:
        return charge.quota.amount

    def counted(self, charge: Charge, now: float) -> int:
        number: int = self.rows.get(self.row(charge, now), 0)
        return number

    def count(self, charge: Charge, now: float, number: int) -> None:
        if number:
            self.rows[self.row(charge, now)] = number
        else:
            self.rows.pop(self.row(charge, now), None)

    def row(self, charge: Charge, now: float) -> tuple[Any, ...]:
        seconds = charge.quota.seconds
        return (seconds, self.window(seconds, now), self.key(charge.key))

    def window(self, seconds: int, now: float) -> int:
        return math.floor(now / seconds)

    def wait(self, seconds: int, now: float) -> int:
        return max(1, math.ceil((math.floor(now / seconds) + 1) * seconds - now))

    def key(self, key: bytes) -> bytes:
        return key


class DictJournal(DictPort):
    """Captured activities by position."""

    def find(self, activity: Activity) -> Captured | None:
        with self.use():
            wanted = self.event(activity)
            found = (each for each in self.newest() if self.event(each.activity) == wanted)
            return self.read(next((each for each in found if self.recent(each, activity)), None))

    def append(self, activity: Activity) -> Captured | None:
        with self.use():
            if self.find(activity) is not None:
                return None
            self.make_room()
            position = self.position()
            self.pause()
            self.medium.last = position
            stored = Captured(position, self.cursor(position), self.stored(activity))
            self.rows[position] = stored
            return self.read(stored)

    def latest(self, limit: int = 100) -> Sequence[Captured]:
        with self.use():
            return self.page(list(self.newest())[:limit][::-1])

    def after(self, cursor: str, limit: int = 100) -> Sequence[Captured]:
        with self.use():
            return self.page(self.following(cursor)[:limit])

    def of(self, person_id: str, cursor: str = "", limit: int = 100) -> Sequence[Captured]:
        with self.use():
            found = [each for each in self.following(cursor) if self.whose(each, person_id)]
            return self.page(found[:limit])

    def erase(self, person_id: str) -> int:
        with self.use():
            theirs = [each for each in self.following("") if self.whose(each, person_id)]
            for each in theirs:
                self.remove(each)
            return len(theirs)

    def ask(self, question: Question, now: float) -> Answer:
        with self.use():
            return self.answer(question, now, [each.activity for each in self.newest()])

    def search(self, wanted: Wanted, before: str = "", limit: int = 100) -> Found:
        with self.use():
            older = [each for each in self.newest() if self.older(each, before)]
            found = self.look(wanted, older, limit)
            return found._replace(rows=self.page(found.rows))

    def first_and_last(self, activity_ids: Collection[str]) -> Mapping[str, tuple[float, float]]:
        with self.use():
            every = [each.activity for each in self.newest()]
            return plain.first_and_last(activity_ids, every)

    def answer(self, question: Question, now: float, activities: list[Activity]) -> Answer:
        return plain.answer(question, now, activities)

    def look(self, wanted: Wanted, newest_first: list[Captured], limit: int) -> Found:
        return plain.look(wanted, newest_first, limit)

    def older(self, captured: Captured, before: str) -> bool:
        return not before or captured.position < self.number(before)

    def newest(self) -> Iterator[Captured]:
        return (self.rows[position] for position in sorted(self.rows, reverse=True))

    def following(self, cursor: str) -> list[Captured]:
        number = self.number(cursor)
        return [self.rows[position] for position in sorted(self.rows) if position > number]

    def page(self, rows: Sequence[Captured]) -> Sequence[Captured]:
        return [copy.deepcopy(each) for each in rows]

    def read(self, captured: Captured | None) -> Captured | None:
        return copy.deepcopy(captured)

    def event(self, activity: Activity) -> Any:
        return (activity.event_id, activity.activity_id, activity.person_id, activity.assurance)

    def recent(self, captured: Captured, activity: Activity) -> bool:
        return captured.activity.received_at >= activity.received_at - EVENT_ID_SECONDS

    def whose(self, captured: Captured, person_id: str) -> bool:
        return captured.person_id == person_id

    def position(self) -> int:
        return self.medium.last + 1

    def cursor(self, position: int) -> str:
        return f"c{position}"

    def number(self, cursor: str) -> int:
        return int(cursor[1:] or 0)

    def stored(self, activity: Activity) -> Activity:
        return copy.deepcopy(activity)

    def remove(self, captured: Captured) -> None:
        del self.rows[captured.position]


class DictOutcomes(DictPort):
    CAPACITY = 300

    def __init__(self, medium: Medium | None = None) -> None:
        super().__init__(medium)
        self.seen: Counter[str] = Counter()
        self.tallies: dict[tuple[float, str, str], int] = {}

    def note(self, outcome: Outcome) -> None:
        with self.use():
            for name in self.names(outcome):
                seen = self.seen[name]
                self.pause()
                self.seen[name] = seen + 1
            if outcome.reason:
                key = self.tallied(outcome)
                self.tallies[key] = self.tallies.get(key, 0) + 1
            if self.kept(outcome):
                self.medium.last += 1
                self.rows[self.medium.last] = self.stored(outcome, self.medium.last)
                self.bound()

    def counts(self) -> Mapping[str, int]:
        with self.use():
            return dict(self.seen)

    def refused(self, after: int = 0, limit: int = 100) -> Sequence[Outcome]:
        with self.use():
            return self.latest([each for each in self.rows.values() if each.reason], after, limit)

    def passed(self, after: int = 0, limit: int = 100) -> Sequence[Outcome]:
        with self.use():
            passed = [each for each in self.rows.values() if not each.reason]
            return self.latest(passed, after, limit)

    def latest(self, kept: list[Outcome], after: int, limit: int) -> list[Outcome]:
        above = [each for each in kept if each.number > after]
        return above[max(0, len(above) - limit) :]

    def tally(self, since: float) -> Mapping[tuple[float, str, str], int]:
        with self.use():
            return {key: count for key, count in self.tallies.items() if self.later(key[0], since)}

    def tallied(self, outcome: Outcome) -> tuple[float, str, str]:
        return outcome.refusal

    def later(self, hour: float, since: float) -> bool:
        return hour + 3600 > since

    def of(self, person_id: str) -> Sequence[Outcome]:
        with self.use():
            return [each for each in self.rows.values() if self.whose(each, person_id)]

    def erase(self, person_id: str) -> int:
        with self.use():
            theirs = self.of(person_id)
            for each in theirs:
                self.rows[each.number] = self.erased(each)
            return len(theirs)

    def names(self, outcome: Outcome) -> list[str]:
        return [outcome.code, *(f"note:{note}" for note in outcome.notes)]

    def kept(self, outcome: Outcome) -> bool:
        return outcome.is_kept

    def stored(self, outcome: Outcome, number: int) -> Outcome:
        return outcome._replace(number=number)

    def bound(self) -> None:
        for refused in (True, False):
            numbers = [each.number for each in self.rows.values() if bool(each.reason) is refused]
            for number in numbers[: max(0, len(numbers) - self.CAPACITY)]:
                del self.rows[number]

    def whose(self, outcome: Outcome, person_id: str) -> bool:
        return outcome.person_id == person_id

    def erased(self, outcome: Outcome) -> Outcome:
        return outcome._replace(person_id=None)


class DictDocuments(DictPort):
    def get(self, kind: str, name: str) -> Document | None:
        with self.use():
            text, version = self.rows.get(self.asked(kind, name), ("", 0))
            return self.told(kind, name, text, version) if version else None

    def all(self, kind: str) -> Sequence[Document]:
        with self.use():
            names = self.order([name for each, name in self.rows if self.same(each, kind)])
            return [found for name in names if (found := self.get(kind, name))]

    def put(self, kind: str, name: str, value: Any, version: int | None = None) -> Document | None:
        text = self.encoded(value)
        with self.use():
            stored = self.version(kind, name)
            self.pause()
            if not self.may(stored, version):
                return None
            self.make_room()
            self.medium.last += 1
            self.rows[self.asked(kind, name)] = (text, self.number(stored))
            return self.get(kind, name)

    def remove(self, kind: str, name: str, version: int | None = None) -> bool:
        with self.use():
            stored = self.version(kind, name)
            if not stored or not self.may_remove(stored, version):
                return False
            del self.rows[self.asked(kind, name)]
            return True

    def asked(self, kind: str, name: str) -> tuple[str, str]:
        return kind, name

    def same(self, one: str, other: str) -> bool:
        return one == other

    def order(self, names: list[str]) -> list[str]:
        return sorted(names)

    def encoded(self, value: Any) -> Any:
        return json.dumps(value, allow_nan=False)

    def told(self, kind: str, name: str, text: Any, version: int) -> Document:
        return Document(kind, name, json.loads(text), version)

    def version(self, kind: str, name: str) -> int:
        return int(self.rows.get(self.asked(kind, name), ("", 0))[1])

    def number(self, stored: int) -> int:
        return self.medium.last

    def may(self, stored: int, version: int | None) -> bool:
        return version is None or version == stored

    def may_remove(self, stored: int, version: int | None) -> bool:
        return self.may(stored, version)


PORTS = ("definitions", "people", "limiter", "journal", "outcomes", "documents")


@dataclass(frozen=True, kw_only=True)
class DictBackends(Backends):
    """All of them, each with a medium of its own; what a decision stored can be undone."""

    definitions: DictDefinitions = field(default_factory=DictDefinitions)
    people: DictPeople = field(default_factory=DictPeople)
    limiter: DictLimiter = field(default_factory=DictLimiter)
    journal: DictJournal = field(default_factory=DictJournal)
    outcomes: DictOutcomes = field(default_factory=DictOutcomes)
    documents: DictDocuments = field(default_factory=DictDocuments)
    alone: Any = field(default_factory=RLock)

    def atomically(self, decide: Callable[[], T]) -> T:
        with self.alone:
            before = self.snapshot()
            with self.people.use():
                """Nothing is decided once it is closed."""
            try:
                return decide()
            except BaseException:
                self.undo(before)
                raise

    def snapshot(self) -> list[tuple[Medium, Medium]]:
        media = [port.medium for port in self.ports() if isinstance(port, DictPort)]
        return [(medium, replace(medium, rows=dict(medium.rows))) for medium in media]

    def undo(self, before: list[tuple[Medium, Medium]]) -> None:
        for medium, was in before:
            medium.rows.clear()
            medium.rows.update(was.rows)

    def ports(self) -> list[Any]:
        return [getattr(self, name) for name in PORTS]

    def record(
        self, activity: Activity, charges: Sequence[Charge], people: Sequence[Person] = ()
    ) -> Captured | Full | None:
        return self.atomically(lambda: self.steps(activity, charges, people))

    def steps(
        self, activity: Activity, charges: Sequence[Charge], people: Sequence[Person]
    ) -> Captured | Full | None:
        if not people and not self.knows(activity):
            return None
        if (first := self.repeated(activity)) is not None:
            return first
        if (full := self.charge(charges, activity)) is not None:
            return full
        captured = None
        try:
            if self.saved(people):
                captured = self.journal.append(activity)
        finally:
            if captured is None:
                self.give_back(charges, activity)
        return captured

    def knows(self, activity: Activity) -> bool:
        return self.people.get(activity.person_id) is not None

    def repeated(self, activity: Activity) -> Captured | None:
        first = self.journal.find(activity)
        return first and first._replace(duplicate=True)

    def charge(self, charges: Sequence[Charge], activity: Activity) -> Full | None:
        return self.limiter.acquire(charges, activity.received_at)

    def give_back(self, charges: Sequence[Charge], activity: Activity) -> None:
        self.limiter.release(charges, activity.received_at)

    def saved(self, people: Sequence[Person]) -> bool:
        return all(self.people.save(each).id == each.id for each in people)

    def secret(self) -> bytes | None:
        return self.people.medium.secret.setdefault("secret", b"0123456789abcdef" * 2)

    def retain(self, activities_since: float, people_since: float) -> bool:
        old = [each for each in self.journal.rows.values() if self.old(each, activities_since)]
        for captured in old[:1]:
            self.journal.remove(captured)
        active = {each.person_id for each in self.journal.rows.values()}
        idle = [each for each in self.people.rows.values() if self.idle(each, people_since, active)]
        for person in idle[:1]:
            self.people.erase(person.id)
        for key in list(self.outcomes.tallies):
            if self.out(key[0], activities_since):
                del self.outcomes.tallies[key]
        return len(old) > 1 or len(idle) > 1

    def out(self, hour: float, since: float) -> bool:
        return not self.outcomes.later(hour, since)

    def old(self, captured: Captured, since: float) -> bool:
        return captured.activity.received_at < since

    def idle(self, person: Person, since: float, active: Collection[str]) -> bool:
        claimed = person.assurance == "claimed"
        return claimed and person.created_at < since and person.id not in active

    def close(self) -> None:
        for port in self.ports():
            port.closed = True

    def reopened(self) -> Self:
        return type(self)(**{name: getattr(self, name).reopened() for name in PORTS})


class Erasable(DictBackends):
    """The same, held to what erasing a person means."""
