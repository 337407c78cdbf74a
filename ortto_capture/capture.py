"""One account, as a program uses it: the pipeline from Python, and people's rights.

The law of this file: what a program can do with an account is here, and the order of the checks is
not: that is the pipeline's, the same for HTTP and for Python.
"""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from functools import cached_property, partial
from secrets import token_bytes
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from . import privacy
from .activity_type import ActivityType
from .arguments import identity_of, plain, reported, seconds_of
from .errors import BackendError, CaptureWarning, ConfigurationError, NotIdentified, Refused
from .explanation import Explanation, explain
from .identity import MAX_IDENTITY_AGE, Identity, person_fields, random_id
from .intake import Intake
from .model import Captured, Erased, Identified, Person
from .pipeline import Attempt, Pipeline
from .ports import Backends
from .settings import MIN_SECRET, Settings
from .subscribers import Subscriber
from .wire import activity_request, checked, track_request

if TYPE_CHECKING:
    from .reports import Audiences, Reports

S = TypeVar("S", bound=Subscriber)

_log = logging.getLogger("ortto_capture")


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
        #: Returns epoch seconds.
        self.clock = clock
        keys = settings.secrets or (_secret(backends),)
        self._pipeline = Pipeline(backends, settings, clock, new_id, keys)
        #: What an operator should mend, by name: ``behind-proxy``. The console has the words.
        self.warnings: list[str] = []

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
            "ac": None if ac is None else [plain(field) for field in ac],
            "skipNonExisting": skip_non_existing,
            "identity": identity,
            "session": session,
        }
        with self.accounted("track") as attempt:
            return attempt.identify(track_request(checked(members)), ip=ip, source="")

    def record(
        self,
        session: str | None,
        activity_id: str | ActivityType,
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
        :param activity_id: the id, or an :class:`ActivityType` with its attributes.
        :param ip: the visitor's address; None takes no IP quota.
        :param event_id: makes a repetition harmless: it returns the first, ``duplicate`` set.
        :param age: milliseconds since it happened, 0 to 7 days.
        :param person: members of ``track``, used when there is no valid session.
        :raises Refused: the subclass says which check failed.
        :raises BackendError: nothing was stored.
        """
        activity_id, attributes = reported(activity_id, attributes)
        members = {
            "session": session,
            "activity_id": activity_id,
            "attributes": attributes,
            "event_id": event_id,
            "age": age,
            "person": plain(person),
            "identity": identity,
            "gpc": gpc,
        }
        with self.accounted("activity") as attempt:
            return attempt.record(activity_request(checked(members)), ip=ip, source="")

    def record_for(
        self,
        activity_id: str | ActivityType,
        attributes: Mapping[str, Any] | None = None,
        *,
        email: str | None = None,
        ei: str | int | None = None,
        session: str | None = None,
        event_id: str | None = None,
        at: datetime | float | None = None,
        on_refused: Literal["raise", "log"] = "raise",
    ) -> Captured | None:
        """Record one activity on the host's own word: an order was paid, a refund was made.

        The activity need not be on for websites, and no limit is taken. Its source is ``server``.
        The person is found or created, and verified, when named by ``email`` or ``ei``.

        :param activity_id: the id, or an :class:`ActivityType` with its attributes.
        :param session: the visitor's session token, where the host knows no more; the activity has
            the assurance of that session. A visitor who can have the host do this can do it any
            number of times.
        :param event_id: makes a repetition harmless: it returns the first, ``duplicate`` set.
        :param at: when it happened, as an aware ``datetime`` or in epoch seconds; now when left
            out, and what is later than now counts as now.
        :param on_refused: ``"log"`` writes to the log what would be raised and returns None, so
            that a checkout goes on.
        :raises Refused: the subclass says which check failed.
        :raises BackendError: nothing was stored.
        """
        activity_id, attributes = reported(activity_id, attributes)
        try:
            with self.accounted("activity") as attempt:
                identity = identity_of(email, ei)
                members = {
                    "activity_id": activity_id,
                    "attributes": attributes,
                    "event_id": event_id,
                    "session": session if identity is None else None,
                }
                request = activity_request(checked(members))
                moment = None if at is None else seconds_of(at)
                return attempt.record_for(request, identity, moment)
        except (Refused, BackendError) as error:
            if on_refused != "log":
                raise
            _log.log(
                _level(error),
                "%s was not recorded: %s",
                activity_id,
                error,
                extra={"event": "not-recorded", "activity_id": activity_id, "code": error.code},
            )
            return None

    async def arecord(
        self,
        activity_id: str | ActivityType,
        attributes: Mapping[str, Any] | None = None,
        *,
        email: str | None = None,
        ei: str | int | None = None,
        session: str | None = None,
        event_id: str | None = None,
        at: datetime | float | None = None,
        on_refused: Literal["raise", "log"] = "raise",
    ) -> Captured | None:
        """Do as :meth:`record_for` in a worker thread, so that no event loop waits for storage."""
        # Imported on use: it takes 30 ms, which programs without coroutines need not spend.
        import asyncio

        record = partial(self.record_for, email=email, ei=ei, session=session, event_id=event_id)
        return await asyncio.to_thread(
            record, activity_id, attributes, at=at, on_refused=on_refused
        )

    def explain(
        self,
        activity_id: str | ActivityType,
        attributes: Mapping[str, Any] | None = None,
        *,
        email: str | None = None,
        ei: str | int | None = None,
        verified: bool = False,
        session: str | None = None,
        identity: str | None = None,
        ip: str | None = None,
        key: str | None = None,
        origin: str | None = None,
        event_id: str | None = None,
    ) -> Explanation:
        """Say what would become of an activity that a page sends, and change nothing.

        :param email: with ``ei`` who the page says the visitor is; see ``verified``.
        :param verified: that person is signed in at the host.
        :param ip: the visitor's address; None looks at no IP limit.
        :param key: the capture key, and ``origin`` the ``Origin`` header, where sources are set.
        :raises MalformedRequest: when it is no request at all: an ``event_id`` with a blank in it.
        :raises BackendError: something could not be read.
        """
        activity_id, attributes = reported(activity_id, attributes)
        login = identity_of(email, ei) if verified else None
        members = {
            "key": key,
            "session": session,
            "identity": identity,
            "activity_id": activity_id,
            "attributes": attributes,
            "event_id": event_id,
            "person": None if email is None and ei is None else {"email": email, "ei": ei},
        }
        return explain(self._pipeline, activity_request(checked(members)), login, ip, origin)

    def subscribe(self, subscriber: S, activity: str | Collection[str] | None = None) -> S:
        """Have ``subscriber(captured)`` called for each activity, after it is stored.

        It is called in one worker thread of this process, one activity after the other, and never
        keeps a visitor waiting. Those of several threads may come in another order than they are
        stored in: ``position`` says which. What it raises is logged and counted as the note
        ``subscriber-failed``. At most 1,000 activities wait; one more is not told of, and counted
        as ``subscriber-missed``. A program that must miss none reads ``Journal.after``.

        :param activity: an activity id, or several; all when left out.
        :returns: ``subscriber``, so that this is a decorator, too.
        """
        self._pipeline.subscribers.add(subscriber, activity)
        return subscriber

    def flush(self, timeout: float = 5.0) -> bool:
        """Wait until subscribers have been told of all that is stored by now.

        :param timeout: seconds.
        :returns: False when that took longer.
        """
        return self._pipeline.subscribers.flush(timeout)

    @cached_property
    def reports(self) -> Reports:
        """Questions about activities and people, asked and saved."""
        # Imported on use: a server that only captures need not read questions.
        from .reports import Reports

        zone = self.settings.time_zone
        return Reports(self.backends, self.audiences, zone, self._pipeline.clock)

    @cached_property
    def audiences(self) -> Audiences:
        """Conditions on people, saved by name."""
        from .reports import Audiences

        return Audiences(self.backends, self._pipeline.clock)

    def sign_identity(
        self, email: str | None = None, *, ei: str | int | None = None, max_age: int = 300
    ) -> str:
        """Vouch for a visitor who is logged in: a token the page passes on as ``identity``.

        :param ei: the external id, when the host knows people by one.
        :param max_age: seconds it is good for, at most a day.
        :raises ConfigurationError: when there is nothing valid to sign, or for too long.
        """
        identity = Identity(email, ei=ei)
        if not 0 < max_age <= MAX_IDENTITY_AGE:
            raise ConfigurationError("max_age", f"give 1 to {MAX_IDENTITY_AGE} seconds")
        return self._pipeline.tokens.identity(identity, self._pipeline.clock() + max_age)

    def operator_token(self, max_age: int = 300) -> str:
        """Prove to the endpoint, for so many seconds, that one has the signing key."""
        return self._pipeline.tokens.operator(self._pipeline.clock() + max_age)

    def is_operator(self, token: str) -> bool:
        """Tell whether :meth:`operator_token` made this, and it is still good."""
        return self._pipeline.tokens.is_operator(token, self._pipeline.clock())

    def person(self, email: str | None = None, *, ei: str | int | None = None) -> Person | None:
        """Look a person up, by address as people write it or by external id.

        :raises MalformedRequest: when it cannot be one.
        """
        members = {"email": email, "ei": ei}
        return self.backends.people.find(person_fields(checked(members), ()).lookup)

    def export(
        self, email: str | None = None, *, ei: str | int | None = None
    ) -> dict[str, Any] | None:
        """Everything that is kept about a person, as plain JSON types; None for an unknown one.

        That is ``{"person": …, "activities": […], "refusals": […], "passed": […]}``; the last
        are repetitions and identifications, of which only the latest are kept.
        """
        person = self.person(email, ei=ei)
        return privacy.export(self.backends, person) if person else None

    def erase(self, email: str | None = None, *, ei: str | int | None = None) -> Erased | None:
        """Erase a person, all they did and all that was counted for them; None for an unknown one.

        Identifying them later makes a new person.

        :raises BackendError: it was not done, or will be when the store is opened again.
        """
        person = self.person(email, ei=ei)
        if person is None:
            return None
        return self.intake.erase(person.id)

    # -- for the edge

    @property
    def intake(self) -> Intake:
        """What stores, counts and erases."""
        return self._pipeline.intake

    def accounted(self, route: str) -> Attempt:
        """Account for one request, to be read and taken within ``with``; see :class:`Attempt`.

        :param route: ``track`` or ``activity``.
        """
        return Attempt(self._pipeline, route)

    def warn(self, name: str) -> None:
        """Show the operator a warning, in the console and as a note of the next outcome."""
        self.warnings.append(name)
        self._pipeline.tell(name)


def _level(error: Refused | BackendError) -> int:
    """How bad it is that the host's own word was not recorded."""
    if isinstance(error, BackendError):
        return logging.ERROR
    # A visitor whom the page never identified has paid, too.
    return logging.INFO if error.code == NotIdentified.code else logging.WARNING


def _secret(backends: Backends) -> bytes:
    """The key to sign with when none was configured."""
    secret = backends.secret()
    if secret is not None:
        return secret
    warnings.warn(
        "no secret_keys: a random key was made for this process. Sessions end when it stops, and "
        "other processes refuse its sessions and count apart. Set Settings(secret_keys=[...]) to "
        "keep them.",
        CaptureWarning,
        # The line that built Capture.
        stacklevel=3,
    )
    return token_bytes(MIN_SECRET)
