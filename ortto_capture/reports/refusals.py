"""Why requests were refused: a question that the outcomes answer, not the journal.

The law of this file: it has the shape of the other questions, in Python, in JSON and in its answer.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

from ..errors import BadQuery
from ..ports import Backends
from ..questions.answer import Answer, Row
from ..questions.periods import Period, check_period, check_zone, span, zone_of

SplitBy = Literal["reason", "activity"]
HOUR = 3_600


@dataclass(frozen=True, slots=True)
class Refusals:
    """How many requests were refused, by reason or by activity.

    In JSON ``{"refusals": "reason", "period": "30d"}``. They are tallied by the hour in UTC: where
    a day begins within one of these hours, all of that hour counts.

    :param split_by: ``"reason"``, or ``"activity"``: its id, or an empty text where the request did
        not come as far as an activity's definition.
    :param period: as of a ``Query``, and so is ``time_zone``.
    :raises BadQuery: naming the member.
    """

    split_by: SplitBy = "reason"
    period: Period = "30d"
    time_zone: str | None = None

    def __post_init__(self) -> None:
        if self.split_by not in get_args(SplitBy):
            raise BadQuery("refusals", "one of reason, activity")
        object.__setattr__(self, "period", check_period(self.period))
        if self.time_zone is not None:
            check_zone(self.time_zone)

    def plain(self) -> dict[str, Any]:
        """The same in plain JSON types."""
        members: dict[str, Any] = {"refusals": self.split_by}
        if self.period != "30d":
            members["period"] = self.period if isinstance(self.period, str) else list(self.period)
        if self.time_zone is not None:
            members["time_zone"] = self.time_zone
        return members

    @classmethod
    def parse(cls, data: dict[str, Any]) -> Refusals:
        """Read it; ``data`` has the member ``refusals``.

        :raises BadQuery: naming the member.
        """
        given = {("split_by" if name == "refusals" else name): each for name, each in data.items()}
        if "split_by" in data or not set(given) <= {each.name for each in fields(cls)}:
            raise BadQuery("question", "no other members than refusals, period, time_zone")
        return cls(**given)

    def answer(self, backends: Backends, time_zone: str, now: float) -> Answer:
        """One row for each reason or activity, the most frequent first.

        :param time_zone: where the question names none.
        """
        when = span(self.period, None, zone_of(self.time_zone or time_zone), now)
        tally = backends.outcomes.tally(when.since) if backends.outcomes is not None else {}
        counts: Counter[str] = Counter()
        for (hour, activity_id, reason), count in tally.items():
            if hour < when.until:
                counts[reason if self.split_by == "reason" else activity_id] += count
        rows = sorted(counts.items(), key=lambda each: (-each[1], each[0]))
        return Answer(
            tuple(Row(None, value, count) for value, count in rows),
            counts.total(),
            when.since,
            when.until,
            tuple((bucket.start, bucket.end) for bucket in when.buckets),
            tuple(bucket.partial for bucket in when.buckets),
        )
