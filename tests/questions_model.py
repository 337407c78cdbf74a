"""What every question means, in plain Python over a list of activities.

The law of this file: it is written from ``docs/reference/questions.md`` alone, takes a question in
its JSON form, and shares no code with the package. It is slow and obvious: a bucket is a stretch of
time in which a clock on the wall shows the same hour, day, week or month, found by looking at that
clock every quarter of an hour.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple, TypeAlias
from zoneinfo import ZoneInfo

from ortto_capture.model import Activity

Question: TypeAlias = Mapping[str, Any]
Figure: TypeAlias = int | float | Fraction | None

HOUR = 3_600
DAY = 24 * HOUR
WEEK = 7 * DAY
STRETCH = 32 * DAY
#: Every offset of every zone, and every turn of a clock since 1972, is a multiple of it.
QUARTER = 900
#: A value of a split is cut to so many characters.
LONGEST = 255


class Line(NamedTuple):
    """One row of an answer."""

    start: float | None
    value: Any
    measure: Figure


class Reply(NamedTuple):
    """What the package has to answer."""

    rows: list[Line]
    total: Figure
    since: float
    until: float
    buckets: list[tuple[float, float]]
    partial: list[bool]


# -- time


def shown(unit: str, at: float, zone: ZoneInfo) -> object:
    """What a clock and a calendar on the wall show of a unit; never the same twice."""
    wall = datetime.fromtimestamp(at, zone)
    day = wall.date()
    if unit == "hour":
        return day, wall.hour, wall.utcoffset()
    if unit == "week":
        return day - timedelta(days=day.weekday())
    return day if unit == "day" else (day.year, day.month)


@lru_cache(maxsize=4_096)
def beginnings(unit: str, stretch: int, zone: ZoneInfo) -> list[float]:
    """When units begin within one of the stretches of 32 days since the epoch."""
    looks = range(stretch * STRETCH, (stretch + 1) * STRETCH, QUARTER)
    signs = [shown(unit, at, zone) for at in (looks[0] - QUARTER, *looks)]
    return [
        float(at)
        for at, sign, before in zip(looks, signs[1:], signs, strict=False)
        if sign != before
    ]


def between(unit: str, since: float, until: float, zone: ZoneInfo) -> list[float]:
    """When units begin from one moment until another, both of them included."""
    stretches = range(int(since // STRETCH), int(until // STRETCH) + 1)
    found = [at for each in stretches for at in beginnings(unit, each, zone)]
    return [at for at in found if since <= at <= until]


def beginning(unit: str, at: float, zone: ZoneInfo) -> float:
    """When the unit began that holds this moment."""
    return between(unit, at - STRETCH, at, zone)[-1]


def ending(unit: str, at: float, zone: ZoneInfo) -> float:
    """When the unit ends that holds this moment."""
    return next(each for each in between(unit, at, at + STRETCH, zone) if each > at)


def first_moment(day: date, zone: ZoneInfo) -> float:
    """When this day begins, or, where the calendar leaves it out, the one after it."""
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=UTC).timestamp()
    days = between("day", noon - 2 * DAY, noon + 2 * DAY, zone)
    return next(at for at in days if datetime.fromtimestamp(at, zone).date() >= day)


def period(given: str | Sequence[str], zone: ZoneInfo, now: float) -> tuple[float, float]:
    """From when until when."""
    if not isinstance(given, str):
        first, last = map(date.fromisoformat, given)
        return first_moment(first, zone), first_moment(last + timedelta(1), zone)
    amount, unit = int(given[:-1]), {"h": "hour", "d": "day", "w": "week", "m": "month"}[given[-1]]
    until = ending(unit, now, zone)
    today = datetime.fromtimestamp(now, zone).date()
    if unit == "hour":
        return beginning("hour", now, zone) - (amount - 1) * HOUR, until
    if unit == "month":
        months = today.year * 12 + today.month - amount
        return first_moment(date(months // 12, months % 12 + 1, 1), zone), until
    if unit == "week":
        today -= timedelta(days=today.weekday(), weeks=amount - 1)
        return first_moment(today, zone), until
    return first_moment(today - timedelta(days=amount - 1), zone), until


def cut(unit: str | None, since: float, until: float, zone: ZoneInfo) -> list[tuple[float, float]]:
    """The buckets of a period, cut at both ends by it; without a unit one bucket."""
    if unit is None:
        return [(since, until)]
    # None at all of a day that the calendar leaves out.
    inside = {at for at in between(unit, since, until, zone) if since < at < until}
    return list(pairwise(sorted({since, *inside, until})))


def is_whole(unit: str | None, start: float, end: float, zone: ZoneInfo) -> bool:
    """Whether a bucket is the whole of its unit."""
    return unit is None or {start, end} <= {*between(unit, start, end, zone)}


def ago(text: str) -> float:
    """How many seconds ``within`` is."""
    return int(text[:-1]) * {"h": HOUR, "d": DAY, "w": WEEK}[text[-1]]


# -- which activities, and which people


def fits(where: Question, attributes: Mapping[str, Any]) -> bool:
    """Whether an activity with these attributes is meant."""
    op, key = where.get("op", "is"), where["attribute"]
    if op == "has-any-value":
        return key in attributes
    if op == "has-no-value":
        return key not in attributes
    if key not in attributes:
        return bool(op == "is-not")
    value, wanted = attributes[key], where["value"]
    tests: dict[str, Callable[[], Any]] = {
        "is": lambda: value == wanted,
        "is-not": lambda: value != wanted,
        "one-of": lambda: value in wanted,
        "between": lambda: wanted[0] <= value <= wanted[1],
        "greater-than": lambda: value > wanted,
        "less-than": lambda: value < wanted,
        "at-least": lambda: value >= wanted,
        "at-most": lambda: value <= wanted,
        "contains": lambda: wanted in value,
        "starts-with": lambda: value.startswith(wanted),
        "ends-with": lambda: value.endswith(wanted),
    }
    return bool(tests[op]())


class World:
    """Everything that is kept, and the moment at which it is looked at."""

    def __init__(
        self,
        activities: Collection[Activity],
        now: float,
        time_zone: str = "UTC",
        audiences: Mapping[str, Question] | None = None,
    ) -> None:
        self.activities = sorted(activities, key=lambda each: each.occurred_at)
        self.people = sorted({each.person_id for each in activities})
        self.now = now
        self.time_zone = time_zone
        self.audiences = audiences or {}

    def answer(self, question: Question) -> Reply:
        """The answer to any question."""
        if "steps" in question:
            return self.funnel(question)
        return self.query(question)

    def members(self, condition: Question) -> list[str]:
        """Who the people are for whom a condition is true."""
        return [each for each in self.people if self.holds(condition, each)]

    def holds(self, condition: Question, person_id: str) -> bool:
        """Whether a condition is true of a person."""
        if "all" in condition:
            return all(self.holds(each, person_id) for each in condition["all"])
        if "any" in condition:
            return any(self.holds(each, person_id) for each in condition["any"])
        if "not" in condition:
            return not self.holds(condition["not"], person_id)
        if "in" in condition:
            return self.holds(self.audiences[condition["in"]], person_id)
        since = self.now - ago(condition["within"]) if "within" in condition else float("-inf")
        times: int = sum(
            each.person_id == person_id
            and each.activity_id == condition["did"]
            and each.occurred_at >= since
            and all(fits(where, each.attributes) for where in condition.get("where", ()))
            for each in self.activities
        )
        return bool(times >= condition.get("at_least", 1))

    def funnel(self, question: Question) -> Reply:
        """How many people came how far."""
        zone = ZoneInfo(question.get("time_zone", self.time_zone))
        since, until = period(question.get("period", "30d"), zone, self.now)
        steps, within = question["steps"], ago(question.get("within", "7d"))
        reached = [0] * len(steps)
        for person_id in self.people:
            for number in range(self.steps_of(person_id, steps, since, until, within)):
                reached[number] += 1
        rows = [Line(None, step, people) for step, people in zip(steps, reached, strict=True)]
        return Reply(rows, reached[0], since, until, [(since, until)], [until > self.now])

    def steps_of(
        self, person_id: str, steps: Sequence[str], since: float, until: float, within: float
    ) -> int:
        """How many of the steps a person has done."""
        theirs = [each for each in self.activities if each.person_id == person_id]
        first = [e.occurred_at for e in theirs if e.activity_id == steps[0]]
        begun = [at for at in first if since <= at < until]
        if not begun:
            return 0
        last, done = begun[0], 1
        for step in steps[1:]:
            following = [
                each.occurred_at
                for each in theirs
                if each.activity_id == step and last < each.occurred_at <= begun[0] + within
            ]
            if not following:
                break
            last, done = following[0], done + 1
        return done

    def query(self, question: Question) -> Reply:
        """Figures of activities."""
        zone = ZoneInfo(question.get("time_zone", self.time_zone))
        since, until = period(question.get("period", "30d"), zone, self.now)
        meant = list(self.meant(question, since, until))
        split = question.get("split_by")
        values = {value_of(each, split) for each in meant} if split else {None}
        parts = {
            value: [e for e in meant if not split or value_of(e, split) == value]
            for value in values
        }
        overall = {value: figure(question, part) for value, part in parts.items()}
        if split:
            chosen = largest(overall)[: question.get("limit", 10)]
        else:
            chosen = [None]
        unit = question.get("by")
        buckets = cut(unit, since, until, zone)
        rows = [Line(None, value, overall[value]) for value in chosen]
        if unit:
            rows = [
                Line(start, value, figure(question, happened(parts[value], start, end)))
                for value in chosen
                for start, end in buckets
            ]
        partial = [end > self.now or not is_whole(unit, start, end, zone) for start, end in buckets]
        return Reply(rows, figure(question, meant), since, until, buckets, partial)

    def meant(self, question: Question, since: float, until: float) -> Iterator[Activity]:
        """The activities that a query is about."""
        ids = question.get("activity")
        ids = [ids] if isinstance(ids, str) else ids
        people = set(self.members(question["people"]) if "people" in question else self.people)
        for each in self.activities:
            if (
                (ids is None or each.activity_id in ids)
                and since <= each.occurred_at < until
                and each.person_id in people
                and all(fits(where, each.attributes) for where in question.get("where", ()))
                and ("attribute" not in question or question["attribute"] in each.attributes)
            ):
                yield each


def happened(activities: Sequence[Activity], start: float, end: float) -> list[Activity]:
    """What of it occurred within these bounds."""
    return [each for each in activities if start <= each.occurred_at < end]


def value_of(activity: Activity, split: str) -> Any:
    """The value of a split that an activity counts for."""
    members = {
        "activity": activity.activity_id,
        "person": activity.person_id,
        "source": activity.source,
        "assurance": activity.assurance,
    }
    value = members[split] if split in members else activity.attributes.get(split)
    # A str is never longer: it would not have been accepted.
    return value[:LONGEST] if isinstance(value, str) and split.startswith("txt:") else value


def figure(question: Question, activities: Sequence[Activity]) -> Figure:
    """The measure of these activities."""
    measure = question.get("measure", "count")
    if measure == "count":
        return len(activities)
    if measure == "people":
        return len({each.person_id for each in activities})
    numbers: list[int] = sorted(each.attributes[question["attribute"]] for each in activities)
    if measure == "sum":
        return sum(numbers)
    if not numbers:
        return None
    of: dict[str, Callable[[], Figure]] = {
        "average": lambda: Fraction(sum(numbers), len(numbers)),
        "minimum": lambda: numbers[0],
        "median": lambda: not_exceeded(numbers, 50),
        "p95": lambda: not_exceeded(numbers, 95),
        "maximum": lambda: numbers[-1],
    }
    return of[measure]()


def not_exceeded(numbers: Sequence[int], percent: int) -> int:
    """The smallest of them that so many percent of them do not exceed."""
    return min(
        each
        for each in numbers
        if 100 * sum(other <= each for other in numbers) >= percent * len(numbers)
    )


def largest(overall: Mapping[Any, Figure]) -> list[Any]:
    """The values with the largest figures first; of equal ones no value first, then in order."""

    def place(value: Any) -> tuple[Any, ...]:
        figure = overall[value]
        assert figure is not None
        return (-figure, value is not None, value if value is not None else 0)

    return sorted(overall, key=place)
