"""What became of requests, as rows that all processes share.

The law of this file: it costs no request its own write. What is noted is gathered and written a
moment later, and a crash may lose that moment.
"""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from threading import Timer

from ..errors import BackendError
from ..locks import fork_safe_lock, watch_forks
from ..model import Outcome
from .file_rows import damaged, encode
from .store import Store

#: Seconds for which outcomes are gathered before they are written.
GATHERED = 1.0


class FileOutcomes:
    """Counts and the last ``capacity`` refusals as rows; gathered, and written a moment later.

    :param living: takes the names of those who were erased off refusals.
    """

    def __init__(
        self,
        store: Store,
        capacity: int = 500,
        *,
        living: Callable[[Sequence[Outcome]], Sequence[Outcome]] = lambda refusals: refusals,
    ) -> None:
        self._store = store
        self._living = living
        self._capacity = capacity
        self._lock = fork_safe_lock()
        self._counts: Counter[str] = Counter()
        self._refusals: deque[Outcome] = deque(maxlen=capacity)
        self._timer: Timer | None = None
        watch_forks(self)

    def note(self, outcome: Outcome) -> None:
        """Count ``outcome`` and its notes; keep it when it has a reason."""
        with self._lock:
            for name in outcome.counted:
                self._counts[name] += 1
            if outcome.reason:
                self._refusals.append(outcome)
            if self._timer is None:
                timer = Timer(GATHERED, self.flush)
                timer.daemon = True
                # Kept once it runs: without a thread for it, the next one tries again.
                timer.start()
                self._timer = timer

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
        # Whoever was erased since it was noted is not named again.
        for outcome in self._living(refusals):
            self._store.write(
                "INSERT INTO refusals (person_id, outcome) VALUES (?, ?)",
                (outcome.person_id, encode(outcome._replace(person_id=None))),
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
            raise damaged(self._store, "a refusal") from None
        return outcome._replace(number=number, person_id=person_id, notes=tuple(outcome.notes))

    def before_fork(self) -> None:
        """Nothing is held that a child must not have."""

    def after_fork_in_child(self) -> None:
        """The parent writes what it gathered."""
        self._counts.clear()
        self._refusals.clear()
        self._timer = None
