"""People, activities and counts as rows of one store.

The law of this file: each method is one decision; it may run alone, or inside the pipeline's
``atomically``. Every row of a person or an activity carries a checksum of all that it says, and a
row that does not fit its own is reported, never returned. The SQL is what SQLite and PostgreSQL
both understand, and only the store knows which of them it is.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import lru_cache, partial
from hashlib import blake2b
from math import floor
from typing import Any, Concatenate, ParamSpec, TypeVar
from zlib import crc32

from ..errors import BackendError
from ..limiting import longest_wait
from ..model import (
    EVENT_ID_SECONDS,
    MAX_INTEGER,
    Activity,
    Captured,
    Charge,
    Full,
    Identifier,
    Person,
)
from ..questions.answer import Answer, Found, Wanted
from ..questions.query import Question
from .ask import answer
from .seek import seek
from .store import Run, Store
from .store_file import CheckViolated, Row
from .who import Bound

P = ParamSpec("P")
T = TypeVar("T")

#: Rows that one step of retention or of tidying looks at: about 5 ms.
BATCH = 500

#: Compact JSON, made by one encoder: making one takes longer than using it.
encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def tombstone(person_id: str) -> str:
    """How an erased person is remembered. Ids are random, so that their hash tells nothing."""
    return blake2b(person_id.encode(), digest_size=16).hexdigest()


def checksum_of(members: Sequence[str | int | None]) -> int:
    """All members of a row in 32 bits."""
    return crc32("\0".join(map(str, members)).encode("utf-8", "surrogatepass"))


def fits(row: Row) -> bool:
    """Whether a row is as it was written; its checksum is the last member."""
    return bool(checksum_of(row[:-1]) == row[-1])


def decision(method: Callable[Concatenate[Any, P], T]) -> Callable[Concatenate[Any, P], T]:
    """Make the whole method one decision of its store, or a part of the one that calls it."""

    def decided(self: Any, /, *arguments: P.args, **named: P.kwargs) -> T:
        result: T = self._store.atomically(lambda: method(self, *arguments, **named))
        return result

    return decided


def complaint(look: Callable[[], object]) -> Iterator[str]:
    """What went wrong while looking, if anything did."""
    try:
        look()
    except BackendError as error:
        yield str(error)


def milliseconds(seconds: float) -> int:
    """As times are stored."""
    return round(seconds * 1000)


_PERSON = "SELECT id, identifiers, first, last, verified, created_at, checksum FROM"
_IDLE = (
    "verified = 0 AND created_at < ? AND NOT EXISTS (SELECT 1 FROM journal "
    "WHERE person = (SELECT number FROM person_ids WHERE person_ids.id = people.id))"
)


class FilePeople:
    """People as rows, and each identifier as a row that says who holds it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        #: The last person that ``forget_idle`` has looked at.
        self._reviewed = ""

    def get(self, person_id: str) -> Person | None:
        return self._person("people WHERE id = ?", person_id)

    def find(self, identifiers: Sequence[Identifier]) -> Person | None:
        return next(filter(None, map(self._holder, identifiers)), None)

    @decision
    def save(self, person: Person) -> Person:
        for identifier in person.identifiers:
            holder = self._holder(identifier)
            if holder is not None and holder.id != person.id:
                return holder
        before = self.get(person.id)
        held = before.identifiers if before is not None else ()
        members = (
            person.id,
            encode(person.identifiers),
            person.first,
            person.last,
            int(person.assurance == "verified"),
            milliseconds(person.created_at),
        )
        self._store.write(
            "INSERT INTO people (id, identifiers, first, last, verified, created_at, checksum) "
            "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET "
            "identifiers = excluded.identifiers, first = excluded.first, last = excluded.last, "
            "verified = excluded.verified, created_at = excluded.created_at, "
            "checksum = excluded.checksum",
            (*members, checksum_of(members)),
        )
        self._drop([each for each in held if each not in person.identifiers])
        for kind, value in person.identifiers:
            if (kind, value) not in held:
                added = "INSERT INTO identifiers (value, kind, person) VALUES (?, ?, ?)"
                self._store.write(added, (value, kind, person.id))
        return person

    @decision
    def erase(self, person_id: str) -> int:
        person = self.get(person_id)
        if person is None:
            return 0
        self._remove(person)
        return 1

    def forget_idle(self, since: float) -> bool:
        """Remove a few claimed people made before ``since`` who have no activity.

        Says whether there are more people to look at.
        """
        made = milliseconds(since)
        batch = self._store.read(
            f"SELECT id, {_IDLE} FROM people WHERE id > ? ORDER BY id LIMIT ?",
            (made, self._reviewed, BATCH),
        )
        idle = [person_id for person_id, is_idle in batch if is_idle]
        if idle:
            self._forget(idle, made)
        self._reviewed = batch[-1][0] if len(batch) == BATCH else ""
        return bool(self._reviewed)

    def problems(self) -> Iterator[str]:
        """What is wrong with any row."""
        for (person_id,) in self._store.read("SELECT id FROM people"):
            yield from complaint(partial(self._check, person_id))
        for kind, value in self._store.read("SELECT kind, value FROM identifiers"):
            yield from complaint(partial(self._holder, Identifier(kind, value)))

    def _holder(self, identifier: Identifier) -> Person | None:
        kind, value = identifier
        held = "identifiers LEFT JOIN people ON id = person WHERE value = ? AND kind = ?"
        holder = self._person(held, value, kind)
        if holder is not None and identifier not in holder.identifiers:
            raise self._store.damaged("an identifier")
        return holder

    def _person(self, source: str, *parameters: str | int) -> Person | None:
        rows = self._store.read(f"{_PERSON} {source}", parameters)
        try:
            return _person_of(rows[0]) if rows else None
        except ValueError:
            raise self._store.damaged("a person") from None

    def _check(self, person_id: str) -> None:
        person = self.get(person_id)
        for identifier in person.identifiers if person is not None else ():
            if self._holder(identifier) != person:
                raise self._store.damaged("an identifier")

    @decision
    def _forget(self, idle: Sequence[str], made: int) -> None:
        for person_id in idle:
            # Asked again, within the transaction: a person who was idle may have come by.
            person = self._person(f"people WHERE id = ? AND {_IDLE}", person_id, made)
            if person is not None:
                self._remove(person)

    def _remove(self, person: Person) -> None:
        self._drop(person.identifiers)
        self._store.write("DELETE FROM people WHERE id = ?", (person.id,))

    def _drop(self, identifiers: Sequence[Identifier]) -> None:
        for kind, value in identifiers:
            self._store.write("DELETE FROM identifiers WHERE value = ? AND kind = ?", (value, kind))


# A visitor's row is read with every request, and mostly says what it said before.
@lru_cache(maxsize=4_096)
def _person_of(row: Row) -> Person:
    if not fits(row):
        raise ValueError("the checksum does not fit")
    person_id, identifiers, first, last, verified, made, _ = row
    held = tuple(Identifier(*each) for each in json.loads(identifiers))
    return Person(person_id, held, first, last, "verified" if verified else "claimed", made / 1000)


_CAPTURED = (
    "SELECT position, event_id, activity_ids.id, person_ids.id, attributes, source, verified, "
    "occurred_at, received_at, gpc, checksum FROM journal "
    "LEFT JOIN activity_ids ON activity_ids.number = activity "
    "LEFT JOIN person_ids ON person_ids.number = person WHERE"
)
_THEIRS = "SELECT position FROM journal WHERE person = (SELECT number FROM person_ids WHERE id = ?)"
_REPEATED = (
    f"{_THEIRS} AND activity = (SELECT number FROM activity_ids WHERE id = ?) "
    "AND event_id = ? AND verified = ? AND received_at >= ?"
)
#: All that is to be known before a row is added: each question of its own costs as much as the row.
_LOOK = (
    f"SELECT EXISTS ({_REPEATED}), (SELECT number FROM activity_ids WHERE id = ?), "
    "(SELECT number FROM person_ids WHERE id = ?)"
)
#: By the index, activity by activity: the first to come need not be the oldest, as clocks are set.
_OLD = (
    "SELECT position FROM journal WHERE activity IN (SELECT number FROM activity_ids) "
    "AND occurred_at < ? AND received_at < ? LIMIT ?"
)
#: Two looks at the ends of the index.
_FIRST_AND_LAST = (
    "SELECT (SELECT min(occurred_at) FROM journal WHERE activity = number), "
    "(SELECT max(occurred_at) FROM journal WHERE activity = number) FROM activity_ids WHERE id = ?"
)
_UNUSED = "NOT EXISTS (SELECT 1 FROM journal WHERE person = number)"


class FileJournal:
    """Activities as rows, in the order of their commits."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def find(self, activity: Activity) -> Captured | None:
        found = self._rows(f"position IN ({_REPEATED}) LIMIT 1", *_repetition(activity))
        return found[0] if found else None

    @decision
    def append(self, activity: Activity) -> Captured | None:
        event_id, activity_id, person_id, attributes, source, assurance, *times, gpc = activity
        known = self._store.read(_LOOK, (*_repetition(activity), activity_id, person_id))
        [(repeated, activity_number, person_number)] = known
        if repeated:
            return None
        text = encode(attributes)
        rest = (int(assurance == "verified"), *map(milliseconds, times), int(gpc))
        checksum = checksum_of((event_id, activity_id, person_id, text, source, *rest))
        numbers = (
            activity_number or self._add("activity_ids", activity_id),
            person_number or self._add("person_ids", person_id),
        )
        [(position,)] = self._store.write(
            "INSERT INTO journal (event_id, activity, person, attributes, source, verified, "
            "occurred_at, received_at, gpc, checksum) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
            "RETURNING position",
            (event_id, *numbers, text, source, *rest, checksum),
        )
        return Captured(position, str(position), activity)

    def latest(self, limit: int = 100) -> Sequence[Captured]:
        return self._rows("position > 0 ORDER BY position DESC LIMIT ?", limit)[::-1]

    def after(self, cursor: str, limit: int = 100) -> Sequence[Captured]:
        return self._rows("position > ? ORDER BY position LIMIT ?", int(cursor or 0), limit)

    def of(self, person_id: str, cursor: str = "", limit: int = 100) -> Sequence[Captured]:
        # The index alone says which they are.
        which = f"position IN ({_THEIRS} AND position > ? ORDER BY position LIMIT ?)"
        return self._rows(f"{which} ORDER BY position", person_id, int(cursor or 0), limit)

    @decision
    def erase(self, person_id: str) -> int:
        erase = f"DELETE FROM journal WHERE position IN ({_THEIRS}) RETURNING position"
        rows = self._store.write(erase, (person_id,))
        self._store.write("DELETE FROM person_ids WHERE id = ?", (person_id,))
        return len(rows)

    def ask(self, question: Question, now: float) -> Answer:
        return self._store.look(lambda run: answer(run, question, now))

    def search(self, wanted: Wanted, before: str = "", limit: int = 100) -> Found:
        if wanted == Wanted():
            return self._newest(int(before or 0), limit)

        def look(run: Run) -> Found:
            positions, further = seek(run, wanted, int(before or 0), limit)
            bound = Bound()
            which = f"position IN ({', '.join(map(bound, positions))}) ORDER BY position DESC"
            rows = [self._captured(*row) for row in run(f"{_CAPTURED} {which}", bound)]
            oldest = (
                "SELECT received_at FROM journal WHERE position >= :p ORDER BY position LIMIT 1"
            )
            seen = run(oldest, {"p": further}) if further else ()
            looked_back_to = next((received_at / 1000 for (received_at,) in seen), None)
            return Found(rows, str(further or ""), looked_back_to)

        return self._store.look(look)

    def _newest(self, before: int, limit: int) -> Found:
        """What a search without conditions finds, at once and without waiting for a report."""
        which = "position < ? ORDER BY position DESC LIMIT ?"
        rows = self._rows(which, before or MAX_INTEGER, limit + 1)
        if len(rows) <= limit:
            return Found(rows, "", None)
        last = rows[limit - 1]
        return Found(rows[:limit], last.cursor, last.activity.received_at)

    def first_and_last(self, activity_ids: Collection[str]) -> Mapping[str, tuple[float, float]]:
        found = {}
        for activity_id in activity_ids:
            for first, last in self._store.read(_FIRST_AND_LAST, (activity_id,)):
                if first is not None:
                    found[activity_id] = (first / 1000, last / 1000)
        return found

    def forget_before(self, since: float) -> bool:
        """Remove a few activities received before ``since``; say whether there may be more."""
        moment = milliseconds(since)
        return bool(self._store.read(_OLD, (moment, moment, 1))) and self._forget(moment)

    def ping(self) -> None:
        self._store.ping()

    def problems(self) -> Iterator[str]:
        """What is wrong with any row."""
        for (position,) in self._store.read("SELECT position FROM journal"):
            yield from complaint(partial(self._rows, "position = ?", position))

    def _add(self, table: str, name: str) -> int:
        """Give a new id the number that stands for it in the journal."""
        sql = f"INSERT INTO {table} (id) VALUES (?) RETURNING number"
        [(number,)] = self._store.write(sql, (name,))
        return int(number)

    @decision
    def _forget(self, moment: int) -> bool:
        forget = f"DELETE FROM journal WHERE position IN ({_OLD}) RETURNING person"
        forgotten = self._store.write(forget, (moment, moment, BATCH))
        for person in set(forgotten):
            self._store.write(f"DELETE FROM person_ids WHERE number = ? AND {_UNUSED}", person)
        return len(forgotten) == BATCH

    def _rows(self, which: str, *parameters: str | int) -> list[Captured]:
        return [
            self._captured(*row) for row in self._store.read(f"{_CAPTURED} {which}", parameters)
        ]

    def _captured(self, position: int, *row: Any) -> Captured:
        if not fits(row):
            raise self._store.damaged(f"the activity at position {position}")
        event_id, activity_id, person_id, text, source, verified, *times, gpc, _ = row
        occurred_at, received_at = (each / 1000 for each in times)
        activity = Activity(
            event_id,
            activity_id,
            person_id,
            json.loads(text),
            source,
            "verified" if verified else "claimed",
            occurred_at,
            received_at,
            bool(gpc),
        )
        return Captured(position, str(position), activity)


def _repetition(activity: Activity) -> tuple[str | int, ...]:
    """The parameters of ``_REPEATED``."""
    event_id, activity_id, person_id, *_ = activity
    since = milliseconds(activity.received_at - EVENT_ID_SECONDS)
    return person_id, activity_id, event_id, int(activity.assurance == "verified"), since


_PLACE = "seconds = ? AND slot = ? AND key = ?"


class FileRateLimiter:
    """Counts as rows, in the transaction of the activity that is counted."""

    def __init__(self, store: Store) -> None:
        self._store = store
        #: For each length of a window the one in which counts of earlier ones were last dropped.
        self._tidied: dict[int, int] = {}

    @decision
    def acquire(self, charges: Sequence[Charge], now: float) -> Full | None:
        if not charges:
            return None
        places = [(*_place(each, now), each.quota.amount) for each in charges]
        try:
            self._store.write(_counting(len(charges)), [part for each in places for part in each])
        except CheckViolated:
            full = [each for each in charges if self.taken(each, now) >= each.quota.amount]
            # A key charged twice in one call can be full only together with its own first charge.
            return longest_wait(full or charges, now)
        for seconds, slot, *_ in places:
            if self._tidied.get(seconds) != slot:
                self._tidy(seconds, slot)
        return None

    @decision
    def release(self, charges: Sequence[Charge], now: float) -> None:
        for charge in charges:
            place = _place(charge, now)
            self._store.write(f"DELETE FROM counts WHERE {_PLACE} AND count = 1", place)
            self._store.write(f"UPDATE counts SET count = count - 1 WHERE {_PLACE}", place)

    def taken(self, charge: Charge, now: float) -> int:
        place = _place(charge, now)
        rows = self._store.read(f"SELECT count FROM counts WHERE {_PLACE}", place)
        return int(rows[0][0]) if rows else 0

    @decision
    def forget(self, keys: Collection[bytes]) -> None:
        # Window by window, of which there are a few: looking for a key in all would take seconds.
        window: Sequence[int] = (-1, -1)
        while rows := self._store.read(
            "SELECT seconds, slot FROM counts WHERE (seconds, slot) > (?, ?) "
            "ORDER BY seconds, slot LIMIT 1",
            window,
        ):
            window = rows[0]
            for key in keys:
                self._store.write(f"DELETE FROM counts WHERE {_PLACE}", (*window, key))

    def _tidy(self, seconds: int, slot: int) -> None:
        """Drop a few counts of windows before the last one."""
        dropped = self._store.write(
            "DELETE FROM counts WHERE (seconds, slot, key) IN (SELECT seconds, slot, key "
            "FROM counts WHERE seconds = ? AND slot < ? LIMIT ?) RETURNING key",
            (seconds, slot - 1, BATCH),
        )
        if len(dropped) < BATCH:
            self._tidied[seconds] = slot


def _place(charge: Charge, now: float) -> tuple[int, int, bytes]:
    return charge.quota.seconds, floor(now / charge.quota.seconds), charge.key


@lru_cache
def _counting(charges: int) -> str:
    """The statement that counts so many charges, or none."""
    rows = ", ".join(["(?, ?, ?, ?, 1)"] * charges)
    return (
        f"INSERT INTO counts (seconds, slot, key, amount, count) VALUES {rows} "
        "ON CONFLICT (seconds, slot, key) "
        "DO UPDATE SET count = counts.count + 1, amount = excluded.amount"
    )
