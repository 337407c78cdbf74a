"""HTTP to Python and back: the capture routes, the client's files, and the mount.

The law of this file: it translates and decides nothing about activities, people or limits. The two
capture routes are raw WSGI, because a request object and a response object would cost more than the
whole pipeline; everything else is werkzeug's. Outside its own routes it changes nothing.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable
from functools import lru_cache, partial
from ipaddress import ip_address
from traceback import extract_tb
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from werkzeug.http import parse_options_header
from werkzeug.wrappers import Request, Response

from .capture import Capture
from .client import Asset, assets, snippet
from .errors import (
    BackendError,
    ConfigurationError,
    MalformedRequest,
    RateLimited,
    Refused,
)
from .ports import Pingable
from .wire import activity_request, decode, track_request

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_log = logging.getLogger("ortto_capture")

#: On every answer of a capture route, errors included: without the first, a page on another origin
#: sees "CORS error" instead of the promised 404.
_CAPTURE_HEADERS = [
    ("Content-Type", "application/json"),
    ("Access-Control-Allow-Origin", "*"),
    ("Access-Control-Expose-Headers", "Retry-After"),
    ("X-Content-Type-Options", "nosniff"),
    ("Cache-Control", "no-store"),
]
_OK = b'{"ok":true}'
_OK_HEADERS = [*_CAPTURE_HEADERS, ("Content-Length", str(len(_OK)))]
_DUPLICATE = b'{"ok":true,"duplicate":true}'
_STATUS = {
    200: "200 OK",
    400: "400 Bad Request",
    401: "401 Unauthorized",
    403: "403 Forbidden",
    404: "404 Not Found",
    405: "405 Method Not Allowed",
    411: "411 Length Required",
    413: "413 Content Too Large",
    415: "415 Unsupported Media Type",
    429: "429 Too Many Requests",
    500: "500 Internal Server Error",
    503: "503 Service Unavailable",
}
#: What proxies add.
_FORWARDING = ("HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED", "HTTP_X_REAL_IP")
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
        client_ip: Callable[[WSGIEnvironment], str | None] | None = None,
        console_guard: Callable[[WSGIEnvironment], bool] | None = None,
    ) -> None:
        self.capture = capture
        self._max_body = capture.settings.max_body
        self._client_ip = client_ip
        self._routes: dict[str, WSGIApplication] = {
            "/-/events/track": partial(self._serve, self._track),
            "/-/events/activity": partial(self._serve, self._activity),
            "/-/health": self._health,
        }
        for name, asset in assets().items():
            self._routes[f"/{name}"] = partial(_serve_asset, asset)
        self._console: WSGIApplication | None = None
        if console_guard is not None:
            from .console import Console

            self._console = Console(capture, console_guard)
        backends = capture.backends
        self._counts_alone = backends.in_process
        self._look_at_peer = client_ip is None

    def snippet(self, key: str, nonce: str | None = None, endpoint: str = "/capture") -> str:
        """The HTML to put into every page's head; templates of Flask and Django do not escape it.

        :param key: the capture key that names this website.
        :param nonce: the page's Content-Security-Policy nonce.
        :param endpoint: where this app is mounted, as a path or a URL.
        """
        return snippet(key, endpoint, nonce)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request, as WSGI has it."""
        answer = self._answer(environ, start_response)
        # Some servers send what they get, and the client would take it for the next answer.
        return [] if environ["REQUEST_METHOD"] == "HEAD" else answer

    def _answer(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        route = self._routes.get(path)
        if route is not None:
            return route(environ, start_response)
        if self._console is not None and (path == "/console" or path.startswith("/console/")):
            inside = {
                **environ,
                "SCRIPT_NAME": environ.get("SCRIPT_NAME", "") + "/console",
                "PATH_INFO": path[len("/console") :],
            }
            return self._console(inside, start_response)
        return _refuse(start_response, MalformedRequest(code="not-found"))

    # -- the two capture routes

    def _serve(
        self,
        answer: Callable[[WSGIEnvironment], bytes],
        environ: WSGIEnvironment,
        start_response: StartResponse,
    ) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] == "OPTIONS":
            return _preflight(start_response)
        try:
            body = answer(environ)
        except Refused as refused:
            return _refuse(start_response, refused)
        except BackendError as error:
            _log.error("not stored: %s (%s)", error, type(error.__cause__ or error).__name__)
            return _refuse(start_response, error)
        except Exception as error:  # noqa: BLE001  # our own fault must not become the host's
            where = extract_tb(error.__traceback__)[-1]
            # Not the message: it may hold what the visitor sent.
            _log.error(
                "internal error, %s at %s:%s", type(error).__name__, where.filename, where.lineno
            )
            return _send(start_response, 500, _error_body("internal", "internal error"))
        if body is _OK:
            start_response("200 OK", _OK_HEADERS.copy())
            return [_OK]
        return _send(start_response, 200, body)

    def _track(self, environ: WSGIEnvironment) -> bytes:
        with self.capture.accounted("track") as attempt:
            attempt.request = track_request(decode(_read(environ, self._max_body)))
            session, identified = attempt.identify(
                ip=self._address(environ),
                origin=environ.get("HTTP_ORIGIN"),
                gpc=environ.get("HTTP_SEC_GPC") == "1",
            )
        return json.dumps(
            {"session": session, "identified": identified}, separators=(",", ":")
        ).encode()

    def _activity(self, environ: WSGIEnvironment) -> bytes:
        with self.capture.accounted("activity") as attempt:
            body = _read(environ, self._max_body)
            attempt.request = activity_request(decode(body), len(body))
            captured = attempt.record(
                ip=self._address(environ),
                origin=environ.get("HTTP_ORIGIN"),
                gpc=environ.get("HTTP_SEC_GPC") == "1",
            )
        return _DUPLICATE if captured.duplicate else _OK

    def _address(self, environ: WSGIEnvironment) -> str:
        if self._counts_alone and environ.get("wsgi.multiprocess"):
            self._counts_alone = False
            _log.warning(
                "this server runs several processes and the backends are in memory: each process "
                "counts and remembers alone, so limits are multiplied; use backends that share"
            )
        if self._client_ip is not None:
            return self._client_ip(environ) or ""
        address: str = environ.get("REMOTE_ADDR", "")
        if self._look_at_peer and (not address or any(map(environ.__contains__, _FORWARDING))):
            self._warn_of_proxy(environ, address)
        return address

    def _warn_of_proxy(self, environ: WSGIEnvironment, address: str) -> None:
        """Say once that a whole site may be sharing one address."""
        try:
            proxied = bool(address) and not ip_address(address).is_private
        except ValueError:
            proxied = False
        # ProxyFix leaves this behind: then the address is the visitor's already.
        if proxied or "werkzeug.proxy_fix.orig" in environ:
            return
        self._look_at_peer = False
        self.capture.warn("behind-proxy")
        _log.warning(
            "requests come through a proxy, or without an address: all visitors share one bucket "
            "of the IP limit. Wrap the app in werkzeug's ProxyFix, outside the mount, or give "
            "CaptureApp(client_ip=...)"
        )

    # -- health

    def _health(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            return _refuse(
                start_response, MalformedRequest(code="method-not-allowed", allow="GET, HEAD")
            )
        backends = self.capture.backends
        healthy = True
        for port in ("definitions", "people", "limiter", "journal"):
            backend = getattr(backends, port)
            if isinstance(backend, Pingable):
                try:
                    backend.ping()
                except Exception as error:  # noqa: BLE001  # whatever it is, it does not answer
                    healthy = False
                    said = error if isinstance(error, BackendError) else type(error).__name__
                    _log.error("health: %s does not answer: %s", port, said)
        body = b'{"ok":true}' if healthy else b'{"ok":false}'
        return _send(start_response, 200 if healthy else 503, body)


def mount(host: WSGIApplication, app: CaptureApp, *, at: str = "/capture") -> WSGIApplication:
    """Put ``app`` below the path ``at`` of ``host``, which keeps every other path untouched.

    :raises ConfigurationError: when ``at`` is not a path such as ``/capture``.
    """
    if not at.startswith("/") or at.endswith("/") or "//" in at or quote(at) != at:
        raise ConfigurationError("at", f'{at!r} is not a path such as "/capture"')
    below = at + "/"

    def mounted(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path != at and not path.startswith(below):
            return host(environ, start_response)
        # A copy: werkzeug's dispatcher writes the shifted path into the host's own environ, where
        # whatever is wrapped around the mount then finds it.
        inside = {
            **environ,
            "SCRIPT_NAME": environ.get("SCRIPT_NAME", "") + at,
            "PATH_INFO": path[len(at) :],
        }
        return app(inside, start_response)

    return mounted


def _read(environ: WSGIEnvironment, cap: int) -> bytes:
    """The whole body, or a refusal (contract §4, rows 1 to 4).

    werkzeug's own limited stream, under gunicorn, hands over a cut body as if it were whole; so the
    bytes are counted here.
    """
    if environ["REQUEST_METHOD"] != "POST":
        raise MalformedRequest(code="method-not-allowed", allow="POST, OPTIONS")
    declared = environ.get("CONTENT_LENGTH") or None
    # A number of twenty digits is over any cap, and no number of digits may cost more than these.
    digits = declared is not None and declared.isascii() and declared.isdigit()
    length = int(declared[:20]) if declared is not None and digits else None
    if length is not None and length > cap:
        raise MalformedRequest(code="too-large")
    if not _acceptable(environ.get("CONTENT_TYPE", ""), environ.get("HTTP_CONTENT_ENCODING", "")):
        raise MalformedRequest(code="unsupported-media-type")
    if length is None:
        if declared is not None:
            raise MalformedRequest("Content-Length is no number", code="incomplete")
        if not environ.get("wsgi.input_terminated"):
            raise MalformedRequest(code="length-required")
    wanted = cap + 1 if length is None else length
    try:
        body = _read_up_to(environ["wsgi.input"], wanted)
    except Exception as error:  # whatever the server's stream raises, the body is not here
        raise MalformedRequest(
            f"reading failed: {type(error).__name__}", code="incomplete"
        ) from error
    if len(body) > cap:
        raise MalformedRequest(code="too-large")
    if length is not None and len(body) != length:
        raise MalformedRequest("fewer bytes than Content-Length", code="incomplete")
    return body


def _read_up_to(stream: Any, wanted: int) -> bytes:
    body: bytes = stream.read(wanted)
    while len(body) < wanted and (more := stream.read(wanted - len(body))):
        body += more
    return body


@lru_cache(maxsize=256)
def _acceptable(content_type: str, content_encoding: str) -> bool:
    """Whether a body so labelled may be JSON: all but forms, other charsets and compression."""
    if content_encoding.strip().lower() not in ("", "identity"):
        return False
    media_type, options = parse_options_header(content_type)
    media_type = media_type.lower()
    if media_type.startswith("multipart/") or media_type == "application/x-www-form-urlencoded":
        return False
    return options.get("charset", "utf-8").lower() in ("utf-8", "utf8")


def _send(
    start_response: StartResponse,
    status: int,
    body: bytes,
    more: Iterable[tuple[str, str]] = (),
) -> list[bytes]:
    headers = _CAPTURE_HEADERS.copy()
    headers.append(("Content-Length", str(len(body))))
    headers.extend(more)
    start_response(_STATUS[status], headers)
    return [body]


def _refuse(start_response: StartResponse, error: Refused | BackendError) -> list[bytes]:
    more: list[tuple[str, str]] = []
    field = expected = wait = None
    if isinstance(error, Refused):
        field, expected = error.field, error.expected
    if isinstance(error, RateLimited):
        wait = error.public_retry_after
        more = [("Retry-After", str(wait))]
    elif isinstance(error, BackendError):
        more = [("Retry-After", "1")]
    elif isinstance(error, MalformedRequest) and error.allow is not None:
        more = [("Allow", error.allow)]
    body = _error_body(error.code, error.message, field, expected, wait)
    return _send(start_response, error.status, body, more)


# Most refusals are the same few over and over.
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


def _preflight(start_response: StartResponse) -> list[bytes]:
    start_response(
        "204 No Content",
        [
            ("Access-Control-Allow-Origin", "*"),
            ("Access-Control-Allow-Methods", "POST"),
            ("Access-Control-Allow-Headers", "Content-Type"),
            # Two hours, the longest that Chromium remembers.
            ("Access-Control-Max-Age", "7200"),
            ("Access-Control-Expose-Headers", "Retry-After"),
            ("X-Content-Type-Options", "nosniff"),
            ("Cache-Control", "no-store"),
        ],
    )
    return []


def _serve_asset(
    asset: Asset, environ: WSGIEnvironment, start_response: StartResponse
) -> Iterable[bytes]:
    """One file of the browser client, compressed where the browser takes that."""
    request = Request(environ, populate_request=False)
    if request.method not in ("GET", "HEAD"):
        return _refuse(
            start_response, MalformedRequest(code="method-not-allowed", allow="GET, HEAD")
        )
    packed = request.accept_encodings["gzip"] > 0
    response = Response(asset.gzip if packed else asset.body, content_type=asset.content_type)
    if packed:
        response.headers["Content-Encoding"] = "gzip"
    response.headers["Vary"] = "Accept-Encoding"
    current = request.args.get("v") == asset.etag
    response.headers["Cache-Control"] = _VERSION_CACHE if current else _CLIENT_CACHE
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Access-Control-Allow-Origin"] = "*"
    # A strong tag names bytes, so the packed bytes need one of their own.
    response.set_etag(f"{asset.etag}-gzip" if packed else asset.etag)
    return response.make_conditional(environ)(environ, start_response)
