"""A ``Capture`` for one test: what came is remembered, and the test's clock decides the time.

The law of this file: every request goes through the same pipeline as in production. What is added
looks at it from outside, keeps what it saw, and says it when an assertion fails.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from secrets import token_urlsafe
from threading import Condition
from types import TracebackType
from typing import Any, Self

from ..backends import open_backends
from ..capture import Capture
from ..cli.host import capture_apps
from ..model import Captured, Definition, Identified
from ..pipeline import Attempt, Pipeline
from ..settings import Settings
from ..wsgi import CaptureApp
from . import clients, report
from .fakes import FakeClock, Ids
from .pages import page_problems
from .report import Wanted
from .watched import Came, WaitedFor, Watched, is_value

#: More activities than a test records; the memory backend holds no more.
EVERYTHING = 100_000


class TestCapture(Capture):
    """A :class:`~ortto_capture.Capture` in memory, with a clock, a secret and an end of its own.

    The fixture ``capture`` of the pytest plugin is one. Close it, or use it in a ``with`` block:
    then apps have the ``Capture`` again that they had before :meth:`use`.

    :param definitions: what may happen; :meth:`use` and :meth:`define` add more.
    """

    #: So that pytest does not take it for a class of tests.
    __test__ = False

    def __init__(self, definitions: Sequence[Definition] = ()) -> None:
        self.clock: FakeClock = FakeClock()
        #: Every request so far, the oldest first, refused ones included.
        self.came: list[Came] = []
        #: The app last given to :meth:`use`.
        self.app: object = None
        self._arrived = Condition()
        self._own: dict[CaptureApp, Capture] = {}
        self._at: str | Callable[[], str] = "/capture"
        self._new_id = Ids()
        settings = Settings(secret_keys=[token_urlsafe(32)])
        backends = open_backends("memory:")
        backends.definitions.declare(definitions)
        super().__init__(
            backends=backends, settings=settings, clock=self.clock, new_id=self._new_id
        )
        self._told = self._pipeline.subscribers = WaitedFor(self._pipeline.tell)

    # -- in place of the app's own

    def use(self, app: object, *, at: str | Callable[[], str] | None = None) -> None:
        """Put this in place of the ``Capture`` of an app, until the test ends.

        The app's settings count, except for its secret, and its definitions are added to those that
        are here already.

        :param app: a Flask, Starlette or FastAPI app, a ``CaptureASGI``, a ``CaptureApp``, or a
            WSGI or ASGI app that has one of these inside.
        :param at: the path of the mount, or what returns it, where the app does not tell.
        :raises TypeError: when there is no capture app in it.
        """
        found = capture_apps(app)
        if not found:
            raise TypeError(
                f"no capture app was found in {app!r}: mount one, or give the CaptureApp itself"
            )
        for capture_app, place in found.items():
            own = capture_app.capture
            if own is not self:
                self._own[capture_app] = own
                self._learn(own)
                capture_app.capture = self
            self._at = at or place
        self.app = app

    @property
    def mounted_at(self) -> str:
        """The path of the mount, without a slash at its end."""
        return (self._at if isinstance(self._at, str) else self._at()).rstrip("/")

    def _learn(self, own: Capture) -> None:
        """Take over what an app's ``Capture`` knows."""
        for definition in own.backends.definitions.all():
            if self.backends.definitions.get(definition.id) is None:
                self.backends.definitions.put(definition)
        self.settings = settings = replace(own.settings, secret_keys=self.settings.secret_keys)
        self._pipeline = Pipeline(
            self.backends, settings, self.clock, self._new_id, settings.secrets
        )
        self._told.take_over(own._pipeline.subscribers)  # noqa: SLF001  # of our base class
        self._pipeline.subscribers = self._told

    def define(self, *definitions: Definition) -> None:
        """Say what may happen, in place of what was said before."""
        for definition in definitions:
            self.backends.definitions.put(definition)

    def close(self) -> None:
        """Give apps their own ``Capture`` back."""
        for capture_app, own in self._own.items():
            capture_app.capture = own
        self._own.clear()
        self.backends.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    # -- what a visitor does

    def identify(
        self,
        client: object = None,
        email: str | None = None,
        *,
        verified: bool = True,
        ei: str | int | None = None,
        first: str | None = None,
        last: str | None = None,
        ac: Sequence[Mapping[str, Any]] | None = None,
        skip_non_existing: bool = False,
        identity: str | None = None,
        session: str | None = None,
        ip: str | None = None,
    ) -> Identified:
        """Make a test client an identified visitor: it has a session cookie from then on.

        :param client: Flask's, Django's, Starlette's or httpx' client; without one this is
            :meth:`Capture.identify`.
        :param verified: whether the host vouches for the visitor; False for one who only claims to
            be this person.
        """
        if isinstance(client, str):
            raise TypeError(f"give the client first: capture.identify(client, {client!r})")
        if client is not None and verified and identity is None:
            identity = self.sign_identity(email, ei=ei)
        identified = super().identify(
            email=email,
            ei=ei,
            first=first,
            last=last,
            ac=ac,
            skip_non_existing=skip_non_existing,
            identity=identity,
            session=session,
            ip=ip,
        )
        if client is not None and identified.session is not None:
            clients.set_session(client, identified.session)
        return identified

    def activity(
        self,
        client: object,
        activity_id: str,
        attributes: Mapping[str, Any] | None = None,
        *,
        event_id: str | None = None,
    ) -> Captured:
        """Report an activity as ``ap3c.activity`` does on a page of the app, over HTTP.

        :param client: a test client of the app, with the session that :meth:`identify` gave it.
        :param event_id: makes a repetition harmless.
        :raises Refused: what the pipeline raised, and not only its status.
        :raises AssertionError: when the app answered itself, so that nothing came here.
        """
        __tracebackhide__ = True
        body = {
            "key": next(iter(self.settings.sources), None),
            "session": clients.session_of(client),
            "activity_id": activity_id,
            "attributes": dict(attributes or {}),
            "event_id": event_id or self._new_id(),
        }
        path, before = f"{self.mounted_at}/-/events/activity", len(self.came)
        status = clients.post(client, path, json.dumps(body))
        if len(self.came) == before:
            raise AssertionError(
                f"{path} was answered {status}, and not by this capture: was the app of this "
                "client given to capture.use(app)?"
            )
        came = self.came[-1]
        if came.error is not None:
            raise came.error.with_traceback(None)
        assert came.captured is not None
        return came.captured

    # -- what came of it

    def accounted(self, route: str) -> Attempt:
        """As :meth:`Capture.accounted`, and remember what came."""
        return Watched(self._pipeline, route, self._remember)

    def _remember(self, came: Came) -> None:
        with self._arrived:
            self.came.append(came)
            self._arrived.notify_all()

    def recorded(
        self,
        activity_id: str | None = None,
        attributes: Mapping[str, Any] | None = None,
        *,
        email: str | None = None,
        ei: str | int | None = None,
    ) -> list[Captured]:
        """The activities that were recorded, the oldest first.

        :param activity_id: only of this definition.
        :param attributes: only with these values, whatever else they carry; None for a value that
            is not there.
        :param email: only what this person did.
        :param ei: the same, by external id.
        """
        return self._recorded(Wanted(activity_id, attributes, email, ei))

    def assert_recorded(
        self,
        activity_id: str,
        attributes: Mapping[str, Any] | None = None,
        *,
        times: int | None = None,
        email: str | None = None,
        ei: str | int | None = None,
    ) -> list[Captured]:
        """Fail unless the activity was recorded, saying what did come and why it was refused.

        :param attributes: the values that it has, whatever else it carries; None for a value that
            is not there.
        :param times: exactly so often; by default once or more.
        :param email: by this person.
        :param ei: the same, by external id.
        :returns: what was found, the oldest first.
        """
        __tracebackhide__ = True
        wanted = Wanted(activity_id, attributes, email, ei)
        found = self._recorded(wanted)
        otherwise = len(found) != times and (times is not None or not found)
        if otherwise or report.misspelled(self, activity_id, attributes or ()):
            raise AssertionError(report.recorded_otherwise(self, wanted, len(found), times))
        return found

    def assert_not_recorded(
        self,
        activity_id: str,
        attributes: Mapping[str, Any] | None = None,
        *,
        email: str | None = None,
        ei: str | int | None = None,
    ) -> None:
        """Fail when the activity was recorded, and when its id or a key is misspelled."""
        __tracebackhide__ = True
        wanted = Wanted(activity_id, attributes, email, ei)
        found = self._recorded(wanted)
        if found or report.misspelled(self, activity_id, attributes or ()):
            raise AssertionError(report.recorded_otherwise(self, wanted, len(found), 0))

    def wait_for(
        self,
        activity_id: str,
        attributes: Mapping[str, Any] | None = None,
        *,
        times: int = 1,
        email: str | None = None,
        ei: str | int | None = None,
        timeout: float = 10.0,
    ) -> list[Captured]:
        """Wait until the activity was recorded, so often or more; for tests in a browser.

        :param timeout: real seconds, after which it fails as :meth:`assert_recorded` does.
        """
        __tracebackhide__ = True
        wanted = Wanted(activity_id, attributes, email, ei)
        # What can never come is not waited for.
        if report.misspelled(self, activity_id, attributes or ()):
            so_far = len(self._recorded(wanted))
            raise AssertionError(report.recorded_otherwise(self, wanted, so_far, times))
        with self._arrived:
            arrived = self._arrived.wait_for(lambda: len(self._recorded(wanted)) >= times, timeout)
        found = self._recorded(wanted)
        if not arrived:
            words = report.recorded_otherwise(self, wanted, len(found), times)
            raise AssertionError(f"{words}\n\nWaited {timeout:g} seconds.")
        return found

    def _recorded(self, wanted: Wanted) -> list[Captured]:
        person_id = None
        if wanted.email is not None or wanted.ei is not None:
            person = self.person(wanted.email, ei=wanted.ei)
            if person is None:
                return []
            person_id = person.id
        values = (wanted.attributes or {}).items()
        return [
            each
            for each in self.backends.journal.after("", EVERYTHING)
            if wanted.activity_id in (None, each.activity_id)
            and person_id in (None, each.person_id)
            and all(is_value(each.attributes.get(key), value) for key, value in values)
        ]

    def assert_page_reports(
        self, response: object, *activity_ids: str, client: object = None
    ) -> None:
        """Fail unless a page's own code reports these activities, and all its calls are right.

        Each ``ap3c`` call in the scripts and attributes of the page is checked against its
        definition. Values that are worked out when the script runs cannot be: of these, the keys
        are.

        :param response: a test client's answer, a browser's page, or HTML.
        :param client: fetches the page's scripts of the same origin, which are read, too.
        """
        __tracebackhide__ = True
        if problems := page_problems(self, response, activity_ids, client):
            raise AssertionError(problems)
