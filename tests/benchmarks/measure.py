"""How things are measured: interleaved rounds in one run, medians, and a table of what was asked.

The law of this file: no absolute time decides anything, because machines are shared and noisy; a
figure is a ratio of two things measured turn by turn.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment


class Figure(NamedTuple):
    """One line of the table; ``limit`` is what was asked for, at most or at least."""

    name: str
    value: float
    limit: float | None = None
    at_least: bool = False
    unit: str = "×"

    @property
    def holds(self) -> bool:
        """Whether what was asked for was reached."""
        if self.limit is None:
            return True
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    def __str__(self) -> str:
        asked = ""
        if self.limit is not None:
            asked = f"{'≥' if self.at_least else '≤'} {self.limit:g} {self.unit}"
        verdict = "" if self.limit is None else "ok" if self.holds else "MISSED"
        return f"{self.name:<66} {asked:>12} {self.value:>10.2f} {self.unit:<3} {verdict}"


def _discard(status: str, headers: Any, exc_info: Any = None) -> Any:
    return None


def microseconds(app: WSGIApplication, requests: Iterable[WSGIEnvironment]) -> float:
    """How long ``app`` takes for one of ``requests``, on average; building them is not counted."""
    waiting = list(requests)
    gc.collect()
    start = perf_counter()
    for environ in waiting:
        app(environ, _discard)
    return (perf_counter() - start) / len(waiting) * 1e6


def in_turns(
    programs: Mapping[str, tuple[WSGIApplication, Callable[[], Iterable[WSGIEnvironment]]]],
    rounds: int,
) -> dict[str, list[float]]:
    """The microseconds of each program in each round, turn by turn."""
    times: dict[str, list[float]] = {name: [] for name in programs}
    for _round in range(rounds):
        for name, (app, requests) in programs.items():
            times[name].append(microseconds(app, requests()))
    return times


def ratio(one: Sequence[float], other: Sequence[float]) -> float:
    """The median of the ratios, round by round."""
    return median(a / b for a, b in zip(one, other, strict=True))
