"""Activities: the list, and making and changing definitions.

The law of this file: a definition is changed only by a visitor who has seen what it was: its tag is
a hash of its JSON, and it is compared and replaced in one decision. What the definition's place
does not let a program change is refused with the reason.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from hashlib import sha256
from typing import Any

from ..capture import Capture
from ..definition_format import parse_definition
from ..errors import ConfigurationError
from ..model import Definition
from ..ports import Written
from . import writes
from .account import moment, why_not
from .figures import Figures, defined
from .routes import Answer, Asked, Problem, Route, not_found
from .shapes import (
    ACTIVITY,
    FLAG,
    GIVEN_DEFINITION,
    KEPT_DEFINITION,
    MOMENT,
    STATUS,
    TEXT,
    many,
    maybe,
    one_of,
    record,
)
from .templates import TEMPLATE, TEMPLATES

_LIST = record({"activities": many(ACTIVITY), "time_zone": TEXT, "now": MOMENT})
_ONE = record(
    {
        **KEPT_DEFINITION["properties"],
        "status": STATUS,
        "first_seen": maybe(MOMENT),
        "last_seen": maybe(MOMENT),
        "editable": FLAG,
        "switchable": FLAG,
        "why_not": TEXT,
    }
)
#: What stays as the operator has set it when a program declares its definitions again.
_SWITCHES = ("client_side", "archived")
_DECLARED = (
    "The program declares this definition, and would undo the change at its next start: change it "
    "there. Its switch and its archive stay as they are set here."
)


class Activities:
    """The definitions of an account."""

    def __init__(self, capture: Capture) -> None:
        self._capture = capture
        self._figures = Figures(capture)

    def list(self, asked: Asked) -> dict[str, Any]:
        """All of them, with what happened lately."""
        archived = asked.choice("archived", ("", "0", "1"), "") == "1"
        every = self._capture.backends.definitions.all()
        shown = [each for each in every if archived or not each.archived]
        lately = self._figures.lately([each.id for each in shown])
        return {
            "activities": [
                {
                    "id": each.id,
                    "name": each.name,
                    "icon": each.icon,
                    "client_side": each.client_side,
                    "archived": each.archived,
                    **lately[each.id],
                    "editable": self._editable(each.id)[0],
                    "switchable": self._editable(each.id)[1],
                    "etag": tag_of(each),
                }
                for each in shown
            ],
            "time_zone": self._capture.settings.time_zone,
            "now": moment(self._capture.clock()),
        }

    def one(self, asked: Asked) -> Answer:
        """One definition, and what may be done with it."""
        definition = defined(self._capture, asked["activity_id"])
        editable, switchable, reason = self._editable(definition.id)
        seen = self._figures.seen([definition.id])[definition.id]
        return Answer(
            {
                "definition": plain(definition),
                "etag": tag_of(definition),
                **seen,
                "editable": editable,
                "switchable": switchable,
                "why_not": reason,
            }
        )

    def create(self, asked: Asked) -> Answer:
        """Make a new definition."""
        wanted = read(asked.body)
        if reason := why_not(self._capture):
            raise Problem(409, "read-only", reason)
        self._decide(asked, wanted, self._creation)
        return _kept(wanted, 201)

    def _creation(self, wanted: Definition) -> str:
        if self._stored(wanted.id) is not None:
            raise Problem(409, "exists", f"there is an activity {wanted.id}", field="id")
        return "created"

    def change(self, asked: Asked) -> Answer:
        """Replace a definition."""
        wanted = read({"id": asked["activity_id"], **asked.body})
        if wanted.id != asked["activity_id"]:
            raise Problem(
                400,
                "bad-definition",
                "an id never changes",
                field="id",
                expected=asked["activity_id"],
            )
        given = writes.if_match(asked)
        self._decide(asked, wanted, partial(self._change, given))
        return _kept(wanted, 200)

    def _change(self, given: str, wanted: Definition) -> str:
        stored = self._stored(wanted.id)
        if stored is None:
            raise not_found("there is no such activity")
        if stored == wanted:
            return ""
        writes.require_match(given, tag_of(stored))
        editable, switchable, reason = self._editable(wanted.id)
        switches = {name: getattr(wanted, name) for name in _SWITCHES}
        switched = replace(stored, **switches) == wanted
        if not (editable or (switchable and switched)):
            raise Problem(409, "read-only", reason)
        return _what(stored, wanted)

    def _decide(self, asked: Asked, wanted: Definition, check: Callable[[Definition], str]) -> None:
        """Put what is wanted and record it, in one decision.

        :param check: refuses it, or says what it is called in the records: nothing for no change.
        """
        done: list[str] = []

        def decide() -> None:
            # A decision may be run again after it has put what is wanted.
            what = done[0] if done else check(wanted)
            if what:
                writes.record(self._capture, asked, what, wanted.id)
                self._capture.backends.definitions.put(wanted)
                done.append(what)

        try:
            self._capture.backends.atomically(decide)
        except ConfigurationError as error:
            # It may have become a file of people's own meanwhile, or a broken one.
            raise Problem(409, "read-only", str(error)) from error

    def _stored(self, activity_id: str) -> Definition | None:
        """The definition, also where another process has changed it just now."""
        definitions = self._capture.backends.definitions
        if isinstance(definitions, Written):
            return definitions.stored(activity_id)
        return definitions.get(activity_id)

    def _editable(self, activity_id: str) -> tuple[bool, bool, str]:
        """Whether it may be edited, and switched; and why not."""
        if reason := why_not(self._capture, activity_id):
            return False, False, reason
        definitions = self._capture.backends.definitions
        if isinstance(definitions, Written) and definitions.written(activity_id) == "code":
            return False, True, _DECLARED
        return True, True, ""


def routes(capture: Capture) -> list[Route]:
    """The routes of definitions."""
    own = Activities(capture)
    one = "/api/activities/<activity_id>"
    archived = {"archived": one_of("0", "1")}
    return [
        Route(
            "GET",
            "/api/activities",
            "read",
            own.list,
            "All activities, with what happened lately.",
            query=archived,
            answer=_LIST,
        ),
        Route(
            "POST",
            "/api/activities",
            "write",
            own.create,
            "Create an activity.",
            body=GIVEN_DEFINITION,
            answer=KEPT_DEFINITION,
            status=201,
            errors=(400, 409),
            held=False,
        ),
        Route("GET", one, "read", own.one, "One definition.", answer=_ONE, errors=(404,)),
        Route(
            "PUT",
            one,
            "write",
            own.change,
            "Replace a definition.",
            body=GIVEN_DEFINITION,
            answer=KEPT_DEFINITION,
            errors=(400, 404, 409, 412, 428),
            headers=("If-Match",),
            held=False,
        ),
        Route(
            "GET",
            "/api/templates",
            "read",
            lambda _: {"templates": TEMPLATES},
            "Definitions to begin with.",
            answer=record({"templates": many(TEMPLATE)}),
        ),
    ]


def read(body: dict[str, Any]) -> Definition:
    """Return the definition that a body is.

    :raises Problem: 400 ``bad-definition``, which names the member.
    """
    try:
        return parse_definition(body)
    except ConfigurationError as error:
        said = str(error).removeprefix(f"{error.field}: ")
        raise Problem(400, "bad-definition", said, field=error.field) from error


def plain(definition: Definition) -> dict[str, Any]:
    """A definition in plain JSON types, with all members."""
    return {**asdict(definition), "attributes": [asdict(each) for each in definition.attributes]}


def tag_of(definition: Definition) -> str:
    """What names exactly this definition."""
    text = json.dumps(plain(definition), sort_keys=True)
    return sha256(text.encode()).hexdigest()[:16]


def _kept(definition: Definition, status: int) -> Answer:
    etag = tag_of(definition)
    return Answer({"definition": plain(definition), "etag": etag}, status, etag)


def _what(stored: Definition, wanted: Definition) -> str:
    """What a change is called in the records."""
    if replace(stored, client_side=wanted.client_side) == wanted:
        return "switched on" if wanted.client_side else "switched off"
    if replace(stored, archived=wanted.archived) == wanted:
        return "archived" if wanted.archived else "brought back"
    return "edited"
