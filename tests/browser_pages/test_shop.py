"""The demo shop: every button does what the words beside it say, and the console shows it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from secrets import token_urlsafe
from typing import Literal

import pytest
from playwright.sync_api import Page, expect

from ortto_capture import Capture, Settings, open_backends
from ortto_capture.cli.shop import DEFINITIONS, build
from ortto_capture.console.tokens import TokenGuard

from ..services import clock_after, serve
from .conftest import CONTRASTS, Complaints


class Shop:
    """The shop in one page, and what it complained of."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.base = ""
        self.guard = TokenGuard()
        self.time = clock_after(600)
        self.complaints = Complaints(page)
        self.answers = page.locator("#answers > li")

    def clock(self) -> float:
        """The time in the shop."""
        return self.time()

    def open(self) -> None:
        """Go there, and wait for the client."""
        self.page.goto(f"{self.base}/{self.guard.fragment}")
        self.page.wait_for_function("ap3c.loaded")

    def sign_in(self) -> None:
        """With the address that stands there already."""
        self.page.get_by_role("button", name="Sign in").click()
        expect(self.page.get_by_text("Hello, jo@example.com")).to_be_visible()

    def press(self, button: str) -> None:
        """Press a button of the side panel."""
        self.page.get_by_role("button", name=button).click()

    @contextmanager
    def started(self) -> Iterator[None]:
        """The demo runs, with a memory and a key of its own, at an address of its own."""
        backends = open_backends("memory:")
        backends.definitions.declare(DEFINITIONS)
        settings = Settings(secret_keys=[token_urlsafe(32)])
        capture = Capture(backends=backends, settings=settings, clock=self.clock)
        with serve(build(capture, self.guard)) as self.base:
            yield


@pytest.fixture
def shop(page: Page) -> Iterator[Shop]:
    """The demo shop, open."""
    there = Shop(page)
    with there.started():
        there.open()
        yield there


BUTTONS = {
    "Pour a cup": "act:cm:cup-poured200 ok",
    "Issue a refund": "act:cm:refund-issued404 not-found",
    "Add to wish list": "act:cm:wish-list404 not-found",
    "Buy for “twelve”": "act:cm:purchase400 bad-attribute",
}


@pytest.mark.parametrize("button", BUTTONS)
def test_each_button_shows_what_it_says(shop: Shop, button: str) -> None:
    shop.sign_in()
    shop.press(button)

    expect(shop.answers.first).to_have_text(BUTTONS[button])


def test_of_twelve_in_a_row_ten_pass_and_two_reach_the_limit(shop: Shop) -> None:
    shop.sign_in()
    expect(shop.answers).to_have_count(2)
    shop.press("Pour twelve cups")

    expect(shop.answers.locator("b")).to_have_text(
        ["429 rate-limit"] * 2 + ["200 ok"] * 12  # the last two are the sign-in's
    )


def test_shortly_before_a_limit_ends_the_last_cups_wait_for_that(shop: Shop) -> None:
    shop.time = clock_after(3_540)
    shop.sign_in()
    expect(shop.answers).to_have_count(2)
    shop.press("Pour twelve cups")

    expect(shop.answers.locator("b")).to_have_text(
        ["429 rate-limit", "429 rate-limit", *["200 ok"] * 12]
    )


def test_a_visit_is_in_the_console(shop: Shop) -> None:
    """Choose, buy and try, with the console open beside it."""
    shop.sign_in()
    shop.page.get_by_text("500 g, for two").click()
    shop.page.get_by_role("button", name="Buy", exact=True).click()
    expect(shop.page.get_by_text("Thank you.")).to_be_visible()
    shop.press("Issue a refund")
    expect(shop.answers).to_have_count(5)

    with shop.page.context.expect_page() as opened:
        shop.page.get_by_role("link", name="Open the console").click()
    beside = opened.value
    # The shop asks now and again who is there.
    rows = beside.locator(".event").filter(has_not_text="Identified")
    expect(rows.locator(".outcome")).to_have_text(["Refused", "Accepted", "Accepted", "Accepted"])
    expect(rows.locator(".what > bdi")).to_have_text(
        ["Refund issued", "Bought Pot", "Chose Pot", "Signed in"]
    )
    expect(rows.locator(".about")).to_have_text(
        [
            "Its client-side source is off.",
            "plan Pot · price 22 · gift no",
            "plan Pot · price 22",
            "email •••",
        ]
    )


def test_until_a_visitor_signs_in_activities_are_held(shop: Shop) -> None:
    shop.press("Pour a cup")
    expect(shop.answers.first).to_have_text("act:cm:cup-pouredheld until you sign in")

    shop.sign_in()
    expect(shop.answers.filter(has_text="act:cm:cup-poured200 ok")).to_have_count(1)


def test_a_visitor_is_remembered_until_they_sign_out(shop: Shop) -> None:
    shop.sign_in()
    shop.page.reload()
    expect(shop.page.get_by_text("Welcome back")).to_be_visible()

    shop.page.get_by_role("button", name="Sign out").click()
    expect(shop.page.get_by_role("button", name="Sign in")).to_be_visible()
    shop.page.reload()
    shop.page.wait_for_function("ap3c.loaded")
    expect(shop.page.get_by_role("button", name="Sign in")).to_be_visible()


def test_after_a_restart_no_visitor_is_welcomed_back_who_has_to_sign_in(shop: Shop) -> None:
    """The new demo does not know the old one's sessions, but the cookies are there."""
    shop.sign_in()
    with shop.started():
        assert shop.page.context.cookies(shop.base)
        with shop.page.expect_response("**/-/events/track"):
            shop.open()
        shop.press("Pour a cup")
        expect(shop.answers.first).to_have_text("act:cm:cup-pouredheld until you sign in")
        expect(shop.page.get_by_text("Welcome back")).to_be_hidden()

        shop.sign_in()
        expect(shop.answers.filter(has_text="act:cm:cup-poured200 ok")).to_have_count(1)


def test_a_restart_while_the_shop_is_open_is_said_at_the_first_press(shop: Shop) -> None:
    shop.sign_in()
    expect(shop.answers).to_have_count(2)
    # As a server with another key sees it.
    shop.page.evaluate("document.cookie = 'ap3c=oc1.of-another-start; path=/'")
    shop.press("Pour a cup")

    expect(shop.answers.first).to_have_text("act:cm:cup-pouredheld until you sign in")
    expect(shop.page.get_by_role("button", name="Sign in")).to_be_visible()


def test_the_focus_stays_where_the_visitor_was(shop: Shop) -> None:
    """Signing in hides the form, and signing out hides the button that was pressed."""
    shop.page.get_by_label("E-mail").focus()
    shop.page.keyboard.press("Enter")
    expect(shop.page.get_by_role("button", name="Sign out")).to_be_focused()
    shop.page.keyboard.press("Enter")
    expect(shop.page.get_by_label("E-mail")).to_be_focused()


def test_the_shop_has_one_page(shop: Shop) -> None:
    for path, status in (("/", 200), ("/cup.svg", 200), ("/__init__.py", 404), ("/../shop", 404)):
        assert shop.page.request.get(shop.base + path).status == status


@pytest.mark.parametrize("width", [375, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_readable_and_fits(shop: Shop, width: int, scheme: Literal["light", "dark"]) -> None:
    shop.page.emulate_media(color_scheme=scheme)
    shop.page.set_viewport_size({"width": width, "height": 800})
    assert shop.page.evaluate(CONTRASTS) == {}
    shop.sign_in()
    shop.page.get_by_text("500 g, for two").click()
    shop.page.get_by_role("button", name="Buy", exact=True).click()
    expect(shop.answers).to_have_count(4)

    assert shop.page.evaluate(CONTRASTS) == {}
    assert shop.page.evaluate("document.documentElement.scrollWidth") == width
    assert shop.complaints.said == []
