"""Answers: rows of figures, and what a search has found.

The law of this file: values, and how a journal puts the figures that it has counted in order.
Moments are epoch seconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeAlias

from ..errors import BadQuery
from ..model import Captured
from .checks import MAX_ACTIVITIES, MAX_LIMIT, Scalar, check_text
from .periods import Span
from .query import Query

Figure: TypeAlias = int | float | None
#: A value of a split.
Value: TypeAlias = Scalar | None

#: What a measure is of no activity at all; the others are None.
NOTHING: Mapping[str, int] = {"count": 0, "people": 0, "sum": 0}
#: Characters of a value of a split; longer ones that begin alike are one value.
LONGEST_VALUE = 255
#: Characters of a text to search for.
MAX_NEEDLE = 200


class Row(NamedTuple):
    """One figure.

    :param start: when its bucket begins; None without ``by``.
    :param value: the value of the split: None without one, and for activities that have no value.
        Of a funnel the step, and of members the person's id.
    :param measure: the figure: None when there is nothing to take it of, and for members.
    """

    start: float | None
    value: Value
    measure: Figure


class Answer(NamedTuple):
    """What a journal answers.

    :param rows: value by value, the largest first, each with all its buckets in order.
    :param total: the measure of everything, unsplit; of a funnel that of its first step, of members
        how many there are.
    :param since: when the period begins; for members the moment that was asked about.
    :param until: when it ends; what occurs then is outside of it.
    :param buckets: when each bucket begins and ends.
    :param partial: whether each bucket is cut by the period, or not over yet.
    """

    rows: tuple[Row, ...]
    total: Figure
    since: float
    until: float
    buckets: tuple[tuple[float, float], ...] = ()
    partial: tuple[bool, ...] = ()

    def plain(self) -> dict[str, Any]:
        """The same in plain JSON types; the two moments of the whole are ISO 8601, UTC."""
        return {
            "rows": [row._asdict() for row in self.rows],
            "total": self.total,
            "since": datetime.fromtimestamp(self.since, UTC).isoformat(),
            "until": datetime.fromtimestamp(self.until, UTC).isoformat(),
            "buckets": [list(bucket) for bucket in self.buckets],
            "partial": list(self.partial),
        }


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which activities to look for; what is empty does not matter.

    :param activity_ids: one of these activities.
    :param person_ids: one of these people.
    :param text: text that occurs in the attributes as compact JSON (keys and values), in the event
        id or in the activity id; ASCII letters match in either case.
    :raises BadQuery: naming the member.
    """

    activity_ids: tuple[str, ...] = ()
    person_ids: tuple[str, ...] = ()
    text: str = ""

    def __post_init__(self) -> None:
        for field, most in (("activity_ids", MAX_LIMIT), ("person_ids", MAX_ACTIVITIES)):
            ids = getattr(self, field)
            if not isinstance(ids, list | tuple) or len(ids) > most:
                raise BadQuery(field, f"at most {most} ids")
            for each in ids:
                check_text(each, field)
            object.__setattr__(self, field, tuple(ids))
        check_text(self.text, "text")
        if len(self.text) > MAX_NEEDLE:
            raise BadQuery("text", f"at most {MAX_NEEDLE} characters")


class Found(NamedTuple):
    """A page of what was searched for, the newest first.

    :param before: what the search goes on from; empty when everything was looked at.
    :param looked_back_to: when the oldest activity that was looked at was received; None when
        everything was looked at.
    """

    rows: Sequence[Captured]
    before: str
    looked_back_to: float | None


def arranged(
    query: Query,
    span: Span,
    total: Figure,
    overall: Mapping[Value, Figure],
    each: Mapping[tuple[int, Value], Figure],
) -> Answer:
    """The answer to a query out of its figures.

    :param overall: the figure of each value over the whole period; unsplit of None alone.
    :param each: the figure of each bucket, by its number, and value; what is left out is empty.
    """
    values = [None] if query.split_by is None else largest(overall, query.limit)
    nothing = NOTHING.get(query.measure)
    if query.by is None:
        rows = [Row(None, value, overall.get(value, nothing)) for value in values]
    else:
        rows = [
            Row(bucket.start, value, each.get((number, value), nothing))
            for value in values
            for number, bucket in enumerate(span.buckets)
        ]
    return Answer(tuple(rows), total, span.since, span.until, *span.bounds)


def largest(overall: Mapping[Value, Figure], limit: int) -> list[Value]:
    """The values of the largest figures; of equal ones no value first, then in order."""

    def order(value: Value) -> tuple[float, bool, Value]:
        figure = overall[value]
        assert figure is not None  # noqa: S101  # a value is there because it has a figure
        return -figure, value is not None, value if value is not None else 0

    return sorted(overall, key=order)[:limit]
