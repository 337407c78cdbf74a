"""Activities as rows, in the order of their commits.

The law of this file: no position is given twice, no event is stored twice within seven days, and a
row that was damaged is reported, never returned.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial

from ..model import Activity, Captured
from .file_rows import BATCH, checksum_of, complaint, damaged, encode
from .store import Row, Store

#: How long an event id is remembered (contract §4, row 11), in seconds.
EVENT_ID_SECONDS = 7 * 86_400

#: What is known before a row is appended: the last position, whether it is there already, and
#: whether its person is stored. One statement, for each costs about as much as inserting the row;
#: but apart from that, which would take half as long again if it selected what it inserts.
_LOOK = (
    "SELECT max(value, coalesce((SELECT max(position) FROM journal), 0)), EXISTS (SELECT 1 "
    "FROM journal WHERE person_id = ? AND event_id = ? AND activity_id = ? AND received_at >= ?), "
    "%s FROM meta WHERE name = 'last'"
)
#: Both are asked with the person as the last parameter, which only one has a use for.
_LOOK_FOR_ALL = _LOOK % "EXISTS (SELECT 1 FROM people WHERE id = ?)"
_LOOK_FOR_EVENT = _LOOK % "? IS NOT NULL"


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
        return self._store.atomically(lambda: self._append(activity, _LOOK_FOR_EVENT))

    def append_known(self, activity: Activity) -> int | None:
        """The same, within ``atomically``; None as well when its person is not stored."""
        return self._append(activity, _LOOK_FOR_ALL)

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
        if not self._store.read(f"SELECT 1 FROM journal WHERE {old} LIMIT 1", (since, BATCH)):  # noqa: S608  # of constants
            return False
        return self._store.atomically(lambda: self._remove(old, (since, BATCH))) == BATCH

    def ping(self) -> None:
        """Raise BackendError unless the store can be read, and written as far as is known."""
        self._store.ping()

    def problems(self) -> list[str]:
        """What is wrong with any row."""
        found = []
        for (position,) in self._store.read("SELECT position FROM journal"):
            found += complaint(partial(self._rows, "position = ?", (position,)))
        return found

    def _append(self, activity: Activity, look: str) -> int | None:
        event_id, activity_id, person_id, attributes, source, assurance, *times, gpc = activity
        self._store.begin()
        since = activity.received_at - EVENT_ID_SECONDS
        rows = self._store.read(look, (person_id, event_id, activity_id, since, person_id))
        if not rows:
            raise damaged(self._store, "the last position")
        last, journalled, known = rows[0]
        if journalled or not known:
            return None
        position: int = last + 1
        texts = (event_id, activity_id, person_id, encode(attributes), source)
        numbers = (assurance == "verified", *times, gpc)
        checksum = checksum_of(*texts, numbers="?dd?q", values=(*numbers, position))
        self._store.write(
            "INSERT INTO journal VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (position, *texts, *numbers, checksum),
        )
        return position

    def _remove(self, which: str, parameters: Row) -> int:
        # The last position is kept, so that none is ever given twice.
        rows = self._store.write(
            f"DELETE FROM journal WHERE {which} RETURNING position",  # noqa: S608  # of constants
            parameters,
        )
        if rows:
            last = max(self._store.meta("last"), *(position for (position,) in rows))
            self._store.set_meta("last", last)
        return len(rows)

    def _rows(self, which: str, parameters: Row) -> list[Captured]:
        rows = self._store.read(
            "SELECT position, event_id, activity_id, person_id, attributes, source, verified, "  # noqa: S608  # of constants
            f"occurred_at, received_at, gpc, checksum FROM journal WHERE {which}",
            parameters,
        )
        return [self._captured(row) for row in rows]

    def _captured(self, row: Row) -> Captured:
        position, *texts, verified, occurred_at, received_at, gpc, checksum = row
        values = (verified, occurred_at, received_at, gpc, position)
        if checksum != checksum_of(*texts, numbers="?dd?q", values=values):
            raise damaged(self._store, f"the activity at position {position}")
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
