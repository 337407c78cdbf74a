"""Saved questions: reports, the Overview and audiences, from Python, in memory and on a disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ortto_capture import (
    BackendError,
    Capture,
    ConfigurationError,
    Definition,
    Refused,
    Settings,
    open_backends,
)
from ortto_capture.errors import BadQuery, Changed
from ortto_capture.questions.answer import Row
from ortto_capture.questions.query import Members
from ortto_capture.reports import (
    All,
    Audience,
    Did,
    Funnel,
    In,
    Not,
    Query,
    Refusals,
    Report,
    Where,
)
from ortto_capture.reports import Any as AnyOf
from ortto_capture.testing import FakeClock

SECRET = "an example secret of more than 32 bytes"
LOGIN, PAID = "act:cm:login", "act:cm:paid"
PLAN, PRICE = "str:cm:plan", "int:cm:price"
#: 2026-11-23 12:00 UTC, a Monday.
NOON = 1_795_435_200.0
DAY, HOUR = 86_400, 3_600


class Shop:
    """An account with two activities, whose clock a test sets."""

    def __init__(self, medium: str, **settings: Any) -> None:
        self.clock = FakeClock(NOON)
        self.backends = open_backends(medium)
        self.backends.definitions.declare(
            [
                Definition(LOGIN, "Logged in", client_side=True, limits={"person": "1/day"}),
                Definition(PAID, "Paid", attributes=[PLAN, PRICE]),
            ]
        )
        self.capture = Capture(
            backends=self.backends,
            settings=Settings(secret_keys=[SECRET], **settings),
            clock=self.clock,
        )

    def paid(self, who: str, plan: str = "team", price: int = 10, ago: float = 0) -> str:
        """Record a payment; return the person's id."""
        captured = self.capture.record_for(
            PAID,
            {PLAN: plan, PRICE: price},
            email=f"{who}@emaildomain.com",
            at=self.clock() - ago,
        )
        assert captured is not None
        return captured.person_id

    def document(self, kind: str, name: str, value: Any) -> None:
        """What a hand edit, or another version, leaves in the store."""
        assert self.backends.documents is not None
        self.backends.documents.put(kind, name, value)


@pytest.fixture(params=["memory", "file"])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shop]:
    made = Shop("memory:" if request.param == "memory" else f"file:{tmp_path / 'data'}")
    with made.backends:
        yield made


@pytest.fixture
def account(tmp_path: Path) -> Shop:
    """For what does not depend on the medium."""
    return Shop("memory:")


LOGINS = Report("logins", "Logins é", Query(LOGIN, by="day"), "line")


# -- asking


def test_a_notebook_asks_in_one_line(shop: Shop) -> None:
    shop.paid("jo", "team", 10, ago=DAY)
    shop.paid("jo", "team", 20)
    shop.paid("al", "solo", 5)
    reports = shop.capture.reports

    counted = reports.count(PAID, by="day", period="2d")
    assert [row.measure for row in counted.rows] == [1, 2]
    assert counted.total == 3
    assert reports.count().total == 3
    assert reports.count([LOGIN, PAID]).total == 3
    assert reports.people(PAID).total == 2
    assert reports.sum(PAID, PRICE, split_by=PLAN).rows == (
        Row(None, "team", 30),
        Row(None, "solo", 5),
    )
    assert reports.ask(Query(PAID, where=(Where(PLAN, "is", "solo"),))).total == 1
    assert reports.ask(Report("a", "A", Query(PAID))).total == 3


def test_a_notebook_asks_since_a_day() -> None:
    shop = Shop("memory:", time_zone="Asia/Kolkata")
    shop.paid("jo", "team", 10, ago=2 * DAY)
    shop.paid("jo", "team", 20, ago=DAY)
    shop.paid("al", "team", 5)
    reports = shop.capture.reports
    day = datetime.fromtimestamp(NOON, UTC).date() - timedelta(1)

    counted = reports.count(PAID, by="day", since=day)
    assert [row.measure for row in counted.rows] == [1, 1]
    assert counted == reports.count(PAID, by="day", since=day.isoformat())
    assert counted == reports.count(PAID, by="day", period="2d")
    assert reports.people(PAID, since=day).total == 2
    assert reports.sum(PAID, PRICE, since=day).total == 25
    # It is the next day in Kolkata, six hours before it is in London.
    shop.clock.advance(7 * HOUR)
    assert len(reports.count(by="day", since=day).rows) == 3
    assert len(reports.count(by="day", since=day, time_zone="Europe/London").rows) == 2


@pytest.mark.parametrize("since", ["yesterday", "2999-01-01", 7, datetime(2026, 10, 1, tzinfo=UTC)])
def test_since_what_is_no_day_that_has_begun_is_refused(account: Shop, since: Any) -> None:
    with pytest.raises(BadQuery) as caught:
        account.capture.reports.count(PAID, since=since)
    assert caught.value.field == "since"


def test_since_and_a_period_are_not_asked_together(account: Shop) -> None:
    with pytest.raises(BadQuery, match="since"):
        account.capture.reports.count(PAID, since="2026-10-01", period="30d")


def test_days_begin_in_the_accounts_time_zone_unless_the_question_names_one() -> None:
    shop = Shop("memory:", time_zone="Asia/Kolkata")
    shop.paid("jo", ago=12 * HOUR)  # 00:00 UTC, 05:30 in Kolkata
    shop.paid("jo", ago=18 * HOUR)  # 18:00 UTC the day before, 23:30 in Kolkata

    def told(**members: Any) -> tuple[list[Any], float]:
        answer = shop.capture.reports.count(PAID, by="day", period="2d", **members)
        return [row.measure for row in answer.rows], answer.since

    assert told() == ([1, 1], NOON - 1.5 * DAY - 5.5 * HOUR)
    assert told(time_zone="America/New_York") == ([2, 0], NOON - 1.5 * DAY + 5 * HOUR)
    funnel = shop.capture.reports.ask(Funnel((PAID, LOGIN), period="1d"))
    assert funnel.total == 1
    assert funnel.since == NOON - 0.5 * DAY - 5.5 * HOUR


def test_a_question_names_an_audience(shop: Shop) -> None:
    shop.paid("jo", "team")
    shop.paid("al", "solo")
    team = Audience("team", "In a team", Did(PAID, (Where(PLAN, "is", "team"),)))
    shop.capture.audiences.put(team)

    assert shop.capture.reports.count(PAID, people=In("team")).total == 1
    assert shop.capture.reports.count(PAID, people=Not(In("team"))).total == 1
    assert shop.capture.reports.ask(Members(In("team"))).total == 1


def test_why_requests_were_refused_is_a_question_too(shop: Shop) -> None:
    session = shop.capture.identify(email="jo@emaildomain.com").session
    for _ in range(3):
        refused(shop, session, LOGIN)
    refused(shop, session, PAID)
    refused(shop, session, "act:cm:unknown")
    shop.clock.advance(2 * DAY)
    refused(shop, None, LOGIN)
    reports = shop.capture.reports

    by_reason = reports.ask(Refusals())
    assert by_reason.rows == (
        Row(None, "person-limit", 2),
        Row(None, "disabled", 1),
        Row(None, "no-session", 1),
        Row(None, "unknown-activity", 1),
    )
    assert by_reason.total == 5
    assert reports.ask(Refusals("activity")).rows == (
        Row(None, LOGIN, 3),
        Row(None, "", 1),
        Row(None, PAID, 1),
    )
    assert reports.ask(Refusals(period="2d")).total == 1
    assert reports.ask(Refusals(period=("2026-11-23", "2026-11-23"))).total == 4
    assert reports.ask(Refusals(period="2d", time_zone="Pacific/Kiritimati")).total == 1


def refused(shop: Shop, session: str | None, activity_id: str) -> None:
    with suppress(Refused):
        shop.capture.record(session, activity_id)


def test_without_outcomes_no_refusal_is_known(account: Shop) -> None:
    backends = replace(account.backends, outcomes=None)
    capture = Capture(backends=backends, settings=Settings(secret_keys=[SECRET]))

    assert capture.reports.ask(Refusals()).rows == ()


# -- reports


def test_a_handful_is_there_from_the_start_and_pinned(shop: Shop) -> None:
    reports = shop.capture.reports
    titles = {"Active people a day", "Most frequent activities", "Refusals by reason"}

    every = {each.name: each.value for each in reports.all()}
    assert titles < {each.title for each in every.values() if each}
    assert sorted(reports.pinned().names) == sorted(every)
    for name in every:
        assert reports.get(name) == next(each for each in reports.all() if each.name == name)
        assert reports.ask(name).total == 0
    assert reports.get("logins") is None


def test_a_saved_report_is_asked_by_its_name(shop: Shop) -> None:
    shop.paid("jo")
    report = Report("payments", "Payments", Query(PAID, by="day", period="7d"))
    version = shop.capture.reports.put(report)

    saved = shop.capture.reports.get("payments")
    assert saved == ("payments", report, version, "")
    assert shop.capture.reports.ask("payments") == shop.capture.reports.ask(report)
    with pytest.raises(BadQuery, match="name"):
        shop.capture.reports.ask("no-such-report")


def test_saving_one_report_keeps_those_of_the_start(shop: Shop) -> None:
    reports = shop.capture.reports
    before, pinned = list(reports.all()), reports.pinned().names

    reports.put(LOGINS)

    assert [(each.name, each.value) for each in reports.all() if each.name != "logins"] == [
        (each.name, each.value) for each in before
    ]
    assert reports.pinned().names == pinned


def test_a_report_of_the_start_is_edited_and_removed_like_any_other(shop: Shop) -> None:
    reports = shop.capture.reports
    [first, second, *_] = reports.all()
    assert first.value is not None
    edited = replace(first.value, title="Another title")

    with pytest.raises(Changed):
        reports.put(edited, version=0)
    version = reports.put(edited, first.version)

    found = reports.get(first.name)
    assert found is not None
    assert (found.value, found.version) == (edited, version)
    with pytest.raises(Changed):
        reports.put(edited, first.version)
    second_now = reports.get(second.name)
    assert second_now is not None
    assert reports.remove(second.name, second_now.version)
    assert reports.get(second.name) is None
    assert second.name not in reports.pinned().names
    for each in list(reports.all()):
        reports.remove(each.name)
    assert list(reports.all()) == []
    assert reports.pinned().names == ()


def test_a_report_is_replaced_only_where_the_writer_has_seen_what_is_there(shop: Shop) -> None:
    reports = shop.capture.reports
    first = reports.put(LOGINS, version=0)
    with pytest.raises(Changed):
        reports.put(LOGINS, version=0)
    second = reports.put(replace(LOGINS, title="Second"), first)
    for version in (first, 0, second + 100):
        with pytest.raises(Changed):
            reports.put(LOGINS, version)
        with pytest.raises(Changed):
            reports.remove("logins", version)

    found = reports.get("logins")
    assert found is not None
    assert found.value == replace(LOGINS, title="Second")
    assert reports.remove("logins", found.version) is True
    assert reports.remove("logins", found.version) is False
    assert reports.remove("logins") is False


def test_reports_are_pinned_in_an_order_of_their_own(shop: Shop) -> None:
    reports = shop.capture.reports
    reports.put(LOGINS)
    chosen = ["refusals", "logins", "active-people"]
    seen = reports.pinned()

    version = reports.pin(chosen, seen.version)

    assert reports.pinned() == (tuple(chosen), version)
    with pytest.raises(Changed):
        reports.pin([], seen.version)
    reports.remove("logins")
    assert reports.pinned().names == ("refusals", "active-people")
    assert reports.pin([]) > version
    assert reports.pinned().names == ()


def test_what_is_pinned_first_is_pinned_over_the_handful(shop: Shop) -> None:
    reports = shop.capture.reports
    seen = reports.pinned()
    reports.pin(["refusals"], seen.version)

    assert reports.pinned().names == ("refusals",)
    assert len(reports.all()) > 1


@pytest.mark.parametrize(
    "names", [["unknown"], ["refusals", "refusals"], "refusals", [5], [f"n{n}" for n in range(31)]]
)
def test_what_cannot_be_pinned_is_refused(account: Shop, names: Any) -> None:
    account.capture.reports.put(LOGINS)
    before = account.capture.reports.pinned()

    with pytest.raises(BadQuery) as wrong:
        account.capture.reports.pin(names)

    assert wrong.value.field == "names"
    assert account.capture.reports.pinned() == before


QUESTIONS = {
    "plain": Query(),
    "everything": Query(
        (LOGIN, PAID),
        "p95",
        PRICE,
        where=(Where(PLAN, "one-of", ("a", "b")), Where(PRICE, "between", (1, 2))),
        people=All((Did(LOGIN, within="30d"), AnyOf((In("team"), Not(Did(PAID, at_least=3)))))),
        by="week",
        split_by=PLAN,
        period=("2026-01-01", "2026-03-31"),
        limit=5,
        time_zone="Europe/Berlin",
    ),
    "funnel": Funnel((LOGIN, PAID), "12h", "90d", "Asia/Kolkata"),
    "refusals": Refusals(),
    "refusals by activity": Refusals("activity", ("2026-01-01", "2026-01-02"), "Asia/Kolkata"),
    "refusals of a week": Refusals(period="1w"),
}


@pytest.mark.parametrize("question", QUESTIONS.values(), ids=QUESTIONS)
@pytest.mark.parametrize("draw", ["bars", "line", "shares", "table"])
def test_a_report_is_read_as_it_was_saved(account: Shop, question: Any, draw: Any) -> None:
    report = Report("a-1", "Title \N{PARTY POPPER} عنوان", question, draw)
    account.capture.reports.put(report)

    saved = account.capture.reports.get("a-1")
    assert saved is not None
    assert saved.value == report
    assert Report.parse("a-1", report.plain()) == report


PLAIN = LOGINS.plain()


@pytest.mark.parametrize(
    ("value", "field"),
    [
        (None, "document"),
        ([], "document"),
        ({}, "title"),
        ({"title": "A", "draw": "bars"}, "question"),
        (PLAIN | {"colour": "red"}, "document"),
        (PLAIN | {"title": ""}, "title"),
        (PLAIN | {"title": "two\nlines"}, "title"),
        (PLAIN | {"title": "\ud800"}, "title"),
        (PLAIN | {"title": "x" * 201}, "title"),
        (PLAIN | {"title": 5}, "title"),
        (PLAIN | {"draw": "pie"}, "draw"),
        (PLAIN | {"draw": None}, "draw"),
        (PLAIN | {"draw": ["bars"]}, "draw"),
        (PLAIN | {"question": "all"}, "question"),
        (PLAIN | {"question": {"by": "decade"}}, "by"),
        (PLAIN | {"question": {"in_a_newer_version": 1}}, "question"),
        (PLAIN | {"question": {"members": {"did": LOGIN}}}, "question"),
        (PLAIN | {"question": {"refusals": "person"}}, "refusals"),
        (PLAIN | {"question": {"refusals": ["reason"]}}, "refusals"),
        (PLAIN | {"question": {"refusals": "reason", "split_by": "reason"}}, "question"),
        (PLAIN | {"question": {"refusals": "reason", "by": "day"}}, "question"),
        (PLAIN | {"question": {"refusals": "reason", "period": "ever"}}, "period"),
        (PLAIN | {"question": {"refusals": "reason", "time_zone": "Mars"}}, "time_zone"),
    ],
)
def test_a_report_that_cannot_be_read_is_broken_and_harms_no_other(
    shop: Shop, value: Any, field: str
) -> None:
    """After a hand edit, or written by a newer version."""
    reports = shop.capture.reports
    reports.put(LOGINS)
    before = list(reports.all())
    shop.document("report", "broken", value)

    saved = reports.get("broken")

    assert saved is not None
    assert saved.value is None
    assert saved.problem.startswith(f"{field}: needed is ")
    assert [each for each in reports.all() if each.name != "broken"] == before
    reports.pin(["broken", "logins"])
    assert reports.pinned().names == ("broken", "logins")
    with pytest.raises(BadQuery):
        reports.ask("broken")
    assert reports.put(replace(LOGINS, name="broken"), saved.version)
    assert reports.ask("broken").total == 0


@pytest.mark.parametrize("value", [None, 5, {"names": []}, [None], [["logins"]]])
def test_an_overview_that_cannot_be_read_is_empty(account: Shop, value: Any) -> None:
    account.capture.reports.put(LOGINS)
    account.document("overview", "pinned", value)

    assert account.capture.reports.pinned().names == ()
    account.capture.reports.pin(["logins"])
    assert account.capture.reports.pinned().names == ("logins",)


@pytest.mark.parametrize(
    "name", ["", "A", "a b", "a--b", "-a", "a-", "a_b", "é", "a\n", "x" * 101, "../a", 5, None]
)
def test_names_are_lower_case_letters_digits_and_hyphens(name: Any) -> None:
    with pytest.raises(BadQuery, match="field: name"):
        replace(LOGINS, name=name)
    with pytest.raises(BadQuery, match="field: name"):
        Audience(name, "A", Did(LOGIN))


@pytest.mark.parametrize("question", [None, {}, Members(Did(LOGIN)), Did(LOGIN)])
def test_only_what_can_be_drawn_is_a_report(question: Any) -> None:
    with pytest.raises(BadQuery, match="question"):
        Report("a", "A", question)


def test_where_nothing_can_be_saved_the_reports_of_the_start_are_there(account: Shop) -> None:
    backends = replace(account.backends, documents=None)
    capture = Capture(backends=backends, settings=Settings(secret_keys=[SECRET]))
    reports = capture.reports

    assert [reports.ask(each.name).total for each in reports.all()] == [0] * len(reports.all())
    assert reports.pinned().names
    assert list(capture.audiences.all()) == []
    assert capture.audiences.get("a") is None
    writes: list[Callable[[], object]] = [
        lambda: reports.put(LOGINS),
        lambda: reports.remove("refusals"),
        lambda: reports.pin([]),
        lambda: capture.audiences.put(Audience("a", "A", Did(LOGIN))),
        lambda: capture.audiences.remove("a"),
    ]
    for write in writes:
        with pytest.raises(ConfigurationError, match="documents"):
            write()


def test_a_change_that_fails_changes_nothing(tmp_path: Path) -> None:
    """Not even the handful, which is written with the first change."""
    shop = Shop(f"file:{tmp_path}")
    with shop.backends as backends:
        assert backends.documents is not None
        with pytest.raises(Changed):
            shop.capture.reports.put(LOGINS, version=7)
        assert list(backends.documents.all("report")) == []

        def decide() -> None:
            shop.capture.reports.put(LOGINS)
            raise BackendError("a reason of its own")

        with pytest.raises(BackendError):
            backends.atomically(decide)
        assert shop.capture.reports.get("logins") is None


# -- audiences


TEAM = Audience("team", "In a team", Did(PAID, (Where(PLAN, "is", "team"),)))


def test_an_audience_is_counted_and_its_members_are_listed_page_by_page(shop: Shop) -> None:
    team = sorted(shop.paid(f"team{number}") for number in range(5))
    shop.paid("al", "solo")
    audiences = shop.capture.audiences
    audiences.put(TEAM)

    assert audiences.count("team") == 5
    assert audiences.count(TEAM.people) == 5
    assert audiences.count(Not(In("team"))) == 1
    assert audiences.count() == 6
    assert audiences.members("team") == team
    assert audiences.members("team", limit=2) == team[:2]
    assert audiences.members("team", team[1], 2) == team[2:4]
    assert audiences.members(In("team"), after=team[-1]) == []
    assert len(audiences.members(None)) == 6


def test_an_audience_is_exact_at_every_moment(shop: Shop) -> None:
    shop.capture.audiences.put(Audience("lately", "Lately", Did(PAID, within="7d")))
    shop.paid("jo")
    assert shop.capture.audiences.count("lately") == 1
    shop.clock.advance(8 * DAY)
    assert shop.capture.audiences.count("lately") == 0
    shop.paid("al")
    assert shop.capture.audiences.count("lately") == 1
    shop.capture.erase("al@emaildomain.com")
    assert shop.capture.audiences.count("lately") == 0
    assert shop.capture.audiences.count() == 1


def test_audiences_are_saved_and_removed(shop: Shop) -> None:
    audiences = shop.capture.audiences
    version = audiences.put(TEAM, version=0)
    other = audiences.put(Audience("a", "A", All((In("team"), Did(LOGIN)))))

    assert audiences.get("team") == ("team", TEAM, version, "")
    assert [(each.name, each.version) for each in audiences.all()] == [
        ("a", other),
        ("team", version),
    ]
    for wrong in (0, version + 100):
        with pytest.raises(Changed):
            audiences.put(TEAM, wrong)
        with pytest.raises(Changed):
            audiences.remove("team", wrong)
    assert audiences.put(replace(TEAM, title="New"), version) > other
    assert audiences.remove("a", other) is True
    assert audiences.remove("a") is False
    assert audiences.get("a") is None


def test_an_audience_that_is_gone_is_named_by_no_question(shop: Shop) -> None:
    capture = shop.capture
    capture.audiences.put(TEAM)
    capture.audiences.put(Audience("others", "Others", Not(In("team"))))
    capture.reports.put(Report("a", "A", Query(people=In("others"))))
    assert capture.reports.ask("a").total == 0

    capture.audiences.remove("team")

    asking: list[Callable[[], object]] = [
        lambda: capture.audiences.count("team"),
        lambda: capture.audiences.count("others"),
        lambda: capture.audiences.members("others"),
        lambda: capture.reports.ask("a"),
        lambda: capture.audiences.put(Audience("b", "B", In("team"))),
    ]
    for ask in asking:
        with pytest.raises(BadQuery) as wrong:
            ask()
        assert wrong.value.field == "people"
    capture.audiences.put(TEAM)
    assert capture.reports.ask("a").total == 0


def test_no_audience_is_a_part_of_itself(shop: Shop) -> None:
    audiences = shop.capture.audiences
    audiences.put(TEAM)
    audiences.put(Audience("a", "A", In("team")))
    audiences.put(Audience("b", "B", Not(In("a"))))

    for people in (In("team"), All((Did(LOGIN), AnyOf((In("b"), Did(PAID)))))):
        with pytest.raises(BadQuery) as wrong:
            audiences.put(replace(TEAM, people=people))
        assert wrong.value.expected == "an audience that is no part of itself"
    shop.document("audience", "team", {"title": "Team", "people": {"in": "b"}})
    with pytest.raises(BadQuery):
        audiences.count("b")


def test_audiences_of_audiences_are_bounded_as_a_whole(account: Shop) -> None:
    """However they grow: what is asked never has more than 15 conditions."""
    audiences = account.capture.audiences
    audiences.put(Audience("one", "One", Did(LOGIN)))
    fifteen = AnyOf((In("one"),) * 15)
    audiences.put(Audience("many", "Many", fifteen))
    assert audiences.count("many") == 0
    with pytest.raises(BadQuery) as wrong:
        audiences.put(Audience("more", "More", All((In("many"), Did(PAID)))))
    assert wrong.value.field == "people"
    assert wrong.value.expected == "at most 15 conditions, its audiences included"

    audiences.put(Audience("one", "One", AnyOf((Did(LOGIN), Did(PAID)))))
    with pytest.raises(BadQuery):
        audiences.count("many")
    wheres = (Where(PLAN, "is", "team"),) * 15
    audiences.put(Audience("one", "One", Did(PAID, wheres)))
    with pytest.raises(BadQuery) as wrong:
        audiences.put(Audience("two", "Two", All((In("one"), Did(PAID, wheres)))))
    assert wrong.value.field == "people"
    assert wrong.value.expected == "at most 20 comparisons in one question, its audiences included"


def test_audiences_of_audiences_are_no_deeper_than_a_question(account: Shop) -> None:
    audiences = account.capture.audiences
    audiences.put(Audience("n0", "N", Did(LOGIN)))
    for depth in range(5):
        audiences.put(Audience(f"n{depth + 1}", "N", Not(In(f"n{depth}"))))
    with pytest.raises(BadQuery) as wrong:
        audiences.put(Audience("n6", "N", Not(In("n5"))))

    assert wrong.value.field == "people"
    assert wrong.value.expected == "conditions nested at most 6 deep, its audiences included"


def test_audiences_lead_to_one_another_a_bounded_number_of_times(account: Shop) -> None:
    audiences = account.capture.audiences
    audiences.put(Audience("n0", "N", Did(LOGIN)))
    for depth in range(15):
        audiences.put(Audience(f"n{depth + 1}", "N", In(f"n{depth}")))
    assert audiences.count("n15") == 0
    with pytest.raises(BadQuery) as wrong:
        audiences.put(Audience("n16", "N", In("n15")))

    assert wrong.value.field == "people"
    assert wrong.value.expected == "audiences within audiences at most 15 deep"
    for depth in range(16, 1_200):
        account.document("audience", f"n{depth}", {"title": "N", "people": {"in": f"n{depth - 1}"}})
    with pytest.raises(BadQuery):
        audiences.count("n1199")


@pytest.mark.parametrize(
    ("value", "field"),
    [
        (None, "document"),
        ({"title": "A"}, "people"),
        ({"title": "A", "people": {"did": LOGIN, "often": 3}}, "people"),
        ({"title": "A", "people": {"all": []}}, "people.all"),
        ({"title": "A", "people": {"in": "Not a name"}}, "people.in"),
        ({"title": " ", "people": {"did": LOGIN}}, "title"),
        ({"title": "A", "people": {"did": LOGIN}, "name": "a"}, "document"),
    ],
)
def test_an_audience_that_cannot_be_read_is_broken_and_harms_no_other(
    shop: Shop, value: Any, field: str
) -> None:
    audiences = shop.capture.audiences
    audiences.put(TEAM)
    before = list(audiences.all())
    shop.document("audience", "broken", value)

    saved = audiences.get("broken")

    assert saved is not None
    assert saved.value is None
    assert saved.problem.startswith(f"{field}")
    assert [each for each in audiences.all() if each.name != "broken"] == before
    with pytest.raises(BadQuery):
        audiences.count("broken")


def test_an_audience_needs_a_condition() -> None:
    people: Any
    for people in (None, {"did": LOGIN}, Query()):
        with pytest.raises(BadQuery, match="people"):
            Audience("a", "A", people)
