"""The one step: de-duplicate, charge and store, or leave nothing behind (contract §4, 11 to 13).

The law of this file: whatever is refused or fails here has changed no counter, stored no activity
and made nobody. What another process does meanwhile is found out, and begun anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from .errors import RateLimited
from .identity import PersonFields, bucket_hasher, ip_bucket
from .limiting import GuardedLimiter, seconds_left
from .model import Activity, Assurance, Captured, Charge, Definition, Person, Quota
from .ports import Appending, Backends, InProcess, SameMedium
from .recognition import Recognition
from .schema import compile_check
from .settings import Settings

#: How long an event id is remembered (contract §4, row 11), in seconds.
EVENT_ID_SECONDS = 7 * 86_400


class Receipt(NamedTuple):
    """What became of an activity that was not refused.

    ``position`` is 0 when the visitor opted out and nothing was stored; ``duplicate`` is the first
    one when the event id was journalled before; ``notes`` are for the outcome.
    """

    position: int
    activity: Activity
    duplicate: Captured | None = None
    notes: tuple[str, ...] = ()


class Prepared(NamedTuple):
    """A definition with all that can be worked out once."""

    definition: Definition
    check: Callable[[Mapping[str, Any]], dict[str, Any]]
    person_quota: Quota
    person_bucket: Callable[[str], bytes]
    ip_quota: Quota
    ip_bucket: Callable[[str], bytes]


class Storing:
    """Stores people and activities, each within its limits.

    :param secret: keys the counters.
    """

    def __init__(
        self, backends: Backends, settings: Settings, recognition: Recognition, secret: bytes
    ) -> None:
        self._backends = backends
        self._recognition = recognition
        self._max_attributes = settings.max_attributes
        self._buckets = bucket_hasher(secret)
        self._limiter = backends.limiter
        #: Watches over a limiter that can be away.
        self.guard: GuardedLimiter | None = None
        # What counts in this process, or in the journal, cannot be away alone.
        if not isinstance(backends.limiter, InProcess | SameMedium):
            self._limiter = self.guard = GuardedLimiter(backends.limiter, settings.on_limiter_error)
        self._same_medium = isinstance(backends.limiter, SameMedium)
        self._append = backends.append if isinstance(backends, Appending) else self._append_known
        self._person_quota = Quota.parse(settings.person_limit)
        self._ip_quota = Quota.parse(settings.ip_limit)
        self._new_people_quota = Quota.parse(settings.new_people_limit)
        self._new_people_bucket = self._buckets("new", "")

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

    def activity(
        self, activity: Activity, prepared: Prepared, fields: PersonFields | None, ip: str | None
    ) -> Receipt:
        """Store an activity, and the person whom ``fields`` make or change.

        :raises RateLimited: when a limit has no room.
        :raises NotIdentified: when the person is gone.
        """
        look = not self._same_medium
        return self._backends.atomically(
            lambda: self._store(activity, prepared, fields, ip, look=look)
        )

    def identified(
        self, fields: PersonFields, assurance: Assurance, ip: str | None, now: float
    ) -> tuple[Person | None, PersonFields]:
        """Find or create the person whom ``fields`` name; None when they name nobody."""
        if not self._recognition.usable(fields, assurance):
            return None, fields
        found = self._backends.people.find(fields.lookup)
        if found is None and fields.skip_non_existing:
            return None, fields
        person = found
        conflict: tuple[str, ...] = ()
        if found is not None:
            person, conflict = self._recognition.merged(found, fields, assurance, now)
        if person is None or person != found:
            person, conflict = self._backends.atomically(
                lambda: self._save(fields, assurance, ip, now)
            )
        return person, fields._replace(notes=fields.notes + conflict)

    def _save(
        self, fields: PersonFields, assurance: Assurance, ip: str | None, now: float
    ) -> tuple[Person, tuple[str, ...]]:
        """Create or update a person, run alone."""
        found = self._backends.people.find(fields.lookup)
        person, conflict = self._recognition.merged(found, fields, assurance, now)
        charges = [] if found else self._new_person(ip)
        if charges:
            self._charge(charges, ("new-people-limit",), now)
        saved = None
        try:
            saved = self._backends.people.save(person)
        finally:
            if saved is None or saved.id != person.id:
                self._limiter.release(charges, now)
        return saved, conflict

    def _store(
        self,
        activity: Activity,
        prepared: Prepared,
        fields: PersonFields | None,
        ip: str | None,
        *,
        look: bool,
    ) -> Receipt:
        """De-duplicate, charge and journal, run alone; a refusal leaves nothing behind.

        :param look: look for the event id first. In one transaction that may be left to ``append``,
            which looks as well: what does not pass so is tried again with ``look``.
        """
        people, journal = self._backends.people, self._backends.journal
        now = activity.received_at
        found = person = None
        notes: tuple[str, ...] = ()
        conflict: tuple[str, ...] = ()
        if fields is not None:
            notes = fields.notes
            found = people.find(fields.lookup)
            person, conflict = self._recognition.merged(found, fields, activity.assurance, now)
            activity = activity._replace(person_id=person.id)
        event_id, activity_id, person_id = (
            activity.event_id,
            activity.activity_id,
            activity.person_id,
        )
        # Not after somebody new is stored, who would then have to go again.
        if look or person != found:
            if fields is None:
                self._recognition.require(person_id)
            first = journal.find(person_id, activity_id, event_id, now - EVENT_ID_SECONDS)
            if first:
                return Receipt(first.position, activity, first, notes)
        charges = self._charges(activity, prepared, ip, new=person is not None and found is None)
        # The answer to somebody new must not differ from that to somebody known.
        told = charges if fields is None else charges + self._new_person(ip)
        try:
            self._charge(charges, ("person-limit", "ip-limit", "new-people-limit"), now, told)
        except RateLimited:
            if look:
                raise
            return self._store(activity, prepared, fields, ip, look=True)
        position = None
        try:
            # Another process sharing the store may have made the same person or activity, or erased
            # this person, since they were looked up: then this one starts over, and finds out.
            if person is None or person == found:
                position = self._append(activity)
            elif people.save(person).id == person_id:
                if found is None and ip is not None and not self._same_medium:
                    # Stored for good in a medium of its own, whatever becomes of the activity.
                    charges.pop()
                position = journal.append(activity)
        finally:
            if position is None:
                self._limiter.release(charges, now)
        if position is None:
            return self._store(activity, prepared, fields, ip, look=True)
        return Receipt(position, activity, None, notes + conflict)

    def _append_known(self, activity: Activity) -> int | None:
        """Journal what somebody did; None when they are not stored, or it is journalled already."""
        if not self._recognition.known(activity.person_id):
            return None
        return self._backends.journal.append(activity)

    def _charges(
        self, activity: Activity, prepared: Prepared, ip: str | None, *, new: bool
    ) -> list[Charge]:
        """What storing ``activity`` is counted as; ``new`` when its person is created with it."""
        # By assurance too: whoever claims an address must not use up its owner's verified quota.
        bucket = prepared.person_bucket(f"{activity.assurance} {activity.person_id}")
        charges = [Charge(bucket, prepared.person_quota)]
        if ip is not None:
            charges.append(Charge(prepared.ip_bucket(ip_bucket(ip)), prepared.ip_quota))
        return charges + self._new_person(ip) if new else charges

    def _new_person(self, ip: str | None) -> list[Charge]:
        """The charge for creating somebody; a caller without an address takes no quota."""
        if ip is None:
            return []
        return [Charge(self._new_people_bucket(ip_bucket(ip)), self._new_people_quota)]

    def _charge(
        self,
        charges: list[Charge],
        names: tuple[str, ...],
        now: float,
        told: list[Charge] | None = None,
    ) -> None:
        """Count all of them, or count none and refuse; ``names`` are the limits, in order.

        :param told: the charges that the public answer speaks of, when they are others.
        """
        refusal = self._limiter.acquire(charges, now)
        if refusal is not None:
            raise RateLimited(
                names[charges.index(refusal.charge)],
                quota=refusal.charge.quota,
                retry_after=refusal.retry_after,
                public_retry_after=min(
                    seconds_left(each.quota.seconds, now) for each in told or charges
                ),
            )
