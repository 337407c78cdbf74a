"""Audiences: conditions on people, saved by name, whose members are found when they are asked for.

The law of this file: no state is kept, so an audience is exact at every moment. An audience may be
made of others; what it comes to is bounded, and contains itself in no way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any as Json

from ..errors import BadQuery
from ..ports import Backends
from ..questions.answer import Answer
from ..questions.checks import CONDITION_EXPECTED, MAX_DID
from ..questions.parsing import parse_condition, plain
from ..questions.query import All, Any, Condition, Did, In, Members, Not
from .saved import Saved, Shelf, check_name, check_title, members_of


@dataclass(frozen=True, slots=True)
class Audience:
    """A condition on people, by a name.

    :param name: lower-case letters, digits and hyphens, as ``In`` and the address of its page say
        it.
    :param title: what people read.
    :param people: the condition.
    :raises BadQuery: naming the member.
    """

    name: str
    title: str
    people: Condition

    def __post_init__(self) -> None:
        check_name(self.name)
        check_title(self.title)
        if not isinstance(self.people, Did | In | All | Any | Not):
            raise BadQuery("people", CONDITION_EXPECTED)

    def plain(self) -> dict[str, Json]:
        """The same in plain JSON types, without the name."""
        return {"title": self.title, "people": plain(self.people)}

    @classmethod
    def parse(cls, name: str, data: Json) -> Audience:
        """Read what ``plain`` has returned.

        :raises BadQuery: with the path of the member at fault.
        """
        given = members_of(data, "title", "people")
        return cls(name, given["title"], parse_condition(given["people"]))


class Audiences:
    """The audiences of one account.

    :param clock: returns epoch seconds.
    """

    def __init__(self, backends: Backends, clock: Callable[[], float]) -> None:
        self._backends = backends
        self._clock = clock
        self._shelf = Shelf(backends, "audience", Audience.parse, Audience.plain)

    def get(self, name: str) -> Saved[Audience] | None:
        """Return the audience of this name as it is saved, or None."""
        return self._shelf.get(name)

    def all(self) -> Sequence[Saved[Audience]]:
        """Return every audience, ordered by name."""
        return self._shelf.all()

    def put(self, audience: Audience, version: int | None = None) -> int:
        """Save it, replacing the one of its name, and return its version.

        :param version: the one that is to be replaced; 0 for none; None for any.
        :raises BadQuery: when it names an audience that there is not, or contains itself.
        :raises Changed: another version is stored.
        :raises ConfigurationError: when the backends keep no documents.
        """

        def decide() -> int:
            self._whole(audience.people, (audience.name,))
            return self._shelf.put(audience, version)

        return self._backends.atomically(decide)

    def remove(self, name: str, version: int | None = None) -> bool:
        """Remove it, if it is there; return whether it was. Reports that name it are broken then.

        :raises Changed: another version is stored.
        """
        return self._shelf.remove(name, version)

    def count(self, people: str | Condition | None = None) -> int:
        """Return how many people that are.

        :param people: the name of an audience, or a condition; None for everyone who did anything.
        :raises BadQuery: when there is no such audience.
        :raises ReportTooLong: and ``ReportsBusy``, as of a report.
        """
        total = self._ask(Members(self._condition(people), limit=1)).total
        return int(total or 0)

    def members(
        self, people: str | Condition | None, after: str = "", limit: int = 100
    ) -> Sequence[str]:
        """Return the ids of at most ``limit`` of them, in order.

        :param people: as of :meth:`count`.
        :param after: the id that the page begins after: the last one of the page before.
        """
        rows = self._ask(Members(self._condition(people), after, limit)).rows
        return [str(row.value) for row in rows]

    def expanded(self, condition: Condition) -> Condition:
        """Return the condition with the audiences' own in the place of their names.

        :raises BadQuery: when there is no such audience, or what it comes to is too large.
        """
        return self._whole(condition, ())

    def _ask(self, question: Members) -> Answer:
        return self._backends.journal.ask(question, self._clock())

    def _condition(self, people: str | Condition | None) -> Condition | None:
        if people is None:
            return None
        return self.expanded(In(people) if isinstance(people, str) else people)

    def _whole(self, condition: Condition, within: tuple[str, ...]) -> Condition:
        try:
            whole = self._replaced(condition, within, iter(range(MAX_DID)))
            # Checked as a whole, with the comparisons of all its parts.
            Members(whole)
            return whole
        except BadQuery as error:
            if error.field == "people":
                raise
            # The parts were checked one by one: together with what audiences hold it is too much.
            raise BadQuery("people", f"{error.expected}, its audiences included") from None

    def _replaced(
        self, condition: Condition, within: tuple[str, ...], left: Iterator[int]
    ) -> Condition:
        """The condition without names, of as many parts as are ``left`` at most."""
        match condition:
            case All(of):
                return All(tuple(self._replaced(each, within, left) for each in of))
            case Any(of):
                return Any(tuple(self._replaced(each, within, left) for each in of))
            case Not(of):
                return Not(self._replaced(of, within, left))
            case In(name):
                return self._replaced(self._people_of(name, within), (*within, name), left)
        if next(left, None) is None:
            raise BadQuery("people", f"at most {MAX_DID} conditions, its audiences included")
        return condition

    def _people_of(self, name: str, within: tuple[str, ...]) -> Condition:
        if name in within:
            raise BadQuery("people", "an audience that is no part of itself")
        if len(within) > MAX_DID:
            raise BadQuery("people", f"audiences within audiences at most {MAX_DID} deep")
        found = self.get(name)
        if found is None or found.value is None:
            raise BadQuery("people", "audiences that are there and can be read")
        return found.value.people
