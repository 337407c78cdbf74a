"""The pipeline decides who did what, and whether it may be stored.

The law of this file: it decides, in the order of the contract, and does nothing else. It knows no
framework and no backend; time, ids and bytes come from outside. Every request that enters leaves
with exactly one outcome.

Read ``_activity`` aloud and you have the contract's rows 7 to 14.
"""

from __future__ import annotations

import json
import logging
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from secrets import token_bytes
from typing import Any

from . import privacy
from .errors import (
    BackendError,
    BadOrigin,
    CaptureWarning,
    InvalidAttributes,
    NotIdentified,
    Refused,
    UnknownActivity,
    UnknownSource,
)
from .identity import (
    Tokens,
    identity_fields,
    person_fields,
    random_id,
)
from .model import (
    MAX_ID,
    Activity,
    Captured,
    Erased,
    Identified,
    Outcome,
    Person,
)
from .ports import Backends, Retaining, SecretKeeping
from .recognition import Recognition
from .settings import MIN_SECRET, Settings
from .storing import Prepared, Receipt, Storing
from .wire import (
    ActivityRequest,
    TrackRequest,
    activity_request,
    checked,
    track_request,
)

_log = logging.getLogger("ortto_capture")

#: Seconds between two looks for what is too old to be kept, and between two batches of it.
RETAIN_EVERY, RETAIN_AGAIN = 60, 1
#: Compact JSON is at most this many times longer than what was parsed: ``9e15`` (4 characters) is
#: written ``9000000000000000.0`` (18), and nothing grows more.
JSON_GROWTH = 5


class Capture:
    """One account: its definitions, people, counters and journal, and the rules between them.

    :param backends: where everything is kept; see :func:`~ortto_capture.open_backends`.
    :param settings: see :class:`Settings`.
    :param clock: returns epoch seconds.
    :param new_id: returns a fresh person or event id: 1 to 64 of ``A-Z a-z 0-9 _ -``.
    """

    def __init__(
        self,
        *,
        backends: Backends,
        settings: Settings | None = None,
        clock: Callable[[], float] = time.time,
        new_id: Callable[[], str] = random_id,
    ) -> None:
        self.backends = backends
        self.settings = settings = settings or Settings()
        self._clock = clock
        self._new_id = new_id
        keys = settings.secrets or (_secret(backends),)
        self._tokens = Tokens(keys, settings.session_days * 86_400)
        self._recognition = Recognition(backends.people, self._tokens, settings, new_id)
        # The oldest key, so that processes with the old list and the new one count together while
        # keys are being rotated.
        self._storing = Storing(backends, settings, self._recognition, keys[-1])
        self._retaining = backends if isinstance(backends, Retaining) else None
        #: When old things were removed last, and when that is due again.
        self._retained_at = self._retain_at = 0.0
        self._prepared: dict[str, Prepared] = {}
        #: What an operator should mend, by name: ``behind-proxy``. The activity page has the words.
        self.warnings: list[str] = []
        self._untold: tuple[str, ...] = ()

    # -- from Python

    def identify(
        self,
        *,
        email: str | None = None,
        ei: str | int | None = None,
        first: str | None = None,
        last: str | None = None,
        ac: Sequence[Mapping[str, Any]] | None = None,
        skip_non_existing: bool = False,
        identity: str | None = None,
        session: str | None = None,
        ip: str | None = None,
    ) -> Identified:
        """Find or create a person, as ``ap3c.track`` does.

        :param ac: custom fields as identifiers, ``[{"fi": "str:cm:customer-id", "v": "1234"}]``.
        :param identity: a token of :meth:`sign_identity`.
        :param session: the visitor's present session, kept when there is no identity.
        :param ip: the visitor's address; None takes no quota.
        :raises Refused: the subclass says what was wrong.
        :raises BackendError: nothing was stored.
        """
        members = {
            "email": email,
            "ei": ei,
            "first": first,
            "last": last,
            "ac": None if ac is None else [_plain(field) for field in ac],
            "skipNonExisting": skip_non_existing,
            "identity": identity,
            "session": session,
        }
        return self.receive_track(lambda: track_request(checked(members)), lambda: ip, host=True)

    def record(
        self,
        session: str | None,
        activity_id: str,
        attributes: Mapping[str, Any] | None = None,
        *,
        ip: str | None = None,
        event_id: str | None = None,
        age: float = 0,
        person: Mapping[str, Any] | None = None,
        identity: str | None = None,
        gpc: bool = False,
    ) -> Captured:
        """Record one activity, as ``ap3c.activity`` does.

        :param session: the token of :meth:`identify`.
        :param ip: the visitor's address; None takes no IP quota.
        :param event_id: makes a repetition harmless: it returns the first, ``duplicate`` set.
        :param age: milliseconds since it happened, 0 to 7 days.
        :param person: members of ``track``, used when there is no valid session.
        :raises Refused: the subclass says which check failed.
        :raises BackendError: nothing was stored.
        """
        members = {
            "session": session,
            "activity_id": activity_id,
            "attributes": _plain(attributes),
            "event_id": event_id,
            "age": age,
            "person": _plain(person),
            "identity": identity,
            "gpc": gpc,
        }
        receipt = self.receive_activity(
            lambda: activity_request(checked(members)), lambda: ip, host=True
        )
        if receipt.duplicate is not None:
            return receipt.duplicate._replace(duplicate=True)
        return Captured.at(receipt.position or 0, receipt.activity)

    def sign_identity(
        self, email: str | None = None, *, ei: str | int | None = None, max_age: int = 300
    ) -> str:
        """Vouch for a visitor who is logged in: a token the page passes on as ``identity``.

        :param ei: the external id, when the host knows people by one.
        :param max_age: seconds it is good for, at most a day.
        :raises ConfigurationError: when there is nothing valid to sign.
        """
        identifiers = identity_fields(email, ei, max_age)
        return self._tokens.identity(identifiers, self._clock() + max_age)

    def person(self, email: str | None = None, *, ei: str | int | None = None) -> Person | None:
        """Look a person up, by address as people write it or by external id.

        :raises MalformedRequest: when it cannot be one.
        """
        members = {"email": email, "ei": ei}
        return self.backends.people.find(person_fields(checked(members), ()).lookup)

    def export(
        self, email: str | None = None, *, ei: str | int | None = None
    ) -> dict[str, Any] | None:
        """Everything that is kept about a person, as plain JSON types; None for nobody.

        :raises ConfigurationError: when the journal cannot be read by person.
        """
        person = self.person(email, ei=ei)
        return privacy.export(self.backends, person) if person else None

    def erase(self, email: str | None = None, *, ei: str | int | None = None) -> Erased | None:
        """Erase a person, all they did and all that was counted for them; None for nobody.

        Identifying them later makes somebody new.

        :raises ConfigurationError: when one of the ports cannot erase.
        :raises BackendError: it was not done, or will be when the store is opened again.
        """
        person = self.person(email, ei=ei)
        if person is None:
            return None

        return privacy.erase(self.backends, person.id, partial(self._storing.counters, person.id))

    # -- from the edge

    def receive_track(
        self,
        parse: Callable[[], TrackRequest],
        ip: Callable[[], str | None],
        origin: str | None = None,
        gpc: bool = False,
        host: bool = False,
    ) -> Identified:
        """Take one ``track`` request; what ``parse`` refuses is accounted for as well.

        :param ip: tells the visitor's address.
        :param origin: the ``Origin`` header, when there was one.
        :param gpc: whether the visitor signals Global Privacy Control.
        :param host: the caller is this process itself and needs no capture key.
        """
        request = None
        try:
            request = parse()
            return self._track(request, ip(), origin, gpc, host)
        except Exception as error:
            self._failed("track", error, request)
            raise

    def receive_activity(
        self,
        parse: Callable[[], ActivityRequest],
        ip: Callable[[], str | None],
        origin: str | None = None,
        gpc: bool = False,
        host: bool = False,
    ) -> Receipt:
        """Take one ``activity`` request; parameters as for :meth:`receive_track`."""
        request = None
        try:
            request = parse()
            return self._activity(request, ip(), origin, gpc, host)
        except Exception as error:
            self._failed("activity", error, request)
            raise

    def warn(self, name: str) -> None:
        """Show the operator a warning, on the activity page and as a note of the next outcome."""
        self.warnings.append(name)
        self._untold += (name,)

    # -- the pipeline

    def _activity(
        self, request: ActivityRequest, ip: str | None, origin: str | None, gpc: bool, host: bool
    ) -> Receipt:
        now = self._clock()
        source = self._source(request.key, origin, host)  # row 7
        prepared = self._definition(request.activity_id)  # row 8
        person_id, assurance, fields = self._recognition.of_activity(request, now)  # row 9
        try:
            activity = Activity(
                request.event_id or self._new_id(),
                request.activity_id,
                person_id,
                self._attributes(prepared, request),  # row 10
                source,
                assurance,
                now - request.age,
                now,
                gpc or request.gpc,
            )
            if activity.gpc and self.settings.gpc == "drop":
                if fields is None:
                    self._recognition.require(person_id)
                receipt = Receipt(0, activity, None, fields.notes if fields else ())
            else:
                receipt = self._storing.activity(activity, prepared, fields, ip)  # rows 11 to 13
        except Refused as refused:
            if isinstance(refused, InvalidAttributes) and fields is None:
                self._recognition.require(person_id)  # row 9 comes first
            # Whoever is gone may have been erased: nothing is kept of them again.
            if not isinstance(refused, NotIdentified):
                refused.person_id = person_id or None
            raise
        position, activity, duplicate, notes = receipt
        code = "duplicate" if duplicate else "accepted" if position else "opted-out"
        notes = request.dropped + notes
        who = activity.person_id
        self._note(Outcome(code, now, "activity", "", activity.activity_id, who, notes=notes))
        if self._retaining is not None and not self._retained_at <= now < self._retain_at:
            self._retain(self._retaining, now)
        return receipt  # row 14

    def _track(
        self, request: TrackRequest, ip: str | None, origin: str | None, gpc: bool, host: bool
    ) -> Identified:
        now = self._clock()
        self._source(request.key, origin, host)
        fields = person_fields(request.members, self.settings.merge_keys)
        fields, assurance = self._recognition.vouched(fields, fields.identity, now)
        person = None
        if not (self.settings.gpc == "drop" and (gpc or request.gpc)):
            person, fields = self._storing.identified(fields, assurance, ip, now)
        if person is None:
            answer = self._recognition.kept(request.session, now)
        else:
            answer = Identified(self._tokens.session(person.id, assurance, now), True)
        code = "identified" if answer.identified else "anonymous"
        notes = request.dropped + fields.notes
        who = person.id if person else None
        self._note(Outcome(code, now, "track", person_id=who, notes=notes))
        return answer

    # -- row 7: the source

    def _source(self, key: str | None, origin: str | None, host: bool) -> str:
        """The capture key to store beside the activity."""
        sources = self.settings.sources
        if not sources or (host and key is None):
            return key if key is not None and len(key) <= MAX_ID else ""
        source = sources.get(key or "")
        if source is None:
            raise UnknownSource("unknown-key")
        # A missing Origin passes: browsers send it with every cross-origin POST, other programs
        # can forge it anyway.
        if source.origins and origin and origin not in source.origins:
            raise BadOrigin("bad-origin")
        return key or ""

    # -- row 8: the definition

    def _definition(self, activity_id: str) -> Prepared:
        definition = self.backends.definitions.get(activity_id)
        if definition is None:
            system = activity_id.startswith("act::")
            raise UnknownActivity("system-id" if system else "unknown-activity")
        if definition.archived:
            raise UnknownActivity("archived")
        if not definition.client_side:
            raise UnknownActivity("disabled")
        prepared = self._prepared.get(activity_id)
        if prepared is None or (
            prepared.definition is not definition and prepared.definition != definition
        ):
            prepared = self._prepared[activity_id] = self._storing.prepare(definition)
        return prepared

    # -- row 10: the attributes

    def _attributes(self, prepared: Prepared, request: ActivityRequest) -> dict[str, Any]:
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

    # -- afterwards

    def _retain(self, backends: Retaining, now: float) -> None:
        """Remove a batch of what is too old: every second while there is more, else every minute.

        With the activity of somebody who waits for it a few milliseconds longer, and no thread.
        """
        settings = self.settings
        self._retained_at = now
        self._retain_at = now + RETAIN_AGAIN
        try:
            more = backends.retain(
                now - settings.retain_activities_days * 86_400,
                now - settings.retain_idle_people_days * 86_400,
            )
        except BackendError as error:
            # The activity is stored, and the next one tries again.
            _log.error("nothing old could be removed: %s", error)
        else:
            self._retain_at = now + (RETAIN_AGAIN if more else RETAIN_EVERY)

    def _failed(self, route: str, error: Exception, request: object) -> None:
        """Account for a request that ended in ``error``."""
        activity_id = getattr(request, "activity_id", None)
        self._note(
            Outcome(
                getattr(error, "code", "internal"),
                self._clock(),
                route,
                getattr(error, "reason", "") or type(error).__name__,
                activity_id[:MAX_ID] if activity_id else None,
                getattr(error, "person_id", None),
                getattr(error, "field", None),
                getattr(error, "expected", None),
                getattr(request, "dropped", ()),
            )
        )

    def _note(self, outcome: Outcome) -> None:
        if self._storing.guard is not None and self._storing.guard.away:
            outcome = outcome._replace(notes=(*outcome.notes, "limited-locally"))
        if self._untold:
            outcome = outcome._replace(notes=outcome.notes + self._untold)
            self._untold = ()
        if self.backends.outcomes is not None:
            try:
                self.backends.outcomes.note(outcome)
            except Exception as error:  # noqa: BLE001  # the answer is already decided
                _log.error("an outcome is lost: %s", type(error).__name__)


def _secret(backends: Backends) -> bytes:
    """The key to sign with when none was configured."""
    if isinstance(backends, SecretKeeping):
        return backends.secret()
    warnings.warn(
        "no secret_keys: a random key was made for this process. Sessions end when it stops, and "
        "other processes refuse its sessions and count apart. Set Settings(secret_keys=[...]) to "
        "keep them.",
        CaptureWarning,
        # The line that built Capture.
        stacklevel=3,
    )
    return token_bytes(MIN_SECRET)


def _plain(value: Any) -> Any:
    """Any mapping as a dict, which is what JSON would have made of it."""
    return dict(value) if isinstance(value, Mapping) else value


def _json_size(value: Any) -> int:
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())
