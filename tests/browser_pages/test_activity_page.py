"""The activity page: what people see of what arrives."""

from __future__ import annotations

from typing import Literal

import pytest
from playwright.sync_api import expect

from ortto_capture.console.tokens import TokenGuard
from ortto_capture.wire import track_request

from .conftest import OFF, ONCE, ActivityPage

#: WCAG 2.2, success criterion 1.4.3, as a script: every text's contrast on what lies behind it.
CONTRASTS = """
() => {
  const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = (colour) => {
    const [r, g, b] = parts(colour).map((part) => {
      const share = part / 255;
      return share <= 0.03928 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (element) => {
    for (let each = element; each; each = each.parentElement) {
      const colour = getComputedStyle(each).backgroundColor;
      if (parts(colour)[3] !== 0) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const found = {};
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || !element.checkVisibility()) continue;
    const [a, b] = [light(getComputedStyle(element).color), light(ground(element))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < 4.5) found[texts.currentNode.data] = contrast;
  }
  return found;
}
"""


def test_what_arrives_shows_up_newest_first_with_the_reason_of_each_refusal(
    activity_page: ActivityPage,
) -> None:
    activity_page.open()
    activity_page.record("act:cm:paid", {"str:cm:plan": "Pot", "int:cm:price": 22})
    activity_page.poll()
    expect(activity_page.rows).to_have_count(1)
    expect(activity_page.rows.locator("> span")).to_have_text(
        [
            "accepted",
            "14 s ago",  # two of them until the poll
            "user@emaildomain.com",
            "Paid act:cm:paid",
            "plan Pot · price 22",
        ]
    )

    activity_page.record("act:cm:paid", {"int:cm:price": "22"})
    activity_page.record("act:cm:unheard-of")
    activity_page.poll()
    expect(activity_page.rows.locator(".outcome")).to_have_text(["refused", "refused", "accepted"])
    expect(activity_page.rows.locator(".about")).to_have_text(
        [
            "No activity has this id.",
            "The value does not fit its type: int:cm:price",
            "plan Pot · price 22",
        ]
    )
    expect(activity_page.page.locator("#counts dd")).to_have_text(["1", "0", "2", "0"])
    assert activity_page.complaints.said == []


def test_a_poll_that_brings_nothing_costs_nothing(activity_page: ActivityPage) -> None:
    activity_page.record()
    activity_page.open()

    assert activity_page.poll().status == 304
    activity_page.record()
    assert activity_page.poll().status == 200
    assert activity_page.poll().status == 304


def test_an_empty_page_offers_code_that_works(activity_page: ActivityPage) -> None:
    activity_page.open()

    code = activity_page.page.locator("#example")
    expect(code).to_contain_text('ap3c.track({email: "user@emaildomain.com"})')
    expect(code).to_contain_text(ONCE.id)
    activity_page.record()
    activity_page.poll()
    expect(code).to_be_hidden()


def test_values_are_text_and_cannot_disguise_themselves(activity_page: ActivityPage) -> None:
    value = "<img src=x onerror=alert(1)>\u202egnp.exe"
    activity_page.record(attributes={"str:cm:plan": value})
    activity_page.record(f"act:cm:<b>{'x' * 60}")
    activity_page.open()

    expect(activity_page.rows.nth(1)).to_contain_text(
        r"plan <img src=x onerror=alert(1)>\u{202e}gnp.exe"
    )
    expect(activity_page.rows.nth(0)).to_contain_text("act:cm:<b>xxx")
    activity_page.rows.nth(1).click()
    expect(activity_page.page.locator("main :is(img, b)")).to_have_count(0)
    assert activity_page.complaints.said == []


REASONS = {
    "act:cm:unheard-of": ["No activity has this id.", "Create it, or correct the spelling"],
    OFF.id: ["Its client-side source is off.", "Switch it on"],
    ONCE.id: ["The person's limit is used up.", "Raise person_limit", "rate-limit"],
    "act::s-ae": ["System activities cannot be sent", "Use an id of your own"],
}


@pytest.mark.parametrize("activity_id", REASONS)
def test_a_refusal_says_what_happened_and_how_to_mend_it(
    activity_page: ActivityPage, activity_id: str
) -> None:
    for _ in range(2):
        activity_page.record(activity_id)
    activity_page.open()
    activity_page.rows.first.click()

    for words in (*REASONS[activity_id], activity_id):
        expect(activity_page.page.locator(".detail")).to_contain_text(words)


def test_everything_can_be_reached_by_keyboard(activity_page: ActivityPage) -> None:
    for activity_id in ("act:cm:paid", "act:cm:once", "act:cm:unheard-of"):
        activity_page.record(activity_id)
    activity_page.open()
    press = activity_page.page.keyboard.press

    press("j")
    press("j")
    press("j")
    press("j")
    press("k")
    expect(activity_page.rows.nth(1)).to_be_focused()
    press("Enter")
    expect(activity_page.page.locator(".detail")).to_contain_text("act:cm:once")
    press("Escape")
    expect(activity_page.page.locator(".detail")).to_have_count(0)

    press("/")
    activity_page.page.keyboard.type("UNHEARD")
    expect(activity_page.rows).to_have_count(1)
    activity_page.page.keyboard.type("/jk")
    expect(activity_page.page.get_by_text("Nothing matches")).to_be_visible()
    press("Escape")
    expect(activity_page.rows).to_have_count(3)


def test_nothing_moves_under_the_eyes_of_a_reader(activity_page: ActivityPage) -> None:
    """In an open row, and further down the page."""
    for _ in range(60):
        activity_page.record()
    activity_page.open()
    row = activity_page.rows.nth(2)
    row.click()
    opened = activity_page.page.locator("li:has(.detail) > .row")
    before = opened.bounding_box()
    for _ in range(5):
        activity_page.record()
    activity_page.poll()
    expect(activity_page.rows).to_have_count(65)
    assert opened.bounding_box() == before

    activity_page.page.keyboard.press("Escape")
    activity_page.page.evaluate("document.activeElement.blur(); scrollTo(0, 700)")
    activity_page.rows.evaluate_all(
        "rows => { window.read = rows.find((row) => row.getBoundingClientRect().top > 0) }"
    )
    top = activity_page.page.evaluate("read.getBoundingClientRect().top")
    activity_page.record()
    activity_page.poll()
    expect(activity_page.rows).to_have_count(66)
    assert activity_page.page.evaluate("read.getBoundingClientRect().top") == top


def test_a_busy_hour_arrives_in_order_and_whole(activity_page: ActivityPage) -> None:
    """More than one answer holds: the page asks on without waiting."""
    activity_page.record()
    activity_page.open()
    for price in range(250):
        activity_page.record(attributes={"int:cm:price": price})
    activity_page.poll()
    activity_page.poll(1)
    activity_page.poll(1)

    expect(activity_page.rows).to_have_count(251)
    expect(activity_page.rows.locator(".about")).to_have_text(
        [f"price {price}" for price in reversed(range(250))] + [""]
    )


def test_after_a_reload_both_kinds_are_in_one_order_of_time(activity_page: ActivityPage) -> None:
    """And the list does not end in a block of refusals that are older than what is loaded."""
    for price in range(130):
        activity_page.clock.advance(1)
        activity_page.record("act:cm:unheard-of")
        activity_page.clock.advance(1)
        activity_page.record(attributes={"int:cm:price": price})
    activity_page.open()
    shown = activity_page.rows.locator(".outcome").all_inner_texts()

    assert shown == ["accepted", "refused"] * 99 + ["accepted"]


def test_rows_of_a_later_answer_stand_where_their_time_is(activity_page: ActivityPage) -> None:
    """A busy moment comes in several answers; refusals come with the first of them."""
    activity_page.record()
    activity_page.open()
    for price in range(150):
        activity_page.clock.advance(1)
        activity_page.record(attributes={"int:cm:price": price})
        if price % 50 == 49:
            activity_page.clock.advance(1)
            activity_page.record("act:cm:unheard-of")
    activity_page.poll()
    activity_page.poll(1)

    expect(activity_page.rows).to_have_count(154)
    shown = activity_page.rows.locator(".about").all_inner_texts()
    expected = [f"price {price}" for price in range(150)]
    for place in (150, 100, 50):
        expected.insert(place, "No activity has this id.")
    assert shown == [*reversed(expected), ""]


def test_searching_says_that_it_sees_what_is_loaded_only(activity_page: ActivityPage) -> None:
    for _ in range(120):
        activity_page.record()
    activity_page.open()
    activity_page.page.get_by_label("Search the rows on this page").fill("missing")

    expect(activity_page.page.locator("#nomatch")).to_have_text(
        "Nothing matches among the 100 latest rows, which are loaded here; older ones are not "
        "searched. Press Esc to see these rows again."
    )


def test_the_token_of_the_printed_link_is_kept_for_the_tab_and_out_of_the_address(
    activity_page: ActivityPage,
) -> None:
    page, guard = activity_page.page, TokenGuard()
    activity_page.let_in = guard
    activity_page.record()
    there = f"{activity_page.base}/capture/console/"
    addresses: list[str] = []
    page.on("request", lambda request: addresses.append(request.url))
    page.goto(there + guard.fragment)
    expect(activity_page.rows).to_have_count(1)
    assert page.url == there
    page.reload()
    expect(activity_page.rows).to_have_count(1)

    assert not any("token" in address for address in addresses)
    with page.context.new_page() as other:
        other.goto(there)
        other.clock.run_for(10)
        expect(other.get_by_role("status")).to_contain_text("Open the link that the server printed")
        # The new link in the old tab.
        other.goto(there + guard.fragment)
        expect(other.locator("#feed > li")).to_have_count(1)


def test_a_page_far_behind_begins_again_with_the_latest(activity_page: ActivityPage) -> None:
    activity_page.record()
    activity_page.open()
    for price in range(900):
        activity_page.record(attributes={"int:cm:price": price})
    for _ in range(6):
        activity_page.poll()

    expect(activity_page.rows.first).to_contain_text("price 899")
    expect(activity_page.rows).to_have_count(100)


def test_a_page_that_is_not_looked_at_asks_nothing(activity_page: ActivityPage) -> None:
    page = activity_page.page
    page.add_init_script("Object.defineProperty(document, 'hidden', {get: () => window.away})")
    activity_page.open()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))

    page.evaluate("away = true")
    page.clock.run_for(60_000)
    activity_page.record()
    assert asked == []

    page.evaluate("away = false; document.dispatchEvent(new Event('visibilitychange'))")
    expect(activity_page.rows).to_have_count(1)


def test_trouble_is_said_and_passes(activity_page: ActivityPage) -> None:
    activity_page.record()
    activity_page.open()

    activity_page.answering = False
    activity_page.poll()
    activity_page.says("the server answers 502")
    activity_page.answering = True
    activity_page.welcome = False
    activity_page.poll()
    activity_page.says("This page is not open to you")
    activity_page.welcome = True
    activity_page.poll()
    expect(activity_page.page.get_by_role("status")).to_be_hidden()

    activity_page.page.context.set_offline(True)
    with activity_page.page.expect_event("requestfailed"):
        activity_page.page.clock.run_for(2_000)
    activity_page.says("You are offline")
    activity_page.page.context.set_offline(False)
    activity_page.poll()
    expect(activity_page.page.get_by_role("status")).to_be_hidden()
    expect(activity_page.rows).to_have_count(1)


def test_what_was_left_out_is_noted(activity_page: ActivityPage) -> None:
    activity_page.open()
    notes = activity_page.page.locator("#notes")
    expect(notes).to_be_hidden()

    with activity_page.capture.accounted("track") as attempt:
        request = track_request({"email": "user@emaildomain.com", "cc": [1]})
        attempt.identify(request, ip=None)
    activity_page.poll()
    notes.locator("summary").click()
    expect(notes).to_contain_text("Given to ap3c.track, not supported, left out: cc.")


@pytest.mark.parametrize("width", [375, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_readable_and_fits(
    activity_page: ActivityPage, width: int, scheme: Literal["light", "dark"]
) -> None:
    page = activity_page.page
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 800})
    activity_page.open()
    assert page.evaluate(CONTRASTS) == {}

    long = "x" * 255
    activity_page.record(attributes={"str:cm:plan": long})
    activity_page.record("act:cm:" + "x" * 90)
    activity_page.poll()
    activity_page.answering = False
    activity_page.poll()
    for row in activity_page.rows.all():
        row.click()

    expect(page.locator(".detail")).to_have_count(2)
    assert page.evaluate(CONTRASTS) == {}
    assert page.evaluate("document.documentElement.scrollWidth") == width


def test_nothing_moves_for_those_who_asked_for_that(activity_page: ActivityPage) -> None:
    activity_page.page.emulate_media(reduced_motion="reduce")
    activity_page.open()
    activity_page.record()
    activity_page.poll()

    expect(activity_page.rows).to_have_count(1)
    running = "document.getAnimations().filter((each) => each.playState === 'running').length"
    assert activity_page.page.evaluate(running) == 0
