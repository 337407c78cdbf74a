"""Saved reports, and the Overview.

The law of this file: a report is replaced or removed only by a reader who has seen its version, and
each such write is recorded. One that cannot be read says why, and harms no other.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from ..capture import Capture
from ..questions.query import Funnel, Query
from ..reports import Refusals, Report, Saved
from ..reports.reports import MAX_PINNED, plain_question
from . import sheets, writes
from .asking import Asking
from .routes import Answer, Asked, Problem, Route, not_found
from .shapes import ANSWER, FLAG, GIVEN_REPORT, QUESTION, TEXT, many, maybe, one_of, record

_REPORT = record(
    {
        "name": TEXT,
        "title": TEXT,
        "question": maybe(QUESTION),
        "draw": one_of("bars", "line", "shares", "table"),
        "pinned": FLAG,
        "problem": TEXT,
        "etag": TEXT,
    }
)
_OVERVIEW = record({"names": many(TEXT), "etag": TEXT})


class Reports:
    """The saved reports of an account."""

    def __init__(self, capture: Capture) -> None:
        self._capture = capture
        self._asking = Asking(capture)

    def all(self, _: Asked) -> dict[str, Any]:
        """All saved reports, and which are pinned."""
        every, pinned = self._capture.reports.all(), self._capture.reports.pinned()
        return {
            "reports": [_report(each, pinned.names) for each in every],
            "overview": {"names": list(pinned.names), "etag": str(pinned.version)},
        }

    def put(self, asked: Asked) -> Answer:
        """Save a report."""
        name = asked["name"]
        report = Report.parse(name, asked.body)
        version = writes.version(asked, self._capture)
        refuse_taken(version, self._capture.reports.get(name))
        put = partial(self._capture.reports.put, report, version)
        stored = writes.recorded(self._capture, asked, "saved the report", name, put)
        saved = Saved(name, report, stored, "")
        pinned = self._capture.reports.pinned().names
        return Answer(_report(saved, pinned), etag=str(stored))

    def remove(self, asked: Asked) -> Answer:
        """Remove a report."""
        name, version = asked["name"], writes.version(asked, self._capture)
        if self._capture.reports.get(name) is None:
            raise not_found("there is no such report")
        remove = partial(self._capture.reports.remove, name, version)
        writes.recorded(self._capture, asked, "removed the report", name, remove)
        return Answer(status=204)

    def pin(self, asked: Asked) -> Answer:
        """Say which reports are on the Overview, in order."""
        names = asked.body["names"]
        pin = partial(self._capture.reports.pin, names, writes.version(asked, self._capture))
        listed = ", ".join(names)
        version = writes.recorded(self._capture, asked, "arranged the Overview", listed, pin)
        return Answer({"names": names, "etag": str(version)}, etag=str(version))

    def answer(self, asked: Asked) -> dict[str, Any]:
        """The answer to a saved report."""
        return self._asking.answer(asked, self._question(asked))

    def csv(self, asked: Asked) -> Answer:
        """The same as a file."""
        question = self._question(asked)
        answer = self._asking.answer(asked, question)
        zone = getattr(question, "time_zone", None) or self._capture.settings.time_zone
        text = sheets.of_answer(answer, plain_question(question), zone)
        return Answer(text=text, media=sheets.MEDIA, file=f"{asked['name']}.csv")

    def _question(self, asked: Asked) -> Query | Funnel | Refusals:
        found = self._capture.reports.get(asked["name"])
        if found is None:
            raise not_found("there is no such report")
        if found.value is None:
            raise Problem(409, "unreadable", f"this report cannot be read: {found.problem}")
        return found.value.question


def routes(capture: Capture) -> list[Route]:
    """The routes of saved reports."""
    own = Reports(capture)
    one = "/api/reports/<name>"
    return [
        Route(
            "GET",
            "/api/reports",
            "read",
            own.all,
            "All saved reports, and which are on the Overview.",
            answer=record({"reports": many(_REPORT), "overview": _OVERVIEW}),
        ),
        Route(
            "PUT",
            one,
            "write",
            own.put,
            "Save a report.",
            body=GIVEN_REPORT,
            answer=_REPORT,
            errors=(409, 412, 428),
            headers=("If-Match", "If-None-Match"),
            held=False,
        ),
        Route(
            "DELETE",
            one,
            "write",
            own.remove,
            "Remove a report.",
            status=204,
            errors=(404, 409, 412, 428),
            headers=("If-Match",),
        ),
        Route(
            "GET",
            f"{one}/answer",
            "read",
            own.answer,
            "What a saved report answers.",
            answer=ANSWER,
            errors=(400, 404, 409, 422, 429),
        ),
        Route(
            "GET",
            f"{one}/csv",
            "read",
            own.csv,
            "The same as a file.",
            media=sheets.MEDIA,
            errors=(400, 404, 409, 422, 429),
        ),
        Route(
            "PUT",
            "/api/overview",
            "write",
            own.pin,
            "Say which reports are on the Overview, in order.",
            body=record({"names": many(TEXT, MAX_PINNED)}),
            answer=_OVERVIEW,
            errors=(409, 412, 428),
            headers=("If-Match",),
        ),
    ]


def refuse_taken(version: int, stored: Saved[Any] | None) -> None:
    """Say of a name that is taken what is wrong; another version is told by the store.

    :raises Problem: 412.
    """
    if not version and stored is not None:
        raise Problem(412, "exists", "there is one of this name", field="name")


def _report(saved: Saved[Report], pinned: tuple[str, ...]) -> dict[str, Any]:
    """A saved report in plain JSON types; one that cannot be read says why."""
    value = saved.value
    return {
        "name": saved.name,
        "title": value.title if value is not None else saved.name,
        "question": plain_question(value.question) if value is not None else None,
        "draw": value.draw if value is not None else "table",
        "pinned": saved.name in pinned,
        "problem": saved.problem,
        "etag": str(saved.version),
    }
