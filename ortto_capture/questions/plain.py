"""Answers from a list of activities: what every question means, written down once.

The law of this file: obvious before fast. It is the specification that all journals are held to,
and what a journal of a few thousand activities can use as it is.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TypeAlias

from ..errors import BadQuery
from ..model import Activity, Captured
from .answer import LONGEST_VALUE, Answer, Figure, Found, Row, Value, Wanted, arranged
from .periods import length_of, span, zone_of
from .query import All, Any, Condition, Did, Funnel, In, Members, Not, Query, Question, Where

#: What happened, as it is looked at here: moments are whole milliseconds.
Happened: TypeAlias = Sequence[Activity]

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def answer(question: Question, now: float, activities: Iterable[Activity]) -> Answer:
    """What these activities answer, in whatever order they come.

    :raises BadQuery: when an audience is meant, which has to be put in first.
    """
    happened = list(activities)
    match question:
        case Query():
            return _of_query(question, now, happened)
        case Funnel():
            return _of_funnel(question, now, happened)
        case Members():
            return _of_members(question, now, happened)


def look(wanted: Wanted, newest_first: Iterable[Captured], limit: int) -> Found:
    """The first ``limit``, at least one, of these activities that are wanted."""
    rows: list[Captured] = []
    for each in newest_first:
        if len(rows) == limit:
            return Found(rows, rows[-1].cursor, rows[-1].activity.received_at)
        if is_wanted(wanted, each.activity):
            rows.append(each)
    return Found(rows, "", None)


def is_wanted(wanted: Wanted, activity: Activity) -> bool:
    """Whether a search is for this activity."""
    return (
        (not wanted.activity_ids or activity.activity_id in wanted.activity_ids)
        and (not wanted.person_ids or activity.person_id in wanted.person_ids)
        and (not wanted.text or _contains(activity, wanted.text))
    )


def first_and_last(
    activity_ids: Collection[str], activities: Iterable[Activity]
) -> dict[str, tuple[float, float]]:
    """When each of these activities first and last occurred."""
    found: dict[str, tuple[float, float]] = {}
    for each in activities:
        if each.activity_id in activity_ids:
            at = each.occurred_at
            first, last = found.get(each.activity_id, (at, at))
            found[each.activity_id] = min(first, at), max(last, at)
    return found


def needle(text: str) -> str:
    """A text to search for, as JSON spells it within a string, and in lower ASCII."""
    return _lower(_encode(text)[1:-1])


def milliseconds(seconds: float) -> int:
    """As moments are compared."""
    return round(seconds * 1000)


def figure_of(measure: str, numbers: Sequence[int]) -> Figure:
    """The sum, average, minimum, median, p95 or maximum of these numbers."""
    if measure == "sum":
        return sum(numbers)
    if not numbers:
        return None
    match measure:
        case "average":
            return sum(numbers) / len(numbers)
        case "minimum":
            return min(numbers)
        case "maximum":
            return max(numbers)
    percent = 50 if measure == "median" else 95
    # The smallest that so many per cent do not exceed.
    return sorted(numbers)[(len(numbers) * percent + 99) // 100 - 1]


def _lower(text: str) -> str:
    return "".join(each.lower() if each.isascii() else each for each in text)


def _contains(activity: Activity, text: str) -> bool:
    places = (_encode(activity.attributes), activity.event_id, activity.activity_id)
    return any(needle(text) in _lower(place) for place in places)


def _of_query(query: Query, now: float, happened: Happened) -> Answer:
    when = span(query.period, query.by, zone_of(query.time_zone or "UTC"), now)
    whose = None if query.people is None else people(query.people, now, happened)
    counted = [
        each
        for each in happened
        if milliseconds(when.since) <= milliseconds(each.occurred_at) < milliseconds(when.until)
        and (query.activities is None or each.activity_id in query.activities)
        and (whose is None or each.person_id in whose)
        and (query.attribute is None or query.attribute in each.attributes)
        and all(fits(where, each.attributes) for where in query.where)
    ]
    overall: dict[Value, list[Activity]] = defaultdict(list)
    parts: dict[tuple[int, Value], list[Activity]] = defaultdict(list)
    starts = [bucket.start for bucket in when.buckets]
    for each in counted:
        value = _value_of(query.split_by, each)
        overall[value].append(each)
        parts[bisect_right(starts, each.occurred_at) - 1, value].append(each)
    return arranged(
        query,
        when,
        _measured(query, counted),
        {value: _measured(query, some) for value, some in overall.items()},
        {part: _measured(query, some) for part, some in parts.items()},
    )


def _value_of(split_by: str | None, activity: Activity) -> Value:
    match split_by:
        case None:
            return None
        case "activity":
            return activity.activity_id
        case "person":
            return activity.person_id
        case "source":
            return activity.source
        case "assurance":
            return activity.assurance
    value: Value = activity.attributes.get(split_by)
    return str(value)[:LONGEST_VALUE] if value and split_by.startswith("txt:") else value


def _measured(query: Query, some: Happened) -> Figure:
    """The figure of some activities, of which all have the attribute that is measured."""
    if query.measure == "count":
        return len(some)
    if query.measure == "people":
        return len({each.person_id for each in some})
    return figure_of(query.measure, [each.attributes[query.attribute or ""] for each in some])


def fits(where: Where, attributes: Mapping[str, object]) -> bool:
    """Whether a comparison is true of these attributes."""
    value = attributes.get(where.attribute)
    if where.op == "has-any-value":
        return value is not None
    if where.op in ("has-no-value", "is-not"):
        return value is None or (where.op == "is-not" and value != where.value)
    return value is not None and _COMPARISONS[where.op](value, *where.values)


_COMPARISONS: Mapping[str, Callable[..., bool]] = {
    "is": lambda value, given: value == given,
    "one-of": lambda value, *given: value in given,
    "between": lambda value, low, high: low <= value <= high,
    "greater-than": lambda value, given: value > given,
    "less-than": lambda value, given: value < given,
    "at-least": lambda value, given: value >= given,
    "at-most": lambda value, given: value <= given,
    "contains": lambda value, given: given in value,
    "starts-with": lambda value, given: value.startswith(given),
    "ends-with": lambda value, given: value.endswith(given),
}


def people(condition: Condition, now: float, happened: Happened) -> set[str]:
    """The ids of the people for whom a condition is true at ``now``."""
    match condition:
        case All(of):
            return set.intersection(*(people(each, now, happened) for each in of))
        case Any(of):
            return set.union(*(people(each, now, happened) for each in of))
        case Not(of):
            return {each.person_id for each in happened} - people(of, now, happened)
        case Did():
            return _who_did(condition, now, happened)
        case In():
            raise BadQuery("people", "a condition, in which no audience is named")


def _who_did(did: Did, now: float, happened: Happened) -> set[str]:
    since = None
    if did.within is not None:
        since = milliseconds(now) - milliseconds(length_of(did.within, "within"))
    times: dict[str, int] = defaultdict(int)
    for each in happened:
        if each.activity_id == did.activity and all(fits(w, each.attributes) for w in did.where):
            times[each.person_id] += since is None or milliseconds(each.occurred_at) >= since
    return {person_id for person_id, number in times.items() if number >= did.at_least}


def _of_funnel(funnel: Funnel, now: float, happened: Happened) -> Answer:
    when = span(funnel.period, None, zone_of(funnel.time_zone or "UTC"), now)
    within = milliseconds(length_of(funnel.within, "within"))
    reached = [0] * len(funnel.steps)
    did: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for each in happened:
        did[each.person_id][each.activity_id].append(milliseconds(each.occurred_at))
    begin, end = milliseconds(when.since), milliseconds(when.until)
    for theirs in did.values():
        start = min((at for at in theirs[funnel.steps[0]] if begin <= at < end), default=None)
        if start is None:
            continue
        last = start
        reached[0] += 1
        for number, step in enumerate(funnel.steps[1:], 1):
            later = [at for at in theirs[step] if last < at <= start + within]
            if not later:
                break
            last = min(later)
            reached[number] += 1
    rows = tuple(Row(None, step, n) for step, n in zip(funnel.steps, reached, strict=True))
    return Answer(rows, reached[0], when.since, when.until, *when.bounds)


def _of_members(members: Members, now: float, happened: Happened) -> Answer:
    ids = {each.person_id for each in happened}
    if members.people is not None:
        ids = people(members.people, now, happened)
    page = sorted(each for each in ids if each > members.after)[: members.limit]
    return Answer(tuple(Row(None, each, None) for each in page), len(ids), now, now)
