"""Requests of one kind of interest, newest first: the journal and the outcomes in one order.

The law of this file: one order of both, by time, and no row is left out in between. A reader who
goes on from ``before`` gets every row once. A reader who may not unmask finds no row by a value
that they may not see.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import NamedTuple

from ..model import Captured, Outcome
from ..ports import Backends
from ..questions.answer import Wanted
from ..questions.plain import is_wanted
from .masks import Masks
from .requests import ACCEPTED, kind_of, status_of

#: Rows in one answer.
PAGE = 100
#: More than any backend keeps of the refused, or of the passed.
ALL = 10_000
#: Seconds for which a search goes on when it finds little: a journal looks as long by itself.
PATIENCE = 0.25
#: Above every number of an outcome.
NEVER = 2**63


@dataclass(frozen=True)
class Filter:
    """What a reader wants to see; what is empty does not matter.

    :param unmasked: whether the reader may find rows by values that are masked.
    """

    wanted: Wanted = field(default_factory=Wanted)
    outcomes: tuple[str, ...] = ()
    statuses: tuple[int, ...] = ()
    unmasked: bool = False

    def takes(self, code: str) -> bool:
        """Whether rows of this outcome are wanted."""
        return (not self.outcomes or kind_of(code) in self.outcomes) and (
            not self.statuses or status_of(code) in self.statuses
        )

    def fits(self, outcome: Outcome) -> bool:
        """Whether this one is wanted."""
        wanted, text = self.wanted, self.wanted.text.lower()
        places = (outcome.code, outcome.reason, outcome.activity_id, outcome.field)
        return (
            self.takes(outcome.code)
            and (not wanted.activity_ids or outcome.activity_id in wanted.activity_ids)
            and (not wanted.person_ids or outcome.person_id in wanted.person_ids)
            and (not text or any(text in (each or "").lower() for each in places))
        )


class Before(NamedTuple):
    """Where older rows begin.

    :param journal: what the journal's search goes on from; None when all of it was looked at.
    :param below: positions from here on were shown; 0 when none of that page was.
    :param number: outcomes numbered from here on were shown.
    """

    journal: str | None = ""
    below: int = 0
    number: int = NEVER

    @classmethod
    def parse(cls, text: str) -> Before | None:
        """Read one; None when it is not ours."""
        try:
            journal, below, number = json.loads(urlsafe_b64decode(text.encode() + b"=="))
        except (ValueError, TypeError, RecursionError):
            return None
        fits = isinstance(journal, str | None) and type(below) is type(number) is int
        return cls(journal, below, number) if fits else None

    def __str__(self) -> str:
        return urlsafe_b64encode(json.dumps(self).encode()).decode().rstrip("=")


class Found(NamedTuple):
    """A page of rows, the newest first.

    :param before: where older ones begin; None when there are none.
    :param looked_back_to: epoch seconds, when the search stopped before it had found a page.
    """

    rows: Sequence[Captured | Outcome]
    before: Before | None
    looked_back_to: float | None


class Stream:
    """The requests of an account."""

    def __init__(self, backends: Backends) -> None:
        self._backends = backends
        self._masks = Masks(backends)

    def page(self, wanted: Filter, before: Before, limit: int = PAGE) -> Found:
        """A page of what is wanted, from ``before`` back.

        :raises ValueError: by some journals, when ``before`` holds a cursor that is none of theirs.
        """
        # What comes while this is read belongs to a later answer.
        number = min(before.number, self.last_outcome() + 1)
        journal = self._journal(wanted, before, limit)
        captured, outcomes = deque(journal.rows), deque(self._outcomes(wanted, 0, number))
        rows: list[Captured | Outcome] = []
        while len(rows) < limit and (captured or outcomes):
            head = captured[0][1].activity.received_at if captured else 0.0
            if captured and (not outcomes or head >= outcomes[0].at):
                rows.append(captured.popleft()[1])
            elif outcomes and outcomes[0].at >= (head or journal.looked_back_to):
                number = outcomes[0].number
                rows.append(outcomes.popleft())
            else:
                # What the journal has of that time was not looked at yet.
                break
        if captured:
            page, first = captured[0]
            return Found(rows, Before(page, first.position + 1, number), None)
        if journal.rest is None and not outcomes:
            return Found(rows, None, None)
        far = journal.looked_back_to if len(rows) < limit and journal.rest is not None else None
        return Found(rows, Before(journal.rest, 0, number), far)

    def since(self, wanted: Filter, cursor: str, number: int) -> list[Captured | Outcome] | None:
        """What came after a cursor of the journal and an outcome's number, the newest first.

        None when that is more than a page.

        :raises ValueError: by some journals, when the cursor is none of theirs.
        """
        captured = self._backends.journal.after(cursor, PAGE)
        outcomes = self._outcomes(wanted, number, NEVER)
        if len(captured) == PAGE or len(outcomes) > PAGE:
            return None
        fitting = [each for each in captured if wanted.takes(ACCEPTED) and self._fits(wanted, each)]
        return sorted([*reversed(fitting), *outcomes], key=lambda each: -_time_of(each))

    def last_outcome(self, above: int = 0) -> int:
        """The number of the latest outcome that is kept, when it is above this one, else this."""
        kept = self._backends.outcomes
        latest = [*kept.refused(above, 1), *kept.passed(above, 1)] if kept is not None else []
        return max((each.number for each in latest), default=above)

    def _outcomes(self, wanted: Filter, above: int, below: int) -> list[Outcome]:
        """Outcomes that are numbered between these two, the newest first."""
        kept = self._backends.outcomes
        if kept is None:
            return []
        found = [*kept.refused(above, ALL), *kept.passed(above, ALL)]
        fitting = [each for each in found if each.number < below and wanted.fits(each)]
        return sorted(fitting, key=lambda each: -each.number)

    def _journal(self, wanted: Filter, before: Before, limit: int) -> _Looked:
        """At least ``limit`` activities, or as many as there are, or are found in time."""
        rows: list[tuple[str, Captured]] = []
        cursor = before.journal if wanted.takes(ACCEPTED) else None
        far, until = 0.0, monotonic() + PATIENCE
        while cursor is not None and len(rows) < limit:
            found = self._backends.journal.search(wanted.wanted, cursor, limit)
            rows += [
                (cursor, each)
                for each in found.rows
                if (not before.below or each.position < before.below) and self._may(wanted, each)
            ]
            cursor, far = found.before or None, found.looked_back_to or 0.0
            if monotonic() >= until:
                break
        return _Looked(rows, cursor, far)

    def _fits(self, wanted: Filter, row: Captured) -> bool:
        return is_wanted(wanted.wanted, row.activity) and self._may(wanted, row)

    def _may(self, wanted: Filter, row: Captured) -> bool:
        """Whether this reader may find the row by the text that is searched for."""
        if wanted.unmasked or not wanted.wanted.text:
            return True
        definition = self._backends.definitions.get(row.activity_id)
        shown = self._masks.attributes(row.attributes, definition)
        text = Wanted(text=wanted.wanted.text)
        return is_wanted(text, row.activity._replace(attributes=shown))


class _Looked(NamedTuple):
    """What a look at the journal has found.

    :param rows: each with what the search began from that found it.
    :param rest: what the search goes on from; None when everything was looked at.
    :param looked_back_to: epoch seconds; 0 when everything was looked at.
    """

    rows: list[tuple[str, Captured]]
    rest: str | None
    looked_back_to: float


def _time_of(row: Captured | Outcome) -> float:
    return row.activity.received_at if isinstance(row, Captured) else row.at
