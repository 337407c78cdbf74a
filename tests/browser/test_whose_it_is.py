"""What waits for an identity belongs to the first person identified after it, from then on."""

from __future__ import annotations

import pytest

from .engines import Tab
from .websites import ANNA, AWAY, BOB, OpenTab, Reply, Website, seen, settle, track, visit

NO_COOKIE = "() => { document.cookie = 'ap3c=; path=/; max-age=0'; }"


@pytest.fixture
def tab(open_tab: OpenTab, website: Website) -> Tab:
    """A page of an unknown visitor."""
    opened = open_tab()
    visit(opened, website.put("/", website.snippet()))
    return opened


def hold_three(tab: Tab) -> None:
    """Three activities of a visitor who is not identified yet."""
    tab.run(f"() => {{ {seen(1)}; {seen(2)}; {seen(3)}; }}")
    settle(tab)


@pytest.mark.parametrize("trouble", ["slow", "away", "slow, then away"])
def test_signing_out_while_being_identified_keeps_what_was_held(
    tab: Tab, website: Website, trouble: str
) -> None:
    """It was theirs as soon as they were named."""
    hold_three(tab)
    if "away" in trouble:
        website.answer = lambda posted: AWAY
    if "slow" in trouble:
        website.hold(lambda posted: posted.route == "track")
    told = f"window.told = {track(ANNA)}"
    tab.run(f"() => {{ {told}; }}")
    assert website.wait_for(lambda: website.sent("track"))
    if trouble == "away":
        tab.run("() => told")
    tab.run("() => ap3c.clearSession()")
    website.release()
    tab.run("() => told")
    website.answer = lambda posted: None
    website.wait_for(lambda: len(website.rows()) == 3)

    assert website.rows() == [("1", ANNA), ("2", ANNA), ("3", ANNA)]
    assert tab.run("() => ap3c.getCookie()") is None


def test_signing_out_in_the_same_task_keeps_what_was_held(tab: Tab, website: Website) -> None:
    hold_three(tab)
    tab.run(f"() => {{ {track(ANNA)}; ap3c.clearSession(); }}")
    website.wait_for(lambda: len(website.rows()) == 3)

    assert website.rows() == [("1", ANNA), ("2", ANNA), ("3", ANNA)]


@pytest.mark.parametrize("by", ["another script", "the page"])
@pytest.mark.parametrize("again", [True, False])
def test_what_was_given_to_one_person_is_never_given_to_the_next(
    tab: Tab, website: Website, by: str, again: bool
) -> None:
    """Though the server failed for it, and the session is gone meanwhile; on the next page, too."""
    hold_three(tab)
    website.answer = lambda posted: AWAY if posted.route == "activity" else None
    tab.run(f"() => {track(ANNA)}")
    assert website.wait_for(lambda: website.sent("activity"))
    tab.run(NO_COOKIE if by == "another script" else "() => ap3c.clearSession()")
    if again:
        visit(tab, website.base + "/")
    tab.run(f"() => {{ {track(BOB)}; {seen(4)}; }}")
    website.answer = lambda posted: None
    website.wait_for(lambda: len(website.rows()) == 4)

    assert sorted(website.rows()) == [("1", ANNA), ("2", ANNA), ("3", ANNA), ("4", BOB)]


def test_what_waits_belongs_to_the_first_of_several_people(tab: Tab, website: Website) -> None:
    hold_three(tab)
    tab.run(f"() => {{ {track(ANNA)}; {track(BOB)}; {seen(4)}; }}")
    website.wait_for(lambda: len(website.rows()) == 4)

    assert sorted(website.rows()) == [("1", ANNA), ("2", ANNA), ("3", ANNA), ("4", BOB)]


#: Has a page try again almost at once, in each wait for a random time.
HASTY = """<script>
const random = Math.random;
Math.random = () => random() / 1000;
</script>"""


def test_a_person_whom_a_firewall_never_lets_through_keeps_no_later_one_back(
    open_tab: OpenTab, website: Website
) -> None:
    """What is in a name may look like an attack. When it comes through later, it is too late."""
    tab = open_tab()
    visit(tab, website.put("/", HASTY + website.snippet()))
    website.answer = lambda posted: (
        Reply("403 Forbidden", "<h1>Forbidden</h1>") if posted.body.get("email") == ANNA else None
    )
    tab.run(f"() => {{ {track(ANNA)}; {track(BOB)}; {seen(1)}; }}")
    assert website.wait_for(website.rows)
    website.answer = lambda posted: None
    assert website.wait_for(
        lambda: any(each.session for each in website.sent("track") if each.body["email"] == ANNA)
    )
    settle(tab)
    tab.run(f"() => {seen(2)}")

    assert website.rows() == [("1", BOB), ("2", BOB)]


def test_a_person_who_is_too_large_to_send_is_not_the_one_before(
    tab: Tab, website: Website
) -> None:
    tab.run(f"() => {track(ANNA)}")
    large = f"ap3c.track({{email: '{BOB}', note: 'x'.repeat(20000)}})"
    assert tab.run(f"() => {large}")["code"] == "too-large"
    tab.run(f"() => {{ {seen(1)}; }}")
    tab.run(f"() => {track(BOB)}")
    website.wait_for(website.rows)

    assert website.rows() == [("1", BOB)]


@pytest.mark.parametrize("said", ["first: 'Anna', ac: []", "first: 'Anna'"])
def test_what_is_said_of_a_person_names_no_other(tab: Tab, website: Website, said: str) -> None:
    """An empty list of accounts names none."""
    tab.run(f"() => {track(ANNA)}")
    assert tab.run(f"() => ap3c.track({{{said}}})")["ok"]
    assert tab.run(f"() => {seen(1)}")["ok"]

    assert website.rows() == [("1", ANNA)]


#: Whose cookies are for its own name, or for those above it, too.
DOMAIN = ".sessions.localhost"
INIT = "ap3c.init('key', '/capture', {cookieDomains: ['" + DOMAIN + "']})"


def test_signing_out_where_the_cookie_cannot_be_removed_is_signing_out(
    open_tab: OpenTab, website: Website
) -> None:
    """A page of another name made it, for both; this one was not told its domain."""
    tab = open_tab()
    website.base = website.base.replace(".localhost", DOMAIN)
    script = f"<script src='/capture/app.js'></script><script>{INIT}</script>"
    visit(tab, website.put("/", script))
    tab.run(f"() => {track(ANNA)}")
    visit(tab, website.put("/other", website.snippet()))
    assert tab.run("() => ap3c.getCookie()")
    tab.run("() => ap3c.clearSession()")
    tab.run(f"() => {{ {seen(1)}; }}")
    tab.run(f"() => {track(BOB)}")
    website.wait_for(website.rows)

    assert website.rows() == [("1", BOB)]


def test_a_second_code_on_the_page_takes_no_domain_from_the_first(
    open_tab: OpenTab, website: Website
) -> None:
    """Signing out removes the cookie that both use."""
    tab = open_tab()
    website.base = website.base.replace(".localhost", DOMAIN)
    script = f"<script src='/capture/app.js'></script><script>{INIT}</script>"
    visit(tab, website.put("/", script + website.snippet()))
    tab.run(f"() => {track(ANNA)}")
    tab.run("() => ap3c.init('key', '/capture')")
    assert [each.domain for each in tab.cookies()] == [DOMAIN]
    tab.run("() => ap3c.clearSession()")
    settle(tab)

    assert tab.cookies() == []
