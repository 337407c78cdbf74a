"""People: found, shown with what they did, exported, erased, and unmasked.

The law of this file: what shows a person in full is recorded first. An address that a reader looks
for need not stand in the address of a page. Who is erased is named by the reader once more.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from .. import privacy
from ..addresses import normalise_address
from ..capture import Capture
from ..model import Captured, Person
from ..questions.answer import Wanted
from . import writes
from .account import moment
from .detail import Detail
from .feed import before_of, ids_of, page_before
from .masks import Masks
from .requests import ROW, Rows
from .routes import Answer, Asked, Problem, Route, not_found
from .shapes import COUNT, FLAG, MOMENT, TEXT, many, mapping, maybe, one_of, record
from .stream import Before, Filter, Stream

#: People in a list, and requests that are looked at for those who were active last.
LISTED, LOOKED_AT = 50, 1_000
#: Activities that are counted for one line of a list, and on a person's own page.
COUNTED, COUNTED_ALONE = 1_000, 100_000
#: Activities that are read at a time: each time a journal may have to put all of them in order.
BATCH = 5_000

PERSON = record(
    {
        "person_id": TEXT,
        "person": TEXT,
        "identifiers": many(record({"kind": TEXT, "value": TEXT})),
        "first": maybe(TEXT),
        "last": maybe(TEXT),
        "assurance": one_of("claimed", "verified"),
        "created_at": MOMENT,
        "activities": COUNT,
        "more": FLAG,
        "last_seen": maybe(MOMENT),
        "masked": FLAG,
    }
)
_DID = record(
    {"activity_id": TEXT, "name": maybe(TEXT), "count": COUNT, "first": MOMENT, "last": MOMENT}
)
_PEOPLE = record({"people": many(PERSON)})
_UNMASK = {
    "type": "object",
    "properties": {"key": TEXT, "person_id": TEXT},
    "minProperties": 1,
    "maxProperties": 1,
    "additionalProperties": False,
}


class People:
    """The people of an account."""

    def __init__(self, capture: Capture) -> None:
        self._capture = capture
        self._backends = capture.backends
        self._stream = Stream(capture.backends)
        self._detail = Detail(capture)

    def latest(self, asked: Asked) -> dict[str, Any]:
        """Those who were active last, or who are looked for."""
        if "find" in asked.query:
            return self._listed(ids_of(self._capture, asked.query["find"].strip()))
        found = self._stream.page(Filter(statuses=(200,)), Before(), LOOKED_AT).rows
        ids = dict.fromkeys(each.person_id for each in found if each.person_id)
        return self._listed(list(ids))

    def find(self, asked: Asked) -> dict[str, Any]:
        """Those who have this address or id."""
        return self._listed(ids_of(self._capture, asked.body["find"].strip()))

    def one(self, asked: Asked) -> dict[str, Any]:
        """One person, and how often they did what."""
        person = self._known(asked["person_id"])
        did: dict[str, list[float]] = {}
        number = 0
        for each in self._activities(person.id, COUNTED_ALONE):
            did.setdefault(each.activity_id, []).append(each.activity.occurred_at)
            number += 1
        definitions = {each.id: each.name for each in self._backends.definitions.all()}
        ordered = sorted(did.items(), key=lambda each: (-len(each[1]), each[0]))
        return {
            "person": self._shown(person, number, number == COUNTED_ALONE),
            "did": [
                {
                    "activity_id": activity_id,
                    "name": definitions.get(activity_id),
                    "count": len(times),
                    "first": moment(min(times)),
                    "last": moment(max(times)),
                }
                for activity_id, times in ordered
            ],
        }

    def timeline(self, asked: Asked) -> dict[str, Any]:
        """What a person did, and what was refused."""
        person = self._known(asked["person_id"])
        wanted, older = Filter(Wanted(person_ids=(person.id,))), asked.query.get("before", "")
        if older:
            found = page_before(self._backends, self._stream, wanted, older)
        else:
            found = self._stream.page(wanted, Before())
        rows = Rows(self._backends, Masks(self._backends))
        return {
            "rows": [rows.one(each) for each in found.rows],
            "before": before_of(self._backends, found.before),
        }

    def export(self, asked: Asked) -> Answer:
        """Everything that is kept about a person, as a file."""
        person = self._known(asked["person_id"])
        writes.record(self._capture, asked, "exported", writes.unnamed(person.id))
        text = json.dumps(privacy.export(self._backends, person), ensure_ascii=True, indent=2)
        return Answer(text=f"{text}\n", file="person.json")

    def erase(self, asked: Asked) -> dict[str, Any]:
        """Erase a person, whose address or id the reader has typed."""
        person = self._known(asked["person_id"])
        typed = asked.body["confirm"].strip()
        names = {person.id, *(each.value for each in person.identifiers)}
        if not {typed, normalise_address(typed)} & names:
            raise Problem(
                400,
                "bad-confirmation",
                "this is neither an address nor an id of this person",
                field="confirm",
            )
        writes.record(self._capture, asked, "erased", writes.unnamed(person.id))
        return self._capture.intake.erase(person.id)._asdict()

    def unmask(self, asked: Asked) -> dict[str, Any]:
        """A request, or a person, as it is; that it was looked at is recorded."""
        if "key" in asked.body:
            return {"row": self._detail.unmasked(asked, asked.body["key"])}
        person = self._known(asked.body["person_id"])
        writes.record(self._capture, asked, "unmasked", writes.unnamed(person.id))
        number = sum(1 for _ in self._activities(person.id, COUNTED_ALONE))
        more = number == COUNTED_ALONE
        return {"person": self._shown(person, number, more, masked=False)}

    def _listed(self, ids: list[str]) -> dict[str, Any]:
        people = [found for each in ids if (found := self._backends.people.get(each)) is not None]
        shown = []
        for person in people[:LISTED]:
            number = sum(1 for _ in self._activities(person.id, COUNTED))
            shown.append(self._shown(person, number, number == COUNTED))
        return {"people": shown}

    def _known(self, person_id: str) -> Person:
        person = self._backends.people.get(person_id)
        if person is None:
            raise not_found("there is no such person")
        return person

    def _activities(self, person_id: str, most: int) -> Iterator[Captured]:
        """The first of a person's activities, in order."""
        cursor, left = "", most
        while left and (page := self._backends.journal.of(person_id, cursor, min(left, BATCH))):
            yield from page
            cursor, left = page[-1].cursor, left - len(page)

    def _shown(
        self, person: Person, activities: int, more: bool, *, masked: bool = True
    ) -> dict[str, Any]:
        """A person as readers see them.

        :param more: there may be more activities than so many.
        """
        masks = Masks(self._backends, masked=masked)
        wanted = Wanted(person_ids=(person.id,))
        last = self._backends.journal.search(wanted, "", 1).rows if activities else ()
        return {
            "person_id": person.id,
            "person": masks.name(person),
            "identifiers": [
                {"kind": kind, "value": masks.identifier(kind, value)}
                for kind, value in person.identifiers
            ],
            "first": masks.text(person.first),
            "last": masks.text(person.last),
            "assurance": person.assurance,
            "created_at": moment(person.created_at),
            "activities": activities,
            "more": more,
            "last_seen": moment(last[0].activity.occurred_at) if last else None,
            "masked": masked,
        }


def routes(capture: Capture) -> list[Route]:
    """The routes of people."""
    own = People(capture)
    one = "/api/people/<person_id>"
    return [
        Route(
            "GET",
            "/api/people",
            "read",
            own.latest,
            "Those who were active last, or who are looked for.",
            query={"find": TEXT},
            answer=_PEOPLE,
        ),
        Route(
            "POST",
            "/api/people",
            "read",
            own.find,
            "Look for a person by address or id, which then stands in no address.",
            body=record({"find": TEXT}),
            answer=_PEOPLE,
        ),
        Route(
            "GET",
            one,
            "read",
            own.one,
            "One person, and how often they did what.",
            answer=record({"person": PERSON, "did": many(_DID)}),
            errors=(404,),
        ),
        Route(
            "GET",
            f"{one}/timeline",
            "read",
            own.timeline,
            "What a person did, and what was refused, newest first.",
            query={"before": TEXT},
            answer=record({"rows": many(ROW), "before": TEXT}),
            errors=(400, 404),
        ),
        Route(
            "GET",
            f"{one}/export",
            "pii",
            own.export,
            "Everything that is kept about a person; it is recorded.",
            answer=mapping({}),
            errors=(404,),
        ),
        Route(
            "POST",
            f"{one}/erase",
            "erase",
            own.erase,
            "Erase a person; it is recorded.",
            body=record({"confirm": TEXT}),
            answer=record({"activities": COUNT, "complete": FLAG}),
            errors=(404,),
        ),
        Route(
            "POST",
            "/api/unmask",
            "pii",
            own.unmask,
            "A request or a person as it is; it is recorded.",
            body=_UNMASK,
            answer=record({}, {"row": ROW, "person": PERSON}),
            errors=(404,),
        ),
    ]
