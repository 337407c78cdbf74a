"""The ports: what the pipeline needs from storage, and nothing else.

The law of this file: a port is what every backend must do, over the values of ``model``, and every
sentence of its docstrings is a test of its contract class in ``ortto_capture.testing``. The ports
are structural, so that an implementer need not import us. What only some media can do is a method
of :class:`Backends` whose default does nothing.

Common to all ports: methods are called from several threads at once. A fault is raised as
``BackendError`` with the driver's exception as its cause; a bound that was reached is raised as
``StorageFull``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from threading import RLock
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self, TypeVar, runtime_checkable
from uuid import uuid4

from .locks import fork_safe_lock
from .model import (
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

if TYPE_CHECKING:
    # Read by mypy: a server that only captures need not load questions.
    from .questions.answer import Answer, Found, Wanted
    from .questions.query import Question

T = TypeVar("T")


class Definitions(Protocol):
    """Looks activities up."""

    def get(self, activity_id: str) -> Definition | None:
        """Return the definition with exactly this id, or None.

        Ids that differ in case or spelling are different ids. Any string may be asked for.
        """

    def all(self) -> Sequence[Definition]:
        """Return every definition, archived ones included, ordered by id."""

    def put(self, definition: Definition) -> None:
        """Store ``definition``, replacing the one with its id.

        The next ``get`` in this process returns it. Definitions that only people write are refused
        with ``ConfigurationError``, which says where to write them.
        """

    def declare(self, definitions: Sequence[Definition]) -> None:
        """Bring these up to date at start: create those that are missing, replace the others.

        What an operator has switched stays: ``client_side`` and ``archived`` of a definition that
        is there are kept. Definitions that did not change are not written.
        """


class People(Protocol):
    """Stores who people are."""

    def get(self, person_id: str) -> Person | None:
        """Return the person with this id, or None. Any string may be asked for."""

    def find(self, identifiers: Sequence[Identifier]) -> Person | None:
        """Return the person who holds the first of these identifiers that is held, or None.

        The order given decides. Two kinds with equal values are different identifiers, and values
        are compared exactly.
        """

    def save(self, person: Person) -> Person:
        """Store a new person, or replace the one with the same id, and return who is stored now.

        When another person holds one of the identifiers, nothing is written and that person is
        returned, so two threads that create the same person get one. Identifiers that the person
        held before and holds no longer are free again.
        """

    def erase(self, person_id: str) -> int:
        """Remove the person and every identifier; return how many people that were, 0 or 1."""


class RateLimiter(Protocol):
    """Counts charges against quotas in fixed UTC windows.

    A window of ``quota.seconds`` begins at every multiple of it since the epoch, and in one window
    a key is never charged more than ``quota.amount`` times, as long as ``now`` does not go back
    past the start of the window before.
    """

    def acquire(self, charges: Sequence[Charge], now: float) -> Full | None:
        """Count every charge, or, if any quota is full, none of them and say which.

        ``now`` is epoch seconds. No charges are always counted. When several quotas are full the
        one with the longest wait is named. ``retry_after`` is the whole number of seconds, at
        least 1, until its window ends. A refusal changes no count and leaves no key. A quota that
        was changed counts at once, against what was charged before.
        """

    def release(self, charges: Sequence[Charge], now: float) -> None:
        """Give back charges whose activity was not stored, in the window that holds ``now``.

        What was not charged is not given back.
        """

    def taken(self, charge: Charge, now: float) -> int:
        """Return how often the charge's key is charged in the window that holds ``now``.

        Windows are told by ``quota.seconds``; the amount of the quota does not matter. It changes
        no count and leaves no key.
        """

    def forget(self, keys: Collection[bytes]) -> None:
        """Remove every count of these keys, in every window."""


class Journal(Protocol):
    """The ordered list of captured activities.

    One event is what has the same event id, activity id, person and assurance: what a visitor
    claimed neither hides nor reveals what the host vouched for.
    """

    def find(self, activity: Activity) -> Captured | None:
        """Return the event that ``activity`` repeats, or None.

        That is one received at most 7 days (``EVENT_ID_SECONDS``) before its ``received_at``, or
        after it: requests that come at once may be stored in another order.
        """

    def append(self, activity: Activity) -> Captured | None:
        """Store ``activity`` durably and return it with its position and cursor.

        The position is at least 1, rises, and is given once. When ``find`` would return an event,
        nothing is stored and None is returned.
        """

    def latest(self, limit: int = 100) -> Sequence[Captured]:
        """Return the newest ``limit`` activities, the oldest of them first."""

    def after(self, cursor: str, limit: int = 100) -> Sequence[Captured]:
        """Return the ``limit`` activities that follow ``cursor``, in order; values as stored.

        The cursor is that of an activity read before, and an empty one begins with the oldest. A
        reader who goes on from the last cursor misses no activity and gets none twice.
        """

    def of(self, person_id: str, cursor: str = "", limit: int = 100) -> Sequence[Captured]:
        """Return at most ``limit`` of a person's activities that follow ``cursor``, in order."""

    def erase(self, person_id: str) -> int:
        """Remove everything this person did; return how many activities that were.

        Readers skip what was removed; no position is given twice.
        """

    def ask(self, question: Question, now: float) -> Answer:
        """Answer a question about what the journal holds, as ``questions.plain.answer`` does.

        ``now`` is epoch seconds. What is appended or erased is in the next answer, or no longer.
        No audience is named in the question: one that is refused with ``BadQuery``. A journal may
        bound the time of a report, with ``ReportTooLong``, and how many are made at once, with
        ``ReportsBusy``.
        """

    def search(self, wanted: Wanted, before: str = "", limit: int = 100) -> Found:
        """Look for activities from the newest back, as ``questions.plain.is_wanted`` says.

        At most ``limit``, which is at least 1, are returned, the newest first. ``before`` is that
        of an answer before, and the search goes on from there: it misses none that was stored at
        its beginning, and returns none twice. A journal may stop early, with as many as it has
        found by then.
        """

    def first_and_last(self, activity_ids: Collection[str]) -> Mapping[str, tuple[float, float]]:
        """Return when each of these activities first and last occurred, in epoch seconds.

        What the journal holds none of is left out. Any strings may be asked for.
        """


class Outcomes(Protocol):
    """Remembers what became of requests: counts of all, and the last few hundred of some.

    Bounded, and not durable: a crash may lose the last moment.
    """

    def note(self, outcome: Outcome) -> None:
        """Count ``outcome`` by its code, and each of its notes as ``note:<note>``.

        One whose ``reason`` is not empty is kept among the refused and tallied; one whose code is
        ``identified`` or ``duplicate`` is kept among the passed.
        """

    def counts(self) -> Mapping[str, int]:
        """Return how often each code and each note was seen."""

    def refused(self, after: int = 0, limit: int = 100) -> Sequence[Outcome]:
        """Return at most ``limit`` of the latest refused numbered above ``after``, in order."""

    def passed(self, after: int = 0, limit: int = 100) -> Sequence[Outcome]:
        """Return at most ``limit`` of the latest passed numbered above ``after``, in order.

        Both are numbered together, and neither pushes the other out.
        """

    def tally(self, since: float) -> Mapping[tuple[float, str, str], int]:
        """Return how often requests were refused: by the hour's start, activity and reason.

        That is :attr:`Outcome.refusal` of each, in the hours that end after ``since``.
        """

    def of(self, person_id: str) -> Sequence[Outcome]:
        """Return what is kept of this person's requests, refused or passed, in order."""

    def erase(self, person_id: str) -> int:
        """Take the person's id off what is kept; return how many outcomes that were."""


class Documents(Protocol):
    """Keeps what operators save beside the definitions, by kind and name.

    Kinds and names that differ in case or spelling are different ones.
    """

    def get(self, kind: str, name: str) -> Document | None:
        """Return the document, or None. Any string may be asked for."""

    def all(self, kind: str) -> Sequence[Document]:
        """Return every document of this kind, ordered by name."""

    def put(self, kind: str, name: str, value: Any, version: int | None = None) -> Document | None:
        """Store plain JSON durably, replacing what has the name, and return it with its version.

        Each version is higher than all before it. When ``version`` is given and the stored one is
        another, nothing is written and None is returned; 0 says that there must be none.
        """

    def remove(self, kind: str, name: str, version: int | None = None) -> bool:
        """Remove the document, if it is there and, when ``version`` is given, has that one.

        Return whether it was removed.
        """


@runtime_checkable
class Pingable(Protocol):
    """A backend that can be away: a server, or a disk that may fail.

    A limiter that is one is watched over as ``Settings.on_limiter_error`` says.
    """

    def ping(self) -> None:
        """Return within 250 ms if the backend answers; raise BackendError if it does not."""


@runtime_checkable
class Written(Protocol):
    """Definitions that know where each is written: a program may not change all of them."""

    def written(self, activity_id: str) -> Literal["store", "code", "file"]:
        """Return who has the last word about a definition, or one that is not there yet.

        ``file``: people write it, and ``put`` refuses. ``code``: a program has declared it in this
        process, and will again. ``store``: ``put`` has.
        """

    def stored(self, activity_id: str) -> Definition | None:
        """Return the definition as it is stored at this moment, or None.

        ``get`` may return the one from before another process has changed it, for a second.
        """


@dataclass(frozen=True, kw_only=True)
class Backends:
    """The ports side by side, and what their medium can do with several of them at once.

    ``dataclasses.replace(backends, limiter=other)`` swaps one port. Open and close it in the same
    place: it is a context manager.

    :param outcomes: where outcomes are remembered; none are when left out.
    :param documents: where operators' reports, audiences and tokens are saved; none are when left
        out.
    :param in_process: everything is in this process's memory, so that several processes each count
        and remember alone.
    :param epoch: changes when positions may have started over; part of the console's cursor.
    """

    definitions: Definitions
    people: People
    limiter: RateLimiter
    journal: Journal
    outcomes: Outcomes | None = None
    documents: Documents | None = None
    in_process: bool = False
    epoch: str = field(default_factory=lambda: uuid4().hex[:12])
    #: Shared by the copies that ``replace`` makes: they decide about the same ports.
    _lock: RLock = field(
        default_factory=lambda: fork_safe_lock(outer=True), repr=False, compare=False
    )

    def atomically(self, decide: Callable[[], T]) -> T:
        """Run ``decide`` alone; what it stored is durable when its result is returned.

        What it raises is raised, and undone where the medium can. It may be run again from the
        start, always on the calling thread; inside another ``decide`` it is a part of that one.
        By default one lock, which is exact within a process.
        """
        with self._lock:
            return decide()

    def record(
        self, activity: Activity, charges: Sequence[Charge], people: Sequence[Person] = ()
    ) -> Captured | Full | None:
        """De-duplicate, charge and store, or leave nothing behind (contract §4, rows 11 to 13).

        :param people: people to save in the same step, the last of them the activity's own.
        :returns: the activity as it is stored, with ``duplicate`` set the event that was there
            before; the quota that is full; or None when its person is not stored, or another one
            took an identifier of ``people`` meanwhile.
        """
        return self.atomically(lambda: self._record(activity, charges, people))

    def _record(
        self, activity: Activity, charges: Sequence[Charge], people: Sequence[Person]
    ) -> Captured | Full | None:
        if not people and self.people.get(activity.person_id) is None:
            return None
        first = self.journal.find(activity)
        if first is not None:
            return first._replace(duplicate=True)
        full = self.limiter.acquire(charges, activity.received_at)
        if full is not None:
            return full
        captured, saved = None, False
        try:
            for person in people:
                if self.people.save(person).id != person.id:
                    break
                saved = True
            else:
                captured = self.journal.append(activity)
        finally:
            # A limiter in another medium does not roll back with this one. A person who is stored
            # in another medium stays, whatever becomes of the activity, and so does the charge: it
            # bounds how many people a visitor can have stored.
            if captured is None and not saved:
                self.limiter.release(charges, activity.received_at)
        if captured is None:
            # In another medium another process may have journalled the event meanwhile.
            first = self.journal.find(activity)
            return first and first._replace(duplicate=True)
        return captured

    def secret(self) -> bytes | None:
        """Return a signing key of at least 32 bytes, the same for every process, if one is kept.

        It is used when ``Settings.secret_keys`` is empty.
        """
        return None

    def retain(self, activities_since: float, people_since: float) -> bool:
        """Remove a bounded batch of what is older; say whether there may be more.

        That is activities received before ``activities_since``, tallies of hours before it, and
        claimed people made before ``people_since`` who have no activity. Both are epoch seconds.
        """
        return False

    def bury(self, person_id: str, keys: Collection[bytes]) -> None:
        """Note, within the erasing ``atomically``, that no backup may bring this back.

        Neither the person nor these keys of the rate limiter.
        """

    def scrub(self) -> bool:
        """Overwrite what was removed; say whether nothing is left of it by now."""
        return True

    def close(self) -> None:
        """Free what was opened, which cannot be used afterwards; closing twice is fine."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
