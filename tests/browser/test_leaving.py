"""A page that is left keeps no other waiting, and what it called while leaving arrives."""

from __future__ import annotations

import pytest

from .websites import ANNA, HURRIED, OURS, OpenTab, Website, seen, settle, track, visit

LINK = '<a id="link" href="/next">Next</a>'
#: How pages learn that they are left.
MOMENTS = {
    "pagehide": "addEventListener('pagehide', () => %s);",
    "visibilitychange": (
        "document.addEventListener('visibilitychange', () => document.hidden && %s);"
    ),
}
LEAVE = "() => { document.getElementById('link').click(); }"


def calls(moment: str) -> str:
    """A page's code that reports an activity while it is left."""
    return MOMENTS[moment] % f"{seen('leaving')}"


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("first", ["page", "client"])
def test_a_page_that_calls_while_it_is_left_keeps_no_other_waiting(
    open_tab: OpenTab, website: Website, moment: str, first: str
) -> None:
    """Whether the page's own listener was there first, or the client's."""
    listener = f"<script>{calls(moment)}</script>"
    snippet = website.snippet()
    shop = website.put("/", listener + snippet if first == "page" else snippet, LINK)
    website.put("/next", snippet)
    other, tab = open_tab(), open_tab()
    visit(other, website.base + "/next")
    visit(tab, shop)
    tab.run(f"() => {track(ANNA)}")
    if first == "client":
        # As a page's code may at any time: the client has listened since its first call.
        tab.run(f"() => {{ {calls(moment)} }}")

    tab.run(LEAVE)
    tab.until("() => location.pathname === '/next' && window.ap3c && ap3c.loaded")

    assert tab.run(f"() => {seen('next')}")["ok"]
    assert other.run(f"() => {seen('other')}")["ok"]
    assert website.wait_for(lambda: len(website.rows()) >= 3)
    assert sorted(website.rows()) == [("leaving", ANNA), ("next", ANNA), ("other", ANNA)]


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_page_that_is_left_holds_no_lock_and_asks_for_none(
    open_tab: OpenTab, website: Website, moment: str
) -> None:
    """Not even one that a busy page asked for just before."""
    shop = website.put("/", website.snippet(), LINK)
    website.put("/next", "")
    tab = open_tab()
    visit(tab, shop)
    tab.run(f"() => {track(ANNA)}")
    tab.run(f"() => {{ {calls(moment)} }}")
    released = website.hold(lambda posted: posted.route == "activity")

    tab.run(f"() => {{ {seen('busy')}; document.getElementById('link').click(); }}")
    tab.until("() => location.pathname === '/next'")
    released.set()

    tab.until("""async () => {
      const {held, pending} = await navigator.locks.query();
      return held.length + pending.length === 0;
    }""")


@pytest.mark.parametrize("moment", MOMENTS)
def test_what_is_called_while_leaving_arrives_without_another_page(
    open_tab: OpenTab, website: Website, moment: str
) -> None:
    shop = website.put("/", website.snippet(), LINK)
    website.put("/next", "")
    tab = open_tab()
    visit(tab, shop)
    tab.run(f"() => {track(ANNA)}")
    tab.run(f"() => {{ {calls(moment)} }}")

    tab.run(LEAVE)

    assert website.wait_for(website.rows)
    assert website.rows() == [("leaving", ANNA)]


#: Keeps the addresses of beacons where the next page finds them.
WATCHED = """<script>
const send = navigator.sendBeacon.bind(navigator);
navigator.sendBeacon = (address, body) => {
  sessionStorage.beacons = (sessionStorage.beacons || "") + new URL(address, location).host + " ";
  return send(address, body);
};
</script>"""
BEACONS = "() => (sessionStorage.beacons || '').split(' ').filter(Boolean)"


@pytest.mark.parametrize("scheme", ["", "http:"])
def test_another_origin_gets_no_beacon_and_yet_all_that_was_called(
    open_tab: OpenTab, website: Website, scheme: str
) -> None:
    """Filter lists block beacons to other origins; one may be written without its scheme."""
    endpoint = f"{scheme}{website.elsewhere.removeprefix('http:')}{OURS}"
    client = f'<script src="{OURS}/app.js"></script>'
    shop = website.put(
        "/", f"{WATCHED}{client}<script>ap3c.init('key', '{endpoint}')</script>", LINK
    )
    website.put("/next", "")
    tab = open_tab()
    visit(tab, shop)
    assert tab.run(f"() => {track(ANNA)}")["ok"]
    tab.run(f"() => {{ {calls('pagehide')} }}")

    tab.run(LEAVE)
    tab.until("() => location.pathname === '/next'")

    assert tab.run(BEACONS) == []
    assert website.wait_for(website.rows)
    assert website.rows() == [("leaving", ANNA)]


def test_a_page_that_comes_back_goes_on(open_tab: OpenTab, website: Website) -> None:
    shop = website.put("/", website.snippet(), LINK)
    website.put("/next", "")
    tab = open_tab()
    visit(tab, shop)
    tab.run(f"() => {track(ANNA)}")
    tab.run(f"() => {{ {calls('pagehide')} }}")
    tab.run(LEAVE)
    tab.until("() => location.pathname === '/next'")
    tab.back()
    tab.until("() => location.pathname === '/' && window.ap3c && ap3c.loaded")

    assert tab.run(f"() => {seen('back')}")["ok"]
    settle(tab)
    assert sorted(website.rows()) == [("back", ANNA), ("leaving", ANNA)]


@pytest.mark.parametrize("event", ["pagehide", "visibilitychange"])
def test_the_first_call_of_a_page_may_be_the_one_while_it_is_left(
    open_tab: OpenTab, website: Website, event: str
) -> None:
    """By a known visitor. The page's listener comes as late as any: on the window."""
    shop = website.put("/", website.snippet(), LINK)
    website.put("/next", "")
    tab = open_tab()
    visit(tab, shop)
    tab.run(f"() => {track(ANNA)}")
    visit(tab, shop)
    tab.run(f"() => {{ addEventListener('{event}', () => {seen('leaving')}); }}")

    tab.run(LEAVE)

    assert website.wait_for(website.rows)
    assert website.rows() == [("leaving", ANNA)]


def test_a_link_that_only_downloads_something_stops_nothing(
    open_tab: OpenTab, website: Website
) -> None:
    """Its page hears ``beforeunload`` and stays, here while a request is under way.

    WebKit lets such a request neither succeed nor fail, for which the page has to wait.
    """
    tab = open_tab()
    link = LINK.replace("/next", "/download")
    visit(tab, website.put("/", HURRIED + website.snippet(), link))
    released = website.hold(lambda posted: posted.route == "track")
    tab.run(f"() => {{ {track(ANNA)}; window.told = {seen(1)}; }}")
    assert website.wait_for(lambda: website.sent("track"))
    tab.run(LEAVE)
    assert website.wait_for(lambda: "/download" in website.asked)
    released.set()
    website.wait_for(website.rows)

    assert website.rows() == [("1", ANNA)]
    told = tab.run("() => told")
    assert told["ok"] or told["queued"]
