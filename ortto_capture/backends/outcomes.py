"""What became of requests, as rows that all processes share.

The law of this file: no request costs a write of its own. What is noted is gathered in the process
and written a moment later, in one decision; a crash may lose that moment. Everything is bounded,
because strangers cause it.
"""

from __future__ import annotations

import json
import os
from _thread import start_new_thread
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import chain
from operator import itemgetter
from threading import RLock
from time import sleep

from ..errors import BackendError
from ..model import Outcome
from .rows import BATCH, decision, encode, tombstone
from .store import Store

#: Seconds for which outcomes are gathered before they are written.
GATHERED = 1.0
HOUR = 3_600


class Noted:
    """What became of some requests, not written yet.

    :param capacity: refused ones that are kept at most, and passed ones.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.counts: Counter[str] = Counter()
        self.tally: Counter[tuple[float, str, str]] = Counter()
        #: The refused and the passed, each with its place among both.
        self._kept: dict[bool, deque[tuple[int, Outcome]]] = {
            refused: deque(maxlen=capacity) for refused in (True, False)
        }
        self._last = 0

    def note(self, outcome: Outcome) -> None:
        """Count it, and keep it where it is kept."""
        for name in outcome.counted:
            self.counts[name] += 1
        if outcome.reason:
            self.tally[outcome.refusal] += 1
        if outcome.is_kept:
            self._keep(outcome)

    def kept(self) -> list[Outcome]:
        """The refused and the passed, in order."""
        both = chain.from_iterable(self._kept.values())
        return [outcome for _, outcome in sorted(both, key=itemgetter(0))]

    def add(self, later: Noted) -> None:
        """Take over what was noted after this."""
        self.counts.update(later.counts)
        self.tally.update(later.tally)
        for outcome in later.kept():
            self._keep(outcome)

    def erase(self, person_id: str) -> int:
        """Take the person's id off what is kept; return how many outcomes that were."""
        erased = 0
        for kept in self._kept.values():
            for index, (place, outcome) in enumerate(kept):
                if outcome.person_id == person_id:
                    kept[index] = (place, outcome._replace(person_id=None))
                    erased += 1
        return erased

    def _keep(self, outcome: Outcome) -> None:
        self._last += 1
        self._kept[bool(outcome.reason)].append((self._last, outcome))


class Gathered:
    """What became of the requests of one process in the last second."""

    def __init__(self, capacity: int) -> None:
        self.pid = os.getpid()
        #: Reentrant: a signal handler may record while this thread notes.
        self.lock = RLock()
        self.noted = Noted(capacity)
        #: Whether a thread waits to write this.
        self.awaited = False
        #: One token for each thread that writes.
        self.writing: set[object] = set()

    def take(self) -> Noted:
        """Take all of it, to be written."""
        with self.lock:
            taken, self.noted = self.noted, Noted(self.noted.capacity)
        return taken

    def put_back(self, taken: Noted) -> None:
        """Keep for the next time what could not be written."""
        with self.lock:
            taken.add(self.noted)
            self.noted = taken


class FileOutcomes:
    """Counts, tallies, the last ``capacity`` refused and as many passed ones, as rows."""

    def __init__(self, store: Store, capacity: int = 500) -> None:
        self._store = store
        self._capacity = capacity
        self._gathered = Gathered(capacity)

    def note(self, outcome: Outcome) -> None:
        gathered = self._mine()
        with gathered.lock:
            gathered.noted.note(outcome)
            if not gathered.awaited:
                # Not a Timer, whose event can be left locked by a signal handler's exception. Where
                # no thread can be started, the next outcome tries again: the answer is decided.
                with suppress(RuntimeError):
                    start_new_thread(self._flush_later, ())
                    gathered.awaited = True

    def counts(self) -> Mapping[str, int]:
        self.flush()
        gathered = self._mine()
        with gathered.lock:
            counts = gathered.noted.counts.copy()
        return counts + Counter(dict(self._store.read("SELECT code, count FROM outcomes")))

    def refused(self, after: int = 0, limit: int = 100) -> Sequence[Outcome]:
        return self._latest(True, after, limit)

    def passed(self, after: int = 0, limit: int = 100) -> Sequence[Outcome]:
        return self._latest(False, after, limit)

    def tally(self, since: float) -> Mapping[tuple[float, str, str], int]:
        self.flush()
        gathered = self._mine()
        with gathered.lock:
            tally = Counter(
                {key: count for key, count in gathered.noted.tally.items() if key[0] + HOUR > since}
            )
        sql = "SELECT hour, activity_id, reason, count FROM tally WHERE hour > ?"
        for hour, activity_id, reason, count in self._store.read(sql, (since - HOUR,)):
            tally[float(hour), activity_id, reason] += count
        return tally

    def of(self, person_id: str) -> Sequence[Outcome]:
        self.flush()
        return self._rows("person_id = ? ORDER BY number", person_id)

    @decision
    def erase(self, person_id: str) -> int:
        gathered = self._mine()
        with gathered.lock:
            erased = gathered.noted.erase(person_id)
        erase = "UPDATE latest SET person_id = NULL WHERE person_id = ? RETURNING number"
        return erased + len(self._store.write(erase, (person_id,)))

    def forget_before(self, since: float) -> bool:
        """Remove a few tallies of hours before ``since``; say whether there may be more."""
        old = "SELECT hour, activity_id, reason FROM tally WHERE hour <= ? LIMIT ?"
        if not self._store.read(old, (since - HOUR, 1)):
            return False
        removed = self._store.write(
            f"DELETE FROM tally WHERE (hour, activity_id, reason) IN ({old}) RETURNING hour",
            (since - HOUR, BATCH),
        )
        return len(removed) == BATCH

    def flush(self) -> None:
        """Write what was gathered; what cannot be written now is kept for the next time.

        When this returns, what another thread was about to write is written as well.
        """
        gathered = self._mine()
        gathered.awaited = False
        if not gathered.noted.counts and not gathered.writing:
            return
        taken: list[Noted] = []

        def decide() -> None:
            # Within the decision, so that what an erasure looks at is either here or in the rows.
            while taken:
                gathered.put_back(taken.pop())
            taken.append(gathered.take())
            self._write(taken[0])

        token = object()
        try:
            gathered.writing.add(token)
            self._store.atomically(decide)
        except BackendError:
            for each in taken:
                gathered.put_back(each)
        finally:
            gathered.writing.discard(token)

    def _flush_later(self) -> None:
        sleep(GATHERED)
        self.flush()

    def _mine(self) -> Gathered:
        """What this process has gathered; a child leaves what its parent has to the parent."""
        if self._gathered.pid != os.getpid():
            self._gathered = Gathered(self._capacity)
        return self._gathered

    def _write(self, noted: Noted) -> None:
        for row in noted.counts.items():
            self._store.write(
                "INSERT INTO outcomes (code, count) VALUES (?, ?) "
                "ON CONFLICT (code) DO UPDATE SET count = outcomes.count + excluded.count",
                row,
            )
        for (hour, activity_id, reason), count in noted.tally.items():
            self._store.write(
                "INSERT INTO tally (hour, activity_id, reason, count) VALUES (?, ?, ?, ?) "
                "ON CONFLICT (hour, activity_id, reason) "
                "DO UPDATE SET count = tally.count + excluded.count",
                (int(hour), activity_id, reason, count),
            )
        kept = noted.kept()
        for outcome in kept:
            # A person who was erased meanwhile, by whichever process, is not named again.
            self._store.write(
                "INSERT INTO latest (refused, person_id, outcome) VALUES "
                "(?, (SELECT ? WHERE NOT EXISTS (SELECT 1 FROM erased WHERE tombstone = ?)), ?)",
                (
                    int(bool(outcome.reason)),
                    outcome.person_id,
                    tombstone(outcome.person_id or ""),
                    encode(outcome._replace(person_id=None)),
                ),
            )
        for refused in {int(bool(outcome.reason)) for outcome in kept}:
            self._store.write(
                "DELETE FROM latest WHERE refused = ? AND number <= (SELECT number FROM latest "
                "WHERE refused = ? ORDER BY number DESC LIMIT 1 OFFSET ?)",
                (refused, refused, self._capacity),
            )

    def _latest(self, refused: bool, after: int, limit: int) -> Sequence[Outcome]:
        self.flush()
        which = "refused = ? AND number > ? ORDER BY number DESC LIMIT ?"
        return self._rows(which, int(refused), after, limit)[::-1]

    def _rows(self, which: str, *parameters: str | int) -> list[Outcome]:
        rows = self._store.read(
            f"SELECT number, person_id, outcome FROM latest WHERE {which}", parameters
        )
        return [self._outcome(*row) for row in rows]

    def _outcome(self, number: int, person_id: str | None, stored: str) -> Outcome:
        try:
            outcome = Outcome(*json.loads(stored))
        except (TypeError, ValueError):
            raise self._store.damaged("a request that is kept") from None
        return outcome._replace(number=number, person_id=person_id, notes=tuple(outcome.notes))
