"""HTTP to Python and back: the capture routes, the client's files, and the mount.

The law of this file: it translates and decides nothing about activities, people or limits. A route
returns an answer or raises, and the answer is started in one place, so that no exception leaves the
mount. Routes are raw WSGI, because a request object and a response object would cost more than the
whole pipeline. Outside its own routes this file changes nothing.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, TypeAlias, TypeVar
from urllib.parse import quote

from . import answers
from .addresses import SHARED_BUCKET, ip_bucket, is_local
from .answers import Answer
from .body import read_body
from .capture import Capture
from .client import assets
from .client.loader import external_snippet, inline_snippet, nonce_of, prefix_of, snippet_hash
from .console.tokens import stored
from .errors import BackendError, ConfigurationError, MalformedRequest, RateLimited, Refused
from .identity import Identity
from .origin import is_same_origin, may_read
from .ports import Pingable
from .recognition import Host, unusable_is_none
from .subscribers import Subscriber
from .wire import activity_request, decode, track_request

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    from .console.access import Guard
    from .console.api import Console

T = TypeVar("T")

Route: TypeAlias = "Callable[[WSGIEnvironment], Answer]"

_log = logging.getLogger("ortto_capture")

_DUPLICATE = b'{"ok":true,"duplicate":true}'
#: In the environ that a resolver or a guard is given: the environ as the host would have got it.
HOST_ENVIRON = "ortto_capture.host"


class CaptureApp:
    """The WSGI app of one :class:`Capture`: routes of contract §2, relative to where it is mounted.

    :param client_ip: returns the visitor's address; by default ``REMOTE_ADDR``. Forwarding headers
        are never read: behind a proxy, wrap the host in werkzeug's ``ProxyFix``, outside the mount.
    :param identity: says who is signed in at the host, or None. It is asked only when a
        request comes from a page of the host's own origin, and only when that matters.
    :param console_guard: lets a request see the console: True, or which of ``read``, ``write``,
        ``erase`` and ``pii`` it may. What it returns may also be a WSGI app, such as a redirect to
        the login page, which answers then. Without a guard only a bearer of a stored token
        (``ortto-capture token new``) sees it, and there is none as long as none is stored.

    ``identity`` and ``console_guard`` get the environ of this app; its ``ortto_capture.host`` is
    the environ as the host would have got it.
    """

    def __init__(
        self,
        capture: Capture,
        *,
        client_ip: Callable[[WSGIEnvironment], object] | None = None,
        identity: Callable[[WSGIEnvironment], Identity | None] | None = None,
        console_guard: Guard | None = None,
    ) -> None:
        self._client_ip = client_ip
        self._identity = identity
        self._guard = console_guard
        self._subscribers: list[Subscriber] = []
        self._routes: dict[str, Route] = {
            "/-/events/track": self._track,
            "/-/events/activity": self._activity,
            "/-/health": self._health,
            "/-/address": self._where,
        }
        for name, asset in assets().items():
            self._routes[f"/{name}"] = partial(answers.file, asset)
        if identity is not None:
            self._routes["/-/identity"] = self._who
        self._console: Console | None = None
        self.capture = capture
        #: The paths that ``mount`` has put this app at.
        self.mounted_at: set[str] = set()
        #: What the log has been told once, and is not told again.
        self.logged: set[str] = set()

    @property
    def capture(self) -> Capture:
        """The account; another one may be put in its place, as tests do."""
        return self._capture

    @capture.setter
    def capture(self, capture: Capture) -> None:
        self._capture = capture
        self._max_body = capture.settings.max_body
        self._warned_of_processes = not capture.backends.in_process
        for subscriber in self._subscribers:
            capture.subscribe(subscriber)
        self._console = None
        if self._guard is not None:
            self._console = self._opened()

    def _opened(self) -> Console:
        # Imported on use: most of it is for a page that not every program has.
        from .console.api import Console

        return Console(
            self._capture, self._guard, self._bucket, self.host_identity, self._snippet_for
        )

    def subscribe(self, subscriber: Subscriber) -> None:
        """Do :meth:`Capture.subscribe` with whichever account is in place."""
        self._subscribers.append(subscriber)
        self.capture.subscribe(subscriber)

    def host_identity(self, environ: WSGIEnvironment) -> Identity | None:
        """Who is signed in at the host, as its resolver says, whatever page asks."""
        if self._identity is not None:
            with unusable_is_none(self.logged):
                return self._identity(environ)
        return None

    def snippet(
        self,
        key: str,
        nonce: object = None,
        endpoint: str | None = None,
        *,
        request: object = None,
        inline: bool = True,
        identity: str | None = None,
    ) -> str:
        """The HTML to put into every page's head; templates of Flask and Django do not escape it.

        :param key: the capture key that names this website.
        :param nonce: the page's Content-Security-Policy nonce: text, a lazy object, or a function
            that returns it. By default that of ``request``.
        :param endpoint: where this app is mounted, as browsers see it: a path or a URL. By default
            the path given to :func:`mount`, below the prefix (``SCRIPT_NAME``) of ``request``.
        :param request: the page's WSGI environ, or the request object of a framework.
        :param inline: False gives a tag without inline code, for policies without nonces. Until its
            script has come there is no ``ap3c`` but the one that the page makes.
        :param identity: who the visitor is: a token of :meth:`Capture.sign_identity`; or "host",
            and the page asks for one with ``GET -/identity``, so that it can be cached.
        :raises ConfigurationError: when the nonce is empty, the endpoint is no path or URL or
            cannot be known, the request is none, or the identity is neither.
        """
        if nonce is None and request is not None:
            nonce = nonce_of(request)
        render = inline_snippet if inline else external_snippet
        return render(key, self._endpoint(endpoint, request), nonce, identity)

    def snippet_hash(
        self,
        key: str,
        endpoint: str | None = None,
        *,
        request: object = None,
        identity: str | None = None,
    ) -> str:
        """What a policy names instead of a nonce: ``'sha256-…'`` of the inline code, with quotes.

        The arguments are those of :meth:`snippet`. The hash is another one for another key,
        endpoint or version of this package, and for an identity of "host".

        :raises ConfigurationError: as :meth:`snippet`, and for an identity token: it differs in
            each page, and so would the hash.
        """
        return snippet_hash(key, self._endpoint(endpoint, request), identity)

    def _endpoint(self, endpoint: str | None, request: object) -> str:
        if endpoint is not None:
            return endpoint
        if len(self.mounted_at) > 1:
            places = " and ".join(sorted(self.mounted_at))
            raise ConfigurationError("endpoint", f"the app is mounted at {places}; say which")
        [at] = self.mounted_at or {"/capture"}
        return at if request is None else prefix_of(request) + at

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request, as WSGI has it."""
        path = environ.get("PATH_INFO", "")
        try:
            route = self._routes.get(path) or self._elsewhere
            status, headers, body = route(environ)
        except (Refused, BackendError) as error:
            status, headers, body = answers.refusal(error)
        except Exception as error:  # noqa: BLE001  # our own fault must not become the host's
            status, headers, body = answers.fault(error)
        start_response(status, headers)
        # Some servers send what they get, and the client would take it for the next answer.
        return [] if environ["REQUEST_METHOD"] == "HEAD" else body

    # -- the two capture routes

    def _track(self, environ: WSGIEnvironment) -> Answer:
        if environ["REQUEST_METHOD"] == "OPTIONS":
            return answers.preflight()
        with self._capture.accounted("track") as attempt:
            request = track_request(decode(read_body(environ, self._max_body)))
            identified = self._taken(attempt.identify, request, environ)
        body = json.dumps(identified._asdict(), separators=(",", ":"))
        return answers.public(200, body.encode())

    def _activity(self, environ: WSGIEnvironment) -> Answer:
        if environ["REQUEST_METHOD"] == "OPTIONS":
            return answers.preflight()
        with self._capture.accounted("activity") as attempt:
            body = read_body(environ, self._max_body)
            request = activity_request(decode(body), len(body))
            captured = self._taken(attempt.record, request, environ)
        return answers.public(200, _DUPLICATE) if captured.duplicate else answers.accepted()

    def _taken(self, take: Callable[..., T], request: object, environ: WSGIEnvironment) -> T:
        """Have the pipeline ``take`` a request, with what only HTTP knows of it."""
        ip = self._address(environ)
        try:
            return take(
                request,
                ip=ip,
                origin=environ.get("HTTP_ORIGIN"),
                gpc=environ.get("HTTP_SEC_GPC") == "1",
                host=self._host(environ),
            )
        except RateLimited as full:
            if full.reason != "person-limit" and is_local(ip):
                self._warn_of_proxy()
            raise

    def _host(self, environ: WSGIEnvironment) -> Host:
        # Where the request comes from is looked at when it matters, which is seldom.
        return partial(self._signed_in, environ) if self._identity is not None else None

    def _signed_in(self, environ: WSGIEnvironment) -> Identity | None:
        return self.host_identity(environ) if is_same_origin(environ) else None

    def _who(self, environ: WSGIEnvironment) -> Answer:
        """A fresh identity token for a page that was cached for longer than its own is good."""
        answers.require_reading(environ)
        if not may_read(environ):
            raise MalformedRequest(code="not-found")
        who = self.host_identity(environ)
        token = self.capture.sign_identity(who.email, ei=who.ei) if who is not None else None
        return answers.own(json.dumps({"identity": token}).encode())

    # -- where the visitor is

    def _where(self, environ: WSGIEnvironment) -> Answer:
        """By which address the caller is counted, for an operator who has the signing key."""
        answers.require_reading(environ)
        token = environ.get("HTTP_AUTHORIZATION", "").removeprefix("Bearer ")
        if not self.capture.is_operator(token):
            raise MalformedRequest(code="not-found")
        address, proxied = self._seen(environ)
        told = {"bucket": ip_bucket(address), "local": is_local(address), "proxied": proxied}
        return answers.own(json.dumps(told).encode())

    def _bucket(self, environ: WSGIEnvironment) -> str:
        return ip_bucket(self._seen(environ)[0])

    def _snippet_for(self, key: str, endpoint: str) -> str:
        return self.snippet(key, endpoint=endpoint)

    def _address(self, environ: WSGIEnvironment) -> str:
        if not self._warned_of_processes and environ.get("wsgi.multiprocess"):
            self._warned_of_processes = True
            _log.warning(
                "this server runs several processes and the backends are in memory: each process "
                "counts and remembers alone, so limits are multiplied; use backends that share",
                extra={"event": "counts-alone"},
            )
        address, proxied = self._seen(environ)
        if proxied or ip_bucket(address) == SHARED_BUCKET:
            self._warn_of_proxy()
        return address

    def _seen(self, environ: WSGIEnvironment) -> tuple[str, bool]:
        """The visitor's address, and whether headers tell that it is a proxy's."""
        if self._client_ip is not None:
            given = self._client_ip(environ)
            return "" if given is None else str(given), False
        address: str = environ.get("REMOTE_ADDR") or ""
        forwarded = (
            "HTTP_X_FORWARDED_FOR" in environ
            or "HTTP_FORWARDED" in environ
            or "HTTP_X_REAL_IP" in environ
        )
        # What proxies leave says nothing where ``ProxyFix`` has used it.
        fixed = "werkzeug.proxy_fix.orig" in environ
        return address, forwarded and not fixed and is_local(address)

    def _warn_of_proxy(self) -> None:
        """Say once that a whole site may be sharing one address."""
        if "behind-proxy" in self.capture.warnings:
            return
        self.capture.warn("behind-proxy")
        _log.warning(
            "visitors share one bucket of the IP limit: what is taken for their address is that of "
            "a proxy, or cannot be read. Wrap the app in werkzeug's ProxyFix, outside the mount, "
            "or give CaptureApp(client_ip=...); waitress takes X-Forwarded-For away unless "
            "trusted_proxy is set. See docs/how-to/behind-a-proxy.md",
            extra={"event": "behind-proxy"},
        )

    # -- everything else

    def _health(self, environ: WSGIEnvironment) -> Answer:
        answers.require_reading(environ)
        healthy = True
        for port in ("definitions", "people", "limiter", "journal"):
            backend = getattr(self.capture.backends, port)
            if isinstance(backend, Pingable):
                try:
                    backend.ping()
                except Exception as error:  # noqa: BLE001  # whatever it is, it does not answer
                    healthy = False
                    said = error if isinstance(error, BackendError) else type(error).__name__
                    _log.error(
                        "health: %s does not answer: %s",
                        port,
                        said,
                        extra={"event": "unhealthy", "port": port},
                    )
        return answers.accepted() if healthy else answers.public(503, b'{"ok":false}')

    def _elsewhere(self, environ: WSGIEnvironment) -> Answer:
        """The console, or nothing."""
        path = environ.get("PATH_INFO", "")
        if not (path == "/console" or path.startswith("/console/")):
            raise MalformedRequest(code="not-found")
        if self._guard is None and not stored(self.capture.backends.documents):
            # A token may be made, or removed, at any time.
            raise MalformedRequest(code="not-found")
        if self._console is None:
            self._console = self._opened()
        below = _moved(environ, "/console")
        body, status, headers = self._console.answer(below).get_wsgi_response(below)
        return status, headers, body


def mount(host: WSGIApplication, app: CaptureApp, *, at: str = "/capture") -> WSGIApplication:
    """Put ``app`` below the path ``at`` of ``host``, which keeps every other path untouched.

    :raises ConfigurationError: when ``at`` is not a path such as ``/capture``.
    """
    if not at.startswith("/") or at.endswith("/") or "//" in at or quote(at) != at:
        raise ConfigurationError("at", f'{at!r} is not a path such as "/capture"')
    below = at + "/"
    app.mounted_at.add(at)

    def mounted(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path != at and not path.startswith(below):
            return host(environ, start_response)
        return app(_moved(environ, at), start_response)

    return mounted


def _moved(environ: WSGIEnvironment, prefix: str) -> WSGIEnvironment:
    """A copy of ``environ`` for an app mounted at ``prefix``.

    A copy, because a change of the host's own environ is seen by what is wrapped around the mount.
    """
    return {
        HOST_ENVIRON: environ,
        **environ,
        "SCRIPT_NAME": environ.get("SCRIPT_NAME", "") + prefix,
        "PATH_INFO": environ.get("PATH_INFO", "")[len(prefix) :],
    }
