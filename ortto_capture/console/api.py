"""HTTP to the console's routes and back: its files, its headers, what is wrong in one shape.

The law of this file: every value leaves as JSON and reaches the page as text; no HTML is made here.
Which routes there are is for the other modules, and who may ask for ``access``.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from werkzeug.exceptions import MethodNotAllowed, NotFound
from werkzeug.http import is_resource_modified
from werkzeug.routing import Map, RequestRedirect, Rule
from werkzeug.wrappers import Response

from ..assets import Asset
from ..body import MAX_LABEL
from ..capture import Capture
from ..errors import (
    BackendError,
    ConfigurationError,
    MalformedRequest,
    Refused,
    ReportsBusy,
    place,
)
from . import (
    account,
    activities,
    asking,
    audiences,
    detail,
    feed,
    figures,
    health,
    openapi,
    people,
    reports,
    setup,
    writes,
)
from .access import Access
from .files import read_files
from .routes import Answer, Asked, Problem, Route, not_found
from .shapes import check

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

    from ..identity import Identity
    from .access import Guard

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
#: Of a file: it may be kept, and is asked for again each time.
_FILE_HEADERS = {
    **_HEADERS,
    "Cache-Control": "private, no-cache",
    "Vary": "Accept-Encoding",
}
_READING = ("GET", "HEAD")

_log = logging.getLogger("ortto_capture")


class Console:
    """The console of one :class:`~ortto_capture.Capture`.

    :param guard: of the host, see :class:`~ortto_capture.CaptureApp`; None for tokens alone.
    :param address: tells by which address a visitor is counted.
    :param signed_in: tells who is signed in at the host.
    :param snippet: returns the HTML for the head of a page, of a capture key and an endpoint.
    """

    def __init__(
        self,
        capture: Capture,
        guard: Guard | None,
        address: Callable[[WSGIEnvironment], str],
        signed_in: Callable[[WSGIEnvironment], Identity | None],
        snippet: Callable[[str, str], str],
    ) -> None:
        self._access = Access(capture, guard, address, signed_in)
        self._files = read_files()
        routes: list[Route] = [
            *account.routes(capture, snippet),
            *activities.routes(capture),
            *figures.routes(capture),
            *setup.routes(capture, snippet),
            *feed.routes(capture),
            *detail.routes(capture),
            *people.routes(capture),
            *asking.routes(capture),
            *reports.routes(capture),
            *audiences.routes(capture),
            *health.routes(capture),
            *writes.routes(capture),
        ]
        routes.append(openapi.route(tuple(routes)))
        rules = [Rule(each.path, methods=[each.method], endpoint=each) for each in routes]
        self._map = Map(rules, merge_slashes=False, redirect_defaults=False)
        self._map.update()

    def answer(self, environ: WSGIEnvironment) -> Response:
        """Answer one request, whatever goes wrong."""
        try:
            return self._answer(environ)
        except (Problem, Refused) as error:
            return _refusal(error)
        except BackendError as error:
            _log.error("the console has no data: %s", error, extra={"event": "page-without-data"})
            refused = _error(error.status, error.code, error.message)
            refused.headers["Retry-After"] = "1"
            return refused
        except Exception as error:  # noqa: BLE001  # our own fault, or the guard's, is not the host's
            said = error if isinstance(error, ConfigurationError) else type(error).__name__
            _log.error(
                "the console failed, %s at %s", said, place(error), extra={"event": "page-failed"}
            )
            return _error(500, "internal", "internal error")

    def _answer(self, environ: WSGIEnvironment) -> Response:
        path = _decoded(environ.get("PATH_INFO", ""))
        if path.startswith("/api/"):
            return self._data(path, environ)
        instead = self._access.to_files(environ)
        if instead is not None:
            return Response.from_app(instead, environ)
        if path == "":
            _require_reading(environ)
            return _redirect(environ)
        file = self._files.get(path)
        if file is None:
            raise not_found()
        _require_reading(environ)
        return _file(file, environ)

    def _data(self, path: str, environ: WSGIEnvironment) -> Response:
        visitor = self._access.to_data(environ)
        method = environ["REQUEST_METHOD"]
        try:
            route, arguments = self._map.bind("").match(path, "GET" if method == "HEAD" else method)
        except MethodNotAllowed as error:
            raise _not_allowed(", ".join(sorted(error.valid_methods or ()))) from None
        except (NotFound, RequestRedirect):
            raise not_found() from None
        if route.scope not in (None, "read"):
            visitor = self._access.named(visitor, environ)
        asked = Asked(environ, visitor, arguments)
        if route.scope is not None:
            asked.need(route.scope)
        if method not in _READING:
            self._access.to_write(environ, visitor)
        if route.body is not None and route.held:
            check(asked.body, route.body)
        given = route.call(asked)
        answer = given if isinstance(given, Answer) else Answer(given, route.status)
        return _response(answer, environ)


def _decoded(path: str) -> str:
    """A path as WSGI has it: its bytes, as Latin-1."""
    try:
        return path.encode("latin-1").decode()
    except UnicodeError:
        raise not_found() from None


def _require_reading(environ: WSGIEnvironment) -> None:
    if environ["REQUEST_METHOD"] not in _READING:
        raise _not_allowed("GET, HEAD")


def _not_allowed(allow: str) -> Refused:
    return MalformedRequest(code="method-not-allowed", allow=allow)


def _redirect(environ: WSGIEnvironment) -> Response:
    """The page, where a slash is missing at the end of its address."""
    # As bytes; and two slashes would begin with the name of another host.
    prefix = environ.get("SCRIPT_NAME", "").encode("latin-1", "replace").strip(b"/")
    query = environ.get("QUERY_STRING", "").encode("latin-1", "replace")
    state = "?" + quote(query, safe="=&%:+,;/?@!$'()*~") if query else ""
    return Response(status=308, headers={**_HEADERS, "Location": f"/{quote(prefix)}/{state}"})


def _file(file: Asset, environ: WSGIEnvironment) -> Response:
    body, etag, packed = file.taken(environ.get("HTTP_ACCEPT_ENCODING", "")[:MAX_LABEL])
    headers = {**_FILE_HEADERS, "ETag": etag}
    if not is_resource_modified(environ, etag):
        return Response(status=304, headers=headers)
    if packed:
        headers["Content-Encoding"] = "gzip"
    return Response(body, content_type=file.content_type, headers=headers)


def _response(answer: Answer, environ: WSGIEnvironment) -> Response:
    if answer.status == 304:
        return Response(status=304, headers={**_HEADERS, "ETag": f'"{answer.etag}"'})
    if answer.status == 204:
        return Response(status=204, headers=_HEADERS)
    if answer.text is not None:
        headers = {**_HEADERS, "Content-Disposition": f'attachment; filename="{answer.file}"'}
        return Response(answer.text, answer.status, headers, content_type=answer.media)
    response = _json(answer.value, answer.status)
    if answer.status >= 300 or (answer.etag is None and environ["REQUEST_METHOD"] not in _READING):
        return response
    etag = answer.etag or _tag_of(answer.value, response.data)
    response.headers["ETag"] = f'"{etag}"'
    if environ["REQUEST_METHOD"] in _READING and not is_resource_modified(environ, f'"{etag}"'):
        return Response(status=304, headers={**_HEADERS, "ETag": f'"{etag}"'})
    return response


def _tag_of(value: Any, body: bytes) -> str:
    """The tag of an answer; that time has passed makes it no other."""
    if isinstance(value, Mapping) and "now" in value:
        told = {name: each for name, each in value.items() if name != "now"}
        body = _encoded(told).encode()
    return sha256(body).hexdigest()[:16]


_encoded = json.JSONEncoder(separators=(",", ":")).encode


def _json(value: Any, status: int = 200) -> Response:
    return Response(_encoded(value), status, content_type="application/json", headers=_HEADERS)


def _error(status: int, code: str, message: str, **more: str | None) -> Response:
    told = {name: each for name, each in more.items() if each is not None}
    return _json({"error": {"code": code, "message": message, **told}}, status)


def _refusal(error: Problem | Refused) -> Response:
    expected = error.expected
    refused = _error(error.status, error.code, error.message, field=error.field, expected=expected)
    if isinstance(error, Problem):
        refused.headers.update(error.headers)
    elif isinstance(error, ReportsBusy):
        refused.headers["Retry-After"] = str(error.retry_after)
    elif isinstance(error, MalformedRequest) and error.allow is not None:
        refused.headers["Allow"] = error.allow
    return refused
