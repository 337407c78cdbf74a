"""The feed: requests as they come, and everything about one of them.

The law of this file: a poll that finds nothing new reads no row. What a reader filters by is looked
for over everything that is kept, and stands in the request alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from hashlib import sha256
from typing import TYPE_CHECKING, Any, NamedTuple

from ..capture import Capture
from ..errors import Refused
from ..model import Captured, Outcome
from ..ports import Backends
from ..questions.answer import Wanted
from ..schema import example
from .account import moment
from .masks import Masks
from .requests import ACCEPTED, DUPLICATE, FAILURES, IDENTIFIED, KINDS, ROW, Rows
from .routes import Answer, Asked, Problem, Route
from .shapes import COUNT, FLAG, ID, MOMENT, TEXT, many, mapping, maybe, record
from .stream import Before, Filter, Found, Stream

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

COUNTS = record(dict.fromkeys(KINDS, COUNT))
_FEED = record(
    {
        "cursor": TEXT,
        "before": TEXT,
        "looked_back_to": maybe(MOMENT),
        "anew": FLAG,
        "rows": many(ROW),
        "counts": COUNTS,
        "warnings": many(TEXT),
        "example": maybe(record({"activity_id": ID, "attributes": mapping({})})),
    }
)
#: What a reader may filter by; activities and outcomes may be several, with commas between them.
FILTERS = dict.fromkeys(("activity", "person", "outcome", "status", "text"), TEXT)


class _Cursor(NamedTuple):
    """What a page has seen: the last outcome, how many there were, the journal's cursor."""

    number: int
    total: int
    journal: str

    @classmethod
    def parse(cls, text: str) -> _Cursor | None:
        """Read what follows the epoch; None when it is not ours."""
        number, _, rest = text.partition(":")
        total, _, journal = rest.partition(":")
        if not (number.isdecimal() and total.isdecimal()):
            return None
        return cls(int(number[:18]), int(total[:18]), journal)

    def __str__(self) -> str:
        # The journal's cursor is opaque, so it comes last and may hold any character.
        return ":".join(map(str, self))


class Feed:
    """The feed of an account."""

    def __init__(self, capture: Capture) -> None:
        self._capture = capture
        self._backends = capture.backends
        self._stream = Stream(capture.backends)

    def page(self, asked: Asked) -> Answer:
        """What came since ``after``, what was before ``before``, or the latest."""
        counts = self._backends.outcomes.counts() if self._backends.outcomes else {}
        seen = self._seen(asked)
        now = self._now(counts, seen)
        warnings = self._warnings(asked.environ)
        cursor = f"{self._backends.epoch}:{now}"
        older = asked.query.get("before", "")
        if now == seen and not older:
            return Answer(status=304, etag=sha256(cursor.encode()).hexdigest()[:16])
        # Any other answer has the tag of its bytes: an erasure, and a value that is masked by now,
        # are told by no count.
        rows, before, far, anew = self._rows(asked, seen, older)
        drawn = Rows(self._backends, Masks(self._backends))
        return Answer(
            {
                "cursor": cursor,
                "before": before_of(self._backends, before),
                "looked_back_to": moment(far) if far else None,
                # These are all that the page shows, not what comes on top.
                "anew": anew,
                "rows": [drawn.one(each) for each in rows],
                "counts": counts_of(counts),
                "warnings": warnings,
                "example": self._example(),
            }
        )

    def _rows(
        self, asked: Asked, seen: _Cursor | None, older: str
    ) -> tuple[list[Captured | Outcome], Before | None, float | None, bool]:
        wanted = filter_of(self._capture, asked)
        if wanted is None:
            # A person who is not known did nothing.
            return [], None, None, seen is None
        if older:
            found = page_before(self._backends, self._stream, wanted, older)
            return [*found.rows], found.before, found.looked_back_to, False
        if seen is not None:
            try:
                new = self._stream.since(wanted, seen.journal, seen.number)
            except ValueError:
                # A cursor of another kind of journal.
                new = None
            if new is not None:
                return new, None, None, False
        found = self._stream.page(wanted, Before())
        return [*found.rows], found.before, found.looked_back_to, True

    def _seen(self, asked: Asked) -> _Cursor | None:
        epoch, after = f"{self._backends.epoch}:", asked.query.get("after", "")
        return _Cursor.parse(after.removeprefix(epoch)) if after.startswith(epoch) else None

    def _now(self, counts: Mapping[str, int], seen: _Cursor | None) -> _Cursor:
        """What there is: looked at before any row is, so that none falls in between."""
        latest_row = self._backends.journal.latest(1)
        return _Cursor(
            self._stream.last_outcome(seen.number if seen else 0),
            sum(each for code, each in counts.items() if not code.startswith("note:")),
            latest_row[-1].cursor if latest_row else "",
        )

    def _example(self) -> dict[str, Any] | None:
        """An activity to try: the first that websites may send, with harmless attributes."""
        for definition in self._backends.definitions.all():
            if definition.client_side and not definition.archived:
                return {"activity_id": definition.id, "attributes": example(definition)}
        return None

    def _warnings(self, environ: WSGIEnvironment) -> list[str]:
        """What an operator should mend, by name; the page has the words."""
        alone = self._backends.in_process and environ["wsgi.multiprocess"]
        several = ["counts-alone"] if alone else []
        return several + self._capture.warnings


def routes(capture: Capture) -> list[Route]:
    """The routes of the feed."""
    own = Feed(capture)
    query = {"after": TEXT, "before": TEXT, **FILTERS}
    return [
        Route(
            "GET",
            "/api/feed",
            "read",
            own.page,
            "Requests, newest first: the latest, those since `after`, or those before `before`.",
            query=query,
            answer=_FEED,
            errors=(400,),
        ),
    ]


def counts_of(counts: Mapping[str, int]) -> dict[str, int]:
    """How often requests ended in each way."""
    found = {ACCEPTED: 0, DUPLICATE: 0, IDENTIFIED: 0, "refused": 0, "failed": 0}
    for code, number in counts.items():
        if code.startswith("note:") or code in ("anonymous", "opted-out"):
            continue
        kind = "failed" if code in FAILURES else code if code in found else "refused"
        found[kind] += number
    return found


def filter_of(capture: Capture, asked: Asked) -> Filter | None:
    """What a request filters by; None when it is a person who is not known.

    :raises Problem: for what is no outcome, or no status.
    """
    given = {name: asked.query.get(name, "") for name in FILTERS}
    outcomes = tuple(filter(None, given["outcome"].split(",")))
    if not set(outcomes) <= set(KINDS):
        raise Problem(
            400, "bad-request", "no such outcome", field="outcome", expected=", ".join(KINDS)
        )
    statuses = tuple(filter(None, given["status"].split(",")))
    if not all(each.isascii() and each.isdecimal() and len(each) == 3 for each in statuses):
        raise Problem(400, "bad-request", "no such status", field="status", expected="404, 429")
    people: tuple[str, ...] = ()
    if given["person"]:
        people = tuple(ids_of(capture, given["person"]))
        if not people:
            return None
    wanted = Wanted(tuple(filter(None, given["activity"].split(","))), people, given["text"])
    return Filter(wanted, outcomes, tuple(map(int, statuses)), unmasked=asked.may("pii"))


def before_of(backends: Backends, before: Before | None) -> str:
    """Where older rows begin, as a reader sends it back; empty when there are none."""
    return f"{backends.epoch}:{before}" if before is not None else ""


def page_before(backends: Backends, stream: Stream, wanted: Filter, text: str) -> Found:
    """A page of older rows.

    :param text: what :func:`before_of` has returned.
    :raises Problem: when it is nothing of this store.
    """
    epoch, _, rest = text.partition(":")
    before = Before.parse(rest) if epoch == backends.epoch else None
    if before is not None:
        # A forged one may hold a cursor that the journal cannot read.
        with suppress(ValueError):
            return stream.page(wanted, before)
    raise Problem(400, "bad-request", "begin again with the latest", field="before")


def ids_of(capture: Capture, text: str) -> list[str]:
    """The ids of the people whom a text names: by id, by address, by external id."""
    if capture.backends.people.get(text) is not None:
        return [text]
    found = []
    for kind in ("email", "ei"):
        try:
            person = capture.person(**{kind: text})
        except Refused:
            continue
        if person is not None:
            found.append(person.id)
    return list(dict.fromkeys(found))
