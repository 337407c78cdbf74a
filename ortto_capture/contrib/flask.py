"""At home in Flask: ``FlaskCapture``, an extension in the manner of Flask's extensions.

The law of this file: the mount stands around the app, so that no hook, session or error handler of
the host sees a capture route. What the host is asked for, who is signed in and who may see the
console, it is asked within a request context of its own, which ends before the answer begins.
One ``FlaskCapture`` serves any number of apps: what belongs to an app is kept in its
``extensions["ortto_capture"]``.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from importlib import import_module
from io import BytesIO
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar

from werkzeug.exceptions import HTTPException
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.routing import BuildError
from werkzeug.wrappers import Response as BaseResponse

from .. import (
    ActivityType,
    Backends,
    Capture,
    CaptureApp,
    Captured,
    ConfigurationError,
    Definition,
    Identity,
    mount,
)
from ..cli.embedded import group
from ..client.loader import nonce_of
from ..recognition import unusable_is_none
from ..subscribers import log_failure
from ..wsgi import HOST_ENVIRON
from .configured import configured
from .policy import check_page
from .visitors import token_of, whom

try:
    from blinker import Namespace
    from flask import Flask, Response, current_app, g, request, request_finished
    from jinja2 import pass_context
    from jinja2.runtime import Context
except ImportError as error:
    raise ImportError("this needs Flask: pip install 'ortto-capture[flask]'") from error

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

# A function of the host may be a coroutine's.
Who: TypeAlias = "Callable[[], Identity | Awaitable[Identity | None] | None]"
Said: TypeAlias = "bool | Collection[str] | BaseResponse | None"
Guard: TypeAlias = "Callable[[], Said | Awaitable[Said]]"
W = TypeVar("W", bound=Who)
G = TypeVar("G", bound=Guard)

_log = logging.getLogger("ortto_capture")

#: Where an app keeps its :class:`CaptureApp`, and the name of the configuration in lower case.
EXTENSION = "ortto_capture"

#: Sent for each activity after it is stored, from a worker thread and within an app context:
#: ``@captured.connect`` on ``def seen(app, captured)``, ``captured`` being a
#: :class:`~ortto_capture.Captured`. What receivers raise is logged, and reaches no visitor.
captured = Namespace().signal("captured")


class FlaskCapture:
    """Capture inside Flask apps, configured by ``app.config["ORTTO_CAPTURE"]``.

    That is a dict; ``docs/how-to/flask.md`` says what it may hold.

    :param app: calls :meth:`init_app`.
    :param definitions: what may happen; written to the account of each app.
    :param backends: what to use instead of ``data``.
    :param client_ip: as for :class:`~ortto_capture.CaptureApp`.
    """

    def __init__(
        self,
        app: Flask | None = None,
        *,
        definitions: Iterable[Definition | type[ActivityType]] = (),
        backends: Backends | None = None,
        client_ip: Callable[[WSGIEnvironment], object] | None = None,
    ) -> None:
        self._definitions = [
            each if isinstance(each, Definition) else each.definition for each in definitions
        ]
        self._backends = backends
        self._client_ip = client_ip
        self._who: Who | None = None
        self._guard: Guard | None = None
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Mount the capture routes around ``app``; give it template function and commands.

        ``ProxyFix`` may be applied before or after.

        :raises ConfigurationError: what the app has configured is wrong, or it is mounted already.
        """
        if EXTENSION in app.extensions:
            raise ConfigurationError("app", "it has a FlaskCapture already")
        given = app.config.get(EXTENSION.upper(), {})
        made = configured(given, app.instance_path, backends=self._backends)
        if self._definitions:
            made.capture.backends.definitions.declare(self._definitions)
        mounted = _Mounted(
            made.capture,
            app,
            made.key,
            client_ip=self._client_ip,
            identity=partial(self._identity_of, app),
            console_guard=partial(self._may_see_console, app),
        )
        app.extensions[EXTENSION] = mounted
        outermost: WSGIApplication = app.wsgi_app
        if isinstance(outermost, ProxyFix):
            # Inside of it, so that the visitor's address and the prefix are known.
            outermost.app = mount(outermost.app, mounted, at=made.at)
        else:
            outermost = mount(outermost, mounted, at=made.at)
        app.wsgi_app = outermost  # type: ignore[assignment, method-assign]  # as Flask has it
        app.jinja_env.globals[EXTENSION] = self._in_template
        app.cli.add_command(group(lambda: mounted.capture), "capture")
        request_finished.connect(_check_page, app)

    def identity(self, who: W) -> W:
        """Register, as a decorator, what says who is signed in: an ``Identity`` or None.

        It is called within a request context, where ``current_user`` and ``session`` work; hooks
        such as ``before_request`` do not run. It must name people by what they cannot choose: an
        address that the host has not verified belongs to any person.
        """
        self._who = who
        return who

    def console_guard(self, guard: G) -> G:
        """Register, as a decorator, what lets a visitor see the console.

        It is called within a request context, and returns True, False or a response; or a list of
        what the visitor may do, of ``read``, ``write``, ``erase`` and ``pii``. True is all of it.
        A response is given as it is, and so is what it aborts with. After False, a visitor who is
        not signed in with Flask-Login is sent to its login page; for all others there is no such
        page.
        """
        self._guard = guard
        return guard

    # -- within a request or an app context

    @property
    def account(self) -> Capture:
        """The account of the current app, for all else that a program does with one."""
        return _mounted().capture

    def record(
        self,
        activity_id: str | ActivityType,
        attributes: Mapping[str, Any] | None = None,
        *,
        event_id: str | None = None,
        at: datetime | float | None = None,
        on_refused: Literal["raise", "log"] = "log",
    ) -> Captured | None:
        """Record, in a view, what the visitor has done: as who is signed in, else by the cookie.

        It is the host's own word, as in :meth:`ortto_capture.Capture.record_for`, which has the
        parameters and the errors.

        :param on_refused: by default the log is told and None returned: the visitor has paid, and
            is to see that, whatever became of our row.
        """
        return self.account.record_for(
            activity_id,
            attributes,
            **whom(self._present(), request.cookies),
            event_id=event_id,
            at=at,
            on_refused=on_refused,
        )

    def snippet(
        self,
        key: str | None = None,
        *,
        nonce: object = None,
        identity: str | None = "token",
        inline: bool = True,
    ) -> str:
        """Return what a page has in its head; in templates ``{{ ortto_capture() }}``.

        :param key: the capture key; the configured one when left out.
        :param nonce: as for :meth:`ortto_capture.CaptureApp.snippet`; by default the request's, and
            in templates ``csp_nonce``.
        :param identity: ``"token"`` puts in who is signed in, by a token that is good for five
            minutes; ``"host"`` has the browser ask, for pages that are kept in a cache; None says
            nothing.
        :param inline: False for a policy without nonces.
        :raises ConfigurationError: when it could not work.
        """
        mounted = _mounted()
        if identity == "token":
            identity = token_of(self._present(), mounted.capture)
        elif identity == "host" and self._who is None:
            raise ConfigurationError("identity", "nothing says who: register it, @capture.identity")
        html = mounted.snippet(
            key or mounted.key, nonce, request=request.environ, inline=inline, identity=identity
        )
        # Headers come later than templates.
        g.setdefault(EXTENSION, []).append(html)
        return html

    @pass_context
    def _in_template(self, context: Context, key: str | None = None, **options: Any) -> str:
        if options.get("nonce") is None and nonce_of(request.environ) is None:
            given = context.get("csp_nonce")
            # Without a policy, flask-talisman's function returns nothing.
            options["nonce"] = (given() if callable(given) else given) or None
        return self.snippet(key, **options)

    def _present(self) -> Identity | None:
        """Who is signed in, in the request that is being answered."""
        if self._who is not None:
            with unusable_is_none(_mounted().logged):
                who: Identity | None = _now(self._who)
                return who
        return None

    def _identity_of(self, app: Flask, environ: WSGIEnvironment) -> Identity | None:
        if self._who is None:
            return None
        with _as_host(app, environ):
            return self._present()

    def _may_see_console(
        self, app: Flask, environ: WSGIEnvironment
    ) -> bool | Collection[str] | WSGIApplication:
        if self._guard is None:
            return False
        with _as_host(app, environ):
            try:
                answer = _now(self._guard)
                if not answer:
                    answer = _login_page(app)
                if answer is None or isinstance(answer, bool):
                    return bool(answer)
                if isinstance(answer, list | set | frozenset):
                    return answer
                if not isinstance(answer, BaseResponse):
                    # Any other value may be true by accident.
                    kind = type(answer).__name__
                    raise ConfigurationError(
                        "console_guard", f"it returned {kind}: True, False, scopes or a response"
                    )
                response = app.make_response(answer)
            except HTTPException as error:
                response = app.make_response(app.handle_user_exception(error))
            # A program that asks for data goes nowhere, and no visitor wants to go where it is.
            if environ["PATH_INFO"].startswith("/api/"):
                return response
            # The session is saved: a login page may find there where the visitor wanted to go.
            return app.process_response(response)


class _Mounted(CaptureApp):
    """What one app has; the signal tells of its activities."""

    def __init__(self, capture: Capture, app: Flask, key: str, **options: Any) -> None:
        #: The capture key of the app's own pages.
        self.key = key
        self._app = app
        self._listening = False
        super().__init__(capture, **options)
        self._listen()
        captured.receiver_connected.connect(self._listen)

    def _listen(self, *_: object, **__: object) -> None:
        """Subscribe as soon as the signal has a receiver: to be told costs something."""
        if not self._listening and captured.has_receivers_for(self._app):
            self._listening = True
            self.subscribe(self._tell)

    def _tell(self, each: Captured) -> None:
        failed = []
        with self._app.app_context():
            for receiver in captured.receivers_for(self._app):
                try:
                    receiver(self._app, captured=each)
                except Exception as error:  # noqa: BLE001  # the others are to hear all the same
                    failed.append((receiver, error))
        for each_failed in failed[1:]:
            log_failure(*each_failed)
        if failed:
            # Who called this logs it, and counts it.
            raise failed[0][1]


def _mounted() -> _Mounted:
    """What the current app has."""
    found = current_app.extensions.get(EXTENSION)
    if not isinstance(found, _Mounted):
        raise ConfigurationError("app", "this app has none: call init_app(app)")
    return found


def _check_page(app: Flask, response: Response, **__: object) -> None:
    """Refuse a page that its headers, now that it has them, keep from working or make unsafe."""
    headers = response.headers
    private = check_page(
        g.pop(EXTENSION, []),
        headers.getlist("Content-Security-Policy"),
        ", ".join(headers.getlist("Cache-Control")),
        ", ".join(headers.getlist("Vary")),
        refused=app.debug or app.testing,
        place=request.endpoint,
        logged=_mounted().logged,
    )
    if private is not None:
        headers["Cache-Control"] = private


def _now(function: Callable[[], Any]) -> Any:
    """Call a function of the host, and wait for it where it is a coroutine's."""
    return current_app.ensure_sync(function)()


@contextmanager
def _as_host(app: Flask, environ: WSGIEnvironment) -> Iterator[None]:
    """A request context as the app's own pages have it, where they are mounted."""
    own = environ.get(HOST_ENVIRON, environ)
    # A copy, and without the body, which has been read.
    with app.request_context({**own, "wsgi.input": BytesIO(), "CONTENT_LENGTH": "0"}):
        yield


def _login_page(app: Flask) -> Response | None:
    """Flask-Login's, for a visitor who is not signed in; None without either."""
    manager = getattr(app, "login_manager", None)
    if manager is None or import_module("flask_login").current_user.is_authenticated:
        return None
    try:
        # Also what is not a response yet, if the host has its own handler.
        return app.make_response(manager.unauthorized())
    except BuildError as error:
        # As Flask-AppBuilder has it.
        _log.error("login_view: there is no %s", error.endpoint, extra={"event": "no-login-page"})
        return None
