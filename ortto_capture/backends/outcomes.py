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
from threading import RLock
from time import sleep

from ..errors import BackendError
from ..model import Outcome
from .rows import decision, encode, tombstone
from .store import Store

#: Seconds for which outcomes are gathered before they are written.
GATHERED = 1.0


class Gathered:
    """What became of the requests of one process in the last second."""

    def __init__(self, capacity: int) -> None:
        self.pid = os.getpid()
        #: Reentrant: a signal handler may record while this thread notes.
        self.lock = RLock()
        self.counts: Counter[str] = Counter()
        self.refused: deque[Outcome] = deque(maxlen=capacity)
        #: Whether a thread waits to write this.
        self.awaited = False
        #: One token for each thread that writes.
        self.writing: set[object] = set()

    def take(self) -> tuple[Counter[str], deque[Outcome]]:
        """Take all of it, to be written."""
        with self.lock:
            taken = (self.counts, self.refused)
            self.counts, self.refused = Counter(), deque(maxlen=self.refused.maxlen)
        return taken

    def put_back(self, counts: Counter[str], refused: deque[Outcome]) -> None:
        """Keep for the next time what could not be written."""
        with self.lock:
            self.counts.update(counts)
            self.refused = deque([*refused, *self.refused], self.refused.maxlen)


class FileOutcomes:
    """Counts and the last ``capacity`` refused, as rows that all processes share.

    No request costs a write of its own: what is noted is gathered and written a moment later, and a
    crash may lose that moment.
    """

    def __init__(self, store: Store, capacity: int = 500) -> None:
        self._store = store
        self._capacity = capacity
        self._gathered = Gathered(capacity)

    def note(self, outcome: Outcome) -> None:
        gathered = self._mine()
        with gathered.lock:
            for name in outcome.counted:
                gathered.counts[name] += 1
            if outcome.reason:
                gathered.refused.append(outcome)
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
            counts = gathered.counts.copy()
        return counts + Counter(dict(self._store.read("SELECT code, count FROM outcomes")))

    def refused(self, after: int = 0, limit: int = 100) -> Sequence[Outcome]:
        self.flush()
        return self._rows("number > ? ORDER BY number DESC LIMIT ?", after, limit)[::-1]

    def of(self, person_id: str) -> Sequence[Outcome]:
        self.flush()
        return self._rows("person_id = ? ORDER BY number", person_id)

    @decision
    def erase(self, person_id: str) -> int:
        gathered = self._mine()
        with gathered.lock:
            theirs = [n for n, each in enumerate(gathered.refused) if each.person_id == person_id]
            for place in theirs:
                gathered.refused[place] = gathered.refused[place]._replace(person_id=None)
        erase = "UPDATE refusals SET person_id = NULL WHERE person_id = ? RETURNING number"
        return len(theirs) + len(self._store.write(erase, (person_id,)))

    def flush(self) -> None:
        """Write what was gathered; what cannot be written now is kept for the next time.

        When this returns, what another thread was about to write is written as well.
        """
        gathered = self._mine()
        gathered.awaited = False
        if not gathered.counts and not gathered.writing:
            return
        taken: list[tuple[Counter[str], deque[Outcome]]] = []

        def decide() -> None:
            # Within the decision, so that what an erasure looks at is either here or in the rows.
            while taken:
                gathered.put_back(*taken.pop())
            taken.append(gathered.take())
            self._write(*taken[0])

        token = object()
        try:
            gathered.writing.add(token)
            self._store.atomically(decide)
        except BackendError:
            for each in taken:
                gathered.put_back(*each)
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

    def _write(self, counts: Counter[str], refused: Sequence[Outcome]) -> None:
        for row in counts.items():
            self._store.write(
                "INSERT INTO outcomes (code, count) VALUES (?, ?) "
                "ON CONFLICT (code) DO UPDATE SET count = outcomes.count + excluded.count",
                row,
            )
        for outcome in refused:
            # A person who was erased meanwhile, by whichever process, is not named again.
            self._store.write(
                "INSERT INTO refusals (person_id, outcome) VALUES "
                "((SELECT ? WHERE NOT EXISTS (SELECT 1 FROM erased WHERE tombstone = ?)), ?)",
                (
                    outcome.person_id,
                    tombstone(outcome.person_id or ""),
                    encode(outcome._replace(person_id=None)),
                ),
            )
        last = "SELECT max(number) FROM refusals"
        self._store.write(f"DELETE FROM refusals WHERE number <= ({last}) - ?", (self._capacity,))

    def _rows(self, which: str, *parameters: str | int) -> list[Outcome]:
        rows = self._store.read(
            f"SELECT number, person_id, outcome FROM refusals WHERE {which}", parameters
        )
        return [self._outcome(*row) for row in rows]

    def _outcome(self, number: int, person_id: str | None, stored: str) -> Outcome:
        try:
            outcome = Outcome(*json.loads(stored))
        except (TypeError, ValueError):
            raise self._store.damaged("a refused request") from None
        return outcome._replace(number=number, person_id=person_id, notes=tuple(outcome.notes))
