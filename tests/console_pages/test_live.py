"""Live, people and a person: what a reader of these pages is promised."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import Locator, expect

from .conftest import ONCE, PAID, Console


def kinds(console: Console) -> Locator:
    return console.page.locator(".event .outcome")


def test_what_arrives_shows_up_newest_first_with_the_reason_of_each_refusal(
    console: Console,
) -> None:
    console.open("?page=live")
    expect(console.rows).to_have_count(1)
    console.record(plan="Pot", price=22, card="4111")
    console.record(price="22")
    console.record("act:cm:unheard-of")
    console.later()

    expect(kinds(console)).to_have_text(["Refused", "Refused", "Accepted", "Identified"])
    expect(console.page.locator(".event .about")).to_have_text(
        [
            "No activity has this id.",
            "The value does not fit its type: int:cm:price",
            "plan Pot · price 22 · card •••",
            "A page told who its visitor is.",
        ]
    )
    expect(console.page.locator(".event .who").first).to_have_text("not known")
    expect(console.page.locator(".event .who").nth(2)).to_have_text("j•••@e•••.com")
    assert console.complaints == []


def test_a_filter_looks_at_all_that_is_kept_and_stands_in_the_address(console: Console) -> None:
    console.record(plan="needle", price=0)
    for price in range(150):
        console.record(plan="hay", price=price)
    console.open("?page=live")
    expect(console.page.get_by_text("needle")).to_have_count(0)

    console.page.get_by_role("searchbox").fill("NEEDLE")
    console.later(0.5)
    expect(console.rows).to_have_count(1)
    expect(console.rows).to_contain_text("plan needle")
    assert "text=NEEDLE" in console.page.url

    console.page.reload()
    expect(console.rows).to_have_count(1)
    expect(console.page.get_by_role("searchbox")).to_have_value("NEEDLE")
    console.record(plan="needle", price=1)
    console.record(plan="hay", price=1)
    console.later()
    expect(console.rows).to_have_count(2)

    console.page.get_by_role("link", name="Clear the filters").click()
    expect(console.rows.first).to_contain_text("plan hay")


def test_counts_activity_and_status_are_filters_too(console: Console) -> None:
    console.record(price=1)
    console.record(ONCE.id)
    console.record(ONCE.id)
    console.record("act:cm:unheard-of")
    console.open("?page=live")

    refused = console.page.get_by_role("navigation", name="Outcome").get_by_role(
        "link", name="Refused"
    )
    expect(refused).to_have_text("Refused2")
    refused.click()
    expect(kinds(console)).to_have_text(["Refused", "Refused"])
    console.page.get_by_label("Activity").select_option("Once")
    expect(kinds(console)).to_have_text(["Refused"])
    console.page.get_by_label("Activity").select_option("Any activity")
    console.page.get_by_label("Status").select_option("404")
    expect(console.rows).to_have_count(1)
    expect(console.rows).to_contain_text("act:cm:unheard-of")
    console.page.go_back()
    expect(console.rows).to_have_count(2)
    expect(console.page.get_by_label("Activity")).to_have_value("")


def test_older_rows_come_on_demand_in_one_order_and_none_twice(console: Console) -> None:
    for price in range(250):
        console.record(price=price)
        if price % 50 == 0:
            console.record("act:cm:unheard-of")
    console.open("?page=live")
    older = console.page.get_by_role("button", name=re.compile("Load older|Look further back"))
    for _ in range(10):
        if not older.count():
            break
        before = console.rows.count()
        older.click()
        expect(console.rows).not_to_have_count(before)

    expect(console.page.get_by_text("That is all that is kept.")).to_be_visible()
    prices = [
        int(text[6:].replace(",", ""))
        for text in console.page.locator(".event .about").all_text_contents()
        if text.startswith("price ")
    ]
    assert prices == list(range(249, -1, -1))
    assert kinds(console).all_text_contents().count("Refused") == 5


def test_a_busy_moment_begins_again_with_the_latest(console: Console) -> None:
    """More than one answer holds: what is between is there on demand."""
    console.open("?page=live")
    for price in range(150):
        console.record(price=price)
    console.later()

    expect(console.rows.first).to_contain_text("price 149")
    expect(console.rows).to_have_count(100)
    console.page.get_by_role("button", name="Load older").click()
    expect(console.rows).to_have_count(151)


def test_asking_again_costs_nothing_while_nothing_comes(console: Console) -> None:
    console.record(price=1)
    console.open("?page=live")
    expect(console.rows).to_have_count(2)
    with console.page.expect_response("**/api/feed?*") as asked:
        console.later()
    assert asked.value.status == 304

    console.page.emulate_media(reduced_motion="reduce")
    console.record(price=2)
    console.later()
    expect(console.rows).to_have_count(3)
    moving = "document.getAnimations().filter((each) => each.playState === 'running').length"
    assert console.page.evaluate(moving) == 0


def test_a_page_that_is_paused_shows_nothing_new_until_it_goes_on(console: Console) -> None:
    console.open("?page=live")
    state = console.page.locator("#connection")
    expect(state).to_have_text("Up to date")

    console.page.keyboard.press("p")
    expect(state).to_have_text("Paused")
    console.record(price=1)
    console.later(60)
    expect(console.rows).to_have_count(1)
    console.page.get_by_role("button", name="Go on").click()
    expect(console.rows).to_have_count(2)
    expect(state).to_have_text("Up to date")


def test_a_server_that_is_away_is_told_and_the_rows_stay(console: Console) -> None:
    console.record(price=1)
    console.open("?page=live")
    console.answering = False
    console.later()
    expect(console.page.locator("#connection")).to_have_text("Offline, trying again")
    expect(console.rows).to_have_count(2)

    console.rows.first.click()
    expect(console.rows).to_have_count(2)
    console.answering = True
    console.record(price=2)
    console.later(60)
    expect(console.rows).to_have_count(3)


def test_equal_rows_are_one_line_until_they_are_unfolded(console: Console) -> None:
    for _ in range(10):
        console.record("act:cm:unheard-of")
    console.open("?page=live")
    expect(console.rows).to_have_count(2)
    fold = console.page.get_by_role("button", name="10 equal ones")
    expect(fold).to_have_text("× 10")

    fold.focus()
    console.page.keyboard.press("Enter")
    expect(console.rows).to_have_count(11)
    expect(fold).to_be_focused()
    console.page.keyboard.press("Enter")
    expect(console.rows).to_have_count(2)
    console.record("act:cm:unheard-of")
    console.later()
    expect(console.page.get_by_role("button", name="11 equal ones")).to_be_visible()


def test_nothing_moves_under_the_eyes_of_a_reader(console: Console) -> None:
    """In a row that is open, and further down the page."""
    for price in range(60):
        console.record(price=price)
    console.open("?page=live")
    console.rows.nth(3).click()
    opened = console.page.locator(".event.open")
    expect(console.details).to_contain_text("56")
    before = opened.bounding_box()
    for price in range(5):
        console.record(price=price)
    console.later()
    expect(console.rows).to_have_count(66)
    assert opened.bounding_box() == before

    expect(console.page.get_by_role("button", name="5 new rows above")).to_be_visible()
    console.page.get_by_role("button", name="5 new rows above").click()
    expect(console.page.get_by_role("button", name="above")).to_be_hidden()


def test_a_refusal_says_what_stopped_it_and_when_the_limit_opens_again(console: Console) -> None:
    console.record(ONCE.id)
    console.record(ONCE.id)
    console.open("?page=live")
    console.rows.first.click()

    for words in (
        "429 rate-limit",
        "The person's limit is used up.",
        "check 12 of 14",
        "counted in UTC",
        "It opens again at 2026-11-24 00:00 UTC, in 24 h.",
        "j•••@e•••.com",
    ):
        expect(console.details).to_contain_text(words)


def test_a_misspelt_id_leads_to_the_one_that_was_meant_or_to_a_new_activity(
    console: Console,
) -> None:
    console.record("act:cm:piad")
    console.open("?page=live")
    console.rows.first.click()

    expect(console.details.get_by_role("link", name=PAID.id)).to_have_attribute(
        "href", "?page=activity&id=act%3Acm%3Apaid"
    )
    expect(console.details.get_by_role("link", name="Create act:cm:piad")).to_have_attribute(
        "href", "?page=new&id=act%3Acm%3Apiad"
    )


def test_attributes_go_by_name_and_masked_values_are_shown_on_record(console: Console) -> None:
    console.record(plan="Pot", card="4111 1111")
    console.open("?page=live")
    console.rows.first.click()
    attributes = console.details.get_by_role("table", name="Attributes")
    expect(attributes).to_have_text("AttributesPayment planPotCard•••")

    console.details.get_by_role("button", name="Show masked values").click()
    expect(attributes).to_have_text("AttributesPayment planPotCard4111 1111")
    expect(console.details.get_by_role("link", name="jo@example.com")).to_be_visible()
    recorded = console.page.request.get(f"{console.base}/capture/console/api/changes").json()
    assert len(recorded["changes"]) == 1


def test_without_the_scopes_there_are_no_buttons_for_what_they_allow(console: Console) -> None:
    console.scopes = ("read",)
    console.record(card="4111")
    console.record("act:cm:piad")
    console.open("?page=live")
    console.rows.first.click()
    expect(console.details.get_by_role("button", name="Copy as JSON")).to_be_visible()
    expect(console.details.get_by_role("link", name="Create")).to_have_count(0)
    console.rows.nth(1).click()
    expect(console.details).to_contain_text("Card")
    expect(console.details.get_by_role("button", name="Show masked")).to_have_count(0)

    console.details.get_by_role("link", name="j•••@e•••.com").click()
    expect(console.page.get_by_role("heading", level=1)).to_be_visible()
    expect(console.page.get_by_text("needs the scope pii")).to_be_visible()
    for name in ("Export", "Erase person", "Show masked values"):
        expect(console.page.get_by_role("button", name=name)).to_have_count(0)


@pytest.mark.parametrize("where", ["?page=live", f"?page=activity&id={PAID.id}&tab=activity"])
def test_the_keys_go_from_row_to_row_and_into_each(console: Console, where: str) -> None:
    for price in range(3):
        console.record(price=price)
    console.open(where)
    expect(console.rows).not_to_have_count(0)
    press = console.page.keyboard.press

    for key in "jjk":
        press(key)
    expect(console.rows.first.get_by_role("link")).to_be_focused()
    press("Enter")
    expect(console.details.get_by_role("table", name="Attributes")).to_contain_text("Price2")
    expect(console.rows.first.get_by_role("link")).to_be_focused()
    press("j")
    expect(console.page.locator(".event.open .about")).to_have_text("price 1")
    press("Escape")
    expect(console.details).to_be_hidden()
    expect(console.rows.nth(1).get_by_role("link")).to_be_focused()


BEHIND = """() => [...document.querySelectorAll("a[href], button, input, select")]
  .filter((each) => !each.closest(".pane") && !each.closest("[inert]")).length"""


@pytest.mark.parametrize("where", ["?page=live", f"?page=activity&id={PAID.id}&tab=activity"])
def test_behind_details_that_cover_the_page_nothing_can_be_focused(
    console: Console, where: str
) -> None:
    page = console.page
    page.set_viewport_size({"width": 375, "height": 800})
    for price in range(3):
        console.record(price=price)
    console.open(where)
    link = console.rows.nth(1).get_by_role("link")
    link.focus()
    page.keyboard.press("Enter")
    expect(console.details.get_by_text("Received")).to_be_visible()
    assert page.evaluate(BEHIND) == 0
    for _ in range(console.details.locator("a, button").count() + 1):
        page.keyboard.press("Tab")
        assert page.evaluate("!document.activeElement.closest('nav, .rows')")
    console.record(price=3)
    console.later()
    assert page.evaluate(BEHIND) == 0

    page.set_viewport_size({"width": 1120, "height": 800})
    expect(page.locator("[inert]")).to_have_count(0)
    page.set_viewport_size({"width": 375, "height": 800})
    expect(page.locator("[inert]")).not_to_have_count(0)
    page.keyboard.press("Escape")
    expect(console.details).to_be_hidden()
    expect(page.locator("[inert]")).to_have_count(0)
    expect(page.locator(".whole:focus")).to_contain_text("Paid")

    page.keyboard.press("Enter")
    console.details.get_by_role("link", name="j•••@e•••.com").click()
    expect(page.get_by_role("heading", name="What they did")).to_be_visible()
    expect(page.locator("[inert]")).to_have_count(0)


def test_the_keys_search_and_tell_of_themselves(console: Console) -> None:
    console.open("?page=live")
    press = console.page.keyboard.press
    press("/")
    expect(console.page.get_by_role("searchbox")).to_be_focused()
    press("Escape")
    press("?")
    expect(console.page.get_by_role("dialog")).to_contain_text("pause")


HOSTILE = "<img src=x onerror=alert(1)>\u202egnp.exe \u0645\u0631\u062d\u0628\u0627"


@pytest.mark.parametrize("width", [375, 2560])
def test_long_and_hostile_values_fit_and_are_text(console: Console, width: int) -> None:
    console.page.set_viewport_size({"width": width, "height": 800})
    session = console.capture.identify(
        email=f"{'x' * 60}@{'y' * 60}.{'z' * 60}.{'w' * 60}.example"
    ).session
    console.capture.record_for(
        PAID.id,
        {"str:cm:plan": HOSTILE},
        email=f"{'x' * 60}@{'y' * 60}.{'z' * 60}.{'w' * 60}.example",
    )
    console.session = session
    console.record("act:cm:" + "n" * 90)
    console.record(note="long words " * 200)
    console.open("?page=live")
    page = console.page
    assert page.evaluate("document.documentElement.scrollWidth") == width
    expect(page.locator("main :is(img, script)")).to_have_count(0)

    console.rows.first.locator(".whole").click()
    expect(console.details).not_to_contain_text("long words " * 100)
    console.details.get_by_role("button", name="Show all 2,200 characters").click()
    expect(console.details).to_contain_text("long words " * 199)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    console.details.get_by_role("button", name="Close").click()
    console.rows.nth(2).locator(".whole").click()
    expect(console.details).to_contain_text("<img src=x onerror=alert(1)>\\u{202e}gnp.exe")
    assert console.complaints == []


# -- people


@pytest.mark.parametrize("where", ["?page=live", "?page=people"])
def test_an_address_finds_its_person_and_never_stands_in_an_address(
    console: Console, where: str
) -> None:
    """It would end in histories and in logs."""
    console.record(price=1)
    console.capture.record_for(PAID.id, email="other@example.com")
    console.open(where)
    console.page.get_by_role("searchbox").fill("jo@example.com")
    console.later(5)
    console.page.keyboard.press("Enter")

    expect(console.page.get_by_text("j•••@e•••.com").first).to_be_visible()
    expect(console.rows).to_have_count(2)
    expect(console.page.get_by_text("o•••@e•••.com")).to_have_count(0)
    asked = [*console.asked, console.page.url]
    assert [address for address in asked if "example" in address.replace(console.base, "")] == []


def test_an_id_finds_its_person_beside_the_rows_that_hold_it(console: Console) -> None:
    console.record(plan="customer-7")
    console.capture.record_for(PAID.id, ei="customer-7")
    console.open("?page=live")
    console.page.get_by_role("searchbox").fill("customer-7")
    console.page.keyboard.press("Enter")

    expect(console.rows).to_have_count(1)
    expect(console.rows).to_contain_text("j•••@e•••.com")
    console.page.get_by_role("link", name="Show only this person").click()
    expect(console.rows).to_have_count(1)
    expect(console.rows).to_contain_text("c•••")
    expect(console.page.get_by_role("searchbox")).to_have_value("")
    expect(console.page.get_by_text("A person has this id.")).to_have_count(0)


def test_no_person_is_found_by_what_is_no_address_of_theirs(console: Console) -> None:
    console.open("?page=people")
    console.page.get_by_role("searchbox").fill("jo@example")
    console.page.keyboard.press("Enter")

    expect(console.page.get_by_text("No person has this address or id.")).to_be_visible()


def test_a_person_shows_what_they_did_and_exports_all_of_it(
    console: Console, tmp_path: Path
) -> None:
    for price in range(3):
        console.record(price=price)
    console.record(price="wrong")
    console.open("?page=people")
    console.page.get_by_role("table", name="People").get_by_role("link").click()

    expect(console.page.get_by_role("table", name="What this person did")).to_contain_text("Paid")
    expect(kinds(console).first).to_have_text("Refused")
    console.rows.first.locator(".whole").click()
    expect(console.details).to_contain_text("int:cm:price")
    console.page.keyboard.press("Escape")
    expect(console.details).to_be_hidden()
    console.page.get_by_role("button", name="Show masked values").click()
    expect(console.page.get_by_text("jo@example.com").first).to_be_visible()

    with console.page.expect_download() as exported:
        console.page.get_by_role("button", name="Export").click()
    exported.value.save_as(tmp_path / "person.json")
    kept = json.loads((tmp_path / "person.json").read_text("utf-8"))
    assert (len(kept["activities"]), len(kept["refusals"])) == (3, 1)


@pytest.mark.parametrize(
    ("email", "first"),
    [
        ("x" * 64 + "@" + ("y" * 60 + ".") * 3 + "exampl", "A name " * 14),
        ("jo@münchen-bücher.example", "مرحبا بالعالم"),
    ],
    ids=["longest", "idn-and-right-to-left"],
)
def test_any_address_and_name_fits_and_is_shown_as_people_write_it(
    console: Console, email: str, first: str
) -> None:
    console.session = console.capture.identify(email=email, first=first).session
    console.record()
    console.page.set_viewport_size({"width": 375, "height": 800})
    fits = "document.documentElement.scrollWidth === 375"
    for address in ("?page=live", "?page=people"):
        console.open(address)
        assert console.page.evaluate(fits), address
    console.page.get_by_role("table", name="People").get_by_role("link").first.click()
    console.page.get_by_role("button", name="Show masked values").click()

    expect(console.page.locator("main bdi").get_by_text(email, exact=True).first).to_be_visible()
    expect(console.page.locator("main bdi").get_by_text(first.strip()).first).to_be_visible()
    assert console.page.evaluate(fits)


def test_a_person_is_erased_by_typing_who_it_is(console: Console) -> None:
    console.record(price=1)
    console.open("?page=people")
    console.page.get_by_role("table", name="People").get_by_role("link").click()
    console.page.get_by_role("button", name="Erase person").click()
    dialog = console.page.get_by_role("dialog")
    expect(dialog).to_contain_text("This cannot be undone.")
    typed = dialog.get_by_role("textbox")
    typed.fill("other@example.com")
    console.page.keyboard.press("Enter")
    expect(dialog).to_contain_text("neither the address nor the id of this person")
    assert len(console.backends.journal.latest()) == 1

    typed.fill("Jo@Example.com")
    console.page.keyboard.press("Enter")
    expect(console.page.get_by_role("heading", name="This person is erased")).to_be_focused()
    expect(console.page.get_by_text("1 activity was removed")).to_be_visible()
    assert console.backends.journal.latest() == []


def test_an_empty_console_shows_the_code_to_paste_and_waits(console: Console) -> None:
    console.open("?page=live&activity=act:cm:paid")
    expect(console.page.get_by_text("Nothing matches in all that is kept.")).to_be_visible()
    console.page.goto(f"{console.base}/capture/console/?page=activity&id={PAID.id}&tab=activity")

    expect(console.page.get_by_text("Waiting for the first request.")).to_be_visible()
    expect(console.page.get_by_role("button", name="Copy").first).to_be_visible()
    console.record(price=1)
    console.later()
    expect(console.page.get_by_text("Waiting")).to_have_count(0)
    expect(console.rows).to_have_count(1)
