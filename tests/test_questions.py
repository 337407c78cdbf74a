"""Questions: what can be asked, what is refused and by what words, and what a period means."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any as Anything

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ortto_capture.errors import BadQuery
from ortto_capture.model import Activity
from ortto_capture.questions import plain as answerer
from ortto_capture.questions.answer import Row, Wanted
from ortto_capture.questions.parsing import parse, parse_condition, plain
from ortto_capture.questions.periods import span, zone_of
from ortto_capture.questions.query import (
    All,
    Any,
    Condition,
    Did,
    Funnel,
    In,
    Members,
    Not,
    Query,
    Question,
    Where,
)

LOGIN, PAID = "act:cm:login", "act:cm:paid"
PLAN, AMOUNT = "str:cm:plan", "int:cm:amount"
#: 15:20 UTC on Wednesday, 2026-11-25.
NOW = 1_795_620_000.0


def nested(depth: int) -> Anything:
    """A condition in JSON that is so deep."""
    data: Anything = {"did": LOGIN}
    for _ in range(depth - 1):
        data = {"not": data}
    return data


#: Members of questions.
NAMES = ["activity", "where", "people", "did", "all", "any", "not", "in", "steps", "members", "by"]

# -- JSON


@pytest.mark.parametrize(
    ("question", "data"),
    [
        (Query(), {}),
        (Query(LOGIN, by="day"), {"activity": LOGIN, "by": "day"}),
        (
            Query((LOGIN, PAID), "people", period=("2026-10-01", "2026-10-31")),
            {
                "activity": [LOGIN, PAID],
                "measure": "people",
                "period": ["2026-10-01", "2026-10-31"],
            },
        ),
        (
            Query(
                None, "sum", AMOUNT, (Where(PLAN, "one-of", ("a", "b")),), split_by=PLAN, limit=3
            ),
            {
                "measure": "sum",
                "attribute": AMOUNT,
                "where": [{"attribute": PLAN, "op": "one-of", "value": ["a", "b"]}],
                "split_by": PLAN,
                "limit": 3,
            },
        ),
        (
            Query(people=All((Did(LOGIN, (Where(PLAN, "is", ""),), 2, "30d"), Not(In("some"))))),
            {
                "people": {
                    "all": [
                        {
                            "did": LOGIN,
                            "where": [{"attribute": PLAN, "value": ""}],
                            "at_least": 2,
                            "within": "30d",
                        },
                        {"not": {"in": "some"}},
                    ]
                }
            },
        ),
        (
            Query(where=(Where("bol:cm:a", "is", False),)),
            {"where": [{"attribute": "bol:cm:a", "value": False}]},
        ),
        (Query(time_zone="Europe/Berlin"), {"time_zone": "Europe/Berlin"}),
        (Funnel((LOGIN, PAID)), {"steps": [LOGIN, PAID]}),
        (
            Funnel((LOGIN, PAID), "24h", "6m"),
            {"steps": [LOGIN, PAID], "within": "24h", "period": "6m"},
        ),
        (Members(Any((Did(LOGIN),)), limit=7), {"members": {"any": [{"did": LOGIN}]}, "limit": 7}),
        (Members(None, "p1"), {"members": None, "after": "p1"}),
    ],
    ids=str,
)
def test_a_question_has_one_form_in_json(question: Question, data: Anything) -> None:
    """Without the members that say what their default says."""
    assert plain(question) == data
    assert parse(json.loads(json.dumps(data))) == question


_ids = st.sampled_from([LOGIN, PAID])
_wheres = st.sampled_from(
    [
        Where(PLAN, "is", "a"),
        Where(AMOUNT, "between", (0, 9)),
        Where("bol:cm:b", "is-not", True),
        Where("geo:cm:c", "has-no-value"),
    ]
)
_dids = st.builds(
    Did,
    _ids,
    st.lists(_wheres, max_size=2).map(tuple),
    st.integers(1, 3),
    st.sampled_from([None, "3h", "30d", "2w"]),
)
_conditions: st.SearchStrategy[Condition] = st.recursive(
    _dids | st.builds(In, st.just("some")),
    lambda inner: (
        st.builds(Not, inner)
        | st.builds(All, st.lists(inner, min_size=1, max_size=3).map(tuple))
        | st.builds(Any, st.lists(inner, min_size=1, max_size=3).map(tuple))
    ),
    max_leaves=4,
)


def buildable(make: Callable[[], Question]) -> Question | None:
    try:
        return make()
    except BadQuery:
        return None


@given(st.data())
def test_what_is_written_is_read_as_it_was(data: st.DataObject) -> None:
    try:
        people = data.draw(st.none() | _conditions)
    except BadQuery:
        return
    question = Query(
        data.draw(st.none() | _ids | st.lists(_ids, min_size=1).map(tuple)),
        where=tuple(data.draw(st.lists(_wheres, max_size=2))),
        people=people,
        by=data.draw(st.sampled_from([None, "day"])),
        split_by=data.draw(st.sampled_from([None, PLAN, "person"])),
        period=data.draw(st.just("30d") | st.just(("2026-10-01", "2026-10-02"))),
        limit=data.draw(st.integers(1, 20)),
    )

    assert parse(json.loads(json.dumps(plain(question)))) == question


REFUSED: list[tuple[Anything, str]] = [
    (None, "question"),
    ([], "question"),
    ("{}", "question"),
    ({"activitiy": LOGIN}, "question"),
    ({"activity": LOGIN, "__class__": 1}, "question"),
    ({"steps": [LOGIN, PAID], "by": "day"}, "question"),
    ({"activity": "login"}, "activity"),
    ({"activity": "act:cm:login'; DROP TABLE journal; --"}, "activity"),
    ({"activity": "act:cm:a\0"}, "activity"),
    ({"activity": []}, "activity"),
    ({"activity": [LOGIN, 1]}, "activity"),
    ({"activity": [LOGIN] * 101}, "activity"),
    ({"activity": {"$ne": ""}}, "activity"),
    ({"activity": True}, "activity"),
    ({"measure": "counts"}, "measure"),
    ({"measure": ["count"]}, "measure"),
    ({"measure": "sum"}, "attribute"),
    ({"measure": "sum", "attribute": PLAN}, "attribute"),
    ({"measure": "sum", "attribute": 'int:cm:a"].x'}, "attribute"),
    ({"attribute": AMOUNT}, "attribute"),
    ({"by": "minute"}, "by"),
    ({"by": "day", "period": "1001d"}, "by"),
    ({"by": "hour", "period": "42d"}, "by"),
    ({"by": "hour", "period": ["2026-01-01", "2026-12-31"]}, "by"),
    ({"split_by": "gender"}, "split_by"),
    ({"split_by": "geo:cm:place"}, "split_by"),
    ({"split_by": 1}, "split_by"),
    ({"period": "30"}, "period"),
    ({"period": "0d"}, "period"),
    ({"period": "10000d"}, "period"),
    ({"period": "30D"}, "period"),
    ({"period": "３０d"}, "period"),
    ({"period": 30}, "period"),
    ({"period": ["2026-10-01"]}, "period"),
    ({"period": ["2026-10-02", "2026-10-01"]}, "period"),
    ({"period": ["2026-02-30", "2026-03-01"]}, "period"),
    ({"period": ["20261001", "20261002"]}, "period"),
    ({"period": ["0001-01-01", "2026-01-01"]}, "period"),
    ({"period": ["2026-01-01", "9999-12-31"]}, "period"),
    ({"period": [1, 2]}, "period"),
    ({"limit": 0}, "limit"),
    ({"limit": 1001}, "limit"),
    ({"limit": 10.0}, "limit"),
    ({"limit": True}, "limit"),
    ({"limit": 10**30}, "limit"),
    ({"by": "day", "period": "100d", "split_by": PLAN, "limit": 501}, "limit"),
    ({"time_zone": "Mars/Olympus"}, "time_zone"),
    ({"time_zone": "../../etc/passwd"}, "time_zone"),
    ({"time_zone": "/etc/passwd"}, "time_zone"),
    ({"time_zone": "Europe"}, "time_zone"),
    ({"time_zone": "UTC\0"}, "time_zone"),
    ({"time_zone": "x" * 10_000}, "time_zone"),
    ({"time_zone": 0}, "time_zone"),
    ({"where": {}}, "where"),
    ({"where": [[]]}, "where.0"),
    ({"where": [{}]}, "where.0.attribute"),
    ({"where": [{"attribute": PLAN, "value": "a", "and": 1}]}, "where.0"),
    ({"where": [{"attribute": PLAN, "value": "a"}] * 21}, "where"),
    ({"where": [{"attribute": "plan", "value": "a"}]}, "where.0.attribute"),
    ({"where": [{"attribute": PLAN, "op": "like", "value": "a"}]}, "where.0.op"),
    ({"where": [{"attribute": PLAN, "op": "greater-than", "value": "a"}]}, "where.0.op"),
    ({"where": [{"attribute": PLAN, "op": [], "value": "a"}]}, "where.0.op"),
    ({"where": [{"attribute": "geo:cm:a", "value": "a"}]}, "where.0.op"),
    ({"where": [{"attribute": PLAN}]}, "where.0.value"),
    ({"where": [{"attribute": PLAN, "value": 1}]}, "where.0.value"),
    ({"where": [{"attribute": PLAN, "value": "\ud800"}]}, "where.0.value"),
    ({"where": [{"attribute": PLAN, "value": "a\0b"}]}, "where.0.value"),
    ({"where": [{"attribute": PLAN, "value": "x" * 4_001}]}, "where.0.value"),
    ({"where": [{"attribute": PLAN, "value": ["a"]}]}, "where.0.value"),
    ({"where": [{"attribute": PLAN, "op": "contains", "value": ""}]}, "where.0.value"),
    ({"where": [{"attribute": PLAN, "op": "one-of", "value": "a"}]}, "where.0.value"),
    ({"where": [{"attribute": PLAN, "op": "one-of", "value": []}]}, "where.0.value"),
    ({"where": [{"attribute": PLAN, "op": "one-of", "value": ["a"] * 101}]}, "where.0.value"),
    ({"where": [{"attribute": PLAN, "op": "one-of", "value": [["a"]]}]}, "where.0.value"),
    ({"where": [{"attribute": PLAN, "op": "has-any-value", "value": "a"}]}, "where.0.value"),
    ({"where": [{"attribute": AMOUNT, "value": 1.5}]}, "where.0.value"),
    ({"where": [{"attribute": AMOUNT, "value": True}]}, "where.0.value"),
    ({"where": [{"attribute": AMOUNT, "value": 2**53}]}, "where.0.value"),
    ({"where": [{"attribute": AMOUNT, "value": -(10**400)}]}, "where.0.value"),
    ({"where": [{"attribute": AMOUNT, "op": "between", "value": [1]}]}, "where.0.value"),
    ({"where": [{"attribute": "bol:cm:a", "value": 1}]}, "where.0.value"),
    ({"people": []}, "people"),
    ({"people": {}}, "people"),
    ({"people": {"has": LOGIN}}, "people"),
    ({"people": {"all": [{"did": LOGIN}], "any": [{"did": LOGIN}]}}, "people"),
    ({"people": {"did": LOGIN, "any": []}}, "people"),
    ({"people": {"did": "login"}}, "people.did"),
    ({"people": {"did": LOGIN, "at_least": 0}}, "people.at_least"),
    ({"people": {"did": LOGIN, "at_least": 10**7}}, "people.at_least"),
    ({"people": {"did": LOGIN, "within": "6m"}}, "people.within"),
    ({"people": {"did": LOGIN, "within": 30}}, "people.within"),
    ({"people": {"did": LOGIN, "where": [{"attribute": PLAN}]}}, "people.where.0.value"),
    ({"people": {"all": []}}, "people.all"),
    ({"people": {"all": {"did": LOGIN}}}, "people.all"),
    ({"people": {"any": [{"did": LOGIN}] * 16}}, "people.any"),
    ({"people": {"all": [{"did": LOGIN}, {"not": {"in": "A B"}}]}}, "people.all.1.not.in"),
    ({"people": {"in": 1}}, "people.in"),
    ({"people": {"not": None}}, "people.not"),
    ({"people": nested(7)}, "people" + ".not" * 6),
    ({"people": nested(5_000)}, "people" + ".not" * 6),
    ({"people": {"any": [{"all": [{"did": LOGIN}] * 8}] * 2}}, "people"),
    (
        {"people": {"any": [{"did": LOGIN, "where": [{"attribute": PLAN, "value": "a"}] * 7}] * 3}},
        "where",
    ),
    ({"steps": LOGIN}, "steps"),
    ({"steps": [LOGIN]}, "steps"),
    ({"steps": [LOGIN] * 11}, "steps"),
    ({"steps": [LOGIN, "paid"]}, "steps"),
    ({"steps": [LOGIN, PAID], "within": "1m"}, "within"),
    ({"steps": [LOGIN, PAID], "period": ""}, "period"),
    ({"members": {"did": LOGIN}, "after": 1}, "after"),
    ({"members": {"did": LOGIN}, "after": "\ud800"}, "after"),
    ({"members": {"did": LOGIN}, "limit": 5_000}, "limit"),
    ({"members": {"not": {"did": 1}}}, "members.not.did"),
    ({"members": 1}, "members"),
]


@pytest.mark.parametrize(
    ("data", "field"),
    REFUSED,
    ids=[f"{n} {field}" for n, (_, field) in enumerate(REFUSED)],
)
def test_what_is_no_question_is_refused_with_the_path_of_the_member(
    data: Anything, field: str
) -> None:
    """And what would be right, of which nothing was sent."""
    with pytest.raises(BadQuery) as refused:
        parse(data)

    assert refused.value.field == field
    assert refused.value.expected
    assert (refused.value.status, refused.value.code) == (400, "bad-query")
    assert "DROP" not in str(refused.value)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(NAMES),
                inner,
                max_size=3,
            )
        ),
        max_leaves=9,
    )
)
def test_any_json_is_a_question_or_refused(data: Anything) -> None:
    question = buildable(lambda: parse(data))

    assert question is None or parse(plain(question)) == question


def test_a_condition_is_read_alone() -> None:
    assert parse_condition({"not": {"did": LOGIN}}) == Not(Did(LOGIN))
    with pytest.raises(BadQuery) as refused:
        parse_condition({"not": {"did": LOGIN, "where": 1}})
    assert refused.value.field == "people.not.where"


WRONGLY: list[tuple[Callable[[], object], str]] = [
    (lambda: Query(people=LOGIN), "people"),  # type: ignore[arg-type]
    (lambda: Query(where=PLAN), "where"),  # type: ignore[arg-type]
    (lambda: Did(LOGIN, where=(PLAN,)), "where"),  # type: ignore[arg-type]
    (lambda: All(Did(LOGIN)), "all"),  # type: ignore[arg-type]
    (lambda: Any((LOGIN,)), "any"),  # type: ignore[arg-type]
    (lambda: Not(None), "not"),  # type: ignore[arg-type]
    (lambda: Not(Not(Not(Not(Not(Not(Did(LOGIN))))))), "not"),
    (lambda: Members(LOGIN), "people"),  # type: ignore[arg-type]
    (lambda: Wanted(text="x" * 201), "text"),
    (lambda: Wanted(text="\ud800"), "text"),
    (lambda: Wanted(person_ids="abc"), "person_ids"),  # type: ignore[arg-type]
    (lambda: Wanted(person_ids=("a",) * 101), "person_ids"),
    (lambda: Wanted(activity_ids=("\ud800",)), "activity_ids"),
]


@pytest.mark.parametrize(
    ("make", "field"), WRONGLY, ids=[f"{n} {field}" for n, (_, field) in enumerate(WRONGLY)]
)
def test_what_a_program_builds_wrongly_is_refused_by_the_member(
    make: Callable[[], object], field: str
) -> None:
    with pytest.raises(BadQuery) as refused:
        make()
    assert refused.value.field == field


# -- periods


def hours(period: Anything, by: Anything, zone: str, now: float = NOW) -> list[float]:
    """How long each bucket is."""
    found = span(period, by, zone_of(zone), now)
    for one, following in zip(found.buckets, found.buckets[1:], strict=False):
        assert one.end == following.start
    if found.buckets:
        assert (found.since, found.until) == (found.buckets[0].start, found.buckets[-1].end)
    return [(each.end - each.start) / 3_600 for each in found.buckets]


@pytest.mark.parametrize(
    ("zone", "days", "lengths"),
    [
        ("UTC", ("2026-11-24", "2026-11-25"), [24, 24]),
        ("America/New_York", ("2026-10-31", "2026-11-02"), [24, 25, 24]),
        ("America/New_York", ("2026-03-07", "2026-03-09"), [24, 23, 24]),
        ("Europe/Berlin", ("2026-10-24", "2026-10-26"), [24, 25, 24]),
        ("Australia/Lord_Howe", ("2026-04-04", "2026-04-06"), [24, 24.5, 24]),
        ("Australia/Lord_Howe", ("2026-10-03", "2026-10-05"), [24, 23.5, 24]),
        ("Asia/Kolkata", ("2026-11-24", "2026-11-25"), [24, 24]),
        ("Africa/Cairo", ("2026-04-23", "2026-04-25"), [24, 23, 24]),
        ("America/Havana", ("2026-10-31", "2026-11-02"), [24, 25, 24]),
        # From a minute past midnight back to a minute past eleven.
        ("America/St_Johns", ("2010-11-06", "2010-11-08"), [25, 24, 24]),
        ("Pacific/Apia", ("2011-12-29", "2011-12-31"), [24, 24]),
        ("Pacific/Apia", ("2011-12-30", "2011-12-30"), []),
    ],
)
def test_days_are_those_of_the_zone(zone: str, days: tuple[str, str], lengths: list[float]) -> None:
    """As long as they are where clocks are turned, and none where the zone left one out."""
    assert hours(days, "day", zone) == lengths


@pytest.mark.parametrize(
    ("zone", "date", "lengths"),
    [
        ("UTC", "2026-11-25", [1] * 24),
        ("Asia/Kolkata", "2026-11-25", [1] * 24),
        ("America/New_York", "2026-11-01", [1] * 25),
        ("America/New_York", "2026-03-08", [1] * 23),
        ("Australia/Lord_Howe", "2026-04-05", [1, 1, 0.5, *[1] * 22]),
        ("Australia/Lord_Howe", "2026-10-04", [1, 1, 0.5, *[1] * 21]),
        ("America/St_Johns", "2010-11-06", [*[1] * 24, 1 / 60, 59 / 60]),
    ],
)
def test_hours_are_those_of_the_clock(zone: str, date: str, lengths: list[float]) -> None:
    """One that is turned back shows an hour twice."""
    assert hours((date, date), "hour", zone) == lengths


def test_a_clock_that_goes_back_over_midnight_is_in_the_day_before_until_midnight_comes() -> None:
    """St. John's turned it back from a minute past midnight, which was 02:31 UTC."""
    ten_past_three = datetime(2010, 11, 7, 3, 10, tzinfo=UTC).timestamp()

    assert hours("1h", "day", "America/St_Johns", ten_past_three) == [1]
    assert hours("1h", "week", "America/St_Johns", ten_past_three) == [1]


@pytest.mark.parametrize(
    ("period", "zone", "since", "until"),
    [
        ("1d", "UTC", "2026-11-25T00", "2026-11-26T00"),
        ("30d", "UTC", "2026-10-27T00", "2026-11-26T00"),
        ("1d", "Asia/Tokyo", "2026-11-25T15", "2026-11-26T15"),
        ("2d", "Asia/Kolkata", "2026-11-23T18:30", "2026-11-25T18:30"),
        ("1w", "UTC", "2026-11-23T00", "2026-11-30T00"),
        ("12w", "America/New_York", "2026-09-07T04", "2026-11-30T05"),
        ("1m", "UTC", "2026-11-01T00", "2026-12-01T00"),
        ("12m", "UTC", "2025-12-01T00", "2026-12-01T00"),
        ("11m", "Europe/Berlin", "2025-12-31T23", "2026-11-30T23"),
        ("24h", "UTC", "2026-11-24T16", "2026-11-25T16"),
        ("2h", "Asia/Kolkata", "2026-11-25T13:30", "2026-11-25T15:30"),
    ],
)
def test_a_period_ends_with_the_unit_that_it_is_now(
    period: str, zone: str, since: str, until: str
) -> None:
    found = span(period, None, zone_of(zone), NOW)

    assert datetime.fromtimestamp(found.since, UTC) == datetime.fromisoformat(since + "Z")
    assert datetime.fromtimestamp(found.until, UTC) == datetime.fromisoformat(until + "Z")
    assert found.buckets == ((found.since, found.until, True),)


def test_buckets_that_are_cut_or_not_over_are_partial() -> None:
    weeks = span(("2026-11-04", "2026-11-25"), "week", UTC, NOW).buckets
    days = span("3d", "day", UTC, NOW).buckets
    past = span(("2026-11-02", "2026-11-15"), "week", UTC, NOW).buckets

    assert [each.partial for each in weeks] == [True, False, False, True]
    assert [each.partial for each in days] == [False, False, True]
    assert [each.partial for each in past] == [False, False]


# -- what the plain answerer says, in figures worked out by hand


def did(who: str, what: str, hour: float, **values: Anything) -> Activity:
    """On 2026-11-24, so many hours after midnight UTC."""
    at = 1_795_478_400.0 + hour * 3_600
    names = {"plan": PLAN, "amount": AMOUNT}
    attributes = {names[name]: value for name, value in values.items()}
    return Activity(f"{who}-{hour}", what, who, attributes, "web", "claimed", at, at, False)


HAPPENED = [
    did("ann", LOGIN, 1),
    did("ann", PAID, 2, plan="team", amount=30),
    did("bob", LOGIN, 3),
    did("bob", PAID, 5, plan="free", amount=10),
    did("bob", PAID, 30, plan="team", amount=21),
    did("cem", LOGIN, 31),
    did("cem", PAID, 40, amount=40),
]


@pytest.mark.parametrize(
    ("question", "rows", "total"),
    [
        (Query(PAID), [(None, None, 4)], 4),
        (Query(PAID, "people"), [(None, None, 3)], 3),
        (Query(PAID, "sum", AMOUNT), [(None, None, 101)], 101),
        (Query(PAID, "average", AMOUNT), [(None, None, 25.25)], 25.25),
        (Query(PAID, "minimum", AMOUNT), [(None, None, 10)], 10),
        (Query(PAID, "median", AMOUNT), [(None, None, 21)], 21),
        (Query(PAID, "p95", AMOUNT), [(None, None, 40)], 40),
        (Query(PAID, "maximum", AMOUNT), [(None, None, 40)], 40),
        (Query(LOGIN, "sum", AMOUNT), [(None, None, 0)], 0),
        (Query(LOGIN, "average", AMOUNT), [(None, None, None)], None),
        (
            Query(PAID, split_by=PLAN),
            [(None, "team", 2), (None, None, 1), (None, "free", 1)],
            4,
        ),
        (Query(PAID, split_by="person", limit=2), [(None, "bob", 2), (None, "ann", 1)], 4),
        (Query(PAID, where=(Where(PLAN, "is-not", "team"),)), [(None, None, 2)], 2),
        (Query(PAID, where=(Where(PLAN, "has-no-value"),)), [(None, None, 1)], 1),
        (
            Query(PAID, people=Did(PAID, at_least=2)),
            [(None, None, 2)],
            2,
        ),
        (
            Funnel((LOGIN, PAID), "3h"),
            [(None, LOGIN, 3), (None, PAID, 2)],
            3,
        ),
        (
            Funnel((LOGIN, PAID, PAID), "7d"),
            [(None, LOGIN, 3), (None, PAID, 3), (None, PAID, 1)],
            3,
        ),
        (Members(Not(Did(PAID, within="24h"))), [(None, "ann", None)], 1),
        (Members(None, "ann", 1), [(None, "bob", None)], 3),
    ],
    ids=repr,
)
def test_the_plain_answerer_counts_as_people_do(
    question: Question, rows: list[tuple[Anything, ...]], total: Anything
) -> None:
    # 2026-11-25, 16:00 UTC: a day after 16:00 of the first.
    answered = answerer.answer(question, 1_795_478_400.0 + 40 * 3_600, HAPPENED[::-1])

    assert list(answered.rows) == [Row(*row) for row in rows]
    assert answered.total == total
