"""How one attribute of an activity is spread: its values and shares, or what a number comes to.

The law of this file: a number of few values is counted here once; what it comes to is what the
journal would answer to each measure.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from itertools import accumulate
from typing import Any, Final

from ..capture import Capture
from ..model import Definition
from ..questions.answer import Answer, Figure
from ..questions.checks import MAX_LIMIT, OPS, Measure
from ..questions.periods import Period
from ..questions.query import Query, Where
from .routes import Asked, Problem
from .shapes import COUNT, NUMBER, TEXT, many, maybe, one_of, record

#: Values that are shown.
TOP = 10
MEASURES: Final[tuple[Measure, ...]] = (
    "sum",
    "average",
    "minimum",
    "median",
    "p95",
    "maximum",
)

_NUMBER = maybe(NUMBER)
_VALUE = record({"value": {"type": ["string", "integer", "boolean", "null"]}, "count": COUNT})
SPLIT = record(
    {
        "attribute": TEXT,
        "kind": one_of("values", "number"),
        "values": many(_VALUE),
        "total": COUNT,
        "number": maybe(record({"count": COUNT, **dict.fromkeys(MEASURES, _NUMBER)})),
    }
)


def of(
    capture: Capture, definition: Definition, asked: Asked, period: Period
) -> dict[str, Any] | None:
    """How the attribute that is asked for is spread; None when none is.

    :raises Problem: when the activity has no such attribute, or the reader may not see its values.
    """
    key = asked.query.get("split", "")
    if not key:
        return None
    declared = {each.key: each for each in definition.attributes}
    if key not in declared or declared[key].type not in OPS:
        raise Problem(
            400,
            "bad-request",
            "an activity is split by one of its attributes",
            field="split",
            expected=", ".join(each for each in declared if each[:3] in OPS) or "none here",
        )
    if declared[key].sensitive:
        asked.need("pii")
    is_number = declared[key].type == "int"
    limit = MAX_LIMIT if is_number else TOP
    values = capture.reports.ask(Query(definition.id, split_by=key, period=period, limit=limit))
    return {
        "attribute": key,
        "kind": "number" if is_number else "values",
        "values": [{"value": row.value, "count": row.measure} for row in values.rows[:TOP]],
        "total": values.total,
        "number": _number(capture, definition.id, key, period, values) if is_number else None,
    }


def _number(
    capture: Capture, activity_id: str, key: str, period: Period, values: Answer
) -> dict[str, Figure]:
    """What a number comes to: of its values, where there are few, else asked one by one."""
    if len(values.rows) < MAX_LIMIT:
        return of_values(
            {int(row.value): int(row.measure or 0) for row in values.rows if row.value is not None}
        )
    carry = Query(activity_id, where=(Where(key, "has-any-value"),), period=period)
    return {"count": capture.reports.ask(carry).total} | {
        each: capture.reports.ask(Query(activity_id, each, key, period=period)).total
        for each in MEASURES
    }


def of_values(counts: Mapping[int, int]) -> dict[str, Figure]:
    """The measures of a number, of how often it had each value."""
    ordered, number = sorted(counts), sum(counts.values())
    if not number:
        return {"count": 0, "sum": 0, **dict.fromkeys(MEASURES[1:])}
    total = sum(value * count for value, count in counts.items())
    # How many activities have each value or a smaller one.
    upto = list(accumulate(counts[value] for value in ordered))

    def percentile(percent: int) -> int:
        return ordered[bisect_left(upto, (number * percent + 99) // 100)]

    return {
        "count": number,
        "sum": total,
        "average": total / number,
        "minimum": ordered[0],
        "median": percentile(50),
        "p95": percentile(95),
        "maximum": ordered[-1],
    }
