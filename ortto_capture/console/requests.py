"""One request as a row: what became of it, and the words that a reader needs.

The law of this file: each row has all members, null where they do not apply; no value leaves that
the masks do not show.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from .. import errors
from ..errors import ANSWERS
from ..model import Captured, Outcome
from ..ports import Backends
from ..sentence import sentence
from .account import moment
from .masks import Masks
from .shapes import TEXT, WHOLE, many, mapping, maybe, one_of, record

ACCEPTED, DUPLICATE, IDENTIFIED = "accepted", "duplicate", "identified"
REFUSED, FAILED = "refused", "failed"
KINDS: Final = (ACCEPTED, DUPLICATE, IDENTIFIED, REFUSED, FAILED)
#: Codes of what is no fault of the request.
FAILURES = frozenset({"internal", "unavailable", "storage-full"})
#: The status of each code.
STATUSES: Mapping[str, int] = {
    ACCEPTED: 200,
    DUPLICATE: 200,
    IDENTIFIED: 200,
    "internal": 500,
    **{code: status for code, (status, _) in ANSWERS.items()},
    **{
        each.code: each.status
        for each in vars(errors).values()
        if isinstance(each, type) and issubclass(each, errors.Refused | errors.BackendError)
    },
}

_MAYBE = maybe(TEXT)
ROW = record(
    {
        "key": TEXT,
        "kind": one_of(*KINDS),
        "status": WHOLE,
        "at": TEXT,
        "activity_id": _MAYBE,
        "name": _MAYBE,
        "text": _MAYBE,
        "person_id": _MAYBE,
        "person": _MAYBE,
        "attributes": maybe(mapping({})),
        "assurance": _MAYBE,
        "source": _MAYBE,
        "event_id": _MAYBE,
        "occurred_at": _MAYBE,
        "received_at": _MAYBE,
        "code": _MAYBE,
        "reason": _MAYBE,
        "field": _MAYBE,
        "expected": _MAYBE,
        "route": _MAYBE,
        "notes": maybe(many(TEXT)),
    }
)
_NOTHING = dict.fromkeys(ROW["properties"])


def kind_of(code: str) -> str:
    """Return what became of a request that had this outcome."""
    if code in FAILURES:
        return FAILED
    return code if code in (ACCEPTED, DUPLICATE, IDENTIFIED) else REFUSED


def status_of(code: str) -> int:
    """Return the status that a request with this outcome was answered with."""
    return STATUSES.get(code, 400)


class Rows:
    """Rows for one reader."""

    def __init__(self, backends: Backends, masks: Masks) -> None:
        self._definitions = backends.definitions
        self._masks = masks

    def captured(self, row: Captured) -> dict[str, Any]:
        """One stored activity."""
        definition = self._definitions.get(row.activity_id)
        attributes = self._masks.attributes(row.attributes, definition)
        return {
            **_NOTHING,
            "key": f"c{row.position}",
            "kind": ACCEPTED,
            "status": 200,
            "at": moment(row.activity.received_at),
            "activity_id": row.activity_id,
            "name": definition.name if definition else None,
            "text": sentence(definition, attributes) if definition else row.activity_id,
            "person_id": row.person_id,
            "person": self._masks.person(row.person_id),
            "attributes": attributes,
            "assurance": row.assurance,
            "source": row.source,
            "event_id": row.event_id,
            "occurred_at": moment(row.activity.occurred_at),
            "received_at": moment(row.activity.received_at),
            "code": ACCEPTED,
            "route": "activity",
        }

    def outcome(self, outcome: Outcome) -> dict[str, Any]:
        """One request of which no activity was stored."""
        activity_id = outcome.activity_id
        definition = self._definitions.get(activity_id) if activity_id else None
        name = definition.name if definition else None
        return {
            **_NOTHING,
            "key": f"o{outcome.number}",
            "kind": kind_of(outcome.code),
            "status": status_of(outcome.code),
            "at": moment(outcome.at),
            "activity_id": activity_id,
            "name": name,
            "text": name or activity_id or outcome.route,
            "person_id": outcome.person_id,
            "person": self._masks.person(outcome.person_id),
            "received_at": moment(outcome.at),
            "code": outcome.code,
            "reason": outcome.reason or None,
            "field": outcome.field,
            "expected": outcome.expected,
            "route": outcome.route,
            "notes": list(outcome.notes),
        }

    def one(self, each: Captured | Outcome) -> dict[str, Any]:
        """A row, of either kind."""
        return self.captured(each) if isinstance(each, Captured) else self.outcome(each)
