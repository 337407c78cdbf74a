"""Looking for activities from the newest back, in slices.

The law of this file: no index of words, because words would stay in it after an erasure. Rows are
looked at in the order of their positions, some thousands at a time, until there are enough or the
time of a slice is over; then the search says how far it has come. Only where an index leads to few
rows it is used.
"""

from __future__ import annotations

from collections.abc import Collection
from time import monotonic
from typing import NamedTuple

from ..questions.answer import Wanted
from ..questions.plain import needle
from .store import Run
from .who import Bound

#: Seconds until a search answers with what it has found: 10⁶ activities take one or two slices.
SLICE = 0.25
#: Positions between two looks at the clock: some 4 ms.
STEP = 20_000
#: Activities of one kind at most that are rather looked up and sorted than met on the way.
RARE = 5_000


class Sought(NamedTuple):
    """Positions from the newest back, and where to go on: 0 when everything was looked at."""

    positions: list[int]
    before: int


def seek(run: Run, wanted: Wanted, before: int, limit: int) -> Sought:
    """The positions of at most ``limit`` wanted activities below ``before``; 0 is the end."""
    # Apart, each is one step of the index; together they would be a scan of all of it.
    ends = "SELECT (SELECT min(position) FROM journal), (SELECT max(position) FROM journal)"
    [(oldest, newest)] = run(ends, {})
    activities = _numbers(run, "activity_ids", wanted.activity_ids)
    people = _numbers(run, "person_ids", wanted.person_ids)
    if oldest is None or activities == [] or people == []:
        return Sought([], 0)
    high = min(before - 1, newest) if before else newest
    if people is not None or (activities is not None and _are_rare(run, activities)):
        return _looked_up(run, wanted, activities, people, high, limit)
    found: list[int] = []
    deadline = monotonic() + SLICE
    while high >= oldest:
        bound = Bound()
        low = high - STEP
        tests = _tests(bound, wanted, activities)
        sql = (
            f"SELECT position FROM journal WHERE position > {bound(low)} "
            f"AND position <= {bound(high)}{tests} "
            f"ORDER BY position DESC LIMIT {bound(limit - len(found))}"
        )
        found += [position for (position,) in run(sql, bound)]
        if len(found) == limit:
            return Sought(found, found[-1])
        high = low
        if monotonic() >= deadline:
            break
    return Sought(found, high + 1 if high >= oldest else 0)


def _looked_up(
    run: Run,
    wanted: Wanted,
    activities: Collection[int] | None,
    people: Collection[int] | None,
    high: int,
    limit: int,
) -> Sought:
    """By an index; those that it leads to are sorted."""
    bound = Bound()
    if people is None:
        which = f"activity IN ({', '.join(map(bound, activities or ()))}){_tests(bound, wanted)}"
    else:
        which = f"person IN ({', '.join(map(bound, people))})"
        which += _tests(bound, wanted, activities)
    sql = (
        f"SELECT position FROM journal WHERE {which} AND +position <= {bound(high)} "
        f"ORDER BY +position DESC LIMIT {bound(limit)}"
    )
    found = [position for (position,) in run(sql, bound)]
    return Sought(found, found[-1] if len(found) == limit else 0)


def _numbers(run: Run, table: str, ids: Collection[str]) -> list[int] | None:
    """The numbers of these ids, as far as there are any; None when none are asked for."""
    if not ids:
        return None
    bound = Bound()
    sql = f"SELECT number FROM {table} WHERE id IN ({', '.join(map(bound, ids))})"
    return [number for (number,) in run(sql, bound)]


def _are_rare(run: Run, activities: Collection[int]) -> bool:
    bound = Bound()
    which = f"activity IN ({', '.join(map(bound, activities))}) LIMIT {RARE + 1}"
    [(number,)] = run(f"SELECT count(*) FROM (SELECT 1 FROM journal WHERE {which})", bound)
    return bool(number <= RARE)


def _tests(bound: Bound, wanted: Wanted, activities: Collection[int] | None = None) -> str:
    """What is tested of each row, beside what led to it."""
    tests = ""
    if activities is not None:
        tests = f" AND +activity IN ({', '.join(map(bound, activities))})"
    if wanted.text:
        literal = needle(wanted.text)
        for special in "\\%_":
            literal = literal.replace(special, f"\\{special}")
        like = f"LIKE {bound(f'%{literal}%')} ESCAPE '\\'"
        ids = f"SELECT number FROM activity_ids WHERE id {like}"
        tests += f" AND (attributes {like} OR event_id {like} OR +activity IN ({ids}))"
    return tests
