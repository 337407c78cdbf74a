"""Questions: ``Query``, ``Funnel`` and ``Members``, and the conditions that they are made of.

The law of this file: values only. Each is checked when it is built, so that what bounds the work of
a journal is bounded before it is asked: buckets, conditions, and rows of an answer.

See ``docs/reference/questions.md`` for what each member means.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from ..errors import BadQuery
from .checks import (
    AUDIENCE,
    CONDITION_EXPECTED,
    MAX_BUCKETS,
    MAX_DID,
    MAX_NESTING,
    MAX_ROWS,
    MAX_STEPS,
    MAX_TIMES,
    MAX_VALUES,
    MAX_WHERE,
    MEASURES,
    OPS,
    PRESENCE_OPS,
    SPLITS,
    UNITS,
    Measure,
    Scalar,
    attribute_type,
    check_activities,
    check_choice,
    check_id,
    check_limit,
    check_measured,
    check_text,
    check_time_zone,
    check_type,
    check_value,
)
from .periods import Period, Unit, check_period, length_of, widest


@dataclass(frozen=True, slots=True)
class Where:
    """A comparison of one attribute of an activity.

    :param attribute: its key.
    :param op: one of ``OPS`` of its type; ``has-any-value`` and ``has-no-value`` for every type.
    :param value: what it is compared with, of the attribute's type: one value, several for
        ``one-of``, two for ``between``, none for the last two.
    :raises BadQuery: naming the member.
    """

    attribute: str
    op: str = "is"
    value: Scalar | tuple[Scalar, ...] | None = None

    def __post_init__(self) -> None:
        ops = OPS.get(attribute_type(self.attribute, "attribute"), PRESENCE_OPS)
        if self.op not in ops:
            raise BadQuery("op", f"one of {', '.join(ops)}")
        if isinstance(self.value, list):
            object.__setattr__(self, "value", tuple(self.value))
        given = self.values
        if self.op == "one-of":
            fits = isinstance(self.value, tuple) and 1 <= len(given) <= MAX_VALUES
            expected = f"1 to {MAX_VALUES} values"
        elif self.op == "between":
            fits, expected = isinstance(self.value, tuple) and len(given) == 2, "two numbers"
        elif self.op in PRESENCE_OPS:
            fits, expected = self.value is None, f"no value with {self.op}"
        else:
            fits, expected = not isinstance(self.value, tuple) and len(given) == 1, "one value"
        if not fits:
            raise BadQuery("value", expected)
        for each in given:
            check_value(self.attribute[:3], each)
            if self.op in ("contains", "starts-with", "ends-with") and each == "":
                raise BadQuery("value", "at least one character")

    @property
    def values(self) -> tuple[Scalar, ...]:
        """What it is compared with, however many that are."""
        if isinstance(self.value, tuple):
            return self.value
        return () if self.value is None else (self.value,)


@dataclass(frozen=True, slots=True)
class Did:
    """People who did ``activity``.

    :param where: comparisons of each of these activities.
    :param at_least: how often.
    :param within: how long ago at most, such as ``"24h"``, ``"30d"`` or ``"12w"``.
    :raises BadQuery: naming the member.
    """

    activity: str
    where: tuple[Where, ...] = ()
    at_least: int = 1
    within: str | None = None

    def __post_init__(self) -> None:
        check_id(self.activity, "activity")
        object.__setattr__(self, "where", _wheres(self.where))
        if type(self.at_least) is not int or not 1 <= self.at_least <= MAX_TIMES:
            raise BadQuery("at_least", f"a whole number from 1 to {MAX_TIMES}")
        if self.within is not None:
            length_of(self.within, "within")


@dataclass(frozen=True, slots=True)
class In:
    """People of a saved audience.

    :raises BadQuery: when it is no name of an audience.
    """

    audience: str

    def __post_init__(self) -> None:
        fits = isinstance(self.audience, str) and len(self.audience) <= 100
        if not fits or AUDIENCE.fullmatch(self.audience) is None:
            raise BadQuery("in", "the name of an audience, such as ready-to-upgrade")


@dataclass(frozen=True, slots=True)
class All:
    """People for whom every one of these conditions is true.

    :raises BadQuery: when it holds no condition, or too many, or too deep ones.
    """

    of: tuple[Condition, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "of", _conditions(self.of, "all"))


@dataclass(frozen=True, slots=True)
class Any:
    """People for whom at least one of these conditions is true.

    :raises BadQuery: when it holds no condition, or too many, or too deep ones.
    """

    of: tuple[Condition, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "of", _conditions(self.of, "any"))


@dataclass(frozen=True, slots=True)
class Not:
    """People for whom the condition is not true, of those who did anything.

    :raises BadQuery: when it holds no condition, or a too deep one.
    """

    of: Condition

    def __post_init__(self) -> None:
        _conditions((self.of,), "not")


Condition: TypeAlias = Did | In | All | Any | Not


@dataclass(frozen=True, slots=True)
class Query:
    """One number of activities: for a period, for each of its buckets, or for each value.

    :param activity: an activity id, several, or None for all.
    :param measure: ``count`` of activities, ``people`` who did them, or a figure of ``attribute``.
    :param attribute: the key of an ``int`` attribute, for the measures that need one.
    :param where: comparisons that are all true of an activity that is counted.
    :param people: whose activities are counted; None for all people's.
    :param by: one figure for each of these units of time.
    :param split_by: one figure for each value: of an attribute, or of one of ``SPLITS``.
    :param period: such as ``"30d"``, ``"24h"``, ``"12w"``, ``"6m"``, or the first and last day.
    :param limit: how many values of a split.
    :param time_zone: the IANA name of the zone whose days are meant; None for that of the settings.
    :raises BadQuery: naming the member.
    """

    activity: str | tuple[str, ...] | None = None
    measure: Measure = "count"
    attribute: str | None = None
    where: tuple[Where, ...] = ()
    people: Condition | None = None
    by: Unit | None = None
    split_by: str | None = None
    period: Period = "30d"
    limit: int = 10
    time_zone: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "activity", check_activities(self.activity))
        check_choice(self.measure, MEASURES, "measure")
        check_measured(self.measure, self.attribute)
        object.__setattr__(self, "where", _wheres(self.where))
        if self.by is not None:
            check_choice(self.by, UNITS, "by")
        if self.split_by is not None and self.split_by not in SPLITS:
            check_type(self.split_by, "split_by", tuple(OPS))
        object.__setattr__(self, "period", check_period(self.period))
        check_limit(self.limit)
        check_time_zone(self.time_zone)
        _check_amount(self.people, self.where)
        if self.by is not None:
            buckets = widest(self.period, self.by)
            if buckets > MAX_BUCKETS:
                raise BadQuery("by", f"a longer unit, or a period of at most {MAX_BUCKETS} of them")
            if self.split_by is not None and self.limit * buckets > MAX_ROWS:
                raise BadQuery("limit", f"at most {MAX_ROWS // buckets} values by {self.by}")

    @property
    def activities(self) -> tuple[str, ...] | None:
        """The ids that are meant; None for all."""
        return (self.activity,) if isinstance(self.activity, str) else self.activity


@dataclass(frozen=True, slots=True)
class Funnel:
    """How many people did the first step, and of those the next ones after it, in this order.

    :param steps: activity ids.
    :param within: how long after the first step the last one may come, such as ``"7d"``.
    :param period: when the first step was done; as of a :class:`Query`.
    :param time_zone: as of a :class:`Query`.
    :raises BadQuery: naming the member.
    """

    steps: tuple[str, ...]
    within: str = "7d"
    period: Period = "30d"
    time_zone: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.steps, list | tuple) or not 2 <= len(self.steps) <= MAX_STEPS:
            raise BadQuery("steps", f"2 to {MAX_STEPS} activity ids")
        for each in self.steps:
            check_id(each, "steps")
        object.__setattr__(self, "steps", tuple(self.steps))
        length_of(self.within, "within")
        object.__setattr__(self, "period", check_period(self.period))
        check_time_zone(self.time_zone)


@dataclass(frozen=True, slots=True)
class Members:
    """Who the people are for whom a condition is true: a page of their ids, in order.

    :param people: the condition; None for all who did anything.
    :param after: the id that the page begins after.
    :param limit: how many at most.
    :raises BadQuery: naming the member.
    """

    people: Condition | None
    after: str = ""
    limit: int = 100

    def __post_init__(self) -> None:
        _check_amount(self.people, ())
        check_text(self.after, "after")
        check_limit(self.limit)


Question: TypeAlias = Query | Funnel | Members


def conditions_in(condition: Condition | None) -> Iterator[Did | In]:
    """Every ``Did`` and ``In`` of it."""
    match condition:
        case Did() | In():
            yield condition
        case All(of) | Any(of):
            for each in of:
                yield from conditions_in(each)
        case Not(of):
            yield from conditions_in(of)


def _wheres(where: object) -> tuple[Where, ...]:
    if not isinstance(where, list | tuple) or not all(isinstance(each, Where) for each in where):
        raise BadQuery("where", "a list of comparisons")
    return tuple(where)


def _conditions(of: object, field: str) -> tuple[Condition, ...]:
    """The parts of a condition, checked: those of each part were checked before."""
    if not isinstance(of, list | tuple) or not 1 <= len(of) <= MAX_DID:
        raise BadQuery(field, f"1 to {MAX_DID} conditions")
    for each in of:
        if not isinstance(each, Did | In | All | Any | Not):
            raise BadQuery(field, CONDITION_EXPECTED)
        if _depth(each) >= MAX_NESTING:
            raise BadQuery(field, f"conditions nested at most {MAX_NESTING} deep")
    return tuple(of)


def _depth(condition: Condition) -> int:
    match condition:
        case All(of) | Any(of):
            return 1 + max(map(_depth, of))
        case Not(of):
            return 1 + _depth(of)
    return 1


def _check_amount(people: object, where: tuple[Where, ...]) -> None:
    """Bound how much a journal has to look at."""
    if people is not None and not isinstance(people, Did | In | All | Any | Not):
        raise BadQuery("people", CONDITION_EXPECTED)
    conditions = list(conditions_in(people))
    if len(conditions) > MAX_DID:
        raise BadQuery("people", f"at most {MAX_DID} times did or in")
    wheres = len(where) + sum(len(each.where) for each in conditions if isinstance(each, Did))
    if wheres > MAX_WHERE:
        raise BadQuery("where", f"at most {MAX_WHERE} comparisons in one question")
