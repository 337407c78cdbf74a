"""Reports: a program's questions about the account, and those that are saved and pinned.

The law of this file: a question is completed here and nowhere else, with the account's time zone
and the conditions of the audiences that it names. The reports of the start are code for as long as
none was ever changed; with the first change they become documents like all others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import partial
from typing import Any, Literal, NamedTuple, TypeAlias, TypeGuard, TypeVar, get_args

from ..errors import BadQuery, Changed
from ..ports import Backends
from ..questions.answer import Answer
from ..questions.parsing import parse, plain
from ..questions.periods import check_period, zone_of
from ..questions.query import Funnel, Members, Query, Question
from .audiences import Audiences
from .refusals import Refusals
from .saved import Saved, Shelf, check_name, check_title, members_of

W = TypeVar("W")
Draw: TypeAlias = Literal["bars", "line", "shares", "table"]

#: Reports on the Overview.
MAX_PINNED = 30
#: The version of what was there from the start and was never changed.
FROM_THE_START = -1
#: The one document that says which reports are pinned, in order.
_OVERVIEW = ("overview", "pinned")


@dataclass(frozen=True, slots=True)
class Report:
    """A question, saved with a name.

    :param name: lower-case letters, digits and hyphens.
    :param title: what people read.
    :param draw: how its answer is drawn.
    :raises BadQuery: naming the member.
    """

    name: str
    title: str
    question: Query | Funnel | Refusals
    draw: Draw = "bars"

    def __post_init__(self) -> None:
        check_name(self.name)
        check_title(self.title)
        if not isinstance(self.question, Query | Funnel | Refusals):
            raise BadQuery("question", "a query, a funnel or refusals")
        if self.draw not in get_args(Draw):
            raise BadQuery("draw", f"one of {', '.join(get_args(Draw))}")

    def plain(self) -> dict[str, Any]:
        """The same in plain JSON types, without the name."""
        return {"title": self.title, "question": plain_question(self.question), "draw": self.draw}

    @classmethod
    def parse(cls, name: str, data: Any) -> Report:
        """Read what ``plain`` has returned.

        :raises BadQuery: with the path of the member at fault.
        """
        given = members_of(data, "title", "question", "draw")
        question = parse_question(given["question"])
        if isinstance(question, Members):
            raise BadQuery("question", "a query, a funnel or refusals")
        return cls(name, given["title"], question, given["draw"])


class Pinned(NamedTuple):
    """The reports on the Overview, in order, and the version of that list."""

    names: tuple[str, ...]
    version: int


#: What is there before any report was saved.
START = (
    Report("active-people", "Active people a day", Query(measure="people", by="day")),
    Report("activities-a-day", "Activities a day", Query(by="day")),
    Report("most-frequent", "Most frequent activities", Query(split_by="activity"), "shares"),
    Report("refusals", "Refusals by reason", Refusals(), "shares"),
)
_PINNED = tuple(each.name for each in START)


def plain_question(question: Question | Refusals) -> Any:
    """The question in plain JSON types."""
    return question.plain() if isinstance(question, Refusals) else plain(question)


def parse_question(data: Any) -> Question | Refusals:
    """Read a question: one that has ``refusals`` is about those.

    :raises BadQuery: with the path of the member at fault.
    """
    if isinstance(data, dict) and "refusals" in data:
        return Refusals.parse(data)
    return parse(data)


class Reports:
    """The questions of one account: asked, saved and pinned.

    :param time_zone: where a question names none.
    :param clock: returns epoch seconds.
    """

    def __init__(
        self,
        backends: Backends,
        audiences: Audiences,
        time_zone: str,
        clock: Callable[[], float],
    ) -> None:
        self._backends = backends
        self._audiences = audiences
        self._time_zone = time_zone
        self._clock = clock
        self._shelf = Shelf(backends, "report", Report.parse, Report.plain)

    # -- asking

    def ask(self, question: Question | Refusals | Report | str) -> Answer:
        """Return the answer to a question, to a report, or to the saved report of this name.

        :raises BadQuery: when it names an audience or a report that there is not.
        :raises ReportTooLong: after half a second.
        :raises ReportsBusy: when the one before it takes as long.
        :raises BackendError: something could not be read.
        """
        if isinstance(question, str):
            question = self._named(question)
        if isinstance(question, Report):
            question = question.question
        if isinstance(question, Refusals):
            return question.answer(self._backends, self._time_zone, self._clock())
        return self._backends.journal.ask(self.complete(question), self._clock())

    def count(self, activity: str | Iterable[str] | None = None, **members: Any) -> Answer:
        """Return how often an activity, one of several, or any was done.

        :param members: those of a ``Query``: ``by="day"``, ``period="12w"``, ``split_by=…``; in
            place of a period also ``since``, a day, from which on to today is counted.
        :raises BadQuery: as :meth:`ask`, and when ``since`` is no day, or a later one than today.
        """
        return self.ask(Query(_activities(activity), "count", **self._until_today(members)))

    def people(self, activity: str | Iterable[str] | None = None, **members: Any) -> Answer:
        """Return how many people did it; parameters as of :meth:`count`."""
        return self.ask(Query(_activities(activity), "people", **self._until_today(members)))

    def sum(self, activity: str, attribute: str, **members: Any) -> Answer:
        """Return the sum of a whole number; parameters as of :meth:`count`."""
        return self.ask(Query(activity, "sum", attribute, **self._until_today(members)))

    def _until_today(self, members: dict[str, Any]) -> dict[str, Any]:
        """The members of a query, with the days from ``since`` on as the period."""
        since = members.pop("since", None)
        if since is None:
            return members
        if "period" in members:
            raise BadQuery("since", "either a period or since")
        zone = zone_of(members.get("time_zone") or self._time_zone)
        today = datetime.fromtimestamp(self._clock(), zone).date().isoformat()
        # A moment is a date to Python; of a day in which zone it would be, it does not say enough.
        is_day = isinstance(since, date) and not isinstance(since, datetime)
        try:
            return {
                **members,
                "period": check_period((since.isoformat() if is_day else since, today)),
            }
        except BadQuery:
            raise BadQuery("since", "a day up to today, such as 2026-10-01") from None

    def complete(self, question: Question) -> Question:
        """Return the question as a journal takes it: with a time zone, and without audiences.

        :raises BadQuery: when it names an audience that there is not.
        """
        if not isinstance(question, Funnel) and question.people is not None:
            question = replace(question, people=self._audiences.expanded(question.people))
        if not isinstance(question, Members) and question.time_zone is None:
            question = replace(question, time_zone=self._time_zone)
        return question

    # -- saving

    def get(self, name: str) -> Saved[Report] | None:
        """Return the report of this name as it is saved, or None."""
        if self._is_new():
            return next((each for each in _of_the_start() if each.name == name), None)
        return self._shelf.get(name)

    def all(self) -> Sequence[Saved[Report]]:
        """Return every report, ordered by name."""
        return _of_the_start() if self._is_new() else self._shelf.all()

    def put(self, report: Report, version: int | None = None) -> int:
        """Save it, replacing the one of its name, and return its version.

        :param version: the one that is to be replaced; 0 for none; None for any.
        :raises Changed: another version is stored.
        :raises ConfigurationError: when the backends keep no documents.
        """
        return self._changed(report.name, version, partial(self._shelf.put, report))

    def remove(self, name: str, version: int | None = None) -> bool:
        """Remove it, if it is there, also from the Overview; return whether it was.

        :raises Changed: another version is stored.
        """

        def remove(version: int | None) -> bool:
            pinned = self.pinned()
            removed = self._shelf.remove(name, version)
            if name in pinned.names:
                self._pin([each for each in pinned.names if each != name], None)
            return removed

        return self._changed(name, version, remove)

    def pinned(self) -> Pinned:
        """Return which reports are on the Overview, in order; those that were removed are not."""
        if self._is_new():
            return Pinned(_PINNED, FROM_THE_START)
        document = self._shelf.documents.get(*_OVERVIEW)
        names = document.value if document is not None else ()
        there = {each.name for each in self.all()}
        kept = dict.fromkeys(each for each in names if each in there) if _are_names(names) else ()
        return Pinned(tuple(kept)[:MAX_PINNED], document.version if document is not None else 0)

    def pin(self, names: Sequence[str], version: int | None = None) -> int:
        """Have exactly these reports on the Overview, in this order; return the new version.

        :param version: the one that was seen; None for any.
        :raises BadQuery: for too many, for a report twice, and for one that is not there.
        :raises Changed: another version is stored.
        """

        def pin(version: int | None) -> int:
            there = {each.name for each in self.all()}
            if not _are_names(names) or not len(set(names)) == len(names) <= MAX_PINNED:
                raise BadQuery("names", f"at most {MAX_PINNED} reports, each of them once")
            if not set(names) <= there:
                raise BadQuery("names", "reports that are there")
            return self._pin(names, version)

        return self._changed(None, version, pin)

    def _pin(self, names: Sequence[str], version: int | None) -> int:
        put = self._shelf.documents.put(*_OVERVIEW, list(names), version)
        if put is None:
            raise Changed("overview")
        return put.version

    def _is_new(self) -> bool:
        """Whether no report was ever saved or removed: the first change writes the Overview."""
        documents = self._backends.documents
        return documents is None or documents.get(*_OVERVIEW) is None

    def _changed(
        self, name: str | None, version: int | None, write: Callable[[int | None], W]
    ) -> W:
        """Write, with the reports of the start among the documents."""

        def decide() -> W:
            if self._is_new():
                for each in START:
                    self._shelf.put(each, None)
                self._pin(_PINNED, None)
            return write(self._seen(name) if version == FROM_THE_START else version)

        return self._backends.atomically(decide)

    def _seen(self, name: str | None) -> int:
        """The version of what is as it was at the start; else none that is stored."""
        if name is None:
            pinned = self.pinned()
            return pinned.version if pinned.names == _PINNED else FROM_THE_START
        found = self._shelf.get(name)
        return found.version if found is not None and found.value in START else FROM_THE_START

    def _named(self, name: str) -> Report:
        found = self.get(name)
        if found is None or found.value is None:
            raise BadQuery("name", "a report that is there and can be read")
        return found.value


def _of_the_start() -> list[Saved[Report]]:
    every = [Saved(each.name, each, FROM_THE_START, "") for each in START]
    return sorted(every, key=lambda each: each.name)


def _are_names(names: object) -> TypeGuard[Sequence[str]]:
    return isinstance(names, list | tuple) and all(isinstance(each, str) for each in names)


def _activities(given: str | Iterable[str] | None) -> str | tuple[str, ...] | None:
    return given if given is None or isinstance(given, str) else tuple(given)
