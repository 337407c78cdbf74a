"""The four ports: what the pipeline needs from storage, and nothing else.

The law of this file: structural interfaces of at most three methods over the values of ``model``,
so that an implementer need not import us. Every sentence of a port's docstrings is one test of its
contract class in ``ortto_capture.testing``. An ability that not every medium has is a second
Protocol beside its port, found with ``isinstance``, never a method that raises.

Common to all: methods are called from several threads at once. A fault is raised as
``BackendError`` with the driver's exception as its cause; a bound that was reached is raised as
``StorageFull``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from types import TracebackType
from typing import Protocol, Self, TypeVar, runtime_checkable
from uuid import uuid4

from .locks import fork_safe_lock
from .model import (
    Activity,
    Captured,
    Charge,
    Definition,
    Identifier,
    Outcome,
    Person,
    Refusal,
)

__all__ = [
    "Appending",
    "Atomically",
    "Backends",
    "DefinitionEditor",
    "Definitions",
    "Erasing",
    "Forgetting",
    "InProcess",
    "Journal",
    "Outcomes",
    "People",
    "Pingable",
    "RateLimiter",
    "Retaining",
    "SameMedium",
    "SecretKeeping",
    "Timeline",
    "Traceless",
]

T = TypeVar("T")


class Definitions(Protocol):
    """Looks activities up."""

    def get(self, activity_id: str) -> Definition | None:
        """Return the definition with exactly this id, or None.

        Ids that differ in case or spelling are different ids. Any string may be asked for.
        """

    def all(self) -> Sequence[Definition]:
        """Return every definition, archived ones included, ordered by id."""


@runtime_checkable
class DefinitionEditor(Protocol):
    """Definitions that a program may change."""

    def put(self, definition: Definition) -> None:
        """Store ``definition``, replacing the one with its id.

        The next ``get`` in this process returns it.
        """


class People(Protocol):
    """Stores who people are."""

    def get(self, person_id: str) -> Person | None:
        """Return the person with this id, or None. Any string may be asked for."""

    def find(self, identifiers: Sequence[Identifier]) -> Person | None:
        """Return the person who holds the first of these identifiers that anybody holds, or None.

        The order given decides. Two kinds with equal values are different identifiers.
        """

    def save(self, person: Person) -> Person:
        """Store a new person, or replace the one with the same id, and return who is stored now.

        When somebody else holds one of the identifiers, nothing is written and that somebody is
        returned, so two threads that create the same person get one. Identifiers that the person
        held before and holds no longer are free again.
        """


class RateLimiter(Protocol):
    """Counts charges against quotas in fixed UTC windows.

    A window of ``quota.seconds`` begins at every multiple of it since the epoch, and in one window
    a key is never charged more than ``quota.amount`` times, as long as ``now`` does not go back
    past the start of the window before.
    """

    def acquire(self, charges: Sequence[Charge], now: float) -> Refusal | None:
        """Count every charge, or, if any quota is full, none of them and say which.

        ``now`` is epoch seconds; a backend with a clock of its own uses that instead. When several
        quotas are full the one with the longest wait is named. ``retry_after`` is the whole number
        of seconds, at least 1, until its window ends. A refusal changes no count and leaves no key.
        """

    def release(self, charges: Sequence[Charge], now: float) -> None:
        """Give back charges whose activity was not stored, in the window that holds ``now``.

        What was not charged is not given back.
        """


class Journal(Protocol):
    """The ordered list of captured activities."""

    def find(
        self, person_id: str, activity_id: str, event_id: str, since: float
    ) -> Captured | None:
        """Return the activity with this event id, person and activity id, or None.

        Only one received at ``since`` (epoch seconds) or later counts.
        """

    def append(self, activity: Activity) -> int | None:
        """Store ``activity`` durably and return its position, which is at least 1 and rises.

        When the same person, activity id and event id were journalled within 7 days before
        ``received_at``, nothing is stored and None is returned.
        """

    def recent(self, after: int = 0, limit: int = 100) -> Sequence[Captured]:
        """Return at most ``limit`` activities with a position above ``after``, in order.

        With ``after=0`` they are the latest ``limit``, else the ones that follow ``after``; a
        negative one begins with the oldest. Values come back equal to those stored.
        """


@runtime_checkable
class Timeline(Protocol):
    """A journal that can be read by person."""

    def of(self, person_id: str, after: int = 0, limit: int = 100) -> Sequence[Captured]:
        """Return at most ``limit`` of a person's activities above position ``after``, in order."""


@runtime_checkable
class Erasing(Protocol):
    """People, a journal or outcomes that can forget somebody."""

    def erase(self, person_id: str) -> int:
        """Remove everything kept about this person; return how many entries that were.

        What was removed from a journal is skipped by its readers; no position is given twice.
        """


@runtime_checkable
class Forgetting(Protocol):
    """A rate limiter that can forget keys."""

    def forget(self, keys: Collection[bytes]) -> None:
        """Remove every count of these keys."""


class Outcomes(Protocol):
    """Remembers what became of requests: counts of all, and the last few hundred refusals.

    Bounded, and not durable.
    """

    def note(self, outcome: Outcome) -> None:
        """Count ``outcome`` by its code, and each of its notes as ``note:<note>``.

        One whose ``reason`` is not empty is kept among the refusals.
        """

    def counts(self) -> Mapping[str, int]:
        """Return how often each code and each note was seen."""

    def refusals(self, after: int = 0, limit: int = 100) -> Sequence[Outcome]:
        """Return at most ``limit`` of the latest refusals numbered above ``after``, in order."""


@runtime_checkable
class Pingable(Protocol):
    """A backend that can be away."""

    def ping(self) -> None:
        """Return within 250 ms if the backend answers; raise BackendError if it does not."""


@runtime_checkable
class InProcess(Protocol):
    """A backend whose memory is one process's own: with several processes each counts alone."""

    in_process: bool


@runtime_checkable
class SameMedium(Protocol):
    """A rate limiter in the journal's own transaction: it is away only when the journal is."""

    same_medium: bool


@runtime_checkable
class Appending(Protocol):
    """Backends that look for the person in the step that journals what they did."""

    def append(self, activity: Activity) -> int | None:
        """Store ``activity`` and return its position, as the journal does.

        None when its person is not stored, or its event id is journalled already.
        """


@runtime_checkable
class Retaining(Protocol):
    """Backends that do not keep everything for ever."""

    def retain(self, activities_since: float, people_since: float) -> bool:
        """Remove a bounded batch of what is older; say whether there may be more.

        That is activities received before ``activities_since``, and people made before
        ``people_since`` whom nobody vouched for and who have no activity.
        """


@runtime_checkable
class SecretKeeping(Protocol):
    """Backends that keep a signing key for whoever configured none."""

    def secret(self) -> bytes:
        """Return the key, at least 32 bytes, the same for every process."""


@runtime_checkable
class Traceless(Protocol):
    """Backends on a medium where what was removed may still be read."""

    def bury(self, person_id: str, keys: Collection[bytes]) -> None:
        """Remember, within the erasing transaction, that nobody may bring this back.

        Neither the person nor these keys of the rate limiter.
        """

    def scrub(self) -> bool:
        """Overwrite what was removed; say whether nothing is left of it by now."""


class Atomically(Protocol):
    """Runs one function alone, and what it stored is durable when its result is returned."""

    def __call__(self, decide: Callable[[], T]) -> T:
        """Run ``decide`` once or, when the medium asks for it, again from the start."""


class Backends:
    """The four ports side by side, and the way to run one decision alone.

    Whoever opens it closes it: it is a context manager.

    :param outcomes: where outcomes are remembered; none are when left out.
    :param atomically: runs one function alone, in the medium's transaction; by default under one
        lock, which is exact within a process.
    :param close: frees what was opened.
    """

    def __init__(
        self,
        *,
        definitions: Definitions,
        people: People,
        limiter: RateLimiter,
        journal: Journal,
        outcomes: Outcomes | None = None,
        atomically: Atomically | None = None,
        close: Callable[[], None] | None = None,
    ) -> None:
        self.definitions = definitions
        self.people = people
        self.limiter = limiter
        self.journal = journal
        self.outcomes = outcomes
        #: Changes when positions may have started over; part of the console's cursor.
        self.epoch = uuid4().hex[:12]
        self.atomically: Atomically = atomically or self._one_by_one
        self._lock = fork_safe_lock(outer=True)
        self._close = close

    def _one_by_one(self, decide: Callable[[], T]) -> T:
        with self._lock:
            return decide()

    def close(self) -> None:
        """Free what was opened. Closing twice is fine."""
        close, self._close = self._close, None
        if close is not None:
            close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
