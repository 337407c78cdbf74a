"""Starlette and FastAPI: ``app.mount("/capture", CaptureASGI(capture))``.

The law of this file: the event loop never waits for storage, and no thread waits for a visitor. A
body is read on the loop; then the WSGI app answers on a thread of its own pool, through ``a2wsgi``.
What the contract asks of an answer is the WSGI app's to keep, and nothing is decided here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable, Mapping
from datetime import datetime
from inspect import isawaitable
from io import BytesIO
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar, cast

from werkzeug.wrappers import Response as WSGIResponse

try:
    from a2wsgi import WSGIMiddleware
    from starlette.concurrency import run_in_threadpool
    from starlette.datastructures import MutableHeaders
    from starlette.exceptions import HTTPException
    from starlette.requests import Request
    from starlette.responses import PlainTextResponse, Response
except ImportError as error:
    raise ImportError(
        "ortto_capture.contrib.asgi needs a2wsgi and starlette: pip install 'ortto-capture[asgi]'"
    ) from error

from .. import ActivityType, Capture, CaptureApp, Captured, ConfigurationError, Identity
from ..client import assets
from ..client.loader import prefix_of
from ..recognition import unusable_is_none
from .policy import check_page
from .visitors import key_of, token_of, whom

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    Guarded: TypeAlias = bool | Collection[str] | Response

T = TypeVar("T")

#: Where a scope keeps the loop of its request, for functions that are asked on a thread, and its
#: body, which has come by then.
_LOOP, _BODY = "ortto_capture.loop", "ortto_capture.body"
#: The routes that ask no function of the host.
_QUICK = {"/-/health", *(f"/{name}" for name in assets())}
#: The methods of a request that may have a body.
_WITH_BODY = ("POST", "PUT", "DELETE")
#: Where a scope keeps the snippets that its page shows, for ``SnippetPolicyMiddleware``.
_SHOWN = "ortto_capture.shown"


class CaptureASGI:
    """The ASGI app of one :class:`Capture`, to be mounted in Starlette or FastAPI.

    Each function that it is given takes Starlette's ``Request``. An ``async def`` runs on the event
    loop, a ``def`` on a thread, so that it may wait for a database.

    :param identity: returns the signed-in user as an :class:`Identity`, or None.
    :param client_ip: returns the visitor's address, by a ``def``; by default the scope's client.
    :param console_guard: True lets a request see the console, with all scopes; a list of ``read``,
        ``write``, ``erase`` and ``pii`` with those. False hides that there is one, and a response,
        such as a redirect to the login page, is sent in its place.
    """

    def __init__(
        self,
        capture: Capture,
        *,
        identity: Callable[[Request], Identity | Awaitable[Identity | None] | None] | None = None,
        client_ip: Callable[[Request], object] | None = None,
        console_guard: Callable[[Request], Guarded | Awaitable[Guarded]] | None = None,
    ) -> None:
        self._identity = identity
        #: The WSGI app inside; its ``capture`` may be set anew.
        self.capture_app = CaptureApp(
            capture,
            identity=identity and _asked(identity),
            client_ip=client_ip and _asked(client_ip),
            console_guard=console_guard and _guarded(_asked(console_guard)),
        )
        # Its types of WSGI are its own.
        self._bridge: Any = WSGIMiddleware(cast("Any", self._answer))
        # For what asks no function of the host: these may wait, and keep all threads of the other.
        self._quick: Any = WSGIMiddleware(cast("Any", self._answer), workers=2)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, as ASGI has it."""
        if scope["type"] == "http":
            scope = {
                **scope,
                # As servers of WSGI do: `sec_fetch_site` would get the name of another one.
                "headers": [each for each in scope["headers"] if b"_" not in each[0]],
                # Neither has to be what the bridge takes it for.
                "path": scope["path"].encode("utf-8", "replace").decode(),
                "query_string": scope["query_string"].decode("ascii", "ignore").encode(),
                _LOOP: asyncio.get_running_loop(),
                _BODY: await _received(scope, receive, self.capture_app.capture.settings.max_body),
            }
        path = scope.get("path", "").removeprefix(scope.get("root_path", ""))
        await (self._quick if path in _QUICK else self._bridge)(scope, receive, send)

    def _answer(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        environ["wsgi.input"] = environ["asgi.scope"][_BODY]
        # A body ends where its last message does, with or without a length.
        environ["wsgi.input_terminated"] = True
        # The bridge says yes to be safe; how many processes there are is not known here.
        environ["wsgi.multiprocess"] = False
        return self.capture_app(environ, start_response)

    async def snippet(self, request: Request) -> str:
        """The HTML to put into a page's head: ``Depends(tracking.snippet)`` in FastAPI.

        It holds the mount path, the nonce of the page's policy (``request.state.csp_nonce``) and an
        identity token of the signed-in user. Templates do not escape it.

        :raises ConfigurationError: when the app of the request has this one mounted nowhere.
        """
        return await self.snippet_with()(request)

    def snippet_with(
        self,
        key: str | None = None,
        *,
        endpoint: str | None = None,
        identity: str | None = "token",
        inline: bool = True,
    ) -> Callable[[Request], Coroutine[Any, Any, str]]:
        """:meth:`snippet` with options.

        :param key: the capture key; by default the first of the settings' sources, else ``site``.
        :param endpoint: by default where the app of the request has this one mounted.
        :param identity: ``"token"`` puts in who is signed in, by a token that is good for five
            minutes; ``"host"`` has the browser ask, for pages that are kept in a cache; None says
            nothing.
        :param inline: False for a policy without nonces.
        """

        async def snippet(request: Request) -> str:
            app = self.capture_app
            told = identity
            if identity == "token":
                told = token_of(await self._user(request), app.capture)
            html = app.snippet(
                key or key_of(app.capture.settings),
                endpoint=endpoint or prefix_of(request) + self._place(request),
                request=request,
                inline=inline,
                identity=told,
            )
            request.scope.get(_SHOWN, []).append(html)
            return html

        return snippet

    async def record(
        self,
        request: Request,
        activity_id: str | ActivityType,
        attributes: Mapping[str, Any] | None = None,
        *,
        event_id: str | None = None,
        at: datetime | float | None = None,
        on_refused: Literal["raise", "log"] = "log",
    ) -> Captured | None:
        """Record what the visitor of a request has done: as who is signed in, else by the cookie.

        It is the host's own word, as in :meth:`ortto_capture.Capture.record_for`, which has the
        parameters and the errors. The event loop does not wait for storage.

        :param on_refused: by default the log is told and None returned: the visitor has paid, and
            is to see that, whatever became of our row.
        """
        return await self.capture_app.capture.arecord(
            activity_id,
            attributes,
            **whom(await self._user(request), request.cookies),
            event_id=event_id,
            at=at,
            on_refused=on_refused,
        )

    async def _user(self, request: Request) -> Identity | None:
        if self._identity is not None:
            with unusable_is_none(self.capture_app.logged):
                found = await run_in_threadpool(self._identity, request)
                return await found if isawaitable(found) else found
        return None

    def _place(self, request: Request) -> str:
        """The path of the mount, below that of the whole app."""
        whole = request.scope.get("router") or request.scope.get("app")
        place = _path_to(self, getattr(whole, "routes", ()))
        if place is None:
            raise ConfigurationError(
                "endpoint",
                "CaptureASGI is not mounted in the app of this request: mount it, or say where "
                "it is, snippet_with(endpoint=...)",
            )
        if "{" in place:
            raise ConfigurationError(
                "endpoint",
                f"the mount is below {place}, which differs in each request: mount it at a path "
                "of its own, or say where this page's is, snippet_with(endpoint=...)",
            )
        return place


class SnippetPolicyMiddleware:
    """Refuses a page whose own headers make its snippet useless, or harmful: a middleware.

    That is a ``Content-Security-Policy`` that blocks it, and leave for caches to hand one visitor's
    token to others, which is taken away. An app with ``debug`` raises ``ConfigurationError``; any
    other logs it once.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._logged: set[str] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and look at the headers of the answer when they leave."""
        shown: list[str] = []

        async def looked_at(message: Message) -> None:
            if shown and message["type"] == "http.response.start":
                self._check(MutableHeaders(scope=message), shown, scope)
            await send(message)

        scope[_SHOWN] = shown
        await self._app(scope, receive, looked_at)

    def _check(self, headers: MutableHeaders, shown: list[str], scope: Scope) -> None:
        private = check_page(
            shown,
            headers.getlist("Content-Security-Policy"),
            ", ".join(headers.getlist("Cache-Control")),
            ", ".join(headers.getlist("Vary")),
            refused=getattr(scope.get("app"), "debug", False),
            place=getattr(scope.get("route"), "path", "a page"),
            logged=self._logged,
        )
        if private is not None:
            headers["Cache-Control"] = private


def _path_to(wanted: object, routes: Iterable[object]) -> str | None:
    """The path of the mount of an app among ``routes`` and what is mounted in them."""
    for route in routes:
        app = getattr(route, "app", None)
        # A mount's own middleware stands around its app.
        while app is not None and app is not wanted:
            app = getattr(app, "app", None)
        below = "" if app is wanted else _path_to(wanted, getattr(route, "routes", None) or ())
        if below is not None:
            return f"{getattr(route, 'path', '')}{below}"
    return None


async def _received(scope: Scope, receive: Receive, cap: int) -> BytesIO:
    """Read the body of a request that may have one, up to the message that goes over ``cap``."""
    declared = dict(scope["headers"]).get(b"content-length", b"")
    # What is refused by its headers is not read.
    if scope["method"] not in _WITH_BODY or (declared.isdigit() and int(declared[-20:]) > cap):
        return BytesIO()
    body, last = BytesIO(), False
    while not last and body.tell() <= cap:
        message = await receive()
        if message["type"] == "http.disconnect":
            # The visitor has gone. What came might be whole JSON all the same: no reading it.
            body.close()
            return body
        body.write(message.get("body", b""))
        last = not message.get("more_body", False)
    body.seek(0)
    return body


# -- functions of the host, asked by the WSGI app on its thread


def _asked(ask: Callable[[Request], T | Awaitable[T]]) -> Callable[[WSGIEnvironment], T]:
    """A function of a request as one of an environ."""

    def asked(environ: WSGIEnvironment) -> T:
        scope = environ["asgi.scope"]
        answer = ask(Request(scope))
        if not isawaitable(answer):
            return answer

        async def awaited() -> T:
            return await answer

        return asyncio.run_coroutine_threadsafe(awaited(), scope[_LOOP]).result()

    return asked


def _guarded(
    guard: Callable[[WSGIEnvironment], Guarded],
) -> Callable[[WSGIEnvironment], bool | Collection[str] | WSGIApplication]:
    """A guard whose responses are WSGI's."""

    def guarded(environ: WSGIEnvironment) -> bool | Collection[str] | WSGIApplication:
        answer: Guarded
        try:
            answer = guard(environ)
        except HTTPException as error:
            answer = PlainTextResponse(error.detail, error.status_code, error.headers)
        if not isinstance(answer, Response):
            return answer
        return WSGIResponse(bytes(answer.body), answer.status_code, answer.headers.items())

    return guarded
