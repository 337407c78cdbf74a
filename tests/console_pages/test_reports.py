"""Overview, reports, audiences and health: what a reader of these pages is promised."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from playwright.sync_api import Locator, Page, expect

from ortto_capture import Definition
from ortto_capture.questions.parsing import parse, parse_condition, plain
from ortto_capture.questions.query import Condition
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
from ortto_capture.reports import (
    Any as AnyOf,
)

from .conftest import ONCE, PAID, Console

PLAN, PRICE = "str:cm:plan", "int:cm:price"
#: How a name of another person could try to do something here.
HOSTILE = '<img src=x onerror="document.title=1">\u202eevil'


def choice(page: Page, label: str) -> Locator:
    """One of the choices of the sentence."""
    return page.get_by_role("combobox", name=label, exact=True)


def question_of(page: Page) -> Any:
    """The question in the address."""
    return json.loads(parse_qs(urlsplit(page.url).query)["q"][0])


def turn(console: Console, address: str) -> Page:
    """Go to another page of the console as a link does, without loading it anew."""
    if console.page.url == "about:blank":
        console.open(address)
    else:
        console.page.evaluate(
            """(address) => {
              history.pushState(null, "", address);
              dispatchEvent(new PopStateEvent("popstate"));
            }""",
            address,
        )
        console.page.locator("main:not([aria-busy])").wait_for()
    return console.page


def ask(console: Console, question: Any) -> Page:
    """Go to the page of a report that asks this."""
    asked = question.plain() if isinstance(question, Refusals) else plain(question)
    return turn(console, f"?page=report&q={quote(json.dumps(asked))}")


def settle(console: Console) -> None:
    """Let the pause pass after which a changed question is asked."""
    console.later(0.5)
    expect(console.page.locator("[aria-busy=true]")).to_have_count(0)


@pytest.fixture
def bought(console: Console) -> Console:
    """Three activities of two people, and a refusal."""
    console.record(plan="pot", price=10)
    console.record(plan="plant", price=30)
    console.record("act:cm:unheard-of")
    console.session = console.capture.identify(email="mo@example.com", first="Mo").session
    console.record(plan="pot", price=50)
    return console


# -- a report


def test_a_question_is_put_together_by_choosing_and_its_answer_is_that_of_python(
    bought: Console,
) -> None:
    bought.open("?page=report")
    page = bought.page
    choice(page, "What to count").select_option(label="the sum")
    choice(page, "Activity").select_option(label="Paid")
    choice(page, "Number").select_option(label="Price")
    choice(page, "Bucket of time").select_option(label="in all")
    page.get_by_role("button", name="where…").click()
    page.get_by_label("Value").fill("pot")
    settle(bought)

    expected = Query(PAID.id, "sum", PRICE, where=(Where(PLAN, "is", "pot"),))
    assert parse(question_of(page)) == expected
    assert bought.capture.reports.ask(expected).total == 60
    expect(page.get_by_role("region", name="Answer")).to_contain_text("60 sum")
    assert bought.complaints == []


def test_the_address_keeps_the_question_and_how_it_is_drawn(bought: Console) -> None:
    page = ask(bought, Query(PAID.id, by="day", period="7d"))
    expect(page.locator("svg").first).to_be_visible()
    page.get_by_role("button", name="Table").click()

    page.reload()
    expect(page.get_by_role("button", name="Table")).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_role("table").locator("tbody tr")).to_have_count(7)
    expect(page.get_by_role("row").last).to_contain_text("(not whole)")
    expect(page.get_by_role("row").last).to_contain_text("3")
    expect(choice(page, "Period")).to_have_value("7d")


ANSWERS = [
    (Query(PAID.id, split_by=PLAN), ["pot267 %", "plant133 %"]),
    (Query(split_by="activity"), ["Paid3100 %"]),
    (Query(PAID.id, "people", split_by="person"), ["j•••@e•••.com150 %", "m•••@e•••.com150 %"]),
    (Query(PAID.id, "average", PRICE, split_by=PLAN), ["plant30", "pot30"]),
    (Query(PAID.id, split_by="assurance"), ["claimed by the visitor3100 %"]),
    (
        Query(PAID.id, split_by=PLAN, by="week", period="2w"),
        ["ValueBy weekIn all", "pot2", "plant1"],
    ),
    (Funnel((PAID.id, ONCE.id)), ["1. Paid2100 %", "2. Once00 %"]),
    (Refusals(), ["No activity has this id1100 %"]),
    (Refusals("activity"), ["no activity that is there1100 %"]),
]


def test_each_kind_of_answer_is_drawn_in_words(bought: Console) -> None:
    for question, words in ANSWERS:
        page = ask(bought, question)
        expect(page.locator(".drawn tr")).to_have_text(words)
    assert bought.complaints == []


QUESTIONS: list[Query | Funnel] = [
    Query(),
    Query(PAID.id, by="day"),
    Query((PAID.id, ONCE.id), "people", by="week", period="12w", time_zone="America/New_York"),
    Query(PAID.id, "p95", PRICE, split_by=PLAN, limit=50, period=("2026-10-20", "2026-11-05")),
    Query(
        PAID.id,
        where=(
            Where(PLAN, "one-of", ('a "quoted" All(', "\\")),
            Where(PRICE, "between", (1, 2)),
            Where("bol:cm:first", "is", False),
            Where("dtz:cm:day", "has-any-value"),
        ),
    ),
    Query(
        measure="people",
        people=All(
            (
                Did(PAID.id, (Where(PLAN, "is", "x"),), 3, "30d"),
                Not(In("some")),
                AnyOf((Did(ONCE.id), Did(PAID.id))),
            )
        ),
    ),
    Funnel((PAID.id, ONCE.id), "1d", "90d"),
]


def test_the_python_of_a_question_is_that_question(console: Console) -> None:
    console.open("?page=health")
    written = console.page.evaluate(
        """async (questions) => {
          const { pythonOf } = await import("/modules/question.js");
          return questions.map((question) => pythonOf("ask", { question }));
        }""",
        [plain(each) for each in QUESTIONS] + [Refusals("activity", "7d").plain()],
    )

    for text, question in zip(written, [*QUESTIONS, Refusals("activity", "7d")], strict=True):
        said: list[object] = []
        exec(text, {"ask": said.append})  # noqa: S102  # what the page says to copy
        assert said == [question]


def test_the_editor_hands_out_a_question_as_it_got_it(console: Console) -> None:
    for question in QUESTIONS:
        page = ask(console, question)
        # A change, and back: all other members went through the editor.
        for period in ("24h", "90d"):
            choice(page, "Period").select_option(period)
        settle(console)
        assert parse(question_of(page)) == parse({**plain(question), "period": "90d"})


def test_what_takes_too_long_offers_a_shorter_period(bought: Console) -> None:
    too_long = {"error": {"code": "too-long", "message": "ask for a shorter period"}}
    page = bought.page
    page.route(
        "**/api/ask",
        lambda route: (
            route.fulfill(status=422, json=too_long)
            if "365d" in (route.request.post_data or "")
            else route.fallback()
        ),
    )
    ask(bought, Query(PAID.id, period="365d"))
    page.get_by_role("button", name="Ask over 90 days").click()
    bought.later(0.5)

    expect(page.get_by_role("region", name="Answer")).to_contain_text("3 in all")
    assert question_of(page)["period"] == "90d"


def test_a_refused_question_marks_the_choice_that_is_wrong(console: Console) -> None:
    page = turn(console, f"?page=report&q={quote(json.dumps({'by': 'hour', 'period': '365d'}))}")

    expect(page.get_by_role("alert")).to_contain_text("a longer unit")
    expect(choice(page, "Bucket of time")).to_have_attribute("aria-invalid", "true")


def test_what_is_missing_is_said_and_not_asked(console: Console) -> None:
    page = turn(
        console, f"?page=report&q={quote(json.dumps({'measure': 'average', 'activity': PAID.id}))}"
    )

    expect(page.get_by_role("region", name="Answer")).to_have_text("Choose the number to measure.")
    expect(page.get_by_role("button", name="Save report…")).to_be_disabled()
    assert not [each for each in console.asked if each.endswith("/api/ask")]


def test_by_keyboard_alone_a_comparison_is_added_filled_and_taken_away(bought: Console) -> None:
    page = ask(bought, Query(PAID.id))
    page.get_by_role("button", name="where…").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_label("Attribute")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.type("pot")
    settle(bought)
    expect(page.get_by_role("region", name="Answer")).to_contain_text("2 in all")

    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="where…")).to_be_focused()
    settle(bought)
    assert question_of(page) == {"activity": PAID.id}


# -- saved, pinned, arranged


def tiles(page: Page) -> Locator:
    return page.locator(".tile h2")


def test_a_report_is_saved_pinned_and_there_after_a_reload(bought: Console) -> None:
    page = ask(bought, Query(PAID.id, split_by=PLAN))
    page.get_by_role("button", name="Save report…").click()
    page.get_by_label("Name").fill("Pots & plants")
    page.keyboard.press("Enter")
    expect(page).to_have_title("Pots & plants")
    page.get_by_role("button", name="Pin on Overview").click()
    expect(page.get_by_role("button", name="Unpin")).to_be_visible()

    saved = bought.capture.reports.get("pots-plants")
    assert saved is not None
    assert saved.value == Report(
        "pots-plants", "Pots & plants", Query(PAID.id, split_by=PLAN), "shares"
    )
    turn(bought, "?page=overview")
    expect(tiles(page)).to_contain_text(["Pots & plants"])
    expect(page.get_by_role("region", name="Pots & plants")).to_contain_text("pot267 %")

    turn(bought, "?page=reports")
    page.get_by_role("switch", name="Pots & plants on the Overview").click()
    expect(page.get_by_role("status")).to_contain_text(["It is off the Overview."])
    assert "pots-plants" not in bought.capture.reports.pinned().names


def test_a_report_that_was_changed_meanwhile_is_not_written_over(console: Console) -> None:
    reports = console.capture.reports
    reports.put(Report("mine", "Mine", Query(PAID.id)))
    console.open("?page=report&name=mine")
    page = console.page
    reports.put(Report("mine", "Theirs", Query(ONCE.id)))
    choice(page, "Period").select_option("90d")
    page.get_by_role("button", name="Save…").click()
    page.get_by_role("button", name="Save", exact=True).click()

    expect(page.get_by_role("dialog").get_by_role("alert")).to_be_visible()
    found = reports.get("mine")
    assert found is not None
    assert found.value is not None
    assert found.value.title == "Theirs"


def test_a_report_is_deleted_when_the_reader_means_it(console: Console) -> None:
    console.capture.reports.put(Report("mine", "Mine", Query(PAID.id)))
    console.open("?page=report&name=mine")
    page = console.page
    page.get_by_role("button", name="Delete…").click()
    page.get_by_role("button", name="Cancel").click()
    assert console.capture.reports.get("mine") is not None

    page.get_by_role("button", name="Delete…").click()
    page.get_by_role("button", name="Delete report").click()
    expect(page).to_have_title("Reports")
    assert console.capture.reports.get("mine") is None


def test_the_overview_is_arranged_by_keys_and_stays_so(bought: Console) -> None:
    bought.open("?page=overview")
    page, names = bought.page, bought.capture.reports.pinned().names
    page.get_by_role("button", name="Arrange").click()
    first = page.get_by_role("button", name="Move ").first
    label = first.get_attribute("aria-label")
    first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("End")
    expect(page.get_by_role("button", name=label or "", exact=True)).to_be_focused()
    expect(page.get_by_role("status")).to_contain_text([f"place {len(names)} of {len(names)}"])
    page.get_by_role("button", name="Unpin ").first.click()
    expect(page.get_by_role("status")).to_contain_text(["is off the Overview."])

    page.reload()
    expect(tiles(page)).to_have_count(len(names) - 1)
    assert bought.capture.reports.pinned().names == (*names[2:], names[0])


def test_a_report_that_fails_on_the_overview_harms_no_other(bought: Console) -> None:
    names = bought.capture.reports.pinned().names
    error = {"error": {"code": "too-long", "message": "ask for a shorter period"}}
    bought.page.route(
        f"**/reports/{names[0]}/answer", lambda route: route.fulfill(status=422, json=error)
    )
    bought.open("?page=overview")

    expect(bought.page.locator(".tile").first).to_contain_text("This takes too long to count.")
    expect(bought.page.locator(".tile").nth(1).locator("svg").first).to_be_visible()


def test_before_the_first_activity_the_overview_says_what_to_do(console: Console) -> None:
    console.open("?page=overview")
    page = console.page
    expect(page.get_by_role("heading", name="Waiting for the first activity…")).to_be_visible()
    expect(page.locator("pre")).to_contain_text("ap3c.activity(")

    console.record(plan="pot", price=1)
    console.later(5)
    expect(tiles(page).first).to_be_visible()


# -- audiences


def test_an_audience_is_counted_while_it_is_made_and_its_members_are_listed(
    bought: Console,
) -> None:
    bought.capture.audiences.put(Audience("all-buyers", "All buyers", Did(PAID.id)))
    bought.open("?page=audience")
    page = bought.page
    choice(page, "Activity").select_option(label="Paid")
    page.get_by_label("How many times, at least").fill("2")
    settle(bought)
    expect(page.get_by_role("region", name="How many")).to_contain_text("1 of 2 people")
    page.get_by_role("button", name="Is in an audience…").click()
    settle(bought)

    page.get_by_role("button", name="Save audience…").click()
    page.get_by_label("Name").fill("Again")
    page.keyboard.press("Enter")
    expect(page.get_by_role("list", name="Members").get_by_role("link")).to_have_count(1)
    saved = bought.capture.audiences.get("again")
    assert saved is not None
    assert saved.value is not None
    assert saved.value.people == All((Did(PAID.id, at_least=2, within="30d"), In("all-buyers")))
    expect(page.locator("pre")).to_have_text('capture.audiences.members("again")')

    turn(bought, "?page=audiences")
    expect(page.get_by_role("table").locator("td")).to_have_text(["1", "2"])


CONDITIONS: list[Condition] = [
    Did(PAID.id),
    Not(Did(PAID.id, within="12w")),
    AnyOf((Did(PAID.id), Not(In("some")))),
    Not(AnyOf((Did(PAID.id), Did(ONCE.id)))),
    Not(All((Did(PAID.id), Did(ONCE.id)))),
    All((Did(ONCE.id, (Where(PLAN, "starts-with", "é"),), 2), AnyOf((Did(PAID.id), In("some"))))),
]


def test_the_editor_hands_out_a_condition_as_it_got_it(console: Console) -> None:
    for condition in CONDITIONS:
        page = turn(console, f"?page=audience&q={quote(json.dumps(plain(condition)))}")
        # A condition more, and away again: all others went through the editor.
        page.get_by_role("button", name="Has done…").last.click()
        page.get_by_role("button", name="Remove this condition").last.click()
        assert parse_condition(question_of(page)) == condition


def test_no_more_conditions_than_a_question_may_have(console: Console) -> None:
    many = plain(All(tuple(Did(PAID.id, at_least=each) for each in range(1, 15))))
    console.open(f"?page=audience&q={quote(json.dumps(many))}")
    page = console.page
    page.get_by_role("button", name="Has not done…").click()

    expect(page.get_by_role("button", name="Has not done…")).to_have_count(0)
    expect(page.get_by_text("15 conditions are the most.")).to_be_visible()


# -- health, and who may what


def test_health_says_what_is_wrong_what_to_do_and_what_became_of_requests(bought: Console) -> None:
    bought.open("?page=health")
    page = bought.page

    expect(page.get_by_role("table", name="Outcomes")).to_contain_text(
        "There is no such activity for websites."
    )
    expect(page.get_by_role("table", name="Outcomes")).to_contain_text("Stored.")
    expect(page.get_by_role("table", name="Backends")).to_contain_text("journal")
    assert bought.complaints == []


def test_a_reader_who_may_only_read_is_not_offered_to_write(bought: Console) -> None:
    bought.capture.reports.put(Report("mine", "Mine", Query(PAID.id)))
    bought.capture.audiences.put(Audience("all-buyers", "All buyers", Did(PAID.id)))
    bought.scopes = ("read",)
    page = bought.page
    for address in ("report&name=mine", "audience&name=all-buyers"):
        turn(bought, f"?page={address}")
        expect(page.get_by_text("Saving needs the scope write.")).to_be_visible()
        for name in ("Save…", "Delete…", "Pin on Overview"):
            expect(page.get_by_role("button", name=name)).to_have_count(0)
    # Addresses in full are a file of their own.
    expect(page.get_by_role("button", name="CSV")).to_have_count(0)
    turn(bought, "?page=overview")
    expect(tiles(page).first).to_be_visible()
    expect(page.get_by_role("button", name="Arrange")).to_have_count(0)
    turn(bought, "?page=reports")
    expect(page.get_by_role("switch").first).to_be_disabled()


def test_names_and_values_from_outside_are_text(console: Console) -> None:
    console.define(Definition("act:cm:odd", HOSTILE, attributes=[PLAN]))
    console.record(plan=HOSTILE, price=1)
    console.capture.audiences.put(Audience("odd", HOSTILE[:100], Did("act:cm:odd")))
    console.capture.reports.put(Report("odd", HOSTILE[:100], Query("act:cm:odd", split_by=PLAN)))
    console.capture.reports.pin(["odd"])
    split = quote(json.dumps(plain(Query(PAID.id, split_by=PLAN))))
    for page in (
        "overview",
        "reports",
        "report&name=odd",
        f"report&q={split}",
        "audiences",
        "audience&name=odd",
        "health",
    ):
        turn(console, f"?page={page}")
        expect(console.page.locator("main img")).to_have_count(0)
    assert console.complaints == []


@pytest.mark.parametrize("where", ["report", "audience"])
def test_an_address_that_holds_no_question_shows_one_that_can_be_edited(
    console: Console, where: str
) -> None:
    for odd in ("{", "5", "[]", '{"where": 5}', '{"people": {"all": 7}}', '{"all": {"a": 1}}'):
        turn(console, f"?page={where}&q={quote(odd)}")
        expect(console.page.locator(".editor select").first).to_be_visible()
    assert [each for each in console.complaints if "400" not in each] == []


def test_what_cannot_be_read_any_more_says_so_and_harms_no_other(bought: Console) -> None:
    bought.capture.reports.pin(["active-people", "refusals"])
    documents = bought.backends.documents
    assert documents is not None
    documents.put("report", "active-people", {"title": "Odd", "question": {}, "draw": "smoke"})
    bought.open("?page=overview")
    page = bought.page
    expect(page.locator(".tile").first).to_contain_text("cannot be read")
    expect(page.locator(".tile").last).to_contain_text("No activity has this id")

    turn(bought, "?page=reports")
    expect(page.get_by_role("row", name="active-people")).to_contain_text("cannot be read any more")
    turn(bought, "?page=report&name=active-people")
    expect(page.get_by_text("Saving replaces it.")).to_be_visible()


def test_a_thirty_first_report_stays_off_the_overview_and_says_why(console: Console) -> None:
    reports = console.capture.reports
    for number in range(31):
        reports.put(Report(f"r{number:02}", f"Report {number:02}", Query()))
    reports.pin([f"r{number:02}" for number in range(30)])
    console.open("?page=reports")
    switch = console.page.get_by_role("switch", name="Report 30 on the Overview")
    switch.click()

    expect(console.page.get_by_role("status")).to_contain_text(["The Overview holds 30 reports."])
    expect(switch).not_to_be_checked()


def test_a_report_that_is_saved_as_no_page_draws_it_opens_unchanged(console: Console) -> None:
    """Such as a line for each of several values: it is drawn as fits, and nothing is to save."""
    several = Query(PAID.id, by="day", split_by=PLAN)
    console.capture.reports.put(Report("several", "Several", several, "line"))
    console.open("?page=report&name=several")

    expect(console.page.get_by_role("button", name="CSV")).to_be_enabled()
    assert "q=" not in console.page.url
