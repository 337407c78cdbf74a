"""The guide by keyboard alone, and what a reader is told when the console changes under them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from werkzeug.wrappers import Response

from ortto_capture import CaptureApp, Definition, mount
from ortto_capture.console.tokens import new

from ..services import serve
from .conftest import PAID, SCOPES, Console

#: What has focus, as a screen reader calls it.
FOCUSED = """() => {
  const at = document.activeElement;
  return (at.ariaLabel || at.labels?.[0]?.textContent || at.textContent).trim();
}"""
#: More than any page of a small account has places for focus.
MOST = 100


def tab_to(page: Page, *names: str) -> None:
    """Press Tab until one of these names has focus; behind the last place follows the first."""
    passed = []
    for _ in range(MOST):
        page.keyboard.press("Tab")
        passed.append(page.evaluate(FOCUSED))
        if passed[-1] in names:
            return
    raise AssertionError(f"Tab does not come to {names}, but to {passed}")


def enter(page: Page, name: str) -> None:
    """Go to this place, and press Enter there."""
    tab_to(page, name)
    page.keyboard.press("Enter")


@pytest.fixture
def empty(page: Page) -> Iterator[Console]:
    """A console without an activity, and a visitor who is identified."""
    with Console(page).served() as there:
        there.session = there.capture.identify(email="jo@example.com").session
        yield there


def test_the_guide_can_be_walked_by_keyboard_alone(empty: Console) -> None:
    page, console = empty.page, empty
    console.open("?page=activities")

    enter(page, "New activity")
    expect(page.get_by_label("Name", exact=True)).to_be_focused()
    page.keyboard.type("Logged in")
    enter(page, "Create activity")
    expect(page.get_by_text("Websites may not send it")).to_be_visible()
    enter(page, "Let websites send it")
    expect(page.get_by_text("Waiting for the first activity")).to_be_visible()

    enter(page, "Live")
    expect(page.get_by_role("heading", name="Live", level=1)).to_be_visible()
    console.record("act:cm:logged-in")
    console.later()
    expect(console.rows).to_have_count(2)
    enter(page, "Logged in act:cm:logged-in")
    expect(console.details).to_contain_text("Received")
    page.keyboard.press("Escape")
    expect(console.details).to_be_hidden()

    enter(page, "Reports")
    expect(page.get_by_role("heading", name="Reports", level=1)).to_be_visible()
    enter(page, "New report")
    expect(page.get_by_role("heading", name="New report")).to_be_visible()
    enter(page, "Save report…")
    page.get_by_role("dialog").wait_for()
    page.keyboard.press("Control+a")
    page.keyboard.type("Sign-ins")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Sign-ins")).to_be_visible()
    enter(page, "Pin on Overview")
    expect(page.get_by_text("It is on the Overview.")).to_be_visible()
    assert "sign-ins" in console.capture.reports.pinned().names
    assert console.complaints == []


@pytest.mark.parametrize("where", ["?page=live", "?page=activities"])
def test_focus_stays_on_its_row_while_others_come_and_its_own_changes(
    console: Console, where: str
) -> None:
    page = console.page
    console.record(price=1)
    console.open(where)
    tab_to(page, "Paid act:cm:paid", "Paid")
    console.define(Definition("act:cm:again", "Again"))
    console.record(price=2)
    console.record("act:cm:paid", price=3)
    console.later(6)

    expect(page.locator(".event, tbody tr")).not_to_have_count(2)
    row = page.locator(":is(li, tr):has(:focus)")
    expect(row).to_contain_text("price 1" if "live" in where else "Paid")


def test_to_tab_the_details_stand_behind_their_row(console: Console) -> None:
    page = console.page
    for price in range(3):
        console.record(price=price)
    console.open("?page=live")
    enter(page, "Paid act:cm:paid")
    expect(console.details.get_by_text("Received")).to_be_visible()
    page.keyboard.press("Tab")
    expect(console.details.get_by_role("button", name="Close")).to_be_focused()
    page.keyboard.press("Shift+Tab")
    expect(page.locator("li:has(:focus)")).to_contain_text("price 2")
    expect(page.locator(".event.open")).to_contain_text("price 2")


@contextmanager
def guarded_by_tokens(console: Console) -> Iterator[None]:
    """Let the console be read with the stored tokens alone."""
    app = CaptureApp(console.capture)
    with serve(mount(Response("nothing here", 404), app, at="/capture")) as console.base:
        yield


def test_a_reader_whose_token_is_removed_is_told_so_and_asked_for_another(page: Page) -> None:
    console = Console(page)
    console.define(PAID)
    documents = console.backends.documents
    assert documents is not None
    tokens = [new(documents, name, SCOPES, console.clock()) for name in ("Jo", "Al")]
    with guarded_by_tokens(console):
        console.open(f"?page=activities#token={tokens[0]}")
        expect(page.get_by_role("link", name="Paid")).to_be_visible()
        documents.remove("token", "Jo")
        console.later(6)
        expect(page.get_by_role("heading", name="Who reads?")).to_be_visible()
        expect(page.get_by_text("it was removed")).to_be_visible()
        expect(page.get_by_role("link", name="Paid")).to_have_count(0)

        expect(page.get_by_label("Token")).to_be_focused()
        page.keyboard.type(tokens[1])
        page.keyboard.press("Enter")
        expect(page.get_by_role("link", name="Paid")).to_be_visible()


def test_definitions_that_are_written_by_hand_are_shown_and_not_changed(
    page: Page, tmp_path: Path
) -> None:
    (tmp_path / "activities.toml").write_text(
        f'[[activities]]\nid = "{PAID.id}"\nname = "Paid"\nclient_side = true\n', "utf-8"
    )
    console = Console(page, f"file:{tmp_path}")
    with console.served():
        console.open("?page=activities")
        expect(page.get_by_text("written by hand here, in activities.toml")).to_be_visible()
        expect(page.get_by_role("switch", name="Websites may send Paid")).to_be_disabled()
        expect(page.get_by_role("link", name="New activity")).to_have_count(0)
        enter(page, "Paid")
        enter(page, "Setup")
        expect(page.get_by_text("written by hand here, in activities.toml")).to_be_visible()
        expect(page.get_by_role("link", name="Edit")).to_have_count(0)
        console.open(f"?page=new&edit={PAID.id}")
        expect(page.get_by_text("change them there")).to_be_visible()
        expect(page.get_by_role("textbox")).to_have_count(0)


def test_who_unmasked_what_is_listed_on_health(console: Console) -> None:
    page = console.page
    console.record(card="4111")
    console.open("?page=live")
    enter(page, "Paid act:cm:paid")
    expect(console.details.get_by_text("Received")).to_be_visible()
    enter(page, "Show masked values")
    expect(console.details).to_contain_text("4111")
    enter(page, "Health")
    expect(page.get_by_role("table", name="Changes")).to_contain_text("unmasked request")
