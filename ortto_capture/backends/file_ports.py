"""People, counters, journal and outcomes as rows of one :class:`~.store.Store`.

The law of this file: every row carries a checksum of what it says, and a row that does not fit its
own is reported, never returned. Each method is one decision: it may run alone, or inside the
pipeline's ``atomically``, and leaves nothing behind when it raises.
"""

from __future__ import annotations

import json
import sqlite3
import struct
from collections import Counter, deque
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import lru_cache, partial
from math import floor
from threading import Timer
from zlib import crc32

from ..errors import BackendError
from ..limiting import longest_wait
from ..locks import fork_safe_lock, watch_forks
from ..model import Activity, Captured, Charge, Identifier, Outcome, Person, Refusal
from .store import Row, Store

__all__ = ["FileJournal", "FileOutcomes", "FilePeople", "FileRateLimiter"]

#: How long an event id is remembered (contract §4, row 11), in seconds.
EVENT_ID_SECONDS = 7 * 86_400
#: Rows that one step of retention or of cleaning up looks at: about 5 ms.
BATCH = 500
#: Full quotas remembered in this process, so that a flood of refusals asks the file no more.
REMEMBERED = 10_000
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode

#: Seconds for which outcomes are gathered before they are written.
GATHERED = 0.2


def _checksum(*texts: str | None, numbers: str = "", values: Sequence[float] = ()) -> int | None:
    """What a row says, in 32 bits; ``numbers`` is how ``struct`` packs its ``values``.

    None when something in it has a type that we never stored.
    """
    try:
        told = "\0".join(["\1" if text is None else text for text in texts]).encode()
        return crc32(struct.pack(f"<{numbers}", *values), crc32(told))
    except (TypeError, struct.error):
        return None


def _damaged(store: Store, what: str) -> BackendError:
    return BackendError(f"{store.path}: {what} is damaged; stop, and restore a backup")


def _complaint(look: Callable[[], object]) -> list[str]:
    """What went wrong while looking, if anything did."""
    try:
        look()
    except BackendError as error:
        return [str(error)]
    return []


class FilePeople:
    """People as rows."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._reviewed = ""

    def __contains__(self, person_id: object) -> bool:
        """Whether this person is stored."""
        return bool(self._store.read("SELECT 1 FROM people WHERE id = ?", (person_id,)))

    def get(self, person_id: str) -> Person | None:
        """Return the person with this id, or None."""
        rows = self._store.read(
            "SELECT id, identifiers, first, last, verified, created_at, checksum FROM people "
            "WHERE id = ?",
            (person_id,),
        )
        if not rows:
            return None
        person = _person(rows[0])
        if person is None:
            raise _damaged(self._store, "a person")
        return person

    def find(self, identifiers: Sequence[Identifier]) -> Person | None:
        """Return the person who holds the first of these identifiers that anybody holds."""
        for identifier in identifiers:
            if (person_id := self._holder(identifier)) is not None:
                return self.get(person_id)
        return None

    def save(self, person: Person) -> Person:
        """Store or replace a person; somebody else who holds an identifier is returned instead."""
        return self._store.atomically(lambda: self._save(person))

    def erase(self, person_id: str) -> int:
        """Remove the person and every identifier; return how many people that were."""
        return self._store.atomically(lambda: self._erase([person_id]))

    def forget_idle(self, since: float) -> bool:
        """Remove a few claimed people made before ``since`` who have no activity.

        Says whether there are more people to look at.
        """
        store = self._store
        batch = store.read(
            "SELECT id, NOT verified AND created_at < ? AND NOT EXISTS "
            "(SELECT 1 FROM journal WHERE person_id = people.id) FROM people "
            "WHERE id > ? ORDER BY id LIMIT ?",
            (since, self._reviewed, BATCH),
        )
        idle = [person_id for person_id, is_idle in batch if is_idle]
        if idle:
            store.atomically(lambda: self._erase(idle, unless_active=True))
        self._reviewed = batch[-1][0] if len(batch) == BATCH else ""
        return bool(self._reviewed)

    def problems(self) -> list[str]:
        """What is wrong with any row."""
        found = []
        for (person_id,) in self._store.read("SELECT id FROM people"):
            found += _complaint(partial(self.get, person_id))
        for kind, value in self._store.read("SELECT kind, value FROM identifiers"):
            found += _complaint(partial(self._holder, Identifier(kind, value)))
        return found

    def _save(self, person: Person) -> Person:
        for identifier in person.identifiers:
            holder = self._holder(identifier)
            if holder not in (None, person.id) and (other := self.get(holder or "")) is not None:
                return other
        before = self.get(person.id)
        if before is not None:
            self._drop_identifiers(before)
        identifiers = _encode(person.identifiers)
        row = (person.id, identifiers, person.first, person.last)
        numbers = (person.assurance == "verified", person.created_at)
        self._store.write(
            "INSERT OR REPLACE INTO people VALUES (?, ?, ?, ?, ?, ?, ?)",
            (*row, *numbers, _checksum(*row, numbers="?d", values=numbers)),
        )
        for kind, value in person.identifiers:
            self._store.write(
                "INSERT INTO identifiers VALUES (?, ?, ?, ?)",
                (value, kind, person.id, _checksum(value, kind, person.id)),
            )
        return person

    def _erase(self, people: Sequence[str], *, unless_active: bool = False) -> int:
        erased = 0
        for person_id in people:
            person = self.get(person_id)
            if person is None or (
                unless_active
                and self._store.read(
                    "SELECT 1 FROM journal WHERE person_id = ? LIMIT 1", (person_id,)
                )
            ):
                continue
            self._drop_identifiers(person)
            self._store.write("DELETE FROM people WHERE id = ?", (person_id,))
            erased += 1
        return erased

    def _drop_identifiers(self, person: Person) -> None:
        for kind, value in person.identifiers:
            self._store.write("DELETE FROM identifiers WHERE value = ? AND kind = ?", (value, kind))

    def _holder(self, identifier: Identifier) -> str | None:
        kind, value = identifier
        rows = self._store.read(
            "SELECT person_id, checksum FROM identifiers WHERE value = ? AND kind = ?",
            (value, kind),
        )
        if not rows:
            return None
        person_id, checksum = rows[0]
        if checksum != _checksum(value, kind, person_id):
            raise _damaged(self._store, "an identifier")
        return str(person_id)


# A visitor's row is read with every request, and mostly says what it said before.
@lru_cache(maxsize=4_096)
def _person(row: Row) -> Person | None:
    """The person whose row this is; None when it is damaged."""
    *texts, verified, created_at, checksum = row
    if checksum != _checksum(*texts, numbers="?d", values=(verified, created_at)):
        return None
    person_id, identifiers, first, last = texts
    return Person(
        person_id,
        tuple(Identifier(*each) for each in json.loads(identifiers)),
        first,
        last,
        "verified" if verified else "claimed",
        created_at,
    )


@lru_cache
def _charging(charges: int) -> str:
    """The statement that counts so many charges, or none."""
    return (
        "INSERT INTO counts (seconds, slot, key, amount, count) VALUES "  # noqa: S608
        + ", ".join(["(?, ?, ?, ?, 1)"] * charges)
        + " ON CONFLICT DO UPDATE SET count = count + 1, amount = excluded.amount"
    )


class FileRateLimiter:
    """Counts as rows, in the journal's own transaction."""

    same_medium = True

    def __init__(self, store: Store) -> None:
        self._store = store
        #: Charges that were found full, and the start of the window in which they were.
        self._full: dict[Charge, int] = {}
        self._tidied: dict[int, int] = {}
        store.after_undo = self._full.clear

    def acquire(self, charges: Sequence[Charge], now: float) -> Refusal | None:
        """Count every charge, or, if any quota is full, none of them and say which."""
        if self._full and any(
            self._full.get(each) == floor(now / each.quota.seconds) for each in charges
        ):
            full = self._full_ones(charges, now)
            if full:
                return longest_wait(full, now)
        return self._store.atomically(lambda: self._acquire(charges, now))

    def release(self, charges: Sequence[Charge], now: float) -> None:
        """Give back charges whose activity was not stored."""
        if charges:
            self._store.atomically(lambda: self._release(charges, now))

    def forget(self, keys: Collection[bytes]) -> None:
        """Remove every count of these keys."""
        self._store.atomically(lambda: self._forget(keys))

    def _acquire(self, charges: Sequence[Charge], now: float) -> Refusal | None:
        places: list[int | bytes] = []
        for key, (amount, seconds) in charges:
            places += (seconds, floor(now / seconds), key, amount)
        try:
            self._store.write(_charging(len(charges)), places)
        except sqlite3.IntegrityError:
            full = self._full_ones(charges, now)
            if len(self._full) > REMEMBERED:
                self._full.clear()
            self._full.update((each, floor(now / each.quota.seconds)) for each in full)
            # A key charged twice in one call can be full only together with its own first charge.
            return longest_wait(full or charges, now)
        for _, (_, seconds) in charges:
            if self._tidied.get(seconds) != (slot := floor(now / seconds)):
                self._tidy(seconds, slot)
        return None

    def _full_ones(self, charges: Sequence[Charge], now: float) -> list[Charge]:
        return [each for each in charges if self._count(each, now) >= each.quota.amount]

    def _count(self, charge: Charge, now: float) -> int:
        rows = self._store.read(
            "SELECT count FROM counts WHERE seconds = ? AND slot = ? AND key = ?",
            (charge.quota.seconds, floor(now / charge.quota.seconds), charge.key),
        )
        return int(rows[0][0]) if rows else 0

    def _release(self, charges: Sequence[Charge], now: float) -> None:
        for charge in charges:
            self._full.pop(charge, None)
            place = (charge.quota.seconds, floor(now / charge.quota.seconds), charge.key)
            where = " WHERE seconds = ? AND slot = ? AND key = ?"
            self._store.write("DELETE FROM counts" + where + " AND count = 1", place)  # noqa: S608
            self._store.write("UPDATE counts SET count = count - 1" + where, place)  # noqa: S608

    def _forget(self, keys: Collection[bytes]) -> None:
        for key in keys:
            self._store.write("DELETE FROM counts WHERE key = ?", (key,))

    def _tidy(self, seconds: int, slot: int) -> None:
        """Drop a few counts of windows before the last one."""
        old = "FROM counts WHERE seconds = ? AND slot < ?"
        rows = self._store.read(
            f"SELECT slot, key {old} LIMIT ?",
            (seconds, slot - 1, BATCH),
        )
        for row in rows:
            self._store.write(
                "DELETE FROM counts WHERE seconds = ? AND slot = ? AND key = ?", (seconds, *row)
            )
        if len(rows) < BATCH:
            self._tidied[seconds] = slot


class FileJournal:
    """Activities as rows, in the order of their commits."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def find(
        self, person_id: str, activity_id: str, event_id: str, since: float
    ) -> Captured | None:
        """Return the activity with this event id received at ``since`` or later, or None."""
        rows = self._rows(
            "person_id = ? AND event_id = ? AND activity_id = ? AND received_at >= ? LIMIT 1",
            (person_id, event_id, activity_id, since),
        )
        return rows[0] if rows else None

    def append(self, activity: Activity) -> int | None:
        """Store ``activity``; None when its event id is journalled already."""
        return self._store.atomically(lambda: self._append(activity))

    def recent(self, after: int = 0, limit: int = 100) -> Sequence[Captured]:
        """Return the latest ``limit``, or those that follow position ``after``, in order."""
        if after == 0:
            return self._rows("1 ORDER BY position DESC LIMIT ?", (limit,))[::-1]
        return self._rows("position > ? ORDER BY position LIMIT ?", (after, limit))

    def of(self, person_id: str, after: int = 0, limit: int = 100) -> Sequence[Captured]:
        """Return at most ``limit`` of a person's activities above position ``after``, in order."""
        return self._rows(
            "person_id = ? AND position > ? ORDER BY position LIMIT ?", (person_id, after, limit)
        )

    def erase(self, person_id: str) -> int:
        """Remove everything this person did; return how many activities that were."""
        return self._store.atomically(lambda: self._remove("person_id = ?", (person_id,)))

    def forget_before(self, since: float) -> bool:
        """Remove a few activities received before ``since``; say whether there may be more."""
        first = "SELECT position FROM journal ORDER BY position LIMIT ?"
        old = f"received_at < ? AND position IN ({first})"
        if not self._store.read(f"SELECT 1 FROM journal WHERE {old} LIMIT 1", (since, BATCH)):  # noqa: S608
            return False
        return self._store.atomically(lambda: self._remove(old, (since, BATCH))) == BATCH

    def problems(self) -> list[str]:
        """What is wrong with any row."""
        found = []
        for (position,) in self._store.read("SELECT position FROM journal"):
            found += _complaint(partial(self._rows, "position = ?", (position,)))
        return found

    def _append(self, activity: Activity) -> int | None:
        event_id, activity_id, person_id, attributes, source, assurance, *times, gpc = activity
        self._store.begin()
        # Two statements: one that inserts what it selects takes half as long again.
        [(last, known)] = self._store.read(
            "SELECT max(value, coalesce((SELECT max(position) FROM journal), 0)), EXISTS (SELECT 1 "
            "FROM journal WHERE person_id = ? AND event_id = ? AND activity_id = ? "
            "AND received_at >= ?) FROM meta WHERE name = 'last'",
            (person_id, event_id, activity_id, activity.received_at - EVENT_ID_SECONDS),
        )
        if known:
            return None
        position: int = last + 1
        texts = (event_id, activity_id, person_id, _encode(attributes), source)
        numbers = (assurance == "verified", *times, gpc)
        checksum = _checksum(*texts, numbers="?dd?q", values=(*numbers, position))
        self._store.write(
            "INSERT INTO journal VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (position, *texts, *numbers, checksum),
        )
        return position

    def _remove(self, which: str, parameters: Row) -> int:
        # The last position is kept, so that none is ever given twice.
        rows = self._store.write(
            f"DELETE FROM journal WHERE {which} RETURNING position",  # noqa: S608  # ours
            parameters,
        )
        if rows:
            last = max(self._store.meta("last"), *(position for (position,) in rows))
            self._store.set_meta("last", last)
        return len(rows)

    def _rows(self, which: str, parameters: Row) -> list[Captured]:
        rows = self._store.read(
            "SELECT position, event_id, activity_id, person_id, attributes, source, verified, "  # noqa: S608
            f"occurred_at, received_at, gpc, checksum FROM journal WHERE {which}",
            parameters,
        )
        return [self._captured(row) for row in rows]

    def _captured(self, row: Row) -> Captured:
        position, *texts, verified, occurred_at, received_at, gpc, checksum = row
        values = (verified, occurred_at, received_at, gpc, position)
        if checksum != _checksum(*texts, numbers="?dd?q", values=values):
            raise _damaged(self._store, f"the activity at position {position}")
        event_id, activity_id, person_id, attributes, source = texts
        activity = Activity(
            event_id,
            activity_id,
            person_id,
            json.loads(attributes),
            source,
            "verified" if verified else "claimed",
            occurred_at,
            received_at,
            bool(gpc),
        )
        return Captured.at(position, activity)


class FileOutcomes:
    """Counts and the last ``capacity`` refusals as rows; gathered, and written a moment later."""

    def __init__(self, store: Store, capacity: int = 500) -> None:
        self._store = store
        self._capacity = capacity
        self._lock = fork_safe_lock()
        self._counts: Counter[str] = Counter()
        self._refusals: deque[Outcome] = deque(maxlen=capacity)
        self._timer: Timer | None = None
        watch_forks(self)

    def note(self, outcome: Outcome) -> None:
        """Count ``outcome`` and its notes; keep it when it has a reason."""
        with self._lock:
            self._counts[outcome.code] += 1
            for note in outcome.notes:
                self._counts[f"note:{note}"] += 1
            if outcome.reason:
                self._refusals.append(outcome)
            if self._timer is None:
                self._timer = Timer(GATHERED, self.flush)
                self._timer.daemon = True
                self._timer.start()

    def counts(self) -> Mapping[str, int]:
        """Return how often each code and each note was seen."""
        self.flush()
        with self._lock:
            counts = self._counts.copy()
        return counts + Counter(dict(self._store.read("SELECT code, count FROM outcomes")))

    def refusals(self, after: int = 0, limit: int = 100) -> Sequence[Outcome]:
        """Return at most ``limit`` of the latest refusals numbered above ``after``, in order."""
        self.flush()
        rows = self._store.read(
            "SELECT number, person_id, outcome FROM refusals WHERE number > ? "
            "ORDER BY number DESC LIMIT ?",
            (after, limit),
        )
        return [self._outcome(*row) for row in reversed(rows)]

    def erase(self, person_id: str) -> int:
        """Take the person's name off the refusals; return how many they were."""
        self.flush()
        change = "UPDATE refusals SET person_id = NULL WHERE person_id = ? RETURNING 1"
        return len(self._store.atomically(lambda: self._store.write(change, (person_id,))))

    def flush(self) -> None:
        """Write what was gathered; what cannot be written now is kept for the next time."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            counts, self._counts = self._counts, Counter()
            refusals, self._refusals = self._refusals, deque(maxlen=self._capacity)
        if counts:
            try:
                self._store.atomically(lambda: self._write(counts, refusals))
            except BackendError:
                with self._lock:
                    self._counts.update(counts)
                    self._refusals = deque([*refusals, *self._refusals], self._capacity)

    def _write(self, counts: Counter[str], refusals: Sequence[Outcome]) -> None:
        for code, count in counts.items():
            self._store.write(
                "INSERT INTO outcomes VALUES (?, ?) "
                "ON CONFLICT DO UPDATE SET count = count + excluded.count",
                (code, count),
            )
        for outcome in refusals:
            self._store.write(
                "INSERT INTO refusals (person_id, outcome) VALUES (?, ?)",
                (outcome.person_id, _encode(outcome._replace(person_id=None))),
            )
        if refusals:
            self._store.write(
                "DELETE FROM refusals WHERE number <= (SELECT max(number) FROM refusals) - ?",
                (self._capacity,),
            )

    def _outcome(self, number: int, person_id: str | None, stored: str) -> Outcome:
        try:
            outcome = Outcome(*json.loads(stored))
        except (TypeError, ValueError):
            raise _damaged(self._store, "a refusal") from None
        return outcome._replace(number=number, person_id=person_id, notes=tuple(outcome.notes))

    def before_fork(self) -> None:
        """Nothing is held that a child must not have."""

    def after_fork_in_child(self) -> None:
        """The parent writes what it gathered."""
        self._counts.clear()
        self._refusals.clear()
        self._timer = None
