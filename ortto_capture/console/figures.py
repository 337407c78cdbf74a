"""How often an activity happened: for the list, for its own page, and who did it.

The law of this file: numbers are what the journal answers, by `occurred_at` in the time zone of the
settings; refused requests are those that the outcomes tally by the hour. Nothing is kept here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from ..capture import Capture
from ..model import Definition
from ..questions.answer import Answer, Figure, Wanted
from ..questions.checks import MAX_LIMIT, OPS
from ..questions.periods import Period, Span, Unit, span, zone_of
from ..questions.query import Query
from . import breakdown
from .account import moment
from .breakdown import SPLIT
from .masks import Masks
from .routes import Asked, Route, not_found
from .shapes import COUNT, FLAG, MOMENT, NUMBER, TEXT, many, maybe, one_of, record


class Range(NamedTuple):
    """A period that the page offers: its buckets, itself and itself with the one before."""

    by: Unit
    period: str
    double: str


RANGES: Final = {
    "24h": Range("hour", "24h", "48h"),
    "7d": Range("day", "7d", "14d"),
    "30d": Range("day", "30d", "60d"),
    "90d": Range("day", "90d", "180d"),
    # Whole weeks, so that there are as many before.
    "365d": Range("week", "52w", "104w"),
}
#: Days of a sparkline.
DAYS = 30
#: People of a list.
PEOPLE = 50
_BUCKET = record(
    {
        "start": NUMBER,
        "end": NUMBER,
        "accepted": COUNT,
        "refused": COUNT,
        "before": maybe(COUNT),
        "partial": FLAG,
    }
)
_OVERVIEW = record(
    {
        "name": TEXT,
        "by": one_of("hour", "day", "week"),
        "buckets": many(_BUCKET),
        "accepted": COUNT,
        "refused": COUNT,
        "people": COUNT,
        "before": maybe(record({"accepted": COUNT, "people": maybe(COUNT)})),
        "first_seen": maybe(MOMENT),
        "last_seen": maybe(MOMENT),
        "split": maybe(SPLIT),
        "splits": many(record({"key": TEXT, "name": TEXT})),
        "reasons": many(record({"reason": TEXT, "count": COUNT})),
        "now": MOMENT,
    }
)
_PERSON = record({"person_id": TEXT, "person": TEXT, "count": COUNT, "last": maybe(MOMENT)})
_PEOPLE = record({"people": many(_PERSON), "total": COUNT})


class Figures:
    """Counts of the activities of an account."""

    def __init__(self, capture: Capture) -> None:
        self._capture = capture
        self._backends = capture.backends

    def lately(self, ids: Collection[str]) -> dict[str, dict[str, Any]]:
        """For each of these, ``today``, ``days``, ``status`` and ``last_seen``."""
        query = Query(by="day", split_by="activity", period=f"{DAYS}d", limit=MAX_LIMIT)
        answer = self._ask(query)
        days: dict[object, list[Figure]] = {}
        for row in answer.rows:
            days.setdefault(row.value, []).append(row.measure)
        refused = Counter[str]()
        for (hour, activity_id, _), count in self._tally(answer.buckets[-1][0]).items():
            # An hour that began before midnight, where zones differ by halves, was yesterday's.
            refused[activity_id] += count if hour >= answer.buckets[-1][0] else 0
        seen = self.seen(ids)
        return {
            each: {
                "status": seen[each]["status"],
                "today": {"accepted": days.get(each, [0])[-1], "refused": refused[each]},
                "days": days.get(each, [0] * DAYS),
                "last_seen": seen[each]["last_seen"],
            }
            for each in ids
        }

    def seen(self, ids: Collection[str]) -> dict[str, dict[str, Any]]:
        """For each of these, ``status``, ``first_seen`` and ``last_seen``."""
        found = self._backends.journal.first_and_last(ids)
        return {
            each: {
                "status": "live" if each in found else "setup",
                "first_seen": moment(found[each][0]) if each in found else None,
                "last_seen": moment(found[each][1]) if each in found else None,
            }
            for each in ids
        }

    def overview(self, definition: Definition, asked: Asked) -> dict[str, Any]:
        """One activity over a period, compared with the one before."""
        chosen = RANGES[asked.choice("period", RANGES, "30d")]
        split = breakdown.of(self._capture, definition, asked, chosen.period)
        double = self._ask(Query(definition.id, by=chosen.by, period=chosen.double))
        first, last = self._first_and_last(definition.id)
        now = self._span(chosen.period)
        # How many of the buckets are of the period itself.
        own = sum(start >= now.since for start, _ in double.buckets)
        before, counts = double.rows[:-own], double.rows[-own:]
        compared = first is not None and first < now.since
        refused, reasons = self._refused(definition.id, double.buckets[-own:])
        buckets = [
            {
                "start": start,
                "end": end,
                "accepted": row.measure,
                "refused": refused[start],
                "before": before[n].measure if compared and n < len(before) else None,
                "partial": partial,
            }
            for n, ((start, end), row, partial) in enumerate(
                zip(double.buckets[-own:], counts, double.partial[-own:], strict=True)
            )
        ]
        return {
            "name": definition.name,
            "by": chosen.by,
            "buckets": buckets,
            "accepted": sum(int(row.measure or 0) for row in counts),
            "refused": refused.total(),
            "people": self._total(Query(definition.id, "people", period=chosen.period)),
            "before": {
                "accepted": sum(int(row.measure or 0) for row in before),
                "people": self._people_before(definition.id, chosen, double.since, now.since),
            }
            if compared
            else None,
            "first_seen": moment(first) if first is not None else None,
            "last_seen": moment(last) if last is not None else None,
            "split": split,
            "splits": [
                {"key": each.key, "name": each.name}
                for each in definition.attributes
                if each.type in OPS and (asked.may("pii") or not each.sensitive)
            ],
            "reasons": [{"reason": reason, "count": count} for reason, count in reasons],
            "now": moment(self._capture.clock()),
        }

    def people(self, definition: Definition, asked: Asked) -> dict[str, Any]:
        """Who did it most often in a period."""
        period = RANGES[asked.choice("period", RANGES, "30d")].period
        query = Query(definition.id, split_by="person", period=period, limit=PEOPLE)
        counts = {str(row.value): row.measure for row in self._ask(query).rows}
        last: dict[str, float] = {}
        if counts:
            wanted = Wanted((definition.id,), tuple(counts))
            for each in self._backends.journal.search(wanted, "", MAX_LIMIT).rows:
                at = each.activity.occurred_at
                last[each.person_id] = max(at, last.get(each.person_id, at))
        masks = Masks(self._backends)
        return {
            "people": [
                {
                    "person_id": each,
                    "person": masks.person(each),
                    "count": count,
                    "last": moment(last[each]) if each in last else None,
                }
                for each, count in counts.items()
            ],
            "total": self._total(Query(definition.id, "people", period=period)),
        }

    def today(self, activity_id: str, limit: int) -> list[tuple[str, int]]:
        """The people who did it most often in the day of UTC, in which limits count."""
        query = Query(activity_id, split_by="person", period="1d", limit=limit, time_zone="UTC")
        return [(str(row.value), int(row.measure or 0)) for row in self._ask(query).rows]

    def _refused(
        self, activity_id: str, buckets: tuple[tuple[float, float], ...]
    ) -> tuple[Counter[float], list[tuple[str, int]]]:
        """How many were refused, by the start of a bucket, and by reason."""
        refused, reasons = Counter[float](), Counter[str]()
        for (hour, refused_id, reason), count in self._tally(buckets[0][0]).items():
            if refused_id != activity_id:
                continue
            for start, end in buckets:
                if start <= hour < end:
                    refused[start] += count
                    reasons[reason] += count
        return refused, reasons.most_common()

    def _people_before(self, activity_id: str, chosen: Range, since: float, until: float) -> Figure:
        """How many people did it in the period before; None for hours, which have no dates."""
        if chosen.by == "hour":
            return None
        zone = zone_of(self._capture.settings.time_zone)
        first = datetime.fromtimestamp(since, zone).date()
        last = datetime.fromtimestamp(until, zone).date() - timedelta(1)
        dates = (first.isoformat(), last.isoformat())
        return self._total(Query(activity_id, "people", period=dates))

    def _first_and_last(self, activity_id: str) -> tuple[float, float] | tuple[None, None]:
        found = self._backends.journal.first_and_last([activity_id])
        return found.get(activity_id, (None, None))

    def _tally(self, since: float) -> dict[tuple[float, str, str], int]:
        kept = self._backends.outcomes
        return dict(kept.tally(since)) if kept is not None else {}

    def _span(self, period: Period) -> Span:
        zone = zone_of(self._capture.settings.time_zone)
        return span(period, None, zone, self._capture.clock())

    def _total(self, query: Query) -> Figure:
        return self._ask(query).total

    def _ask(self, query: Query) -> Answer:
        return self._capture.reports.ask(query)


def defined(capture: Capture, activity_id: str) -> Definition:
    """Return a definition.

    :raises Problem: when there is none.
    """
    found = capture.backends.definitions.get(activity_id)
    if found is None:
        raise not_found("there is no such activity")
    return found


def routes(capture: Capture) -> list[Route]:
    """The routes of one activity's numbers."""
    own = Figures(capture)
    period = {"period": one_of(*RANGES)}
    return [
        Route(
            "GET",
            "/api/activities/<activity_id>/overview",
            "read",
            lambda asked: own.overview(defined(capture, asked["activity_id"]), asked),
            "How often an activity happened, and how its attributes are spread.",
            query={**period, "split": TEXT},
            answer=_OVERVIEW,
            errors=(400, 404, 422, 429),
        ),
        Route(
            "GET",
            "/api/activities/<activity_id>/people",
            "read",
            lambda asked: own.people(defined(capture, asked["activity_id"]), asked),
            "Who did an activity most often.",
            query=period,
            answer=_PEOPLE,
            errors=(400, 404, 422, 429),
        ),
    ]
