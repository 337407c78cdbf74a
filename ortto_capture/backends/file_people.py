"""People as rows.

The law of this file: nobody is returned whose row was damaged, and each method is one decision: it
may run alone, or inside the pipeline's ``atomically``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache, partial

from ..model import Identifier, Person
from .file_rows import BATCH, checksum_of, complaint, damaged, encode
from .store import Row, Store


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
            raise damaged(self._store, "a person")
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
            found += complaint(partial(self.get, person_id))
        for kind, value in self._store.read("SELECT kind, value FROM identifiers"):
            found += complaint(partial(self._require_holder, Identifier(kind, value)))
        return found

    def _require_holder(self, identifier: Identifier) -> None:
        if self._holder(identifier) not in self:
            raise damaged(self._store, "an identifier")

    def _save(self, person: Person) -> Person:
        for identifier in person.identifiers:
            holder = self._holder(identifier)
            if holder is not None and holder != person.id:
                if (other := self.get(holder)) is None:
                    raise damaged(self._store, "an identifier")
                return other
        before = self.get(person.id)
        if before is not None:
            self._drop_identifiers(before)
        identifiers = encode(person.identifiers)
        row = (person.id, identifiers, person.first, person.last)
        numbers = (person.assurance == "verified", person.created_at)
        self._store.write(
            "INSERT OR REPLACE INTO people VALUES (?, ?, ?, ?, ?, ?, ?)",
            (*row, *numbers, checksum_of(*row, numbers="?d", values=numbers)),
        )
        for kind, value in person.identifiers:
            self._store.write(
                "INSERT INTO identifiers VALUES (?, ?, ?, ?)",
                (value, kind, person.id, checksum_of(value, kind, person.id)),
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
        if checksum != checksum_of(value, kind, person_id):
            raise damaged(self._store, "an identifier")
        return str(person_id)


# A visitor's row is read with every request, and mostly says what it said before.
@lru_cache(maxsize=4_096)
def _person(row: Row) -> Person | None:
    """The person whose row this is; None when it is damaged."""
    *texts, verified, created_at, checksum = row
    if checksum != checksum_of(*texts, numbers="?d", values=(verified, created_at)):
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
