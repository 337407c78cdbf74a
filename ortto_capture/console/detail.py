"""Everything about one request: where it was stopped, by what, and what was meant.

The law of this file: what is said of a limit or a definition is what it is now; the time is that of
the request.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from math import floor
from typing import Any, Final

from ..capture import Capture
from ..model import Captured, Outcome
from ..questions.answer import Wanted
from . import writes
from .account import moment
from .masks import MASK, Masks
from .requests import ROW, Rows
from .routes import Asked, Route, not_found
from .shapes import FLAG, MOMENT, TEXT, WHOLE, many, maybe, record
from .stream import ALL

#: The checks of the contract's §4 that stop a request, by the code of the refusal.
CHECKS: Final[Mapping[str, tuple[int, str]]] = {
    "method-not-allowed": (1, "the method"),
    "too-large": (2, "the length of the body is within the cap"),
    "unsupported-media-type": (3, "the content type"),
    "incomplete": (4, "the body arrived whole"),
    "length-required": (4, "the body arrived whole"),
    "bad-json": (5, "strict JSON"),
    "bad-request": (6, "the shape of the envelope"),
    "unknown-key": (7, "the capture key and the origin"),
    "bad-origin": (7, "the capture key and the origin"),
    "not-found": (8, "the definition exists, and websites may send it"),
    "not-identified": (9, "a person is identified"),
    "bad-session": (9, "a person is identified"),
    "bad-identity": (9, "a person is identified"),
    "needs-verified": (9, "the host vouches for the person"),
    "bad-attribute": (10, "the attributes fit the definition"),
    "duplicate": (11, "the event id is new"),
    "rate-limit": (12, "the limits have room"),
    "unavailable": (13, "the activity is stored"),
    "storage-full": (13, "the activity is stored"),
}
#: The other activities of a person that are shown beside one.
OTHERS = 10
#: How alike two ids are, at least, for one to be meant by the other; difflib's own default is 0.6.
ALIKE = 0.7
#: Ids that one is compared with: each takes some 20 µs.
MAX_COMPARED = 2_000

_DETAIL = record(
    {
        "row": ROW,
        "stopped_at": maybe(record({"row": WHOLE, "check": TEXT})),
        "limit": maybe(record({"name": TEXT, "quota": TEXT, "opens_at": MOMENT})),
        "did_you_mean": maybe(TEXT),
        "others": many(ROW),
        "maskable": FLAG,
    }
)


class Detail:
    """The requests of an account, one by one."""

    def __init__(self, capture: Capture) -> None:
        self._capture = capture
        self._backends = capture.backends

    def one(self, asked: Asked) -> dict[str, Any]:
        """Everything about one request."""
        found = self._found(asked["key"])
        row = Rows(self._backends, Masks(self._backends)).one(found)
        return {
            "row": row,
            "stopped_at": self._stopped_at(found),
            "limit": self._limit(found),
            "did_you_mean": self._meant(found),
            "others": self._others(found),
            "maskable": row["person"] is not None or MASK in (row["attributes"] or {}).values(),
        }

    def unmasked(self, asked: Asked, key: str) -> dict[str, Any]:
        """One request as it came; that it was looked at is recorded."""
        found = self._found(key)
        writes.record(self._capture, asked, "unmasked", f"request {key}")
        return Rows(self._backends, Masks(self._backends, masked=False)).one(found)

    def _found(self, key: str) -> Captured | Outcome:
        kind, number = key[:1], key[1:]
        if number.isascii() and number.isdecimal() and len(number) <= 18:
            rows: list[Captured | Outcome] = []
            if kind == "c":
                rows = self._at(int(number))
            elif kind == "o" and (kept := self._backends.outcomes) is not None:
                before = int(number) - 1
                every = [*kept.refused(before, ALL), *kept.passed(before, ALL)]
                rows = [each for each in every if each.number == int(number)]
            if rows:
                return rows[0]
        raise not_found("this request is not kept, or not any more")

    def _at(self, position: int) -> list[Captured | Outcome]:
        try:
            rows = self._backends.journal.after(str(position - 1) if position > 1 else "", 1)
        except ValueError:
            # A journal whose cursors are no positions.
            rows = []
        return [each for each in rows if each.position == position]

    def _stopped_at(self, found: Captured | Outcome) -> dict[str, Any] | None:
        if isinstance(found, Captured) or found.code not in CHECKS:
            return None
        row, check = CHECKS[found.code]
        return {"row": row, "check": check}

    def _limit(self, found: Captured | Outcome) -> dict[str, Any] | None:
        """Which limit was full, as the definition has it now, and when it opened again."""
        if isinstance(found, Captured) or found.code != "rate-limit":
            return None
        intake = self._capture.intake
        definition = self._backends.definitions.get(found.activity_id or "")
        if found.reason == "new-people-limit":
            quota = intake.new_people_quota
        elif definition is None:
            return None
        else:
            prepared = intake.prepare(definition)
            quota = prepared.person_quota if found.reason == "person-limit" else prepared.ip_quota
        opens_at = (floor(found.at / quota.seconds) + 1) * quota.seconds
        return {"name": found.reason, "quota": in_words(*quota), "opens_at": moment(opens_at)}

    def _meant(self, found: Captured | Outcome) -> str | None:
        """The id that was meant, where no activity has the one that was sent."""
        if isinstance(found, Captured) or found.reason not in ("unknown-activity", "system-id"):
            return None
        ids = [each.id for each in self._backends.definitions.all()[:MAX_COMPARED]]
        # Case is the most frequent mistake, and weighs nothing here.
        lower = {each.lower(): each for each in ids}
        sent = (found.activity_id or "").lower()
        alike = get_close_matches(sent, lower, n=1, cutoff=ALIKE)
        return lower[alike[0]] if alike else None

    def _others(self, found: Captured | Outcome) -> list[dict[str, Any]]:
        if not found.person_id:
            return []
        wanted = Wanted(person_ids=(found.person_id,))
        rows = self._backends.journal.search(wanted, "", OTHERS + 1).rows
        drawn = Rows(self._backends, Masks(self._backends))
        return [drawn.captured(each) for each in rows if each != found][:OTHERS]


def routes(capture: Capture) -> list[Route]:
    """The route of one request."""
    return [
        Route(
            "GET",
            "/api/feed/<key>",
            "read",
            Detail(capture).one,
            "Everything about one request.",
            answer=_DETAIL,
            errors=(404,),
        )
    ]


def in_words(amount: int, seconds: int) -> str:
    """A quota as people write it: ``10/day``."""
    for name, length in (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1)):
        if seconds % length == 0:
            many_of = seconds // length
            return f"{amount}/{name}" if many_of == 1 else f"{amount} per {many_of} {name}s"
    return f"{amount} per {seconds} s"
