"""A clock that only moves when told to, and ids that can be foretold.

The law of this file: real implementations of what :class:`~ortto_capture.Capture` takes, with
nothing in them that a test could not see.
"""

from __future__ import annotations

from itertools import count


class FakeClock:
    """``Capture(clock=FakeClock())``: epoch seconds that stand still.

    :param now: where it starts; by default the beginning of a UTC day, 2026-11-23.
    """

    def __init__(self, now: float = 1_795_392_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        """Return the time, in epoch seconds."""
        return self.now

    def advance(self, seconds: float) -> None:
        """Move on by ``seconds``; a negative number sets the clock back."""
        self.now += seconds


class Ids:
    """``Capture(new_id=Ids())``: ``id-1``, ``id-2`` and so on."""

    def __init__(self, prefix: str = "id") -> None:
        self._prefix = prefix
        self._numbers = count(1)

    def __call__(self) -> str:
        """Return the next id."""
        return f"{self._prefix}-{next(self._numbers)}"
