"""Answers as WSGI has them: a status, headers, and bytes that are ready.

The law of this file: what a refusal, a fault or a file looks like in HTTP is written here and
nowhere else. Only answers of the capture routes may be read by pages of other origins.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING, TypeAlias

from werkzeug.http import is_resource_modified

from .assets import Asset
from .body import MAX_LABEL
from .errors import BackendError, MalformedRequest, RateLimited, Refused, place

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

#: Status, headers and body. The list of headers belongs to this answer alone: a middleware of the
#: host may append to it.
Answer: TypeAlias = tuple[str, list[tuple[str, str]], Iterable[bytes]]

_log = logging.getLogger("ortto_capture")

_PRIVATE = [("X-Content-Type-Options", "nosniff"), ("Cache-Control", "no-store")]
#: On every answer of a capture route, errors included: without the first, a page on another origin
#: sees "CORS error" instead of the promised 404.
_CAPTURE_HEADERS = [
    ("Access-Control-Allow-Origin", "*"),
    ("Access-Control-Expose-Headers", "Retry-After"),
    *_PRIVATE,
]
_PREFLIGHT_HEADERS = [
    *_CAPTURE_HEADERS,
    ("Access-Control-Allow-Methods", "POST"),
    ("Access-Control-Allow-Headers", "Content-Type"),
    # Two hours, the longest that Chromium remembers.
    ("Access-Control-Max-Age", "7200"),
]
_JSON = ("Content-Type", "application/json")
_JSON_HEADERS = [*_CAPTURE_HEADERS, _JSON]
#: No other site may read it, neither by a request of its own nor as a script or a picture.
_OWN_HEADERS = [*_PRIVATE, _JSON, ("Cross-Origin-Resource-Policy", "same-origin")]
OK = b'{"ok":true}'
_OK_HEADERS = [*_JSON_HEADERS, ("Content-Length", str(len(OK)))]
_STATUS = {each.value: f"{each.value} {each.phrase}" for each in HTTPStatus}
#: An hour: long enough to save the requests, short enough for a new version to spread in.
_CLIENT_CACHE = "public, max-age=3600"
#: A year, the longest that caches honour, for an address that names its content.
_VERSION_CACHE = "public, max-age=31536000, immutable"


def preflight() -> Answer:
    """The answer to OPTIONS on a capture route."""
    return "204 No Content", _PREFLIGHT_HEADERS.copy(), []


def accepted() -> Answer:
    """The answer that is given most."""
    return "200 OK", _OK_HEADERS.copy(), [OK]


def public(status: int, body: bytes, *more: tuple[str, str]) -> Answer:
    """JSON that pages of all origins may read."""
    headers = [*_JSON_HEADERS, ("Content-Length", str(len(body))), *more]
    return _STATUS[status], headers, [body]


def own(body: bytes) -> Answer:
    """JSON that only pages of the host's own origin may read."""
    return "200 OK", [*_OWN_HEADERS, ("Content-Length", str(len(body)))], [body]


def refusal(error: Refused | BackendError) -> Answer:
    """What a refusal, or a backend's fault, is answered with."""
    if isinstance(error, BackendError):
        _log.error(
            "not stored: %s (%s)",
            error,
            type(error.__cause__ or error).__name__,
            extra={"event": "not-stored", "code": error.code},
        )
        return public(error.status, _error_body(error.code, error.message), ("Retry-After", "1"))
    more, wait = [], None
    if isinstance(error, RateLimited):
        wait = error.public_retry_after
        more = [("Retry-After", str(wait))]
    elif isinstance(error, MalformedRequest) and error.allow is not None:
        more = [("Allow", error.allow)]
    body = _error_body(error.code, error.message, error.field, error.expected, wait)
    return public(error.status, body, *more)


def fault(error: Exception) -> Answer:
    """What a fault of our own, or of a function of the host, is answered with."""
    _log.error(
        "internal error, %s at %s", type(error).__name__, place(error), extra={"event": "internal"}
    )
    return public(500, _error_body("internal", "internal error"))


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


def require_reading(environ: WSGIEnvironment) -> None:
    """Refuse every method that would change something.

    :raises MalformedRequest: ``method-not-allowed``.
    """
    if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
        raise MalformedRequest(code="method-not-allowed", allow="GET, HEAD")


def file(asset: Asset, environ: WSGIEnvironment) -> Answer:
    """One file of the browser client, compressed where the browser takes that."""
    require_reading(environ)
    body, etag, packed = asset.taken(environ.get("HTTP_ACCEPT_ENCODING", "")[:MAX_LABEL])
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
