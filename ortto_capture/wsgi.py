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
from functools import lru_cache, partial
from http import HTTPStatus
from traceback import extract_tb
from typing import TYPE_CHECKING, TypeAlias, TypeVar
from urllib.parse import quote

from werkzeug.datastructures import Accept
from werkzeug.http import is_resource_modified, parse_accept_header

from .addresses import SHARED_BUCKET, ip_bucket, is_local
from .body import MAX_LABEL, read_body
from .capture import Capture
from .client import Asset, assets
from .client.loader import external_snippet, inline_snippet, nonce_of, prefix_of, snippet_hash
from .errors import BackendError, ConfigurationError, MalformedRequest, RateLimited, Refused
from .ports import Pingable
from .wire import activity_request, decode, track_request

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    from .console.api import Console

T = TypeVar("T")

#: Status, headers and body. The list of headers belongs to this answer alone: a middleware of the
#: host may append to it.
Answer: TypeAlias = tuple[str, list[tuple[str, str]], Iterable[bytes]]
Route: TypeAlias = "Callable[[WSGIEnvironment], Answer]"

_log = logging.getLogger("ortto_capture")

#: On every answer of a capture route, errors included: without the first, a page on another origin
#: sees "CORS error" instead of the promised 404.
_CAPTURE_HEADERS = [
    ("Access-Control-Allow-Origin", "*"),
    ("Access-Control-Expose-Headers", "Retry-After"),
    ("X-Content-Type-Options", "nosniff"),
    ("Cache-Control", "no-store"),
]
_PREFLIGHT_HEADERS = [
    *_CAPTURE_HEADERS,
    ("Access-Control-Allow-Methods", "POST"),
    ("Access-Control-Allow-Headers", "Content-Type"),
    # Two hours, the longest that Chromium remembers.
    ("Access-Control-Max-Age", "7200"),
]
_JSON_HEADERS = [*_CAPTURE_HEADERS, ("Content-Type", "application/json")]
_OK = b'{"ok":true}'
_OK_HEADERS = [*_JSON_HEADERS, ("Content-Length", str(len(_OK)))]
_DUPLICATE = b'{"ok":true,"duplicate":true}'
_STATUS = {each.value: f"{each.value} {each.phrase}" for each in HTTPStatus}
#: An hour: long enough to save the requests, short enough for a new version to spread in.
_CLIENT_CACHE = "public, max-age=3600"
#: A year, the longest that caches honour, for an address that names its content.
_VERSION_CACHE = "public, max-age=31536000, immutable"


class CaptureApp:
    """The WSGI app of one :class:`Capture`: routes of contract §2, relative to where it is mounted.

    :param client_ip: returns the visitor's address; by default ``REMOTE_ADDR``. Forwarding headers
        are never read: behind a proxy, wrap the host in werkzeug's ``ProxyFix``, outside the mount.
    :param console_guard: lets a request see the activity page; without one there is none.
    """

    def __init__(
        self,
        capture: Capture,
        *,
        client_ip: Callable[[WSGIEnvironment], object] | None = None,
        console_guard: Callable[[WSGIEnvironment], bool] | None = None,
    ) -> None:
        self.capture = capture
        self._max_body = capture.settings.max_body
        self._client_ip = client_ip
        self._routes: dict[str, Route] = {
            "/-/events/track": self._track,
            "/-/events/activity": self._activity,
            "/-/health": self._health,
        }
        for name, asset in assets().items():
            self._routes[f"/{name}"] = partial(_asset, asset)
        self._console: Console | None = None
        if console_guard is not None:
            from .console.api import Console

            self._console = Console(capture, console_guard)
        self._warned_of_processes = not capture.backends.in_process
        #: The paths that ``mount`` has put this app at.
        self.mounted_at: set[str] = set()

    def snippet(
        self,
        key: str,
        nonce: object = None,
        endpoint: str | None = None,
        *,
        request: object = None,
        inline: bool = True,
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
        :raises ConfigurationError: when the nonce is empty, the endpoint is no path or URL or
            cannot be known, or the request is none.
        """
        if nonce is None and request is not None:
            nonce = nonce_of(request)
        render = inline_snippet if inline else external_snippet
        return render(key, self._endpoint(endpoint, request), nonce)

    def snippet_hash(self, key: str, endpoint: str | None = None, *, request: object = None) -> str:
        """What a policy names instead of a nonce: ``'sha256-…'`` of the inline code, with quotes.

        The arguments are those of :meth:`snippet`. The hash is another one for another key,
        endpoint or version of this package.
        """
        return snippet_hash(key, self._endpoint(endpoint, request))

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
            status, headers, body = _refusal(error)
        except Exception as error:  # noqa: BLE001  # our own fault must not become the host's
            status, headers, body = _fault(error)
        start_response(status, headers)
        # Some servers send what they get, and the client would take it for the next answer.
        return [] if environ["REQUEST_METHOD"] == "HEAD" else body

    # -- the two capture routes

    def _track(self, environ: WSGIEnvironment) -> Answer:
        if environ["REQUEST_METHOD"] == "OPTIONS":
            return "204 No Content", _PREFLIGHT_HEADERS.copy(), []
        with self.capture.accounted("track") as attempt:
            request = track_request(decode(read_body(environ, self._max_body)))
            identified = self._taken(attempt.identify, request, environ)
        return _json(200, json.dumps(identified._asdict(), separators=(",", ":")).encode())

    def _activity(self, environ: WSGIEnvironment) -> Answer:
        if environ["REQUEST_METHOD"] == "OPTIONS":
            return "204 No Content", _PREFLIGHT_HEADERS.copy(), []
        with self.capture.accounted("activity") as attempt:
            body = read_body(environ, self._max_body)
            request = activity_request(decode(body), len(body))
            captured = self._taken(attempt.record, request, environ)
        if captured.duplicate:
            return _json(200, _DUPLICATE)
        return "200 OK", _OK_HEADERS.copy(), [_OK]

    def _taken(self, take: Callable[..., T], request: object, environ: WSGIEnvironment) -> T:
        """Have the pipeline ``take`` a request, with what only HTTP knows of it."""
        ip = self._address(environ)
        try:
            return take(
                request,
                ip=ip,
                origin=environ.get("HTTP_ORIGIN"),
                gpc=environ.get("HTTP_SEC_GPC") == "1",
            )
        except RateLimited as full:
            if full.reason != "person-limit" and is_local(ip):
                self._warn_of_proxy()
            raise

    # -- where the visitor is

    def _address(self, environ: WSGIEnvironment) -> str:
        if not self._warned_of_processes and environ.get("wsgi.multiprocess"):
            self._warned_of_processes = True
            _log.warning(
                "this server runs several processes and the backends are in memory: each process "
                "counts and remembers alone, so limits are multiplied; use backends that share"
            )
        if self._client_ip is None:
            address: str = environ.get("REMOTE_ADDR") or ""
            forwarded = (
                "HTTP_X_FORWARDED_FOR" in environ
                or "HTTP_FORWARDED" in environ
                or "HTTP_X_REAL_IP" in environ
            )
            # What proxies leave says nothing where ``ProxyFix`` has used it.
            proxied = forwarded and "werkzeug.proxy_fix.orig" not in environ and is_local(address)
        else:
            given = self._client_ip(environ)
            address = "" if given is None else str(given)
            proxied = False
        if proxied or ip_bucket(address) == SHARED_BUCKET:
            self._warn_of_proxy()
        return address

    def _warn_of_proxy(self) -> None:
        """Say once that a whole site may be sharing one address."""
        if "behind-proxy" in self.capture.warnings:
            return
        self.capture.warn("behind-proxy")
        _log.warning(
            "visitors share one bucket of the IP limit: what is taken for their address is that of "
            "a proxy, or cannot be read. Wrap the app in werkzeug's ProxyFix, outside the mount, "
            "or give CaptureApp(client_ip=...); waitress takes X-Forwarded-For away unless "
            "trusted_proxy is set. See docs/how-to/behind-a-proxy.md"
        )

    # -- everything else

    def _health(self, environ: WSGIEnvironment) -> Answer:
        _require_reading(environ)
        healthy = True
        for port in ("definitions", "people", "limiter", "journal"):
            backend = getattr(self.capture.backends, port)
            if isinstance(backend, Pingable):
                try:
                    backend.ping()
                except Exception as error:  # noqa: BLE001  # whatever it is, it does not answer
                    healthy = False
                    said = error if isinstance(error, BackendError) else type(error).__name__
                    _log.error("health: %s does not answer: %s", port, said)
        return _json(200, _OK) if healthy else _json(503, b'{"ok":false}')

    def _elsewhere(self, environ: WSGIEnvironment) -> Answer:
        """The activity page, or nothing."""
        path = environ.get("PATH_INFO", "")
        if self._console is None or not (path == "/console" or path.startswith("/console/")):
            raise MalformedRequest(code="not-found")
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
        **environ,
        "SCRIPT_NAME": environ.get("SCRIPT_NAME", "") + prefix,
        "PATH_INFO": environ.get("PATH_INFO", "")[len(prefix) :],
    }


def _require_reading(environ: WSGIEnvironment) -> None:
    if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
        raise MalformedRequest(code="method-not-allowed", allow="GET, HEAD")


# -- answering


def _json(status: int, body: bytes, *more: tuple[str, str]) -> Answer:
    headers = [*_JSON_HEADERS, ("Content-Length", str(len(body))), *more]
    return _STATUS[status], headers, [body]


def _refusal(error: Refused | BackendError) -> Answer:
    if isinstance(error, BackendError):
        _log.error("not stored: %s (%s)", error, type(error.__cause__ or error).__name__)
        return _json(error.status, _error_body(error.code, error.message), ("Retry-After", "1"))
    more, wait = [], None
    if isinstance(error, RateLimited):
        wait = error.public_retry_after
        more = [("Retry-After", str(wait))]
    elif isinstance(error, MalformedRequest) and error.allow is not None:
        more = [("Allow", error.allow)]
    body = _error_body(error.code, error.message, error.field, error.expected, wait)
    return _json(error.status, body, *more)


def _fault(error: Exception) -> Answer:
    where = extract_tb(error.__traceback__)[-1]
    # Not the message: it may hold what the visitor sent.
    _log.error("internal error, %s at %s:%s", type(error).__name__, where.filename, where.lineno)
    return _json(500, _error_body("internal", "internal error"))


# Most refusals are the same few over and over. A key of the cache is a few hundred bytes at most.
@lru_cache(maxsize=1_024)
def _error_body(
    code: str,
    message: str,
    field: str | None = None,
    expected: str | None = None,
    wait: int | None = None,
) -> bytes:
    error = {
        "code": code,
        "message": message,
        "field": field,
        "expected": expected,
        "try-in-seconds": wait,
    }
    known = {name: value for name, value in error.items() if value is not None}
    return json.dumps({"error": known}, separators=(",", ":")).encode()


def _asset(asset: Asset, environ: WSGIEnvironment) -> Answer:
    """One file of the browser client, compressed where the browser takes that."""
    _require_reading(environ)
    accepted = environ.get("HTTP_ACCEPT_ENCODING", "")[:MAX_LABEL]
    packed = parse_accept_header(accepted, Accept)["gzip"] > 0
    body = asset.gzip if packed else asset.body
    # A strong tag names bytes, so the packed bytes need one of their own.
    etag = f'"{asset.etag}-gzip"' if packed else f'"{asset.etag}"'
    # Compared as it is: it may hold any bytes.
    current = environ.get("QUERY_STRING") == f"v={asset.etag}"
    headers = [
        ("ETag", etag),
        ("Cache-Control", _VERSION_CACHE if current else _CLIENT_CACHE),
        ("Vary", "Accept-Encoding"),
        ("X-Content-Type-Options", "nosniff"),
        ("Access-Control-Allow-Origin", "*"),
    ]
    if not is_resource_modified(environ, etag):
        return "304 Not Modified", headers, []
    headers += [("Content-Type", asset.content_type), ("Content-Length", str(len(body)))]
    if packed:
        headers.append(("Content-Encoding", "gzip"))
    return "200 OK", headers, [body]
