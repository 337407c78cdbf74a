"""Audiences: saved conditions on people, counted and listed.

The law of this file: an audience is replaced or removed only by a reader who has seen its version.
No file of people leaves without the scope for it, and each is recorded.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from ..capture import Capture
from ..model import Person
from ..questions.parsing import parse_condition
from ..questions.query import Condition, Members
from ..reports import Audience, Saved
from ..reports.saved import members_of
from . import sheets, writes
from .asking import Asking
from .masks import Masks
from .reports import refuse_taken
from .routes import Answer, Asked, Problem, Route, not_found
from .shapes import CONDITION, COUNT, GIVEN_AUDIENCE, TEXT, many, maybe, record

#: Members on one page, and in one file.
PAGE, EXPORTED = 100, 100_000
#: Members that are read at a time for a file.
BATCH = 1_000

_AUDIENCE = record(
    {"name": TEXT, "title": TEXT, "people": maybe(CONDITION), "problem": TEXT, "etag": TEXT}
)
_MEMBER = record({"person_id": TEXT, "person": TEXT})


class Audiences:
    """The audiences of an account."""

    def __init__(self, capture: Capture) -> None:
        self._capture = capture
        self._asking = Asking(capture)

    def all(self, _: Asked) -> dict[str, Any]:
        """All audiences."""
        return {"audiences": [_audience(each) for each in self._capture.audiences.all()]}

    def put(self, asked: Asked) -> Answer:
        """Save an audience."""
        name = asked["name"]
        audience = Audience.parse(name, asked.body)
        version = writes.version(asked, self._capture)
        refuse_taken(version, self._capture.audiences.get(name))
        put = partial(self._capture.audiences.put, audience, version)
        stored = writes.recorded(self._capture, asked, "saved the audience", name, put)
        return Answer(_audience(Saved(name, audience, stored, "")), etag=str(stored))

    def remove(self, asked: Asked) -> Answer:
        """Remove an audience."""
        name, version = asked["name"], writes.version(asked, self._capture)
        if self._capture.audiences.get(name) is None:
            raise not_found("there is no such audience")
        remove = partial(self._capture.audiences.remove, name, version)
        writes.recorded(self._capture, asked, "removed the audience", name, remove)
        return Answer(status=204)

    def count(self, asked: Asked) -> dict[str, Any]:
        """How many people a condition is true of."""
        people = parse_condition(members_of(asked.body, "people")["people"])
        self._asking.allow(asked, Members(people))
        audiences = self._capture.audiences
        return {"count": audiences.count(people), "of": audiences.count()}

    def members(self, asked: Asked) -> dict[str, Any]:
        """The members of an audience, page by page."""
        audience = self._audience_of(asked)
        self._asking.allow(asked, Members(audience.people))
        after, audiences = asked.query.get("after", ""), self._capture.audiences
        ids, masks = audiences.members(audience.people, after, PAGE), Masks(self._capture.backends)
        return {
            "members": [{"person_id": each, "person": masks.person(each)} for each in ids],
            "after": ids[-1] if len(ids) == PAGE else "",
            "count": audiences.count(audience.people),
        }

    def csv(self, asked: Asked) -> Answer:
        """All members of an audience as a file; it is recorded."""
        people = self._audience_of(asked).people
        writes.record(self._capture, asked, "exported the audience", asked["name"])
        members = (self._capture.backends.people.get(each) for each in self._ids(people))
        # The columns of `ortto-capture audiences members --format csv`.
        text = sheets.written(
            ["person_id", "email", "ei", "first", "last", "assurance"],
            (_member(each) for each in members if each is not None),
        )
        return Answer(text=text, media=sheets.MEDIA, file=f"{asked['name']}.csv")

    def _ids(self, people: Condition) -> Iterator[str]:
        after = ""
        for _ in range(EXPORTED // BATCH):
            ids = self._capture.audiences.members(people, after, BATCH)
            yield from ids
            if len(ids) < BATCH:
                return
            after = ids[-1]

    def _audience_of(self, asked: Asked) -> Audience:
        found = self._capture.audiences.get(asked["name"])
        if found is None:
            raise not_found("there is no such audience")
        if found.value is None:
            raise Problem(409, "unreadable", f"this audience cannot be read: {found.problem}")
        return found.value


def routes(capture: Capture) -> list[Route]:
    """The routes of audiences."""
    own = Audiences(capture)
    one = "/api/audiences/<name>"
    return [
        Route(
            "GET",
            "/api/audiences",
            "read",
            own.all,
            "All audiences.",
            answer=record({"audiences": many(_AUDIENCE)}),
        ),
        Route(
            "PUT",
            one,
            "write",
            own.put,
            "Save an audience.",
            body=GIVEN_AUDIENCE,
            answer=_AUDIENCE,
            errors=(409, 412, 428),
            headers=("If-Match", "If-None-Match"),
            held=False,
        ),
        Route(
            "DELETE",
            one,
            "write",
            own.remove,
            "Remove an audience.",
            status=204,
            errors=(404, 409, 412, 428),
            headers=("If-Match",),
        ),
        Route(
            "POST",
            "/api/audiences/count",
            "read",
            own.count,
            "How many people a condition is true of.",
            body=record({"people": CONDITION}),
            answer=record({"count": COUNT, "of": COUNT}),
            errors=(422, 429),
            held=False,
        ),
        Route(
            "GET",
            f"{one}/members",
            "read",
            own.members,
            "The members of an audience, in order of their ids.",
            query={"after": TEXT},
            answer=record({"members": many(_MEMBER), "after": TEXT, "count": COUNT}),
            errors=(400, 404, 409, 422, 429),
        ),
        Route(
            "GET",
            f"{one}/csv",
            "pii",
            own.csv,
            "All members of an audience with their addresses; it is recorded.",
            media=sheets.MEDIA,
            errors=(400, 404, 409, 422, 429),
        ),
    ]


def _member(person: Person) -> list[str | None]:
    ei = dict(person.identifiers).get("ei")
    return [person.id, person.email, ei, person.first, person.last, person.assurance]


def _audience(saved: Saved[Audience]) -> dict[str, Any]:
    value = saved.value
    return {
        "name": saved.name,
        "title": value.title if value is not None else saved.name,
        "people": value.plain()["people"] if value is not None else None,
        "problem": saved.problem,
        "etag": str(saved.version),
    }
