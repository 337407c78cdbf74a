"""The activity page's files and the JSON behind them.

The law of this file: every value leaves as JSON and reaches the page as text; no HTML is made here.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qsl, quote

from werkzeug.utils import redirect
from werkzeug.wrappers import Request, Response

from ..capture import Capture
from ..errors import BackendError, ConfigurationError, place
from ..model import Captured, Outcome
from ..schema import example
from .rows import Rows

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

#: The page itself. It holds no data: that comes from ``/api/feed`` alone.
FILES = {
    "/": ("console.html", "text/html; charset=utf-8"),
    "/console.css": ("activity-page.css", "text/css; charset=utf-8"),
    "/console.js": ("activity-page.js", "text/javascript; charset=utf-8"),
    "/reasons.js": ("reasons.js", "text/javascript; charset=utf-8"),
}
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
#: Activities in one answer.
PAGE = 100
#: Refused requests in one answer; all backends keep more.
REFUSED = 200

_log = logging.getLogger("ortto_capture")


class _Cursor(NamedTuple):
    """What a page has seen: the last refused request, how many outcomes, the journal's cursor."""

    refused: int
    total: int
    journal: str

    @classmethod
    def parse(cls, text: str) -> _Cursor | None:
        """Read what follows the epoch; None when it is not ours."""
        refused, _, rest = text.partition(":")
        total, _, journal = rest.partition(":")
        if not (refused.isdecimal() and total.isdecimal()):
            return None
        return cls(int(refused[:18]), int(total[:18]), journal)

    def __str__(self) -> str:
        # The journal's cursor is opaque, so it comes last and may hold any character.
        return ":".join(map(str, self))


class Console:
    """The activity page of one :class:`~ortto_capture.Capture`.

    :param guard: lets a request in; any other finds nothing here, or what the guard returns: a
        WSGI app that answers in place of a page.
    """

    def __init__(
        self, capture: Capture, guard: Callable[[WSGIEnvironment], bool | WSGIApplication]
    ) -> None:
        self._capture = capture
        self._guard = guard
        static = files(__package__ or "").joinpath("static")
        self._files = {
            path: (static.joinpath(name).read_bytes(), content_type)
            for path, (name, content_type) in FILES.items()
        }

    def answer(self, environ: WSGIEnvironment) -> Response:
        """Answer one request, whatever goes wrong."""
        try:
            return self._answer(Request(environ, populate_request=False))
        except BackendError as error:
            _log.error(
                "the activity page has no data: %s", error, extra={"event": "page-without-data"}
            )
            return _error(error.status, error.code, error.message)
        except Exception as error:  # noqa: BLE001  # our own fault, or the guard's, is not the host's
            said = error if isinstance(error, ConfigurationError) else type(error).__name__
            _log.error(
                "the activity page failed, %s at %s",
                said,
                place(error),
                extra={"event": "page-failed"},
            )
            return _error(500, "internal", "internal error")

    def _answer(self, request: Request) -> Response:
        path = request.environ.get("PATH_INFO", "")
        allowed = self._guard(request.environ)
        if callable(allowed):
            # A program that asks for data could make nothing of a login page.
            if path.startswith("/api/"):
                return _error(401, "signed-out", "sign in again")
            return Response.from_app(allowed, request.environ)
        if not (allowed is None or isinstance(allowed, bool)):
            # True by accident, such as a coroutine or a text.
            kind = type(allowed).__name__
            raise ConfigurationError("console_guard", f"{kind} is no bool, and no WSGI app")
        if not allowed:
            return _error(404, "not-found", "not found")
        if request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
            return _error(403, "cross-site", "open this page on its own")
        if path != "/api/feed" and path not in self._files and path != "":
            return _error(404, "not-found", "not found")
        if request.method not in ("GET", "HEAD"):
            refused = _error(405, "method-not-allowed", "this route does not take that method")
            refused.headers["Allow"] = "GET, HEAD"
            return refused
        if path == "":
            # Two slashes would begin with the name of another host.
            return redirect(f"/{quote(request.root_path.strip('/'))}/", 308)
        if path == "/api/feed":
            return self._feed(request)
        body, content_type = self._files[path]
        return Response(body, content_type=content_type, headers=_HEADERS)

    def _feed(self, request: Request) -> Response:
        """What came since the cursor ``after``, in order of time; 304 when nothing did."""
        backends = self._capture.backends
        seen = self._seen(request)
        refused: Sequence[Outcome] = ()
        counts: Mapping[str, int] = {}
        if backends.outcomes is not None:
            refused = backends.outcomes.refused(seen.refused if seen else 0, REFUSED)
            counts = backends.outcomes.counts()
        if len(refused) == REFUSED:
            # The page may have missed some, so it begins again with the latest.
            seen = None
        journal = backends.journal
        try:
            captured = journal.after(seen.journal, PAGE) if seen else journal.latest(PAGE)
        except ValueError:
            # A cursor of another kind of journal.
            seen, captured = None, journal.latest(PAGE)
        last = seen or _Cursor(0, 0, "")
        now = _Cursor(
            max((each.number for each in refused), default=last.refused),
            sum(number for code, number in counts.items() if not code.startswith("note:")),
            captured[-1].cursor if captured else last.journal,
        )
        if now == seen:
            return Response(status=304, headers=_HEADERS)
        return _json(
            {
                "cursor": f"{backends.epoch}:{now}",
                # These are all that the page shows, not what comes on top.
                "anew": seen is None,
                "rows": self._rows(captured, refused, whole=seen is not None),
                "counts": counts,
                "more": seen is not None and len(captured) == PAGE,
                "warnings": self._warnings(request.environ),
                "example": self._example(),
            }
        )

    def _seen(self, request: Request) -> _Cursor | None:
        query = dict(parse_qsl(request.environ.get("QUERY_STRING", "")))
        epoch, after = f"{self._capture.backends.epoch}:", query.get("after", "")
        return _Cursor.parse(after.removeprefix(epoch)) if after.startswith(epoch) else None

    def _rows(
        self, captured: Sequence[Captured], refused: Sequence[Outcome], *, whole: bool
    ) -> list[dict[str, Any]]:
        """Both kinds in one order, by time.

        :param whole: no row is missing between these and what the page has. Otherwise there may be
            more of a kind before a full page of it. Rows of the other kind from that time are left
            out: they would stand there as if nothing else had happened.
        """
        since = 0.0
        if not whole and len(captured) == PAGE:
            since = min(each.activity.received_at for each in captured)
        if not whole and len(refused) == REFUSED:
            since = max(since, min(each.at for each in refused))
        rows = Rows(self._capture.backends)
        shown = [
            *((each.activity.received_at, "captured", rows.captured(each)) for each in captured),
            *((each.at, "refused", rows.refused(each)) for each in refused),
        ]
        shown.sort(key=itemgetter(0))
        return [{"kind": kind, **row} for at, kind, row in shown if at >= since]

    def _example(self) -> dict[str, Any] | None:
        """An activity to try: the first that websites may send, with harmless attributes."""
        for definition in self._capture.backends.definitions.all():
            if definition.client_side and not definition.archived:
                return {"activity_id": definition.id, "attributes": example(definition)}
        return None

    def _warnings(self, environ: WSGIEnvironment) -> list[str]:
        """What an operator should mend, by name; the page has the words."""
        alone = self._capture.backends.in_process and environ["wsgi.multiprocess"]
        several = ["counts-alone"] if alone else []
        return several + self._capture.warnings


def _json(value: Any, status: int = 200) -> Response:
    body = json.dumps(value, separators=(",", ":"))
    return Response(body, status, content_type="application/json", headers=_HEADERS)


def _error(status: int, code: str, message: str) -> Response:
    return _json({"error": {"code": code, "message": message}}, status)
