"""A page that reported something is restored when its visitor goes back, and goes on reporting.

Chromium alone says why a page was not restored; the others only that it was not.
"""

from __future__ import annotations

from typing import NamedTuple

import pytest

from .engines import Tab
from .websites import ANNA, AWAY, BOB, OpenTab, Website, seen, track, visit

LINK = '<a id="link" href="/next">Next</a>'
FOLLOW = "() => { document.getElementById('link').click(); }"
#: A page that knows whether it is the one that was left.
WATCHING = (
    "<script>addEventListener('pageshow', each => { window.kept = each.persisted; });</script>"
)
HERE = "() => location.pathname === '%s' && document.readyState === 'complete'"


class Restored(NamedTuple):
    """Whether a page is the one that was left, and if it is not, why."""

    kept: bool
    reasons: str


#: Its `load` has been told to every listener. No browser keeps a page that it still loads.
LOADED = "() => performance.getEntriesByType('navigation')[0].loadEventEnd > 0"


def leave(tab: Tab) -> None:
    """Follow the link, once the page is there as a whole."""
    tab.until(LOADED)
    tab.run("() => { window.left = true; }")
    tab.run(FOLLOW)
    tab.until(HERE % "/next")


def restored(tab: Tab) -> Restored:
    """Follow the link, and go back."""
    leave(tab)
    return come_back(tab)


def come_back(tab: Tab) -> Restored:
    """Go back to the page that was left."""
    tab.back()
    tab.until(HERE % "/")
    tab.until("() => 'kept' in window")
    kept = tab.run("() => window.kept && window.left === true")
    reasons = tab.run("""() => {
      const [navigation] = performance.getEntriesByType("navigation");
      const found = navigation && navigation.notRestoredReasons;
      return JSON.stringify(found && found.reasons) || "";
    }""")
    return Restored(kept, reasons)


@pytest.fixture
def tab(open_tab: OpenTab, website: Website) -> Tab:
    """A page that could be restored, were it not for the client."""
    opened = open_tab()
    visit(opened, website.put("/", WATCHING + website.snippet(), LINK))
    website.put("/next", "")
    return opened


def test_a_page_whose_calls_were_answered_is_restored(tab: Tab, website: Website) -> None:
    assert tab.run(f"() => {track(ANNA)}")["ok"]
    assert tab.run(f"() => {seen(1)}")["ok"]

    told = restored(tab)
    assert told.kept, told.reasons
    assert tab.run(f"() => {seen(2)}")["ok"], "it goes on"
    assert website.rows() == [("1", ANNA), ("2", ANNA)]


def test_a_page_that_says_nothing_is_restored(tab: Tab) -> None:
    told = restored(tab)
    assert told.kept, told.reasons


def test_a_page_with_a_request_under_way_is_restored(tab: Tab, website: Website) -> None:
    """The answer comes while the page is away; what it was for is stored once."""
    tab.run(f"() => {track(ANNA)}")
    released = website.hold(lambda posted: posted.serial == "1")
    tab.run(f"() => {{ {seen(1)}; }}")
    assert website.wait_for(lambda: website.sent("activity"))

    leave(tab)
    released.set()

    told = come_back(tab)
    assert told.kept, told.reasons
    assert tab.run(f"() => {seen(2)}")["ok"], "it goes on"
    website.wait_for(lambda: len(website.rows()) == 2)
    assert sorted(website.rows()) == [("1", ANNA), ("2", ANNA)]


def test_a_page_is_restored_while_another_tab_is_open(
    tab: Tab, open_tab: OpenTab, website: Website
) -> None:
    """Which reports, too, and meanwhile."""
    other = open_tab()
    visit(other, website.base + "/")
    assert tab.run(f"() => {track(ANNA)}")["ok"]
    assert other.run(f"() => {seen('other')}")["ok"]
    assert tab.run(f"() => {seen(1)}")["ok"]
    leave(tab)
    assert other.run(f"() => {seen('meanwhile')}")["ok"], "a page that was left holds up no other"

    told = come_back(tab)
    assert told.kept, told.reasons
    assert tab.run(f"() => {seen(2)}")["ok"]
    assert len(website.rows()) == 4


def test_a_page_that_waits_for_a_server_is_restored_and_waits_on(
    tab: Tab, website: Website
) -> None:
    tab.run(f"() => {track(ANNA)}")
    website.answer = lambda posted: AWAY
    tab.run(f"() => {seen(1)}")

    told = restored(tab)
    assert told.kept, told.reasons
    website.answer = lambda posted: None
    website.wait_for(website.rows)
    assert website.rows() == [("1", ANNA)]


def test_a_page_that_comes_back_speaks_for_the_one_who_came_meanwhile(
    tab: Tab, website: Website
) -> None:
    website.put("/next", website.snippet())
    tab.run(f"() => {track(ANNA)}")
    tab.run(FOLLOW)
    tab.until("() => location.pathname === '/next' && window.ap3c && ap3c.loaded")
    assert tab.run(f"() => {track(BOB)}")["ok"]
    tab.back()
    tab.until(HERE % "/")
    assert tab.run(f"() => {seen(1)}")["ok"]

    assert website.rows() == [("1", BOB)]
