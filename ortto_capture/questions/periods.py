"""Periods and their buckets: which moments ``30d`` by day means in a time zone.

The law of this file: days are made here, from the calendar of the zone, and a journal only compares
moments. So a day has 23 or 25 hours where clocks are turned, and an hour 30 minutes where they are
turned by as much. Moments are epoch seconds; a range holds its start and not its end.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Literal, NamedTuple, TypeAlias
from zoneinfo import ZoneInfo

from ..errors import BadQuery

#: ``"30d"``, or the first and the last day.
Period: TypeAlias = str | tuple[str, str]
Unit: TypeAlias = Literal["hour", "day", "week", "month"]

_LENGTH = re.compile(r"([1-9][0-9]{0,3})([hdwm])")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
#: Hours of each unit at least and at most, as far as the number of buckets is concerned.
_SHORTEST = {"hour": 1, "day": 24, "week": 168, "month": 672}
_LONGEST = {"h": 1, "d": 24, "w": 168, "m": 744}
_SECONDS = {"h": 3_600, "d": 86_400, "w": 604_800}
#: Before these no activity can have occurred, and what follows them Python cannot compute with.
_YEARS = (1970, 2999)
#: The longest name of a zone that the database has is 32 characters.
_MAX_ZONE = 64


class Bucket(NamedTuple):
    """One bar of a chart: from ``start`` until just before ``end``.

    ``partial`` when it is cut by the period, or not over yet.
    """

    start: float
    end: float
    partial: bool


class Span(NamedTuple):
    """From ``since`` until just before ``until``, and its buckets, which have no gaps."""

    since: float
    until: float
    buckets: tuple[Bucket, ...]

    @property
    def bounds(self) -> tuple[tuple[tuple[float, float], ...], tuple[bool, ...]]:
        """The start and end of each bucket, and whether each is partial."""
        whole = tuple((start, end) for start, end, _ in self.buckets)
        return whole, tuple(each.partial for each in self.buckets)


def check_period(period: object) -> Period:
    """Return it as it is kept.

    :raises BadQuery: when it is neither a length nor two days.
    """
    if isinstance(period, str):
        if _LENGTH.fullmatch(period) is None:
            raise BadQuery("period", "24h, 30d, 12w, 6m, or the first and the last day")
        return period
    if not isinstance(period, list | tuple) or len(period) != 2:
        raise BadQuery("period", "24h, 30d, 12w, 6m, or the first and the last day")
    first, last = (_day(each) for each in period)
    if first > last:
        raise BadQuery("period", "the first day before the last")
    return first.isoformat(), last.isoformat()


def check_zone(name: object) -> None:
    """Do nothing when it is the name of a time zone.

    :raises BadQuery: when it is none, or this machine does not know it.
    """
    if not isinstance(name, str) or len(name) > _MAX_ZONE:
        raise BadQuery("time_zone", "an IANA name, such as Europe/Berlin")
    zone_of(name)


def zone_of(name: str) -> tzinfo:
    """The time zone of this name.

    :raises BadQuery: when this machine does not know it.
    """
    if name == "UTC":
        # Also where there is no database of zones.
        return UTC
    try:
        return ZoneInfo(name)
    except (LookupError, ValueError, OSError):
        raise BadQuery("time_zone", "an IANA name, such as Europe/Berlin") from None


def length_of(text: object, field: str) -> float:
    """The seconds of ``24h``, ``30d`` or ``12w``; a day is 24 hours.

    :raises BadQuery: when it is none of them; months have no length.
    """
    found = _LENGTH.fullmatch(text) if isinstance(text, str) else None
    if found is None or found[2] not in _SECONDS:
        raise BadQuery(field, "such as 24h, 30d or 12w")
    return int(found[1]) * _SECONDS[found[2]]


def widest(period: Period, by: Unit) -> int:
    """How many buckets the period has, in a zone whose clocks are never turned; never too few."""
    if isinstance(period, str):
        found = _LENGTH.fullmatch(period)
        assert found is not None  # noqa: S101  # it was checked
        hours = int(found[1]) * _LONGEST[found[2]]
    else:
        hours = ((_day(period[1]) - _day(period[0])).days + 1) * 24
    return -(-hours // _SHORTEST[by])


def span(period: Period, by: Unit | None, zone: tzinfo, now: float) -> Span:
    """What a checked period means at ``now``.

    ``30d`` is today and the 29 days before it, ``12w`` this week and the 11 before, ``6m`` this
    month and the 5 before, ``24h`` this hour of the clock and the 23 hours before: all of them end
    with the end of the day, week, month or hour that ``now`` is in.
    """
    since, until = _range(period, zone, now)
    if by is None:
        return Span(since, until, (Bucket(since, until, until > now),))
    return Span(since, until, tuple(_buckets(since, until, by, zone, now)))


def _range(period: Period, zone: tzinfo, now: float) -> tuple[float, float]:
    if not isinstance(period, str):
        first, last = (_day(each) for each in period)
        return _midnight(first, zone), _midnight(last + timedelta(1), zone)
    found = _LENGTH.fullmatch(period)
    assert found is not None  # noqa: S101  # it was checked
    number, unit = int(found[1]), found[2]
    if unit == "h":
        offset = _offset(now, zone)
        hour = (now + offset) // 3_600 * 3_600 - offset
        return hour - (number - 1) * 3_600, hour + 3_600
    today = _date(now, zone)
    if unit == "d":
        first, after = today - timedelta(number - 1), today + timedelta(1)
    elif unit == "w":
        monday = today - timedelta(today.weekday())
        first, after = monday - timedelta(7 * (number - 1)), monday + timedelta(7)
    else:
        first, after = _month(today, 1 - number), _month(today, 1)
    return _midnight(first, zone), _midnight(after, zone)


def _buckets(since: float, until: float, by: Unit, zone: tzinfo, now: float) -> Iterator[Bucket]:
    at = since
    while at < until:
        start, end = _hour(at, zone) if by == "hour" else _days(at, by, zone)
        cut = start < since or end > until
        yield Bucket(at, min(end, until), cut or end > now)
        at = end


def _days(at: float, by: Unit, zone: tzinfo) -> tuple[float, float]:
    """The whole day, week or month that holds this moment."""
    day = _date(at, zone)
    if _midnight(day, zone) > at:
        # The clock was turned back over midnight: until it shows midnight again, it is yesterday.
        day -= timedelta(1)
    if by == "day":
        first, after = day, day + timedelta(1)
    elif by == "week":
        first = day - timedelta(day.weekday())
        after = first + timedelta(7)
    else:
        first, after = _month(day, 0), _month(day, 1)
    return _midnight(first, zone), _midnight(after, zone)


def _hour(at: float, zone: tzinfo) -> tuple[float, float]:
    """The hour of the clock that holds this moment: it ends early where the clock is turned."""
    offset = _offset(at, zone)
    start = (at + offset) // 3_600 * 3_600 - offset
    end = start + 3_600
    if _offset(start, zone) != offset:
        start = _turn(start, at, zone)
    if _offset(end - 1, zone) != offset:
        end = _turn(at, end - 1, zone)
    return start, end


def _turn(before: float, after: float, zone: tzinfo) -> float:
    """The second at which the clock is turned between these two."""
    offset = _offset(before, zone)
    low, high = int(before), int(after)
    while high - low > 1:
        middle = (low + high) // 2
        if _offset(middle, zone) == offset:
            low = middle
        else:
            high = middle
    return float(high)


def _month(day: date, later: int) -> date:
    """The first day of the month so many months later."""
    months = day.year * 12 + day.month - 1 + later
    return date(months // 12, months % 12 + 1, 1)


def _date(at: float, zone: tzinfo) -> date:
    return datetime.fromtimestamp(at, zone).date()


def _offset(at: float, zone: tzinfo) -> float:
    offset = datetime.fromtimestamp(at, zone).utcoffset()
    assert offset is not None  # noqa: S101  # a zone always has one
    return offset.total_seconds()


@lru_cache(maxsize=4_096)
def _midnight(day: date, zone: tzinfo) -> float:
    """When this day begins: where midnight is left out, when the clock is turned."""
    midnight = datetime(day.year, day.month, day.day, tzinfo=zone)
    # The first of two midnights is that of the whole day; not where the clock then goes back to the
    # day before. Of none, the moment that the first reading names.
    last = max(midnight.timestamp(), midnight.replace(fold=1).timestamp())
    return last if _date(last - 0.001, zone) < day else midnight.timestamp()


def _day(text: object) -> date:
    try:
        day = date.fromisoformat(text) if isinstance(text, str) and _DATE.fullmatch(text) else None
    except ValueError:
        day = None
    if day is None or not _YEARS[0] <= day.year <= _YEARS[1]:
        raise BadQuery("period", f"days from {_YEARS[0]}-01-01 to {_YEARS[1]}-12-31")
    return day
