"""Every page in every state: clean for axe, within every width, large enough for fingers."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Literal, NamedTuple
from urllib.parse import quote

import pytest
from playwright.sync_api import Page

from ortto_capture import Attribute, Definition
from ortto_capture.reports import All, Audience, Did, Funnel, Not, Query, Report

from ..services import campaign
from .conftest import ONCE, PAID, Console
from .seen import WIDTHS, misfits, unexpected, violations

#: The longest address that is taken, a name from right to left, and an IDN.
LONG = f"{'x' * 60}@{'y' * 60}.{'z' * 60}.{'w' * 60}.example"
NAMES = {LONG: "A long name " * 20, "shalom@example.com": "שלום עולם", "jo@bücher.example": "مرحبا"}


def nothing(console: Console) -> None:
    """Only look."""


class State(NamedTuple):
    """A page, who looks at it, and what they do before it is looked at."""

    address: str
    act: Callable[[Console], object] = nothing
    scopes: tuple[str, ...] = ("read", "write", "erase", "pii")


def fill(console: Console) -> None:
    """Something of everything happened."""
    plans = Query(PAID.id, by="day", split_by=PAID.attributes[0].key)
    console.define(
        Definition("act:cm:" + "x" * 90, "A long name, " * 19, attributes=[Attribute("str:cm:a")]),
        Definition("act:cm:old", "Old", archived=True),
    )
    for plan in ("pot", "pot", "مرحبا", "x" * 250):
        console.record(plan=plan, price=2**53 - 1, note="long words " * 100, card="4111")
    console.record(price="twelve")
    console.record("act:cm:piad")
    for _ in range(3):
        console.record(ONCE.id)
    for email, name in NAMES.items():
        console.session = console.capture.identify(email=email, first=name[:200]).session
        console.record(plan="pot", price=1)
    console.capture.reports.put(Report("plans", "Plans", plans))
    console.capture.reports.put(Report("way", "The way", Funnel((PAID.id, ONCE.id))))
    console.capture.reports.pin([*console.capture.reports.pinned().names, "plans", "way"])
    buyers = All((Did(PAID.id, (), 1, "30d"), Not(Did("act:cm:old"))))
    console.capture.audiences.put(Audience("buyers", "Buyers", buyers))


def press(name: str | re.Pattern[str]) -> Callable[[Console], object]:
    """Press the first button of this name."""
    return lambda console: console.page.get_by_role("button", name=name).first.click()


def open_row(text: str) -> Callable[[Console], object]:
    """Open the first row with this text."""

    def act(console: Console) -> None:
        console.rows.filter(has_text=text).first.locator(".whole").click()
        console.details.get_by_text("Received").wait_for()

    return act


def away(console: Console) -> None:
    """The server goes away, and the page notices."""
    console.answering = False
    console.later(20)
    console.page.get_by_text("Offline, trying again").wait_for()


def keys(console: Console) -> None:
    """Ask for the keys."""
    console.page.keyboard.press("?")
    console.page.get_by_role("dialog").wait_for()


def write_one(console: Console) -> None:
    """Fill in a new activity, and have it refused."""
    page = console.page
    page.get_by_label("Name", exact=True).fill("Paid")
    page.get_by_role("button", name="Add an attribute").click()
    page.get_by_label("A text of your own").check()
    page.get_by_role("button", name="Create activity").click()
    page.locator("[aria-invalid=true]").first.wait_for()


def find_no_one(console: Console) -> None:
    """Look for a person who is not there."""
    console.page.get_by_role("searchbox").fill("no-one@example.com")
    console.page.keyboard.press("Enter")
    console.page.get_by_text("No person has this address or id.").wait_for()


ONE = f"?page=activity&id={PAID.id}"
READ = ("read",)
WRONG = quote(json.dumps({"by": "hour", "period": "365d"}))
#: Of an account in which something of everything happened.
FULL: dict[str, list[State]] = {
    "overview": [State("?page=overview"), State("?page=overview", press("Arrange"))],
    "live": [
        State("?page=live"),
        State("?page=live", open_row("piad")),
        State("?page=live", open_row("pot")),
        State("?page=live", open_row("limit")),
        State("?page=live&text=nothing-has-this"),
        State("?page=live", away),
        State("?page=live", press("Pause")),
        State("?page=live", scopes=("write",)),
    ],
    "activities": [
        State("?page=activities"),
        State("?page=activities&archived=1"),
        State("?page=activities", scopes=READ),
        State("?page=activities", keys),
    ],
    "activity": [
        State(ONE),
        State(f"{ONE}&period=24h&split=int:cm:price"),
        State(f"{ONE}&tab=activity"),
        State(f"{ONE}&tab=people"),
        State(f"{ONE}&tab=setup"),
        State("?page=activity&id=act:cm:nowhere"),
    ],
    "new": [
        State("?page=new"),
        State("?page=new", write_one),
        State("?page=new&from=act:cm:purchased"),
        State("?page=new", scopes=READ),
        State(f"?page=new&edit={PAID.id}"),
        State(f"?page=new&edit={PAID.id}", press("Archive")),
    ],
    "people": [
        State("?page=people"),
        State("?page=people", find_no_one),
        State("?page=person&id=PERSON"),
        State("?page=person&id=PERSON", press("Show masked")),
        State("?page=person&id=PERSON", press(re.compile("Erase"))),
        State("?page=person&id=PERSON", scopes=READ),
    ],
    "reports": [
        State("?page=reports"),
        State("?page=report"),
        State("?page=report&name=plans"),
        State("?page=report&name=way"),
        State("?page=report", press("Save report")),
        State("?page=report&name=plans", press("Delete")),
        State(f"?page=report&q={WRONG}"),
        State("?page=report&name=plans", scopes=READ),
    ],
    "audiences": [
        State("?page=audiences"),
        State("?page=audience"),
        State("?page=audience&name=buyers"),
        State("?page=audience&name=buyers", scopes=READ),
    ],
    "health": [State("?page=health"), State("?page=token")],
}
PAGES = ("overview", "live", "activities", "people", "reports", "audiences", "health")


class Sight(NamedTuple):
    """In which theme a state is looked at, how wide at first, and how wide after that."""

    theme: Literal["light", "dark"]
    width: int
    widths: Sequence[int]


def check(console: Console, state: State, sight: Sight, *, anew: bool) -> None:
    """Look at one state.

    :param anew: load the page, instead of going on from the one before.
    """
    page = console.page
    console.scopes, console.answering = state.scopes, True
    page.set_viewport_size({"width": sight.width, "height": 800})
    page.emulate_media(color_scheme=sight.theme)
    if anew:
        console.clock.advance(3600)
        console.open(state.address)
    else:
        console.follow(state.address)
    state.act(console)
    console.later(1)
    found = [*violations(page), *misfits(page, sight.widths), *unexpected(console.complaints)]
    assert found == [], (state, sight)
    assert page.title(), state


def check_all(console: Console, states: Sequence[State], shift: int) -> None:
    """Look at these states: a page is loaded anew where the one before cannot be gone on from."""
    # Those in which nothing is done first: from them a link leads on.
    ordered = sorted(states, key=lambda state: (state.scopes, state.act is not nothing))
    before = None
    for number, state in enumerate(ordered):
        for sight in sights(number + shift):
            goes_on = before is not None and before.act is nothing and before.scopes == state.scopes
            check(console, state, sight, anew=campaign(1) > 1 or not goes_on)
            before = state


def sights(number: int) -> list[Sight]:
    """In which theme, and how wide: by turns, or in a campaign all of them."""
    if campaign(1) > 1:
        return [Sight(theme, width, WIDTHS) for theme in ("light", "dark") for width in (375, 1120)]
    by_turns = WIDTHS[2 + number // 2 % 2]
    theme: Literal["light", "dark"] = "dark" if number % 2 else "light"
    return [Sight(theme, 375 if number % 2 else 1120, (*WIDTHS[:2], by_turns))]


@pytest.mark.parametrize("name", FULL)
def test_each_state_can_be_read_touched_and_fits(console: Console, name: str) -> None:
    fill(console)
    person = console.backends.journal.latest(1)[0].person_id
    there = [each._replace(address=each.address.replace("PERSON", person)) for each in FULL[name]]
    check_all(console, there, len(name))


def test_each_page_of_an_empty_account_can_be_read_touched_and_fits(empty: Console) -> None:
    check_all(empty, [State(f"?page={name}") for name in PAGES], 0)


@pytest.fixture
def empty(page: Page) -> Iterator[Console]:
    """The console of an account in which nothing was made and nothing happened."""
    with Console(page).served() as there:
        yield there
