"""Counts as rows, in the transaction of the activity that is counted.

The law of this file: both quotas or neither, whatever the processes do, and never one more than a
quota has. A full quota is remembered, so that a flood of refusals writes nothing.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence
from functools import lru_cache
from math import floor

from ..limiting import longest_wait
from ..model import Charge, Refusal
from .file_rows import BATCH
from .store import Store

#: Full quotas remembered in this process.
REMEMBERED = 10_000


@lru_cache
def _charging(charges: int) -> str:
    """The statement that counts so many charges, or none."""
    return (
        "INSERT INTO counts (seconds, slot, key, amount, count) VALUES "  # noqa: S608  # of constants
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
            self._store.write("DELETE FROM counts" + where + " AND count = 1", place)  # noqa: S608  # of constants
            self._store.write("UPDATE counts SET count = count - 1" + where, place)  # noqa: S608  # of constants

    def _forget(self, keys: Collection[bytes]) -> None:
        # Window by window, of which there are a few: looking for a key in all would take seconds.
        window: Sequence[int] = (-1, -1)
        while rows := self._store.read(
            "SELECT seconds, slot FROM counts WHERE (seconds, slot) > (?, ?) "
            "ORDER BY seconds, slot LIMIT 1",
            window,
        ):
            window = rows[0]
            for key in keys:
                self._store.write(
                    "DELETE FROM counts WHERE seconds = ? AND slot = ? AND key = ?", (*window, key)
                )

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
