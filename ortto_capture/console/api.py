"""The activity page's files and the JSON behind them.

The law of this file: every value leaves as JSON and reaches the page as text; no HTML is made here.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from importlib.resources import files
from typing import TYPE_CHECKING, Any, NamedTuple

from werkzeug.utils import redirect
from werkzeug.wrappers import Request, Response

from ..capture import Capture
from ..errors import BackendError
from ..model import Captured, Outcome
from ..ports import InProcess
from ..schema import example

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_FILES = {
    "/": ("console.html", "text/html; charset=utf-8"),
    "/console.css": ("console.css", "text/css; charset=utf-8"),
    "/console.js": ("console.js", "text/javascript; charset=utf-8"),
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
#: Rows of each kind in one answer.
PAGE = 100
_MASK = "•••"

_log = logging.getLogger("ortto_capture")


class _Cursor(NamedTuple):
    """What a page has seen: of which epoch, up to which position, refusal and count."""

    epoch: str
    position: int
    refusal: int
    total: int

    @classmethod
    def parse(cls, text: str, epoch: str) -> _Cursor:
        """Read what the page was given last; anything else starts over."""
        seen, *numbers = text.split(":")
        if seen == epoch and len(numbers) == 3 and all(map(str.isdecimal, numbers)):
            return cls(epoch, *(int(number[:18]) for number in numbers))
        return cls(epoch, 0, 0, 0)

    def __str__(self) -> str:
        return ":".join(map(str, self))


class Console:
    """The activity page of one :class:`~ortto_capture.Capture`, as a WSGI app.

    :param guard: lets a request in; everybody else finds nothing here.
    """

    def __init__(self, capture: Capture, guard: Callable[[WSGIEnvironment], bool]) -> None:
        self._capture = capture
        self._guard = guard
        static = files(__package__ or "").joinpath("static")
        self._files = {
            path: (static.joinpath(name).read_bytes(), content_type)
            for path, (name, content_type) in _FILES.items()
        }

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request, as WSGI has it."""
        try:
            answer = self._answer(Request(environ, populate_request=False))
        except BackendError as error:
            _log.error("the activity page has no data: %s", error)
            answer = _error(error.status, error.code, error.message)
        except Exception as error:  # noqa: BLE001  # our own fault, or the guard's, is not the host's
            _log.error("the activity page failed, %s", type(error).__name__)
            answer = _error(500, "internal", "internal error")
        return answer(environ, start_response)

    def _answer(self, request: Request) -> WSGIApplication:
        path = request.environ.get("PATH_INFO", "")
        if not self._guard(request.environ):
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
            return redirect(request.environ.get("SCRIPT_NAME", "") + "/", 308)
        if path == "/api/feed":
            return self._feed(request)
        body, content_type = self._files[path]
        return Response(body, content_type=content_type, headers=_HEADERS)

    def _feed(self, request: Request) -> Response:
        """What came since the cursor ``after``; 304 when nothing did."""
        backends = self._capture.backends
        after = request.args.get("after", "")
        seen = _Cursor.parse(after, backends.epoch)
        captured = backends.journal.recent(seen.position, PAGE)
        refused: Iterable[Outcome] = ()
        counts: Mapping[str, int] = {}
        if backends.outcomes is not None:
            refused = backends.outcomes.refusals(seen.refusal, PAGE)
            counts = backends.outcomes.counts()
        now = _Cursor(
            backends.epoch,
            max((row.position for row in captured), default=seen.position),
            max((each.number for each in refused), default=seen.refusal),
            sum(number for code, number in counts.items() if not code.startswith("note:")),
        )
        # A page that has nothing yet gets an answer, even an empty one.
        if now == seen and after == str(seen):
            return Response(status=304, headers=_HEADERS)
        return _json(
            {
                "cursor": str(now),
                "captured": [self._captured(row) for row in captured],
                "refused": [self._refused(each) for each in refused],
                "counts": counts,
                # The first answer holds the latest; those that follow may be one page of several.
                "more": seen.position > 0 and len(captured) == PAGE,
                "warnings": self._warnings(request.environ),
                "example": self._example(),
            }
        )

    def _example(self) -> dict[str, Any] | None:
        """An activity to try: the first that websites may send, with harmless attributes."""
        for definition in self._capture.backends.definitions.all():
            if definition.client_side and not definition.archived:
                return {"activity_id": definition.id, "attributes": example(definition)}
        return None

    def _warnings(self, environ: WSGIEnvironment) -> list[str]:
        """What an operator should mend, by name; the page has the words."""
        alone = isinstance(self._capture.backends.limiter, InProcess)
        several = ["counts-alone"] if alone and environ["wsgi.multiprocess"] else []
        return several + self._capture.warnings

    def _captured(self, row: Captured) -> dict[str, Any]:
        definition = self._capture.backends.definitions.get(row.activity_id)
        # What is not declared any more may have been sensitive.
        shown = {a.key for a in definition.attributes if not a.sensitive} if definition else set()
        return {
            "id": row.position,
            "at": row.received_at.isoformat(),
            "occurred": row.occurred_at.isoformat(),
            "person": self._person(row.person_id),
            "activity": row.activity_id,
            "name": definition.name if definition else None,
            "attributes": {
                key: value if key in shown else _MASK for key, value in row.attributes.items()
            },
            "source": row.source,
            "assurance": row.assurance,
            "event": row.event_id,
        }

    def _refused(self, outcome: Outcome) -> dict[str, Any]:
        activity_id = outcome.activity_id
        definition = self._capture.backends.definitions.get(activity_id) if activity_id else None
        return {
            "id": outcome.number,
            "at": datetime.fromtimestamp(outcome.at, UTC).isoformat(),
            "route": outcome.route,
            "person": self._person(outcome.person_id),
            "activity": activity_id,
            "name": definition.name if definition else None,
            "code": outcome.code,
            "reason": outcome.reason,
            "field": outcome.field,
            "expected": outcome.expected,
        }

    def _person(self, person_id: str | None) -> str | None:
        """How a person is called: by address, else by another identifier, else by id."""
        person = self._capture.backends.people.get(person_id) if person_id else None
        if person is None:
            return person_id
        return person.email or person.identifiers[0].value


def _json(value: Any, status: int = 200) -> Response:
    body = json.dumps(value, separators=(",", ":"))
    return Response(body, status, content_type="application/json", headers=_HEADERS)


def _error(status: int, code: str, message: str) -> Response:
    return _json({"error": {"code": code, "message": message}}, status)
