"""Activities, one activity, and a new one: what a reader of these pages is promised."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import pytest
from playwright.sync_api import Locator, Page, expect

from ortto_capture import Attribute, CaptureApp, Definition

from ..browser_pages.conftest import CONTRASTS
from ..services import serve
from .conftest import ONCE, PAID, Console


def row(console: Console, name: str) -> Locator:
    return console.page.get_by_role("row").filter(has=console.page.get_by_role("link", name=name))


def stored(console: Console, activity_id: str) -> Definition:
    definition = console.backends.definitions.get(activity_id)
    assert definition is not None
    return definition


def test_the_list_counts_what_came_today_and_what_was_refused(console: Console) -> None:
    console.record(plan="Pot")
    console.record(plan="Sip")
    console.record(price="twelve")
    console.open("?page=activities")

    cells = row(console, "Paid").get_by_role("cell")
    expect(cells).to_contain_text(["Live", "On", "2", "1", "", "ago"])
    expect(row(console, "Once").get_by_role("cell")).to_contain_text(
        ["Setup", "On", "0", "0", "", "never"]
    )
    assert console.complaints == []


def test_an_activity_that_comes_while_the_list_is_open_is_counted_and_focus_stays(
    console: Console,
) -> None:
    console.open("?page=activities")
    console.page.keyboard.press("j")
    focused = console.page.locator("a:focus")
    before = focused.text_content()
    console.record(plan="Pot")
    console.later(5)

    expect(row(console, "Paid").get_by_role("cell")).to_contain_text(["Live", "On", "1"])
    assert focused.text_content() == before


@pytest.mark.parametrize("name", ["overview", "live", "activities", "people"])
def test_before_there_is_an_activity_a_page_has_the_snippet_to_paste(page: Page, name: str) -> None:
    there = Console(page)
    with serve(there.serving) as there.base:
        there.open(f"?page={name}")

        snippet = CaptureApp(there.capture).snippet("site", endpoint="/capture")
        code = page.get_by_role("figure").filter(has_text="In the head of every page, once")
        expect(code.locator("pre")).to_have_text(snippet)
        expect(code.get_by_role("button", name="Copy")).to_be_visible()
        if name == "activities":
            expect(page.get_by_text("Waiting for the first activity")).to_be_visible()
            there.define(ONCE)
            there.later(5)
            expect(row(there, "Once").get_by_role("switch")).to_be_checked()
            expect(code).to_have_count(0)
        assert there.complaints == []


def test_the_switch_turns_the_client_side_source_off_and_on(console: Console) -> None:
    console.open("?page=activities")
    switch = row(console, "Paid").get_by_role("switch")
    switch.click()
    expect(switch).not_to_be_checked()
    expect(console.page.get_by_text("Paid is off")).to_be_visible()
    assert not stored(console, PAID.id).client_side

    switch.click()
    expect(console.page.get_by_text("Paid is on")).to_be_visible()
    assert stored(console, PAID.id) == PAID


def test_a_switch_that_is_refused_turns_back_and_says_why(console: Console) -> None:
    console.open("?page=activities")
    console.scopes = ("read",)
    switch = row(console, "Paid").get_by_role("switch")
    switch.click()

    expect(console.page.get_by_text("This stays as it was")).to_be_visible()
    expect(switch).to_be_checked()


def test_without_the_scope_to_write_nothing_can_be_pressed_and_the_page_says_why(
    console: Console,
) -> None:
    console.scopes = ("read",)
    console.open("?page=activities")

    expect(console.page.get_by_text("has no scope write")).to_be_visible()
    expect(row(console, "Paid").get_by_role("switch")).to_be_disabled()
    expect(console.page.get_by_role("link", name="New activity")).to_have_count(0)


def test_an_activity_is_found_by_name_or_id_and_the_address_keeps_it(console: Console) -> None:
    console.open("?page=activities")
    console.page.keyboard.press("/")
    console.page.keyboard.type("ONC")
    expect(console.page.locator("tbody tr")).to_have_count(1)
    console.page.reload()
    expect(console.page.locator("tbody tr")).to_have_count(1)

    console.page.get_by_role("searchbox").fill("nothing is called so")
    expect(console.page.get_by_text("No activity is called that.")).to_be_visible()


def test_of_a_thousand_activities_the_first_are_drawn_and_the_rest_on_demand(
    console: Console,
) -> None:
    console.define(*(Definition(f"act:cm:n{n}", f"Number {n}") for n in range(300)))
    console.open("?page=activities")

    expect(console.page.locator("tbody tr")).to_have_count(200)
    console.page.get_by_role("button", name="Show 102 more").click()
    expect(console.page.locator("tbody tr")).to_have_count(302)


def test_an_activity_is_created_and_its_first_arrival_shows_without_a_reload(
    console: Console,
) -> None:
    page = console.page
    console.open("?page=new")
    page.get_by_label("Name", exact=True).fill("Added to Bäsket")
    expect(page.get_by_label("Id", exact=True)).to_have_value("act:cm:added-to-basket")
    page.get_by_role("button", name="Add an attribute").click()
    page.keyboard.type("How many")
    page.get_by_label("Type of the attribute").select_option("int")
    expect(page.get_by_label("Key of the attribute")).to_have_value("int:cm:how-many")
    page.get_by_label("Required").check()
    page.get_by_label("A text of your own").check()
    page.get_by_role("textbox", name="Text").fill("Added ")
    page.get_by_role("button", name="How many", exact=True).click()
    expect(page.locator(".preview")).to_contain_text("Added 0")
    page.get_by_role("button", name="Create activity").click()

    expect(page.get_by_text("Websites may not send it")).to_be_visible()
    page.locator(".notice").get_by_role("switch").click()
    expect(page.get_by_text("Waiting for the first activity")).to_be_visible()
    expect(page.get_by_text("Websites may not send it")).to_have_count(0)
    expect(page.get_by_label("2. Where it happens")).to_contain_text('"int:cm:how-many": 0')
    assert stored(console, "act:cm:added-to-basket") == Definition(
        "act:cm:added-to-basket",
        "Added to Bäsket",
        client_side=True,
        attributes=[Attribute("int:cm:how-many", "How many", required=True)],
        shown_as="Added {int:cm:how-many}",
    )

    console.record("act:cm:added-to-basket")
    console.later(2)
    expect(page.get_by_text("A required attribute is missing.")).to_be_visible()
    console.record("act:cm:added-to-basket", **{"int:cm:how-many": 2})
    console.later(2)
    expect(page.get_by_text("The first activity arrived")).to_be_visible()
    assert console.complaints == []


def test_an_activity_that_was_refused_for_its_id_is_begun_with_it(console: Console) -> None:
    console.open("?page=new&id=act:cm:wish-list")

    expect(console.page.get_by_label("Name", exact=True)).to_have_value("Wish list")
    expect(console.page.get_by_label("Id", exact=True)).to_have_value("act:cm:wish-list")
    console.page.get_by_label("Name", exact=True).fill("Added to a list")
    console.page.get_by_role("button", name="Create activity").click()
    expect(console.page.get_by_text("Waiting for the first activity")).to_be_visible()
    assert stored(console, "act:cm:wish-list").name == "Added to a list"


def test_an_id_that_is_taken_is_said_beside_it_and_nothing_typed_is_lost(console: Console) -> None:
    page = console.page
    console.open("?page=new")
    page.get_by_label("Name", exact=True).fill("Paid")
    page.get_by_role("button", name="Create activity").click()

    wrong = page.get_by_label("Id", exact=True)
    expect(wrong).to_be_focused()
    expect(wrong).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_label("Name", exact=True)).to_have_value("Paid")
    assert stored(console, PAID.id) == PAID


def test_an_attribute_that_is_wrong_is_marked_in_its_row(console: Console) -> None:
    page = console.page
    console.open("?page=new")
    page.get_by_label("Name", exact=True).fill("Odd")
    page.get_by_role("button", name="Add an attribute").click()
    page.get_by_label("Key of the attribute").fill("str:cm:with space")
    page.get_by_role("button", name="Create activity").click()

    expect(page.get_by_role("list", name="Attributes").locator(".wrong")).to_contain_text("str:cm:")
    assert console.backends.definitions.get("act:cm:odd") is None


def test_what_two_operators_change_at_once_is_put_together(console: Console) -> None:
    page = console.page
    console.open(f"?page=new&edit={PAID.id}")
    console.define(replace(PAID, limits={"person": "7/day"}))
    page.get_by_label("Name", exact=True).fill("Paid well")
    page.get_by_role("button", name="Save changes").click()

    expect(page.get_by_role("alert")).to_contain_text("Another operator saved this activity")
    expect(page.get_by_role("alert")).to_contain_text("the limits")
    page.get_by_role("button", name="Save changes").click()
    expect(page.get_by_role("heading", name="Paid well")).to_be_visible()
    assert stored(console, PAID.id) == replace(PAID, name="Paid well", limits={"person": "7/day"})


def test_an_archived_activity_is_kept_aside_and_can_be_brought_back(console: Console) -> None:
    page = console.page
    console.open(f"?page=new&edit={ONCE.id}")
    page.get_by_role("button", name="Archive").click()
    page.get_by_role("dialog").get_by_role("button", name="Archive").click()
    expect(page.get_by_role("heading", name="Activities")).to_be_visible()
    expect(row(console, "Once")).to_have_count(0)
    assert stored(console, ONCE.id).archived

    page.get_by_role("link", name="Show archived ones").click()
    row(console, "Once").get_by_role("link").click()
    page.get_by_role("link", name="Edit").click()
    page.get_by_role("button", name="Bring it back").click()
    expect(page.get_by_text("It is back.")).to_be_visible()
    assert stored(console, ONCE.id) == ONCE


def test_the_overview_of_an_activity_adds_up(console: Console) -> None:
    for plan in ("Pot", "Pot", "Sip"):
        console.record(plan=plan, price=10)
    console.record(price="ten")
    console.open(f"?page=activity&id={PAID.id}&period=7d")
    page = console.page

    expect(page.locator("dl.figures dd:not(.quiet)")).to_contain_text(["3", "1", "1", "ago"])
    page.get_by_text("Values as a table").click()
    expect(page.locator(".values tbody tr")).to_have_count(7)
    expect(page.locator(".values tbody tr").last).to_contain_text("(not over yet)31")
    expect(page.get_by_role("table", name="Values and shares").get_by_role("row")).to_have_text(
        ["Pot267 %", "Sip133 %"]
    )
    expect(page.get_by_role("table", name="Why refused")).to_contain_text("100 %")

    page.get_by_label("Attribute").select_option("int:cm:price")
    expect(page.locator(".figures.small")).to_contain_text("Sum30Average10Median10")
    assert "split=int%3Acm%3Aprice" in page.url


def test_an_activity_is_compared_with_the_period_before(console: Console) -> None:
    console.record()
    console.clock.advance(8 * 86_400)
    for email in ("jo@example.com", "al@example.com"):
        console.session = console.capture.identify(email=email).session
        console.record()
    console.record()
    console.open(f"?page=activity&id={PAID.id}&period=7d")

    figures = console.page.locator("dl.figures")
    expect(figures).to_contain_text("3+200 % on the 7 days before")
    expect(figures).to_contain_text("2+100 % on the 7 days before")


def test_every_tab_of_an_activity_can_be_reloaded_and_linked_to(console: Console) -> None:
    console.record(plan="Pot")
    page = console.page
    console.open(f"?page=activity&id={PAID.id}")
    for tab, shows in {
        "Activity": page.locator(".event"),
        "People": page.get_by_role("link", name="j•••@e•••.com"),
        "Setup": page.get_by_role("heading", name="From your pages"),
    }.items():
        page.get_by_role("navigation", name="Of this activity").get_by_role(
            "link", name=tab
        ).click()
        expect(shows).to_have_count(1)
        page.reload()
        expect(shows).to_have_count(1)


def test_an_activity_that_is_not_there_is_said_to_be_missing(console: Console) -> None:
    console.open("?page=activity&id=act:cm:nowhere")
    expect(console.page.get_by_role("alert")).to_contain_text("This is not there.")


HOSTILE = "<img src=x onerror=alert(1)>\u202e\u0007{{7*7}}"


def test_a_name_is_text_and_cannot_rearrange_the_page(console: Console) -> None:
    console.define(replace(PAID, name=HOSTILE, shown_as=None))
    for address in (
        "?page=activities",
        f"?page=activity&id={PAID.id}",
        f"?page=new&edit={PAID.id}",
    ):
        console.open(address)
        expect(console.page.locator("main img")).to_have_count(0)
        assert "\u202e" not in console.page.locator("main").inner_text()

    console.open("?page=activities")
    expect(console.page.get_by_text("<img src=x onerror=alert(1)>\\u{202e}\\u{7}")).to_be_visible()
    assert console.complaints == []


@pytest.mark.parametrize(("width", "scheme"), [(375, "light"), (1120, "dark")])
def test_it_is_readable_and_fits(
    console: Console, width: int, scheme: Literal["light", "dark"]
) -> None:
    long = Definition("act:cm:" + "x" * 90, "A long name, " * 19, client_side=True)
    console.define(long)
    console.record(plan="x" * 255, price=2**53 - 1)
    console.record(price="x")
    console.page.emulate_media(color_scheme=scheme)
    console.page.set_viewport_size({"width": width, "height": 800})
    one = f"?page=activity&id={PAID.id}"
    for address in (
        "?page=activities",
        *(one, f"{one}&tab=people", f"{one}&tab=setup", f"?page=activity&id={long.id}"),
        *("?page=new", f"?page=new&edit={PAID.id}", "?page=token"),
    ):
        console.open(address)
        assert console.page.evaluate(CONTRASTS) == {}, address
        assert console.page.evaluate("document.documentElement.scrollWidth") == width, address
