"""What a living page has in hand outlives the storage that the page's own code clears."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from .engines import Tab
from .websites import (
    ANNA,
    AWAY,
    BOB,
    CLOCK,
    OTHER,
    OURS,
    OpenTab,
    Website,
    move_on,
    seen,
    settle,
    track,
    visit,
)

#: As in a browser that refuses cookies; the session is kept in the storage then.
NO_COOKIES = (
    "<script>Object.defineProperty(document, 'cookie', {get: () => '', set() {}});</script>"
)
CLEAR = "localStorage.clear();"
#: Away for so long that no page tries again before the test is done with its pages.
LONG = 200
AWAY_FOR_NOW = AWAY._replace(headers=(("Retry-After", str(LONG)),))
CLEAR_COOKIES = """
for (const pair of document.cookie.split("; "))
  document.cookie = pair.split("=")[0] + "=; path=/; max-age=0";
"""


class Page(NamedTuple):
    """A tab, and what code for logging in and out does in it."""

    tab: Tab
    clear: str


@pytest.fixture(params=["storage", "storage and cookies", "storage, without cookies"])
def cleared(request: pytest.FixtureRequest, open_tab: OpenTab, website: Website) -> Page:
    """A page that clears its storage, with its cookies or not."""
    tab = open_tab()
    head = NO_COOKIES if request.param.endswith("without cookies") else ""
    visit(tab, website.put("/", head + website.snippet()))
    return Page(tab, CLEAR + CLEAR_COOKIES if request.param.endswith("and cookies") else CLEAR)


@pytest.mark.parametrize("before", [True, False])
def test_code_that_logs_in_and_clears_gives_the_calls_to_the_one_who_logs_in(
    cleared: Page, website: Website, before: bool
) -> None:
    """In one task; an earlier visitor of this browser may still be identified."""
    tab, clear = cleared
    if before:
        tab.run(f"() => {track(ANNA)}")
    tab.run(f"() => {{ {track(BOB)}; {clear} {seen(1)}; {seen(2)}; }}")
    website.wait_for(lambda: len(website.rows()) == 2)

    assert website.rows() == [("1", BOB), ("2", BOB)]


def test_what_is_cleared_before_the_answer_comes_mixes_up_nobody(
    cleared: Page, website: Website
) -> None:
    tab, clear = cleared
    tab.run(f"() => {track(ANNA)}")
    released = website.hold(lambda posted: posted.route == "track")
    asked = len(website.posted)
    tab.run(f"() => {{ {track(BOB)}; }}")
    assert website.wait_for(lambda: len(website.posted) > asked)
    tab.run(f"() => {{ {clear} {seen(1)}; }}")
    tab.run(f"() => {{ {seen(2)}; }}")
    released.set()
    website.wait_for(lambda: len(website.rows()) == 2)

    assert website.rows() == [("1", BOB), ("2", BOB)]


@pytest.mark.parametrize("identified", [True, False])
def test_what_waits_for_a_server_outlives_the_storage(
    cleared: Page, website: Website, identified: bool
) -> None:
    """And so does who it was, when that has not been answered either."""
    tab, clear = cleared
    if identified:
        tab.run(f"() => {track(ANNA)}")
    website.answer = lambda posted: AWAY
    if not identified:
        tab.run(f"() => {track(ANNA)}")
    for serial in (1, 2, 3):
        tab.run(f"() => {seen(serial)}")
    tab.run(f"() => {{ {clear} }}")
    website.answer = lambda posted: None
    website.wait_for(lambda: len(website.rows()) == 3)

    assert sorted(website.rows()) == [("1", ANNA), ("2", ANNA), ("3", ANNA)]


def test_code_that_logs_out_and_clears_loses_nothing_and_mixes_up_nobody(
    cleared: Page, website: Website
) -> None:
    """What was called before is of the one who logs out, and what comes next of the next one."""
    tab, clear = cleared
    tab.run(f"() => {track(ANNA)}")
    tab.run(f"() => {{ {seen(1)}; ap3c.clearSession(); {clear} }}")
    tab.run(f"() => {{ {seen('held')}; }}")
    tab.run(f"() => {track(BOB)}")
    tab.run(f"() => {seen(2)}")
    settle(tab)

    assert website.rows() == [("1", ANNA), ("held", BOB), ("2", BOB)]


def test_what_is_cleared_while_the_server_is_away_is_given_to_no_one_else(
    cleared: Page, website: Website
) -> None:
    tab, clear = cleared
    tab.run(f"() => {track(ANNA)}")
    website.answer = lambda posted: AWAY
    tab.run(f"() => {seen(1)}")
    tab.run(f"() => {{ {clear} {track(BOB)}; {seen(2)}; }}")
    website.answer = lambda posted: None
    website.wait_for(lambda: len(website.rows()) == 2)

    assert sorted(website.rows()) == [("1", ANNA), ("2", BOB)]


def test_what_one_tab_clears_another_still_has_in_hand(open_tab: OpenTab, website: Website) -> None:
    shop = website.put("/", website.snippet())
    one, other = open_tab(), open_tab()
    visit(one, shop)
    visit(other, shop)
    one.run(f"() => {track(ANNA)}")
    website.answer = lambda posted: AWAY
    one.run(f"() => {seen(1)}")
    other.run("() => localStorage.clear()")
    website.answer = lambda posted: None
    website.wait_for(website.rows)

    assert website.rows() == [("1", ANNA)]


def test_what_is_cleared_is_sent_to_its_own_endpoint(open_tab: OpenTab, website: Website) -> None:
    client = f'<script src="{OURS}/app.js"></script>'
    tab = open_tab()
    visit(tab, website.put("/", client))
    website.answer = lambda posted: AWAY
    for endpoint, email, serial in ((OURS, ANNA, 1), (OTHER, BOB, 2)):
        tab.run(f"() => {{ ap3c.init('key', '{endpoint}'); {track(email)}; {seen(serial)}; }}")
    tab.run("() => localStorage.clear()")
    website.answer = lambda posted: None
    website.wait_for(lambda: website.rows(OURS) and website.rows(OTHER))

    assert (website.rows(OURS), website.rows(OTHER)) == ([("1", ANNA)], [("2", BOB)])


def test_what_waits_for_an_earlier_pages_identity_outlives_the_storage(
    open_tab: OpenTab, website: Website
) -> None:
    """It belongs to the one whom that page named, and not to the one before."""
    tab = open_tab()
    shop = website.put("/", CLOCK + website.snippet())
    visit(tab, shop)
    tab.run(f"() => {track(BOB)}")
    website.answer = lambda posted: AWAY_FOR_NOW
    tab.run(f"() => {track(ANNA)}")
    visit(tab, shop)
    tab.run(f"() => {seen(1)}")
    tab.run("() => localStorage.clear()")
    website.answer = lambda posted: None
    move_on(tab, LONG)
    website.wait_for(website.rows)

    assert website.rows() == [("1", ANNA)]


def test_what_one_tab_clears_both_still_have_in_hand(open_tab: OpenTab, website: Website) -> None:
    """The other one calls before the one that has cleared looks at the storage again."""
    shop = website.put("/", CLOCK + website.snippet())
    one, other = open_tab(), open_tab()
    visit(one, shop)
    website.answer = lambda posted: AWAY_FOR_NOW
    one.run(f"() => {track(ANNA)}")
    visit(other, shop)
    other.run(f"() => {seen(1)}")
    other.run(f"() => {seen(2)}")
    other.run("() => localStorage.clear()")
    one.run(f"() => {{ {seen(3)}; }}")
    website.answer = lambda posted: None
    for tab in (one, other):
        move_on(tab, LONG)
    website.wait_for(lambda: len(website.rows()) == 3)

    assert sorted(website.rows()) == [("1", ANNA), ("2", ANNA), ("3", ANNA)]


#: Keeps what another tab has told; the client, which listens since the page came, hears it first.
LISTEN = """() => {
  addEventListener("storage", event => { window.heard = window.heard || event.key === "told"; });
}"""


def test_without_cookies_all_tabs_speak_for_the_one_who_was_named_last(
    open_tab: OpenTab, website: Website
) -> None:
    """And after the storage was cleared none of them speaks for an earlier one."""
    shop = website.put("/", NO_COOKIES + website.snippet())
    one, other = open_tab(), open_tab()
    visit(one, shop)
    visit(other, shop)
    one.run(f"() => {track(ANNA)}")
    one.run(LISTEN)
    other.run(f"() => {track(BOB)}")
    other.run("() => localStorage.setItem('told', 'all')")
    one.until("() => window.heard")
    other.run("() => localStorage.clear()")
    one.run(f"() => {{ {seen(1)}; }}")
    one.run(f"() => {track(BOB)}")
    website.wait_for(website.rows)

    assert website.rows() == [("1", BOB)]


def test_without_cookies_signing_out_in_one_tab_is_signing_out_in_all(
    open_tab: OpenTab, website: Website
) -> None:
    shop = website.put("/", NO_COOKIES + website.snippet())
    one, other = open_tab(), open_tab()
    visit(one, shop)
    visit(other, shop)
    one.run(f"() => {track(ANNA)}")
    other.run("() => ap3c.clearSession()")
    one.until("() => ap3c.getCookie() === null")
    one.run(f"() => {{ {seen(1)}; }}")
    one.run(f"() => {track(BOB)}")
    website.wait_for(website.rows)

    assert website.rows() == [("1", BOB)]
