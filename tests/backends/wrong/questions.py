"""Mistakes of ``journal`` where it answers questions, searches, and looks at ends."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from ortto_capture.model import Activity, Captured
from ortto_capture.questions import plain
from ortto_capture.questions.answer import Answer, Found, Wanted
from ortto_capture.questions.query import Did, Funnel, In, Members, Query, Question

from ..dicts import DictJournal
from . import LOOSELY, wrong

EXACTLY = "as_the_plain_answerer_does"


def changed(
    change: Callable[[Activity], Activity],
) -> Callable[[DictJournal, Question, float, list[Activity]], Answer]:
    """Counts each activity as if it were another."""
    return lambda self, question, now, activities: plain.answer(
        question, now, [change(each) for each in activities]
    )


def asked(
    change: Callable[[Any], Any], kind: type = Query
) -> Callable[[DictJournal, Question, float, list[Activity]], Answer]:
    """Answers another question, where it is one of a kind."""
    return lambda self, question, now, activities: plain.answer(
        change(question) if isinstance(question, kind) else question, now, activities
    )


def answered(
    change: Callable[[Answer], Answer],
) -> Callable[[DictJournal, Question, float, list[Activity]], Answer]:
    """Answers nearly so."""
    return lambda self, question, now, activities: change(plain.answer(question, now, activities))


def with_values(change: Callable[[Any], Any]) -> Callable[[Activity], Activity]:
    return lambda each: each._replace(
        attributes={key: change(value) for key, value in each.attributes.items()}
    )


def with_measures(change: Callable[[Any], Any]) -> Callable[[Answer], Answer]:
    return lambda answer: answer._replace(
        rows=tuple(row._replace(measure=change(row.measure)) for row in answer.rows),
        total=change(answer.total),
    )


def loosely(loose: Callable[[str], str]) -> Callable[[Any], Any]:
    return lambda value: loose(value) if isinstance(value, str) else value


def with_member(member: str, loose: Callable[[str], str]) -> Callable[[Activity], Activity]:
    if member == "attributes":
        return with_values(loosely(loose))
    if member == "source":
        return lambda each: each._replace(source=loose(each.source))
    return lambda each: each._replace(person_id=loose(each.person_id))


def as_float(value: Any) -> Any:
    return float(value) if type(value) is int else value


def remembers(self: DictJournal, question: Question, now: float, some: list[Activity]) -> Answer:
    """Answers the same as before to the same question."""
    key = (type(question), repr(question), now)
    answer: Answer = self.own.setdefault(str(key), plain.answer(question, now, some))
    return answer


def keeps_erased(self: DictJournal, question: Question, now: float, some: list[Activity]) -> Answer:
    """Summaries that are not corrected."""
    seen: dict[str, Activity] = self.own.setdefault("seen", {})
    seen.update({each.event_id: each for each in some})
    return plain.answer(question, now, seen.values())


def back_to_the_day(
    self: DictJournal, question: Question, now: float, some: list[Activity]
) -> Answer:
    return plain.answer(question, now // 86_400 * 86_400, some)


def without_audiences(question: Any) -> Any:
    return (
        replace(question, people=Did("act:cm:x")) if isinstance(question.people, In) else question
    )


def within_a_day(funnel: Funnel) -> Funnel:
    return replace(funnel, within="24h")


def from_the_first(members: Members) -> Members:
    return replace(members, after="")


def searching(
    change: Callable[[Wanted], Wanted],
) -> Callable[[DictJournal, Wanted, Sequence[Captured], int], Found]:
    return lambda self, wanted, rows, limit: plain.look(change(wanted), rows, limit)


def by_values_alone(
    self: DictJournal, wanted: Wanted, rows: Sequence[Captured], limit: int
) -> Found:
    def valued(each: Captured) -> Captured:
        values = {str(number): value for number, value in enumerate(each.attributes.values())}
        return each._replace(activity=each.activity._replace(attributes=values))

    wanted_rows = {each.position: each for each in rows}
    found = plain.look(wanted, [valued(each) for each in rows], limit)
    return found._replace(rows=[wanted_rows[each.position] for each in found.rows])


def in_case(self: DictJournal, wanted: Wanted, rows: Sequence[Captured], limit: int) -> Found:
    fit = [each for each in rows if wanted.text in str(tuple(each.activity))]
    return plain.look(replace(wanted, text=""), fit, limit)


def in_any_alphabet(
    self: DictJournal, wanted: Wanted, rows: Sequence[Captured], limit: int
) -> Found:
    text = wanted.text.lower()
    fit = [each for each in rows if text in str(each.attributes).lower()]
    return (
        plain.look(replace(wanted, text=""), fit, limit)
        if text == "é"
        else plain.look(wanted, rows, limit)
    )


def by_time(self: DictJournal, wanted: Wanted, rows: Sequence[Captured], limit: int) -> Found:
    ordered = sorted(rows, key=lambda each: each.activity.received_at, reverse=True)
    return plain.look(wanted, ordered, limit)


def ends(
    change: Callable[[float, float], tuple[float, float]],
) -> Callable[[DictJournal, Collection[str]], Mapping[str, tuple[float, float]]]:
    def first_and_last(
        self: DictJournal, ids: Collection[str]
    ) -> Mapping[str, tuple[float, float]]:
        found = DictJournal.first_and_last(self, ids)
        return {name: change(*each) for name, each in found.items()}

    return first_and_last


def in_the_order_stored(
    self: DictJournal, ids: Collection[str]
) -> Mapping[str, tuple[float, float]]:
    found: dict[str, tuple[float, float]] = {}
    for each in self.newest():
        if each.activity_id in ids:
            at = each.activity.occurred_at
            found[each.activity_id] = (at, found.get(each.activity_id, (at, at))[1])
    return found


mistake = partial(wrong, DictJournal)

MISTAKES = [
    *[
        mistake(
            f"compares {member} {how} in questions",
            "texts_are_compared_exactly",
            answer=changed(with_member(member, loose)),
        )
        for member in ("attributes", "person_id", "source")
        for how, loose in LOOSELY.items()
        if member == "attributes" or how == "without case"
    ],
    *[
        mistake(f"answers {says}", caught_by, answer=answer)
        for says, caught_by, answer in (
            ("what it answered before", "appended_is_in_the_next_answer", remembers),
            ("for whom it has erased", "is_erased_is_in_the_next_answer", keeps_erased),
            ("about audiences that it does not know", "audience", asked(without_audiences)),
            (
                "about audiences of members",
                "audience",
                asked(without_audiences, Members),
            ),
            (
                "by when it was received",
                EXACTLY,
                changed(lambda each: each._replace(occurred_at=each.received_at)),
            ),
            (
                "by whole seconds",
                "to_the_millisecond",
                changed(lambda each: each._replace(occurred_at=round(each.occurred_at))),
            ),
            (
                "a millisecond late",
                "a_bucket_holds_its_start",
                changed(lambda each: each._replace(occurred_at=each.occurred_at + 0.001)),
            ),
            (
                "a millisecond early",
                "a_bucket_holds_its_start",
                changed(lambda each: each._replace(occurred_at=each.occurred_at - 0.001)),
            ),
            (
                "back to the day",
                "within_counts_back",
                back_to_the_day,
            ),
            (
                "truths as numbers",
                EXACTLY,
                changed(with_values(lambda v: v * 1 if v is True else v)),
            ),
            ("numbers as floats", EXACTLY, answered(with_measures(as_float))),
            (
                "sums by floats",
                "a_sum_is_exact",
                answered(with_measures(lambda v: v and int(float(v)))),
            ),
            ("zero for nothing", EXACTLY, answered(with_measures(lambda v: v or 0))),
            ("nothing for zero", EXACTLY, answered(with_measures(lambda v: v or None))),
            (
                "without time zones",
                EXACTLY,
                asked(lambda query: replace(query, time_zone=None)),
            ),
            ("of everything", EXACTLY, asked(lambda query: replace(query, where=()))),
            ("of all people", EXACTLY, asked(lambda query: replace(query, people=None))),
            (
                "of one value more",
                EXACTLY,
                asked(lambda query: replace(query, limit=query.limit + 1)),
            ),
            ("funnels of a day", EXACTLY, asked(within_a_day, Funnel)),
            (
                "the first page again",
                "page_by_page",
                asked(from_the_first, Members),
            ),
            (
                "how many are on the page",
                "page_by_page",
                answered(lambda answer: answer._replace(total=len(answer.rows))),
            ),
            (
                "smallest first",
                EXACTLY,
                answered(lambda answer: answer._replace(rows=answer.rows[::-1])),
            ),
            (
                "without empty buckets",
                EXACTLY,
                answered(
                    lambda answer: answer._replace(rows=tuple(r for r in answer.rows if r.measure))
                ),
            ),
            (
                "that all buckets are whole",
                EXACTLY,
                answered(lambda answer: answer._replace(partial=(False,) * len(answer.partial))),
            ),
        )
    ],
    mistake(
        "searches for all activities",
        "finds_what_is_wanted",
        look=searching(lambda wanted: replace(wanted, activity_ids=())),
    ),
    mistake(
        "searches for all people",
        "finds_what_is_wanted",
        look=searching(lambda wanted: replace(wanted, person_ids=())),
    ),
    mistake("searches by time", "finds_what_is_wanted", look=by_time),
    mistake(
        "returns one more",
        "finds_what_is_wanted",
        look=lambda self, wanted, rows, limit: plain.look(wanted, rows, limit + 1),
    ),
    mistake("searches values alone", "a_text_is_found", look=by_values_alone),
    mistake("searches in one case", "a_text_is_found", look=in_case),
    mistake("searches without case in any alphabet", "a_text_is_found", look=in_any_alphabet),
    mistake(
        "takes a wildcard for one",
        "a_text_is_found",
        look=searching(lambda each: replace(each, text="" if each.text in "%_" else each.text)),
    ),
    mistake(
        "returns the last again",
        "goes_on_from_before",
        older=lambda self, each, before: not before or each.position <= self.number(before),
    ),
    mistake(
        "leaves one out",
        "goes_on_from_before",
        older=lambda self, each, before: not before or each.position < self.number(before) - 1,
    ),
    mistake(
        "begins anew",
        "goes_on_from_before",
        older=lambda self, each, before: not before or self.number(before) not in self.rows,
    ),
    mistake(
        "says the first alone",
        "says_when_activities_first_and_last",
        first_and_last=ends(lambda first, last: (first, first)),
    ),
    mistake(
        "says it in seconds",
        "says_when_activities_first_and_last",
        first_and_last=ends(lambda first, last: (round(first), round(last))),
    ),
    mistake(
        "says it in the order stored",
        "says_when_activities_first_and_last",
        first_and_last=in_the_order_stored,
    ),
]
