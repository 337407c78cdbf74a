"""The contract of ``ports.Journal`` as far as it answers questions, sentence by sentence.

The law of this file: what a question means is told by ``questions.plain`` alone, so most tests ask
the journal and the plain answerer the same. The journal may hold what other tests have stored:
questions about all activities are asked of people who are new in each test.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any as Anything

import pytest

from ...errors import BadQuery
from ...model import Activity, Captured
from ...ports import Journal
from ...questions import plain
from ...questions.answer import Answer, Wanted
from ...questions.parsing import parse
from ...questions.query import Did, Funnel, In, Members, Query, Question, Where
from .samples import DAY, HOUR, MIDNIGHT, MILLISECOND, PortContract, activity, stored, unique

#: 15:20 UTC.
NOW = MIDNIGHT + 15 * HOUR + 20 * 60
PLAN, NOTE, AMOUNT, TRIAL = "str:cm:plan", "txt:cm:note", "int:cm:amount", "bol:cm:trial"
PLACE = "geo:cm:place"
#: Beyond what a float holds exactly.
LARGE = 2**53 - 1

_TEAM = {"attribute": PLAN, "value": "team"}
_MEASURES = ("sum", "average", "minimum", "median", "p95", "maximum")
_WHERES: dict[str, list[Anything]] = {
    "is": [_TEAM],
    "is, of a truth": [{"attribute": TRIAL, "value": False}],
    "is, of a number": [{"attribute": AMOUNT, "value": 0}],
    "is, of nothing": [{"attribute": PLAN, "value": ""}],
    "is-not": [{"attribute": PLAN, "op": "is-not", "value": "team"}],
    "one-of": [{"attribute": PLAN, "op": "one-of", "value": ["team", "Team", "none"]}],
    "one-of numbers": [{"attribute": AMOUNT, "op": "one-of", "value": [0, LARGE]}],
    "between": [{"attribute": AMOUNT, "op": "between", "value": [-5, 40]}],
    "greater-than": [{"attribute": AMOUNT, "op": "greater-than", "value": 40}],
    "less-than": [{"attribute": AMOUNT, "op": "less-than", "value": 40}],
    "at-least": [{"attribute": AMOUNT, "op": "at-least", "value": 40}],
    "at-most": [{"attribute": AMOUNT, "op": "at-most", "value": 40}],
    "contains": [{"attribute": NOTE, "op": "contains", "value": "_%"}],
    "contains a quote": [{"attribute": NOTE, "op": "contains", "value": '"\\'}],
    "starts-with": [{"attribute": NOTE, "op": "starts-with", "value": "é"}],
    "ends-with": [{"attribute": NOTE, "op": "ends-with", "value": "\N{PARTY POPPER}"}],
    "ends-with more than there is": [{"attribute": NOTE, "op": "ends-with", "value": "x" * 400}],
    "has-any-value": [{"attribute": PLACE, "op": "has-any-value"}],
    "has-no-value": [{"attribute": PLACE, "op": "has-no-value"}],
    "two": [_TEAM, {"attribute": TRIAL, "op": "is-not", "value": True}],
}
#: Conditions on people, in which ``a``, ``b`` and ``c`` stand for the activities of a test.
_CONDITIONS: dict[str, Anything] = {
    "did": {"did": "b"},
    "did twice": {"did": "b", "at_least": 2},
    "did within hours": {"did": "a", "within": "24h"},
    "did within days": {"did": "a", "within": "2d"},
    "did within weeks": {"did": "a", "at_least": 3, "within": "2w"},
    "did where": {"did": "a", "where": [_TEAM], "at_least": 2},
    "did what is not known": {"did": "act:cm:none"},
    "all": {"all": [{"did": "a"}, {"did": "b"}]},
    "any": {"any": [{"did": "b"}, {"did": "c"}]},
    "not": {"all": [{"did": "a"}, {"not": {"did": "b"}}]},
    "nested": {
        "all": [
            {"any": [{"did": "b"}, {"all": [{"did": "c"}, {"did": "a", "within": "30d"}]}]},
            {"not": {"not": {"did": "a"}}},
        ]
    },
}
_KEYS = (PLAN, NOTE, AMOUNT, TRIAL, "activity", "person", "source", "assurance")
_COUNTED = ("count", "people")
#: Questions in JSON, in which ``a``, ``b`` and ``c`` stand for the activities of a test.
QUESTIONS: dict[str, list[Anything]] = {
    "over time": [
        *(
            {"measure": measure, "by": by, "period": period}
            for measure in _COUNTED
            for by, period in (("hour", "24h"), ("day", "30d"), ("week", "12w"), ("month", "6m"))
        ),
        {"by": "day", "period": ["2026-11-16", "2026-11-22"]},
        {"activity": "act:cm:none", "by": "week"},
        {"activity": ["a", "b", "act:cm:none"], "by": "week"},
    ],
    "in time zones": [
        {"by": "day", "period": "3d", "time_zone": "America/New_York"},
        {"by": "hour", "period": "24h", "time_zone": "Asia/Kolkata"},
        *(
            {"by": by, "period": ["2026-10-01", "2026-11-05"], "time_zone": "America/New_York"}
            for by in ("hour", "day", "week", "month")
        ),
    ],
    "of all activities": [
        {"activity": None, "people": {"did": "a"}} | more
        for measure in _COUNTED
        for more in (
            {"measure": measure},
            {"measure": measure, "by": "month", "period": "12m"},
            {"measure": measure, "split_by": "activity", "period": "365d"},
            {"measure": measure, "split_by": "person", "period": "365d", "limit": 4},
            {"measure": measure, "split_by": TRIAL, "period": "365d", "where": [_TEAM]},
        )
    ],
    "of numbers": [
        {"measure": measure, "attribute": AMOUNT} | more
        for measure in _MEASURES
        for more in ({"by": "week"}, {"split_by": PLAN, "by": "month", "period": "3m"})
    ],
    "by values": [
        {"activity": ["a", "b"], "measure": measure, "split_by": split}
        for measure in _COUNTED
        for split in _KEYS
    ],
    "by values over time": [
        {"activity": ["a", "b", "c"], "measure": measure, "split_by": split, "limit": 2} | more
        for measure in _COUNTED
        for split in _KEYS
        for more in ({"by": "week"}, {"by": "month", "period": "3m", "people": {"did": "b"}})
    ],
    "where": [{"where": where} for where in _WHERES.values()],
    "of people": [
        {"measure": measure, "by": "week", "people": people}
        for measure in _COUNTED
        for people in _CONDITIONS.values()
    ],
    "of members": [{"members": {"all": [{"did": "a"}, each]}} for each in _CONDITIONS.values()],
    "of funnels": [
        {"steps": ["a", "b"]},
        {"steps": ["a", "b", "c"], "within": "2w", "period": "12w"},
        {"steps": ["a", "b", "a"], "within": "4w", "period": "60d"},
        {"steps": ["a", "b"], "period": ["2026-11-16", "2026-11-22"]},
        {"steps": ["a", "act:cm:none", "b"]},
    ],
}

_PLANS = ["team", "Team", "free", "", None, "team"]
_NOTES = [
    "é_%",
    "e\N{COMBINING ACUTE ACCENT}",
    'a "\\ b',
    "\N{PARTY POPPER}",
    "x" * 300 + "1",
    None,
]
_NOTES += ["x" * 300 + "2", "%"]
_AMOUNTS = [0, 40, -5, LARGE, None, LARGE, 41, -LARGE, 40]


def assortment(ids: Sequence[str]) -> list[Activity]:
    """Activities of nine people over seven months, of all kinds that questions tell apart."""
    people = [unique() for _ in range(9)]
    made = []
    for number in range(90):
        values = {
            PLAN: _PLANS[number % 6],
            NOTE: _NOTES[number % 8],
            AMOUNT: _AMOUNTS[number % 9],
            TRIAL: [True, False, None][number % 7 % 3],
            PLACE: {"name": "Sydney"} if number % 5 == 0 else None,
        }
        at = NOW - (number**2 * HOUR * 0.6 if number % 4 else number * DAY / 3)
        made.append(
            activity(
                activity_id=ids[0 if number % 3 else 1 + number % 2],
                person_id=people[(number * number + number // 7) % 9],
                attributes={key: value for key, value in values.items() if value is not None},
                source=["", "shop", "Shop"][number % 11 % 3],
                assurance=["claimed", "verified"][number % 5 % 2],
                occurred_at=round(at, 3),
            )
        )
    return made


def named(data: Anything, ids: Sequence[str]) -> Anything:
    """The question with the activities of this test."""
    if isinstance(data, dict):
        return {key: named(value, ids) for key, value in data.items()}
    if isinstance(data, list):
        return [named(each, ids) for each in data]
    return dict(zip("abc", ids, strict=True)).get(data, data) if isinstance(data, str) else data


def searched(journal: Journal, wanted: Wanted, limit: int) -> list[Captured]:
    """All that a search finds, in pages of at most ``limit``."""
    rows: list[Captured] = []
    before = ""
    while True:
        found = journal.search(wanted, before, limit)
        rows += found.rows
        positions = [each.position for each in rows]
        assert positions == sorted(set(positions), reverse=True)
        assert len(found.rows) <= limit
        assert (found.before == "") == (found.looked_back_to is None)
        if not found.before:
            return rows
        assert found.before != before
        before = found.before


class QuestionsContract(PortContract):
    """What :class:`JournalContract` asks of answers."""

    @pytest.fixture
    def journal(self) -> Journal:
        """The backend under test."""
        pytest.fail("override this fixture")

    @pytest.fixture
    def port(self, journal: Journal) -> Journal:
        """The same, as what all contracts have in common takes it."""
        return journal

    @pytest.fixture
    def reopen(self, journal: Journal) -> Callable[[], Journal]:
        """Opens the same medium again; by default the port that is open."""
        return lambda: journal

    # -- ask

    @pytest.mark.parametrize("kind", list(QUESTIONS))
    def test_ask_answers_what_the_journal_holds_as_the_plain_answerer_does(
        self, journal: Journal, kind: str
    ) -> None:
        """To the value, and in its type."""
        ids = [f"act:cm:{letter}{unique()}" for letter in "abc"]
        some = assortment(ids)
        for each in some:
            journal.append(each)
        for written in QUESTIONS[kind]:
            data = named(written, ids)
            other = "steps" in data or "members" in data
            question = parse(data if other else {"activity": ids[0], **data})

            expected = plain.answer(question, NOW, some)
            answered = journal.ask(question, NOW)

            assert answered == expected, written
            # Python takes True for 1 and 5.0 for 5; JSON does not.
            assert json.dumps(answered) == json.dumps(expected), written

    def test_a_question_about_all_activities_is_not_about_those_it_names(
        self, journal: Journal
    ) -> None:
        """Of whatever kind, and however many there are."""
        at = MIDNIGHT - 9 * DAY
        made = [
            *stored(journal, number=2, activity_id=f"act:cm:{unique()}", occurred_at=at),
            *stored(journal, activity_id=f"act:cm:{unique()}", occurred_at=at),
        ]
        ids = tuple(each.activity_id for each in made[1:])

        every = journal.ask(Query(period=("2026-11-14", "2026-11-14")), NOW)
        some = journal.ask(Query(ids, period=("2026-11-14", "2026-11-14")), NOW)

        assert some.total == 3
        assert isinstance(every.total, int)
        assert every.total >= 3

    def test_what_is_appended_is_in_the_next_answer(
        self, journal: Journal, reopen: Callable[[], Journal]
    ) -> None:
        """Also in that of a medium that was opened again."""
        activity_id = f"act:cm:{unique()}"
        question = Query(activity_id)

        for number in range(3):
            assert journal.ask(question, NOW).total == number
            assert reopen().ask(question, NOW).total == number
            stored(journal, activity_id=activity_id)

    def test_what_is_erased_is_in_the_next_answer_no_longer(self, journal: Journal) -> None:
        """Neither counted nor named, by whatever question, search or end."""
        activity_id, other_id = (f"act:cm:{unique()}" for _ in "ab")
        [gone] = stored(journal, activity_id=activity_id, occurred_at=MIDNIGHT - DAY)
        stored(journal, activity_id=other_id, person_id=gone.person_id)
        [kept] = stored(journal, activity_id=activity_id)
        questions: list[Question] = [
            Query(activity_id, "people", by="day"),
            Query(activity_id, split_by="person", by="day"),
            Members(Did(activity_id)),
            Funnel((activity_id, other_id)),
        ]
        for question in questions:
            journal.ask(question, NOW)

        journal.erase(gone.person_id)

        for question in questions:
            assert journal.ask(question, NOW) == plain.answer(question, NOW, [kept.activity])
        assert list(journal.search(Wanted((activity_id,))).rows) == [kept]
        assert list(journal.search(Wanted(person_ids=(gone.person_id,))).rows) == []
        assert journal.first_and_last([activity_id, other_id]) == {
            activity_id: (MIDNIGHT, MIDNIGHT)
        }

    def test_a_bucket_holds_its_start_and_not_its_end_to_the_millisecond(
        self, journal: Journal
    ) -> None:
        """Whatever it is that is counted."""
        activity_id = f"act:cm:{unique()}"
        end = MIDNIGHT + DAY
        for at in (MIDNIGHT - DAY, MIDNIGHT - MILLISECOND, MIDNIGHT, MIDNIGHT, end - MILLISECOND):
            stored(journal, activity_id=activity_id, occurred_at=at)
        for number, at in ((3, MIDNIGHT - DAY - MILLISECOND), (4, end)):
            stored(journal, number=number, activity_id=activity_id, occurred_at=at)

        for split_by in (None, "source", "person", "activity"):
            answered = journal.ask(
                Query(activity_id, by="day", period="2d", split_by=split_by), NOW
            )

            assert answered.total == 5
            assert answered.buckets == ((MIDNIGHT - DAY, MIDNIGHT), (MIDNIGHT, end))
            days = {start: 0 for start, _ in answered.buckets}
            for row in answered.rows:
                assert row.start is not None
                assert isinstance(row.measure, int)
                days[row.start] += row.measure
            assert list(days.values()) == [2, 3]

    def test_within_counts_back_from_now_to_the_millisecond(self, journal: Journal) -> None:
        """The first moment is within it."""
        activity_id = f"act:cm:{unique()}"
        edge = NOW - 2 * DAY
        [first] = stored(journal, activity_id=activity_id, occurred_at=edge)
        stored(journal, activity_id=activity_id, occurred_at=edge - MILLISECOND)

        answered = journal.ask(Members(Did(activity_id, within="2d")), NOW)

        assert [row.value for row in answered.rows] == [first.person_id]
        assert answered.total == 1

    def test_a_sum_is_exact(self, journal: Journal) -> None:
        """Beyond what a float holds."""
        activity_id = f"act:cm:{unique()}"
        stored(journal, number=9, activity_id=activity_id, attributes={AMOUNT: LARGE})
        stored(journal, activity_id=activity_id, attributes={AMOUNT: -1})

        assert journal.ask(Query(activity_id, "sum", AMOUNT), NOW).total == 9 * LARGE - 1

    def test_texts_are_compared_exactly(
        self, journal: Journal, two_strings: tuple[str, str]
    ) -> None:
        """Of two that are different each is counted alone; ids of people and sources as well."""
        activity_id = f"act:cm:{unique()}"
        for number, text in enumerate(two_strings, 1):
            stored(
                journal,
                number=number,
                activity_id=activity_id,
                source=text,
                person_id=text,
                attributes={PLAN: text, NOTE: text},
            )

        for split_by in (PLAN, "source", "person"):
            answered = journal.ask(Query(activity_id, split_by=split_by), NOW)
            pairs = [(row.value, row.measure) for row in answered.rows]
            assert pairs == [(two_strings[1], 2), (two_strings[0], 1)]
        for op in ("is", "one-of", "contains", "starts-with", "ends-with"):
            for key in (PLAN, NOTE):
                where = Where(key, op, (two_strings[1],) if op == "one-of" else two_strings[1])
                rows = [each.activity for each in journal.latest(3)]
                question = Query(activity_id, where=(where,))
                assert journal.ask(question, NOW) == plain.answer(question, NOW, rows)

    def test_members_are_given_page_by_page_in_order(self, journal: Journal) -> None:
        """None twice, none left out, and each page says how many there are."""
        activity_id = f"act:cm:{unique()}"
        ids = sorted(each.person_id for each in stored(journal, number=7, activity_id=activity_id))
        question = Members(Did(activity_id), limit=3)
        found: list[Anything] = []
        pages: list[Answer] = []
        for _page in range(4):
            pages.append(journal.ask(question, NOW))
            assert pages[-1].total == 7
            found += [row.value for row in pages[-1].rows]
            question = replace(question, after=str(found[-1]))

        assert found == ids
        assert [len(each.rows) for each in pages] == [3, 3, 1, 0]

    def test_members_of_no_condition_are_all_who_did_anything(self, journal: Journal) -> None:
        """Each of them once, and none who was erased."""
        people = sorted(unique() for _ in range(3))
        for person_id in (*people, *people):
            stored(journal, person_id=person_id)
        before = journal.ask(Members(None), NOW).total
        journal.erase(people[1])

        after = journal.ask(Members(None, after=people[0], limit=1_000), NOW)

        assert isinstance(before, int)
        assert after.total == before - 1
        found = [row.value for row in after.rows if row.value in people]
        assert found == [people[2]]

    def test_an_audience_that_is_named_is_refused_with_bad_query(self, journal: Journal) -> None:
        """It is put in before, by what knows the audiences."""
        stored(journal, activity_id="act:cm:login")
        for question in (Query("act:cm:login", people=In("some")), Members(In("some"))):
            with pytest.raises(BadQuery) as refused:
                journal.ask(question, NOW)
            assert refused.value.field == "people"

    # -- search

    @pytest.mark.parametrize("limit", [1, 2, 100])
    def test_a_search_finds_what_is_wanted_from_the_newest_back(
        self, journal: Journal, limit: int
    ) -> None:
        """Page by page; by the order they were stored in, whatever their times say."""
        ids = [f"act:cm:{unique()}" for _ in range(3)]
        people = [unique() for _ in range(2)]
        some = [
            captured
            for number in range(9)
            for captured in stored(
                journal,
                activity_id=ids[number % 3],
                person_id=people[number % 2],
                occurred_at=MIDNIGHT - number % 4 * DAY,
                received_at=MIDNIGHT - number % 5 * DAY,
            )
        ]
        for wanted in (
            Wanted((ids[0],)),
            Wanted((ids[0], ids[2], "act:cm:none")),
            Wanted((), (people[1],)),
            Wanted((), (people[0], "none")),
            Wanted((ids[1],), (people[0],)),
            Wanted((ids[1],), tuple(people)),
            Wanted(("act:cm:none",)),
            Wanted((), ("none",)),
        ):
            expected = [each for each in reversed(some) if plain.is_wanted(wanted, each.activity)]
            assert searched(journal, wanted, limit) == expected
        assert list(journal.search(Wanted(), limit=9).rows) == some[::-1]
        assert list(journal.search(Wanted(), some[4].cursor, 3).rows) == some[1:4][::-1]

    @pytest.mark.parametrize(
        "text",
        ["needle", "NEEDLE", "str:cm:Haystack", '"', "\\", "\n", "%", "_", "é", "\N{PARTY POPPER}"],
        ids=ascii,
    )
    def test_a_text_is_found_in_the_attributes_the_event_id_and_the_activity_id(
        self, journal: Journal, text: str
    ) -> None:
        """In keys and values; letters of ASCII in either case, and no character is a wildcard."""
        person_id, mark = unique(), unique()
        made: list[dict[str, Anything]] = [
            {"attributes": {"str:cm:a": "a Needle b"}},
            {"attributes": {"sst:cm:a": ["x", "NEEDLE"]}},
            {"attributes": {"str:cm:haystack": "x"}},
            {"attributes": {"txt:cm:a": 'a " b \\ c \n d'}},
            {"attributes": {"str:cm:a": "100 %"}},
            {"attributes": {"str:cm:a_b": "x"}},
            {"attributes": {"str:cm:a": "Éé"}},
            {"attributes": {"str:cm:a": "É"}},
            {"attributes": {"str:cm:a": "\N{PARTY POPPER}"}},
            {"event_id": f"Needle-{mark}"},
            {"activity_id": f"act:cm:needle-{mark}"},
            {},
        ]
        some = [one for each in made for one in stored(journal, person_id=person_id, **each)]
        wanted = Wanted((), (person_id,), text)
        expected = [each for each in reversed(some) if plain.is_wanted(wanted, each.activity)]

        assert 0 < len(expected) < len(some)
        assert searched(journal, wanted, 100) == expected
        # Without the index of people, and in pages.
        newest = [
            each for each in searched(journal, replace(wanted, person_ids=()), 2) if each in some
        ]
        assert newest == expected

    def test_a_search_goes_on_from_before_whatever_is_stored_or_erased_meanwhile(
        self, journal: Journal
    ) -> None:
        """It misses none that was stored at its beginning, and returns none twice."""
        activity_id = f"act:cm:{unique()}"
        some = stored(journal, number=6, activity_id=activity_id)
        wanted = Wanted((activity_id,))
        first = journal.search(wanted, limit=2)
        stored(journal, number=3, activity_id=activity_id)
        journal.erase(some[2].person_id)

        second = journal.search(wanted, first.before, 2)
        journal.erase(some[1].person_id)
        third = journal.search(wanted, second.before, 2)

        assert [*first.rows, *second.rows] == [some[5], some[4], some[3], some[1]]
        assert second.looked_back_to == some[1].activity.received_at
        assert list(third.rows) == [some[0]]

    # -- first_and_last

    def test_first_and_last_says_when_activities_first_and_last_occurred(
        self, journal: Journal
    ) -> None:
        """By when they occurred, whatever the order they were stored in."""
        ids = [f"act:cm:{unique()}" for _ in range(3)]
        for at in (MIDNIGHT - DAY, MIDNIGHT - 9 * DAY - MILLISECOND, MIDNIGHT - 2 * DAY):
            stored(journal, activity_id=ids[0], occurred_at=at)
        stored(journal, activity_id=ids[1], occurred_at=MIDNIGHT - 3 * DAY)

        assert journal.first_and_last([*ids, "", "\ud800", "a\0b"]) == {
            ids[0]: (MIDNIGHT - 9 * DAY - MILLISECOND, MIDNIGHT - DAY),
            ids[1]: (MIDNIGHT - 3 * DAY, MIDNIGHT - 3 * DAY),
        }
        assert journal.first_and_last([ids[2]]) == {}
        assert journal.first_and_last([]) == {}
