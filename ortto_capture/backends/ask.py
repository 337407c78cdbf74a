"""Answers to questions, by the two indexes of the journal.

The law of this file: SQL is made of the constants of this file, and all that comes from outside is
bound. A question about an activity is answered by ranges of the index ``journal_activity``, one for
each bucket; one about a person by ``journal_person``. Rows themselves are read only for their
attributes, source or assurance. There are no summaries, so that nothing has to be corrected when a
person is erased, rows age out, or the days of another time zone are asked about.

Values are counted in Python, by ``Counter`` and ``set``, which takes two thirds of the time of
``GROUP BY``.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any as Anything

from ..questions.answer import LONGEST_VALUE, Answer, Figure, Value, arranged, largest
from ..questions.periods import Bucket, span, zone_of
from ..questions.plain import figure_of, milliseconds
from ..questions.query import Funnel, Members, Query, Question
from .store import Run
from .who import Bound, page, path_of, people, reached, test

#: Seconds from which on all people are looked through one by one, instead of all that was done in
#: the period: 60 ms for 80,000 people, of whom each one's first activities mostly tell.
LONG = 60 * 86_400

_EVERY = "SELECT number FROM activity_ids"
_COLUMNS = {"activity": "activity", "person": "person", "source": "source", "assurance": "verified"}


def answer(run: Run, question: Question, now: float) -> Answer:
    """What the journal answers in one transaction, as ``questions.plain.answer`` does.

    :param run: runs statements in that transaction.
    :raises BadQuery: when an audience is meant, which has to be put in first.
    """
    match question:
        case Query():
            return _Asked(run, question, now).answer()
        case Funnel():
            return reached(run, question, now)
        case Members():
            return page(run, question, now)


class _Asked:
    """One query, while it is answered."""

    def __init__(self, run: Run, query: Query, now: float) -> None:
        self.run = run
        self.query = query
        self.now = now
        self.when = span(query.period, query.by, zone_of(query.time_zone or "UTC"), now)
        self.whole = [Bucket(self.when.since, self.when.until, False)]
        #: The numbers of the activities; None for all.
        self.numbers = None if query.activities is None else _numbers(run, query.activities)

    def answer(self) -> Answer:
        """Its answer."""
        query = self.query
        counted = query.measure in ("count", "people")
        if query.split_by is None and counted:
            return self._unsplit()
        if query.split_by == "activity" and counted and query.people is None:
            return self._by_activity()
        if query.measure == "count":
            return self._counted()
        return self._of_people() if counted else self._measured()

    def _unsplit(self) -> Answer:
        """By ranges of the index, one for each bucket."""
        each = self._figures(self.when.buckets, self.numbers)
        total = self._total(each)
        return self._arranged(total, {None: total}, {(n, None): each[n] for n in each})

    def _by_activity(self) -> Answer:
        """The same, for each of the activities; by buckets only for those that are shown."""
        names = _names(self.run, self.numbers)
        found = {number: self._figures(self.whole, [number])[0] for number in names}
        overall: dict[Value, Figure] = {names[n]: figure for n, figure in found.items() if figure}
        total = self._total(found)
        each: dict[tuple[int, Value], Figure] = {}
        if self.query.by is not None:
            shown = largest(overall, self.query.limit)
            for number, name in names.items():
                if name in shown:
                    figures = self._figures(self.when.buckets, [number])
                    each |= {(n, name): figure for n, figure in figures.items()}
        return self._arranged(total, overall, each)

    def _total(self, parts: Mapping[int, int]) -> int:
        """The figure of everything, out of those of its parts where people cannot be in several."""
        if self.query.measure == "count" or len(parts) == 1:
            return sum(parts.values())
        if self.numbers is None and self._is_long() and not self.query.where:
            return self._everyone()
        return self._figures(self.whole, self.numbers)[0]

    def _figures(
        self, buckets: Sequence[Bucket], numbers: Collection[int] | None
    ) -> dict[int, int]:
        """How many activities, or people, are in each of these buckets."""
        bound = Bound()
        what = "count(*)" if self.query.measure == "count" else "count(DISTINCT person)"
        sql = (
            f"{bound.slots(buckets)} SELECT slot, (SELECT {what} FROM journal "
            f"WHERE {self._which(bound, numbers)}) FROM slots"
        )
        return dict(self.run(sql, bound))

    def _everyone(self) -> int:
        """How many people did anything, by looking at each of them."""
        bound = Bound()
        whose = self._whose(bound, "number")
        did = f"SELECT 1 FROM journal WHERE person = number AND {self._within(bound)}"
        sql = f"SELECT count(*) FROM person_ids WHERE EXISTS ({did}){whose}"
        [(number,)] = self.run(sql, bound)
        return int(number)

    def _counted(self) -> Answer:
        """How often each value occurs in each bucket."""
        bound = Bound()
        if self.query.split_by == "person" and self._is_plain() and self._is_long():
            sql = f"SELECT 0, person, count(*) FROM journal WHERE {self._within(bound)} GROUP BY 2"
            each = Counter({(n, value): times for n, value, times in self.run(sql, bound)})
        else:
            each = Counter(self._rows(bound, f"slot, {self._split(bound)}"))
        overall: Counter[Value] = Counter()
        if self.query.by is None:
            overall.update({value: times for (_, value), times in each.items()})
        else:
            for (_, value), times in each.items():
                overall[value] += times
        return self._named(overall.total(), overall, each)

    def _of_people(self) -> Answer:
        """How many people each value is of, in each bucket."""
        bound = Bound()
        found = set(self._rows(bound, f"slot, {self._split(bound)}, person"))
        everyone = {person for _, _, person in found}
        overall = Counter(value for value, _ in {(value, person) for _, value, person in found})
        each = Counter((slot, value) for slot, value, _ in found)
        return self._named(len(everyone), overall, each)

    def _measured(self) -> Answer:
        """A figure of the numbers of each value in each bucket."""
        bound = Bound()
        number = bound(path_of(self.query.attribute or ""))
        columns = f"slot, {self._split(bound)}, json_extract(attributes, {number})"
        every: list[int] = []
        overall: dict[Value, list[int]] = defaultdict(list)
        each: dict[tuple[int, Value], list[int]] = defaultdict(list)
        for slot, value, figure in self._rows(bound, columns):
            if figure is not None:
                each[slot, value].append(figure)
        for (_, value), figures in each.items():
            overall[value] += figures
            every += figures
        measure = self.query.measure
        return self._named(
            figure_of(measure, every),
            {value: figure_of(measure, figures) for value, figures in overall.items()},
            {part: figure_of(measure, figures) for part, figures in each.items()},
        )

    def _rows(self, bound: Bound, columns: str) -> Iterator[tuple[Anything, ...]]:
        """These columns of every activity that is counted, and its bucket."""
        which = self._which(bound, self.numbers)
        if self.query.by is None and self.numbers is None and self._is_long():
            # Nearly all rows: in their own order, and not in that of the index.
            which = self._within(bound) + self._tests(bound)
        slots = bound.slots(self.when.buckets)
        return self.run(
            f"{slots} SELECT {columns} FROM slots CROSS JOIN journal WHERE {which}", bound
        )

    def _which(self, bound: Bound, numbers: Collection[int] | None) -> str:
        """What is true of the activities that are counted in a bucket."""
        ids = _EVERY if numbers is None else ", ".join(map(bound, numbers))
        within = "occurred_at >= since AND occurred_at < until"
        return f"activity IN ({ids}) AND {within}{self._tests(bound)}"

    def _tests(self, bound: Bound) -> str:
        tests = "".join(f" AND {test(where, bound)}" for where in self.query.where)
        return self._whose(bound, "person") + tests

    def _whose(self, bound: Bound, person: str) -> str:
        if self.query.people is None:
            return ""
        return f" AND {person} IN ({people(self.query.people, self.now, bound)})"

    def _within(self, bound: Bound) -> str:
        since, until = milliseconds(self.when.since), milliseconds(self.when.until)
        return f"+occurred_at >= {bound(since)} AND +occurred_at < {bound(until)}"

    def _split(self, bound: Bound) -> str:
        key = self.query.split_by
        if key is None:
            return "NULL"
        if key in _COLUMNS:
            return _COLUMNS[key]
        value = f"json_extract(attributes, {bound(path_of(key))})"
        return f"substr({value}, 1, {LONGEST_VALUE})" if key.startswith("txt:") else value

    def _is_long(self) -> bool:
        return self.when.until - self.when.since >= LONG

    def _is_plain(self) -> bool:
        """Whether it is about all activities of all people, in one bucket."""
        query = self.query
        return (
            self.numbers is None and not query.where and query.people is None and query.by is None
        )

    def _named(
        self,
        total: Figure,
        overall: Mapping[Value, Figure],
        each: Mapping[tuple[int, Value], Figure],
    ) -> Answer:
        """The answer, with numbers that stand for values as these values."""
        names: Mapping[Anything, Value]
        match self.query.split_by:
            case "activity":
                names = _names(self.run, overall)
            case "person":
                names = _shown(self.run, overall, self.query.limit)
            case "assurance":
                names = {0: "claimed", 1: "verified"}
            case str() as key if key.startswith("bol:"):
                names = {None: None, 0: False, 1: True}
            case _:
                return self._arranged(total, overall, each)
        return self._arranged(
            total,
            {names[value]: figure for value, figure in overall.items() if value in names},
            {(n, names[value]): figure for (n, value), figure in each.items() if value in names},
        )

    def _arranged(
        self,
        total: Figure,
        overall: Mapping[Value, Figure],
        each: Mapping[tuple[int, Value], Figure],
    ) -> Answer:
        return arranged(self.query, self.when, total, overall, each)


def _numbers(run: Run, ids: Collection[str]) -> list[int]:
    """The numbers of these activities, as far as there are any."""
    bound = Bound()
    sql = f"SELECT number FROM activity_ids WHERE id IN ({', '.join(map(bound, ids))})"
    return [number for (number,) in run(sql, bound)]


def _names(run: Run, numbers: Collection[Anything] | None) -> dict[Anything, str]:
    """The ids of these activities, or of all, by their numbers."""
    every = run("SELECT number, id FROM activity_ids", {})
    return {number: name for number, name in every if numbers is None or number in numbers}


def _shown(run: Run, overall: Mapping[Value, Figure], limit: int) -> dict[Anything, Value]:
    """The ids of the people of the largest figures, by their numbers.

    Of equal figures those first in order are shown: these are looked up in the order of their ids,
    until there are enough.
    """
    figures = sorted((figure for figure in overall.values() if figure is not None), reverse=True)
    if not figures:
        return {}
    least = figures[:limit][-1]
    above = [n for n, figure in overall.items() if figure is not None and figure > least]
    equal = {n for n, figure in overall.items() if figure == least}
    bound = Bound()
    looked_up = [*above, *(equal if len(equal) <= limit else ())]
    which = ", ".join(map(bound, looked_up))
    shown: dict[Anything, Value] = dict(
        run(f"SELECT number, id FROM person_ids WHERE number IN ({which})", bound)
    )
    if len(equal) <= limit:
        return shown
    for number, name in run("SELECT number, id FROM person_ids ORDER BY id", {}):
        if len(shown) == limit:
            break
        if number in equal:
            shown[number] = name
    return shown
