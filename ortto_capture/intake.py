"""Storing people and activities, each within its limits (contract §4, rows 11 to 13; §5).

The law of this file: what is refused or fails here has changed no counter, stored no activity and
created no person. Which quotas apply is decided here; that they are taken together with the row, or
not at all, is what ``Backends.record`` promises.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from threading import local
from typing import Any, NamedTuple, TypeVar, TypeVarTuple

from . import privacy
from .addresses import ip_bucket
from .errors import BackendError, NotIdentified, RateLimited, Refused
from .identity import PersonFields, bucket_hasher
from .limiting import GuardedLimiter, seconds_left
from .model import Activity, Assurance, Captured, Charge, Definition, Erased, Full, Person, Quota
from .ports import Backends, Pingable
from .recognition import Recognition, Visitor
from .schema import compile_check
from .settings import Settings

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
Notes = tuple[str, ...]

#: The limits, in the order in which their charges are told of.
_LIMIT_NAMES = ("person-limit", "ip-limit", "new-people-limit")
#: How often a decision is made anew when ports on different media let another process in between.
TRIES = 3


class Prepared(NamedTuple):
    """A definition with all that can be worked out once."""

    definition: Definition
    check: Callable[[Mapping[str, Any]], dict[str, Any]]
    person_quota: Quota
    person_bucket: Callable[[str], bytes]
    ip_quota: Quota
    ip_bucket: Callable[[str], bytes]


class Room(NamedTuple):
    """What is left of one limit; its window ends in ``ends_in`` whole seconds, at least 1.

    ``name`` is ``person-limit``, ``ip-limit`` or ``new-people-limit``.
    """

    name: str
    quota: Quota
    taken: int
    ends_in: int

    @property
    def left(self) -> int:
        """How many more are accepted."""
        return max(0, self.quota.amount - self.taken)


class Intake:
    """Stores people and activities, each within its limits.

    :param secret: keys the counters.
    """

    def __init__(
        self, backends: Backends, settings: Settings, recognition: Recognition, secret: bytes
    ) -> None:
        self._recognition = recognition
        self._max_attributes = settings.max_attributes
        self._buckets = bucket_hasher(secret)
        #: Watches over a limiter that can be away.
        self.guard: GuardedLimiter | None = None
        if isinstance(backends.limiter, Pingable):
            self.guard = GuardedLimiter(backends.limiter, settings.on_limiter_error)
            backends = replace(backends, limiter=self.guard)
        #: With the guarded limiter in place of one that can be away.
        self.backends = backends
        self._person_quota = Quota.parse(settings.person_limit)
        self._ip_quota = Quota.parse(settings.ip_limit)
        #: How many people one address may bring.
        self.new_people_quota = Quota.parse(settings.new_people_limit)
        self._new_people_bucket = self._buckets("new", "")
        #: Whether this thread is inside a decision: a child of a fork reuses its parent's numbers
        #: of threads, and so a set of these would do wrong.
        self._here = local()

    def prepare(self, definition: Definition) -> Prepared:
        """Work out once what every activity of this definition needs."""
        limits = definition.limits or {}
        return Prepared(
            definition,
            compile_check(definition, self._max_attributes),
            Quota.parse(limits["person"]) if "person" in limits else self._person_quota,
            self._buckets("person", definition.id),
            Quota.parse(limits["ip"]) if "ip" in limits else self._ip_quota,
            self._buckets("ip", definition.id),
        )

    def counters(self, person_id: str, activity_ids: set[str]) -> list[bytes]:
        """The keys that a person's activities are counted by."""
        return [
            self._buckets("person", activity_id)(f"{assurance} {person_id}")
            for activity_id in activity_ids
            for assurance in ("claimed", "verified")
        ]

    def erase(self, person_id: str) -> Erased:
        """Erase a person, all they did and all that was counted for them.

        :raises BackendError: it was not done, or will be when the store is opened again.
        """
        backends = self.backends
        erase = partial(privacy.erase, backends, person_id, partial(self.counters, person_id))
        activities = self.decide(backends.atomically, erase)
        return Erased(activities, backends.scrub())

    def bucket(self, kind: str, who: str) -> bytes:
        """The rate limiter's key for what is no activity; ``kind`` tells it from all others."""
        return self._buckets(kind, "")(who)

    def decide(self, function: Callable[[*Ts], T], *args: *Ts) -> T:
        """Call ``function``, which stores, as one decision of the calling thread.

        :raises BackendError: when this thread is inside a decision already, as the handler of a
            signal may find it: what the handler stored would be undone with the decision that it
            interrupted, and waiting for that one would be for ever.
        """
        if getattr(self._here, "deciding", False):
            raise BackendError(
                "this thread is storing already: a signal handler must not record; "
                "set a flag there, and record when it has returned"
            )
        try:
            self._here.deciding = True
            return function(*args)
        finally:
            self._here.deciding = False

    def activity(
        self,
        activity: Activity,
        prepared: Prepared,
        visitor: Visitor,
        ip: str | None,
        *,
        limited: bool = True,
    ) -> tuple[Captured, Notes]:
        """Store an activity, and the person whom the visitor's fields create or change.

        :param limited: whether it is counted; the limits are for what pages send.
        :returns: what is stored, and notes for the outcome.
        :raises RateLimited: when a limit has no room.
        :raises NotIdentified: when the person is gone.
        """
        if visitor.fields is None:
            charges = self._charges(activity, prepared, ip) if limited else []
            verdict = self.decide(self.backends.record, activity, charges, ())
            if isinstance(verdict, Captured):
                return verdict, ()
            raise _refusal(verdict, charges, activity.received_at)
        decide = partial(self._activity_of, visitor.fields, activity, prepared, ip, limited)
        return self._settled(decide)

    def _settled(self, decide: Callable[[], T | None]) -> T:
        """Decide, and again where another process has come in between: ``decide`` returns None.

        That is only possible with ports on several media.
        """
        for _try in range(TRIES):
            done = self.decide(self.backends.atomically, decide)
            if done is not None:
                return done
        raise BackendError("other processes change this person without end; try again")

    def _activity_of(
        self,
        fields: PersonFields,
        activity: Activity,
        prepared: Prepared,
        ip: str | None,
        limited: bool,
    ) -> tuple[Captured, Notes] | None:
        """The same for a person described by ``fields``; None to be decided anew."""
        now = activity.received_at
        found = self._recognition.find(fields, activity.assurance)
        if found is None and fields.skip_non_existing:
            raise NotIdentified("person-gone")
        merged = self._recognition.merged(found, fields, activity.assurance, now)
        activity = activity._replace(person_id=merged.person.id)
        charges = self._charges(activity, prepared, ip) if limited else []
        extra = self._new_person(ip)
        notes = fields.notes + merged.notes
        save = merged.save
        verdict = self.backends.record(activity, charges + extra * merged.charged, save)
        if found is not None and merged.charged and isinstance(verdict, Full):
            # No room to change the profile: the activity is stored without the change. If it was
            # another quota that is full, this finds it full again.
            verdict = self.backends.record(activity, charges)
            notes += ("profile-kept",)
        if verdict is None:
            return None
        if isinstance(verdict, Captured):
            # A duplicate has changed nothing: there is nothing to note about the person.
            return verdict, fields.notes if verdict.duplicate else notes
        # The answer about a new person must not differ from that about a known one.
        raise _refusal(verdict, charges + extra, now)

    def identified(
        self, fields: PersonFields, assurance: Assurance, ip: str | None, now: float
    ) -> tuple[Person | None, Notes]:
        """Find or create the person whom ``fields`` name; None when they name none.

        :returns: the person as stored, and notes for the outcome.
        :raises RateLimited: when it would create one person too many.
        """
        if not self._recognition.usable(fields, assurance):
            return None, fields.notes
        found = self._recognition.find(fields, assurance)
        if found is None and fields.skip_non_existing:
            return None, fields.notes
        if found is not None:
            merged = self._recognition.merged(found, fields, assurance, now)
            if not merged.save and not merged.charged:
                return found, fields.notes + merged.notes
        return self._settled(partial(self._identified, fields, assurance, ip, now))

    def _identified(
        self, fields: PersonFields, assurance: Assurance, ip: str | None, now: float
    ) -> tuple[Person | None, Notes] | None:
        """The same, decided; None to be decided anew."""
        people, limiter = self.backends.people, self.backends.limiter
        found = self._recognition.find(fields, assurance)
        if found is None and fields.skip_non_existing:
            return None, fields.notes
        merged = self._recognition.merged(found, fields, assurance, now)
        charges = self._new_person(ip) if merged.charged else []
        full = limiter.acquire(charges, now) if charges else None
        if full is not None:
            if found is None:
                raise _limited("new-people-limit", full, charges, now)
            return found, (*fields.notes, *merged.notes, "profile-kept")
        stored = False
        try:
            stored = all(people.save(person).id == person.id for person in merged.save)
        finally:
            if not stored:
                limiter.release(charges, now)
        return (merged.person, fields.notes + merged.notes) if stored else None

    def rooms(self, activity: Activity, prepared: Prepared, ip: str | None) -> list[Room]:
        """Look what is left of each limit that ``activity`` would be counted against.

        One without a person's id creates a person.
        """
        charges = self._charges(activity, prepared, ip)
        named = list(zip(_LIMIT_NAMES, charges, strict=False))
        if not activity.person_id:
            named += [(_LIMIT_NAMES[-1], each) for each in self._new_person(ip)]
        now, taken = activity.received_at, self.backends.limiter.taken
        return [
            Room(name, each.quota, taken(each, now), seconds_left(each.quota.seconds, now))
            for name, each in named
        ]

    def _charges(self, activity: Activity, prepared: Prepared, ip: str | None) -> list[Charge]:
        """What storing ``activity`` is counted as; without an address there is no IP quota."""
        # By assurance too: a stranger who claims an address must not use up the verified quota.
        bucket = prepared.person_bucket(f"{activity.assurance} {activity.person_id}")
        charges = [Charge(bucket, prepared.person_quota)]
        if ip is not None:
            charges.append(Charge(prepared.ip_bucket(ip_bucket(ip)), prepared.ip_quota))
        return charges

    def _new_person(self, ip: str | None) -> list[Charge]:
        """The charge for creating a person; a caller without an address takes no quota."""
        if ip is None:
            return []
        return [Charge(self._new_people_bucket(ip_bucket(ip)), self.new_people_quota)]


def _refusal(verdict: Full | None, told: Sequence[Charge], now: float) -> Refused:
    """Why nothing was recorded.

    :param told: the charges that the public answer speaks of: the person's, the address's, and that
        for new people.
    """
    if verdict is None:
        return NotIdentified("person-gone")
    return _limited(_LIMIT_NAMES[told.index(verdict.charge)], verdict, told, now)


def _limited(name: str, full: Full, told: Sequence[Charge], now: float) -> RateLimited:
    return RateLimited(
        name,
        quota=full.charge.quota,
        retry_after=full.retry_after,
        public_retry_after=min(seconds_left(each.quota.seconds, now) for each in told),
    )
