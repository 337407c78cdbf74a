"""A clock that only moves when told to, and ids that can be foretold.

The law of this file: real implementations of what :class:`~ortto_capture.Capture` takes, with
nothing in them that a test could not see.
"""

from __future__ import annotations

import re
from datetime import timedelta
from itertools import count

_SECONDS = {"s": 1, "sec": 1, "second": 1, "min": 60, "minute": 60, "h": 3_600, "hour": 3_600}
_SECONDS |= {"d": 86_400, "day": 86_400, "w": 604_800, "week": 604_800}
_PART = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-z]+)\s*", re.IGNORECASE)


class FakeClock:
    """``Capture(clock=FakeClock())``: epoch seconds that stand still.

    :param now: where it starts; by default the beginning of a UTC day, 2026-11-23.
    """

    def __init__(self, now: float = 1_795_392_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        """Return the time, in epoch seconds."""
        return self.now

    def advance(self, by: float | str | timedelta) -> None:
        """Move on, and back by a negative number.

        :param by: seconds, a ``timedelta``, or words such as ``"1 day"``, ``"90 s"`` or
            ``"1 hour 30 min"``.
        :raises ValueError: when the words are no span of time.
        """
        self.now += _seconds(by)


def _seconds(span: float | str | timedelta) -> float:
    if isinstance(span, timedelta):
        return span.total_seconds()
    if not isinstance(span, str):
        return span
    seconds, place = 0.0, 0
    while part := _PART.match(span, place):
        unit = part[2].lower()
        factor = _SECONDS.get(unit) or _SECONDS.get(unit.removesuffix("s"))
        if factor is None:
            break
        seconds, place = seconds + float(part[1]) * factor, part.end()
    if place == 0 or place < len(span):
        raise ValueError(
            f'{span!r} is no span of time; write seconds, or words such as "1 day", "2 hours", '
            '"90 s" (units: s, min, h, day, week)'
        )
    return seconds


class Ids:
    """``Capture(new_id=Ids())``: ``id-1``, ``id-2`` and so on."""

    def __init__(self, prefix: str = "id") -> None:
        self._prefix = prefix
        self._numbers = count(1)

    def __call__(self) -> str:
        """Return the next id."""
        return f"{self._prefix}-{next(self._numbers)}"
