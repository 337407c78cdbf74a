"""The pipeline decides who did what, and whether it may be stored.

The law of this file: it decides, in the order of the contract, and does nothing else. It knows no
framework and no backend; time, ids and bytes come from outside. Every request that enters leaves
with exactly one outcome, which its :class:`Attempt` notes.

Read ``Attempt.record`` aloud and you have the contract's rows 7 to 14.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from .errors import (
    BackendError,
    BadOrigin,
    InvalidAttributes,
    NeedsVerified,
    Refused,
    UnknownActivity,
    UnknownSource,
)
from .identity import Identity, Tokens, person_fields
from .intake import Intake, Prepared
from .model import MAX_ID, Activity, Captured, Identified, Outcome
from .ports import Backends
from .recognition import Host, Recognition, Visitor
from .settings import Settings
from .subscribers import Subscribers
from .wire import ActivityRequest, TrackRequest

_log = logging.getLogger("ortto_capture")

DAY = 86_400
#: Seconds between two looks for what is too old to be kept, and between two batches of it.
RETAIN_EVERY, RETAIN_AGAIN = 60, 1
#: Notes that one outcome carries for others.
MAX_UNTOLD = 20
#: Compact JSON is at most this many times longer than what was parsed: ``9e15`` (4 characters) is
#: written ``9000000000000000.0`` (18), and nothing grows more.
JSON_GROWTH = 5


class Pipeline:
    """The parts that a request passes, in the order of the contract's rows.

    :param clock: returns epoch seconds.
    :param new_id: returns a fresh person or event id.
    :param keys: signing keys, newest first.
    """

    def __init__(
        self,
        backends: Backends,
        settings: Settings,
        clock: Callable[[], float],
        new_id: Callable[[], str],
        keys: tuple[bytes, ...],
    ) -> None:
        self.backends = backends
        self.settings = settings
        self.new_id = new_id
        self.clock = clock
        self.tokens = Tokens(keys, settings.session_days * DAY)
        self.recognition = Recognition(backends.people, self.tokens, settings, new_id)
        # Keyed by the oldest, so that processes with the old list of keys and processes with the
        # new one count together while keys are being rotated.
        self.intake = Intake(backends, settings, self.recognition, keys[-1])
        # A clock given from outside, as tests do, has no other clock to bear it out.
        monotonic = time.monotonic if clock is time.time else None
        self.retention = Retention(backends, settings, clock, monotonic)
        self.subscribers = Subscribers(self.tell)
        self._prepared: dict[str, Prepared] = {}
        self._untold: tuple[str, ...] = ()

    def source(self, key: str | None, origin: str | None) -> str:
        """Row 7: the capture key to store beside the activity."""
        sources = self.settings.sources
        if not sources:
            return key if key is not None and len(key) <= MAX_ID else ""
        source = sources.get(key or "")
        if source is None:
            raise UnknownSource("unknown-key")
        # A missing Origin passes: browsers send it with every cross-origin POST, other programs
        # can forge it anyway.
        if source.origins and origin and origin not in source.origins:
            raise BadOrigin("bad-origin")
        return key or ""

    def definition(self, activity_id: str, *, by_host: bool = False) -> Prepared:
        """Row 8: the definition, when websites may send it, or the host reports it itself."""
        definition = self.backends.definitions.get(activity_id)
        if definition is None:
            system = activity_id.startswith("act::")
            raise UnknownActivity("system-id" if system else "unknown-activity")
        if definition.archived:
            raise UnknownActivity("archived")
        if not (definition.client_side or by_host):
            raise UnknownActivity("disabled")
        prepared = self._prepared.get(activity_id)
        if prepared is None or (
            prepared.definition is not definition and prepared.definition != definition
        ):
            prepared = self._prepared[activity_id] = self.intake.prepare(definition)
        return prepared

    def attributes(self, prepared: Prepared, request: ActivityRequest) -> dict[str, Any]:
        """Row 10: the attributes, as they are stored."""
        attributes = prepared.check(request.attributes)
        most = self.settings.max_activity_bytes
        # Most bodies are so small that their attributes cannot be too large: no need to measure.
        if (request.size is None or request.size * JSON_GROWTH > most) and _json_size(
            attributes
        ) > most:
            raise InvalidAttributes(
                "too-large", expected=f"attributes of at most {most} bytes as compact JSON"
            )
        return attributes

    def tell(self, name: str) -> None:
        """Have the next outcome carry the note ``name``."""
        self._untold += (name,)

    def note(self, outcome: Outcome) -> None:
        """Account for one request. Its answer is decided: a backend's fault is only logged."""
        notes = outcome.notes
        if self.intake.guard is not None and self.intake.guard.away:
            notes += ("limited-locally",)
        if self._untold:
            # A few at a time: one visitor's outcome is not to carry those of a whole night.
            notes += self._untold[:MAX_UNTOLD]
            self._untold = self._untold[MAX_UNTOLD:]
        if notes is not outcome.notes:
            outcome = outcome._replace(notes=notes)
        if self.backends.outcomes is not None:
            try:
                self.backends.outcomes.note(outcome)
            except BackendError as error:
                _log.error("an outcome is lost: %s", error, extra={"event": "outcome-lost"})


class Attempt:
    """One request, from before it is read until it is accounted for: a context manager.

    Read the request within the block, then hand it to :meth:`record` or :meth:`identify`. When the
    block ends, however it ends, one outcome is noted.
    """

    __slots__ = ("_outcome", "_pipeline", "_request", "_route")

    def __init__(self, pipeline: Pipeline, route: str) -> None:
        self._pipeline = pipeline
        self._route = route
        self._outcome: Outcome | None = None
        self._request: ActivityRequest | TrackRequest | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(error, Exception):
            self._pipeline.note(self._failed(error))
        elif self._outcome is not None:
            self._pipeline.note(self._outcome)

    def _failed(self, error: Exception) -> Outcome:
        request = self._request
        activity_id = request.activity_id if isinstance(request, ActivityRequest) else None
        outcome = Outcome(
            error.code if isinstance(error, Refused | BackendError) else "internal",
            self._pipeline.clock(),
            self._route,
            type(error).__name__,
            activity_id[:MAX_ID] if activity_id else None,
            notes=request.dropped if request is not None else (),
        )
        if isinstance(error, Refused):
            outcome = outcome._replace(
                reason=error.reason,
                person_id=error.person_id,
                field=error.field,
                expected=error.expected,
            )
        return outcome

    def record(
        self,
        request: ActivityRequest,
        *,
        ip: str | None,
        origin: str | None = None,
        gpc: bool = False,
        source: str | None = None,
        host: Host = None,
    ) -> Captured:
        """Take one ``activity`` request (contract §4, rows 7 to 14).

        :param ip: the visitor's address; None takes no IP quota.
        :param origin: the ``Origin`` header, when there was one.
        :param gpc: whether the visitor signals Global Privacy Control.
        :param source: what to store instead of the request's capture key, unchecked.
        :param host: asks the host who is signed in; not called where that does not matter.
        :raises Refused: the subclass says which check failed.
        :raises BackendError: nothing was stored.
        """
        self._request = request
        pipeline = self._pipeline
        now = pipeline.clock() * 1000 // 1 / 1000  # whole milliseconds
        if source is None:
            source = pipeline.source(request.key, origin)  # row 7
        prepared = pipeline.definition(request.activity_id)  # row 8
        proof = prepared.definition.needs == "verified"
        visitor = pipeline.recognition.visitor(request, now, host, proof=proof)  # row 9
        at = round(now - request.age, 3) if request.age else now
        return self._store(request, prepared, visitor, now, at, ip, source, gpc=gpc)

    def record_for(
        self, request: ActivityRequest, identity: Identity | None, at: float | None
    ) -> Captured:
        """Take the host's own word for an activity (contract §4, ``record_for``).

        :param identity: who did it; None for the visitor whose session the request carries.
        :param at: when, in epoch seconds; None and what is later than now are now.
        :raises Refused: the subclass says which check failed.
        :raises BackendError: nothing was stored.
        """
        self._request = request
        pipeline = self._pipeline
        now = pipeline.clock() * 1000 // 1 / 1000  # whole milliseconds
        prepared = pipeline.definition(request.activity_id, by_host=True)  # row 8
        if identity is not None:
            visitor = pipeline.recognition.named(identity)
        else:
            visitor = pipeline.recognition.visitor(request, now)
        at = now if at is None else min(round(at, 3), now)
        return self._store(request, prepared, visitor, now, at, None, "server", limited=False)

    def _store(
        self,
        request: ActivityRequest,
        prepared: Prepared,
        visitor: Visitor,
        now: float,
        at: float,
        ip: str | None,
        source: str,
        *,
        gpc: bool = False,
        limited: bool = True,
    ) -> Captured:
        """Rows 10 to 14, and what row 9 knows only of a visitor and a definition together."""
        pipeline = self._pipeline
        person, assurance, fields = visitor
        person_id = person.id if person is not None else ""
        try:
            if prepared.definition.needs == "verified" and assurance != "verified":
                raise NeedsVerified
            activity = Activity(
                request.event_id or pipeline.new_id(),
                request.activity_id,
                person_id,
                pipeline.attributes(prepared, request),  # row 10
                source,
                assurance,
                at,
                now,
                gpc or request.gpc,
            )
            if activity.gpc and pipeline.settings.gpc == "drop":
                captured, notes = Captured(0, "", activity), fields.notes if fields else ()
            else:  # rows 11 to 13
                captured, notes = pipeline.intake.activity(
                    activity, prepared, visitor, ip, limited=limited
                )
        except Refused as refused:
            # A person who is gone may have been erased: nothing is kept of them again.
            if refused.reason != "person-gone":
                refused.person_id = person_id or None
            raise
        position, _, (_, activity_id, person_id, *_), duplicate = captured
        code = "duplicate" if duplicate else "accepted" if position else "opted-out"
        notes += request.dropped
        self._outcome = Outcome(
            code, now, "activity", "", activity_id, person_id or None, None, None, notes
        )
        if code == "accepted":
            pipeline.subscribers.tell(captured)
            # What was stored before it is what the clock is compared with.
            pipeline.retention.look(now)
        return captured  # row 14

    def identify(
        self,
        request: TrackRequest,
        *,
        ip: str | None,
        origin: str | None = None,
        gpc: bool = False,
        source: str | None = None,
        host: Host = None,
    ) -> Identified:
        """Take one ``track`` request; parameters and errors as for :meth:`record`."""
        self._request = request
        pipeline = self._pipeline
        now = pipeline.clock() * 1000 // 1 / 1000  # whole milliseconds
        if source is None:
            pipeline.source(request.key, origin)
        fields = person_fields(request.members, pipeline.settings.merge_keys)
        if not fields.identifiers and pipeline.recognition.kept(request.session, now).identified:
            # It is about the session's person, and another one may have signed in since.
            host = None
        fields, assurance = pipeline.recognition.vouched(fields, fields.identity, now, host)
        person, notes = None, fields.notes
        if not (pipeline.settings.gpc == "drop" and (gpc or request.gpc)):
            person, notes = pipeline.intake.identified(fields, assurance, ip, now)
        if person is None:
            answer = pipeline.recognition.kept(request.session, now)
        else:
            answer = Identified(pipeline.tokens.session(person.id, assurance, now), True)
        code = "identified" if answer.identified else "anonymous"
        person_id = person.id if person is not None else None
        self._outcome = Outcome(
            code, now, "track", person_id=person_id, notes=notes + request.dropped
        )
        return answer


class Retention:
    """Removes what is too old: with an activity now and then, and without a thread.

    A visitor waits for it a few milliseconds longer, once a minute, or once a second while there is
    more to remove. One reading of a clock is never trusted (contract §7): a clock that is ahead
    would have everything removed.
    """

    def __init__(
        self,
        backends: Backends,
        settings: Settings,
        clock: Callable[[], float],
        monotonic: Callable[[], float] | None,
    ) -> None:
        self._backends = backends
        self._activities = settings.retain_activities_days * DAY
        self._people = settings.retain_idle_people_days * DAY
        self._monotonic = monotonic
        self._started = clock()
        self._started_monotonic = monotonic() if monotonic is not None else 0.0
        #: When old things were removed last, and when that is due again.
        self._done_at = self._due_at = 0.0
        self._said = False

    def look(self, now: float) -> None:
        """Remove a batch of what is too old, when due; an activity was stored at ``now``."""
        # A clock that was set back must not put this off until it has caught up.
        if self._done_at <= now < self._due_at:
            return
        self._done_at = now
        self._due_at = now + RETAIN_AGAIN
        try:
            if self._trusted(now):
                more = self._backends.retain(now - self._activities, now - self._people)
                self._due_at = now + (RETAIN_AGAIN if more else RETAIN_EVERY)
        except BackendError as error:
            # The activity is stored, and the next one tries again.
            _log.error(
                "nothing old could be removed: %s", error, extra={"event": "retention-failed"}
            )

    def _trusted(self, now: float) -> bool:
        """Whether another witness bears out what the clock says, to within a day.

        That is the newest activity before this one or, for the time that this process has run, the
        monotonic clock, which is not set.
        """
        latest = self._backends.journal.latest(2)
        before = latest[0].activity.received_at if len(latest) > 1 else now
        believed = now - before <= DAY
        if self._monotonic is not None:
            ran = self._monotonic() - self._started_monotonic
            possible = now - self._started <= ran + DAY
            believed = possible and (believed or self._started <= before)
        if believed:
            self._said = False
            return True
        if not self._said:
            self._said = True
            _log.warning(
                "nothing old is removed, because nothing bears out that the newest activity before "
                "this one was %.1f days ago: if the clock is right, a later activity goes on, or "
                "restart this process; else set the clock",
                (now - before) / DAY,
                extra={"event": "clock-doubted"},
            )
        return False


def _json_size(value: Any) -> int:
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())
