"""What arrived and what was refused, newest last.

The law of this file: one order of both kinds, and no row is left out in between.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from ..capture import Capture
from ..model import Captured, Outcome
from ..schema import example
from .routes import Answer, Asked, Route
from .rows import Rows

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

#: Activities in one answer.
PAGE = 100
#: Refused requests in one answer; all backends keep more.
REFUSED = 200


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


class Feed:
    """The feed of an account."""

    def __init__(self, capture: Capture) -> None:
        self._capture = capture

    def page(self, asked: Asked) -> Answer:
        """What came since the cursor ``after``, in order of time; 304 when nothing did."""
        backends = self._capture.backends
        seen = self._seen(asked)
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
            return Answer(status=304, etag=str(now))
        return Answer(
            {
                "cursor": f"{backends.epoch}:{now}",
                # These are all that the page shows, not what comes on top.
                "anew": seen is None,
                "rows": self._rows(captured, refused, whole=seen is not None),
                "counts": counts,
                "more": seen is not None and len(captured) == PAGE,
                "warnings": self._warnings(asked.environ),
                "example": self._example(),
            }
        )

    def _seen(self, asked: Asked) -> _Cursor | None:
        epoch, after = f"{self._capture.backends.epoch}:", asked.query.get("after", "")
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


def routes(capture: Capture) -> list[Route]:
    """The route of the feed."""
    own = Feed(capture)
    return [Route("GET", "/api/feed", "read", own.page, "What arrived and what was refused.")]
