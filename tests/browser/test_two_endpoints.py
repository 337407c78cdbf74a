"""A call belongs to the key and the endpoint of the moment at which it was made."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from .websites import (
    ANNA,
    AWAY,
    BOB,
    OTHER,
    OURS,
    OpenTab,
    Posted,
    Reply,
    Website,
    seen,
    track,
    visit,
)

KEYS = {OURS: "our-key", OTHER: "other-key"}
SCRIPT = f'<script src="{OURS}/app.js"></script>'


def init(endpoint: str) -> str:
    """The call that says where to report."""
    return f"ap3c.init('{KEYS[endpoint]}', '{endpoint}')"


def pages(website: Website) -> tuple[str, str]:
    """Two pages of one origin, each with an account of its own, and no word of the other."""
    return (
        website.put("/", website.snippet(OURS, KEYS[OURS])),
        website.put("/blog", website.snippet(OTHER, KEYS[OTHER])),
    )


def mixed_up(website: Website) -> list[str]:
    """What a server was told that only the other one should know."""
    found = []
    for account, person in ((OURS, BOB), (OTHER, ANNA)):
        mine = [each for each in website.posted if each.account == account]
        given = {each.session for each in mine}
        for each in mine:
            if each.body["key"] != KEYS[account]:
                found.append(f"{account}: the other's key")
            if each.body["session"] not in {None, *given}:
                found.append(f"{account}: the other's session")
            if person in str(each.body):
                found.append(f"{account}: the other's person")
    return found


@pytest.mark.parametrize("apart", [True, False])
def test_each_call_goes_to_the_account_that_was_named_before_it(
    open_tab: OpenTab, website: Website, apart: bool
) -> None:
    """In one task, or each in one of its own."""
    tab = open_tab()
    visit(tab, website.put("/", SCRIPT))
    calls = [init(OURS), track(ANNA), seen(1), init(OTHER), track(BOB), seen(2)]
    if apart:
        for call in calls:
            tab.run(f"() => {{ {call}; }}")
    else:
        tab.run(f"() => {{ {'; '.join(calls)}; }}")
    website.wait_for(lambda: len(website.rows(OURS) + website.rows(OTHER)) == 2)

    assert website.rows(OURS) == [("1", ANNA)]
    assert website.rows(OTHER) == [("2", BOB)]
    assert mixed_up(website) == []


def test_each_call_goes_with_the_key_that_was_named_before_it(
    open_tab: OpenTab, website: Website
) -> None:
    tab = open_tab()
    visit(tab, website.put("/", SCRIPT))
    first, second = (f"ap3c.init('{key}', '{OURS}')" for key in ("first", "second"))
    tab.run(f"() => {{ {first}; {track(ANNA)}; {seen(1)}; {second}; {seen(2)}; }}")
    website.wait_for(lambda: len(website.rows()) == 2)

    asked = [(each.body["key"], each.serial) for each in website.sent("activity")]
    assert asked == [("first", "1"), ("second", "2")]
    assert [each.body["key"] for each in website.sent("track")] == ["first"]


def away(account: str) -> Callable[[Posted], Reply | None]:
    """The server of this account is away."""
    return lambda posted: AWAY if posted.account == account else None


@pytest.mark.parametrize("said", ["before", "meanwhile"])
def test_what_a_page_leaves_waits_for_a_page_of_its_own_endpoint(
    open_tab: OpenTab, website: Website, said: str
) -> None:
    """Its activity, and who it was; that may have been said before the server went away."""
    shop, blog = pages(website)
    tab = open_tab()
    visit(tab, shop)
    if said == "before":
        tab.run(f"() => {track(ANNA)}")
    website.answer = away(OURS)
    if said == "meanwhile":
        tab.run(f"() => {{ {track(ANNA)}; }}")
    tab.run(f"() => {seen(1)}")

    visit(tab, blog)
    assert tab.run(f"() => {track(BOB)}")["ok"]
    assert tab.run(f"() => {seen(2)}")["ok"]
    website.answer = lambda posted: None
    visit(tab, shop)
    website.wait_for(website.rows)

    assert (website.rows(OURS), website.rows(OTHER)) == ([("1", ANNA)], [("2", BOB)])
    assert mixed_up(website) == []


def test_a_session_is_used_for_the_endpoint_that_gave_it(
    open_tab: OpenTab, website: Website
) -> None:
    """Neither does the other page act in its name, nor does that page's visitor replace it."""
    shop, blog = pages(website)
    tab = open_tab()
    visit(tab, shop)
    tab.run(f"() => {track(ANNA)}")
    visit(tab, blog)
    tab.run(f"() => {{ {seen('held')}; }}")
    tab.run("() => ap3c.track({v: 0})")
    assert website.sent("activity") == []
    tab.run(f"() => {track(BOB)}")
    visit(tab, shop)

    assert tab.run(f"() => {seen('hers')}")["ok"]
    assert (website.rows(OURS), website.rows(OTHER)) == ([("hers", ANNA)], [("held", BOB)])
    assert mixed_up(website) == []


def test_signing_out_of_one_account_is_not_signing_out_of_the_other(
    open_tab: OpenTab, website: Website
) -> None:
    shop, blog = pages(website)
    tab = open_tab()
    visit(tab, shop)
    tab.run(f"() => {track(ANNA)}")
    visit(tab, blog)
    tab.run(f"() => {track(BOB)}")
    tab.run("() => ap3c.clearSession()")
    visit(tab, shop)

    assert tab.run(f"() => {seen(1)}")["ok"]
    assert website.rows(OURS) == [("1", ANNA)]


@pytest.mark.parametrize("trouble", ["away", "slow"])
def test_a_server_in_trouble_keeps_no_other_waiting(
    open_tab: OpenTab, website: Website, trouble: str
) -> None:
    """Neither in the same tab nor in another."""
    shop, blog = pages(website)
    one, other = open_tab(), open_tab()
    visit(one, shop)
    if trouble == "away":
        website.answer = away(OURS)
        one.run(f"() => {track(ANNA)}")
    else:
        website.hold(lambda posted: posted.account == OURS)
        one.run(f"() => {{ {track(ANNA)}; }}")
    website.wait_for(lambda: website.sent("track", OURS))

    visit(other, blog)
    assert other.run(f"() => {track(BOB)}")["ok"]
    visit(one, blog)
    assert one.run(f"() => {seen(2)}")["ok"]
    assert website.rows(OTHER) == [("2", BOB)]


def test_what_waits_for_one_endpoint_crowds_out_nothing_of_the_other(
    open_tab: OpenTab, website: Website
) -> None:
    shop, blog = pages(website)
    tab = open_tab()
    visit(tab, blog)
    tab.run(f"() => {track(BOB)}")
    website.answer = lambda posted: AWAY
    tab.run(f"() => {seen(1)}")
    visit(tab, shop)
    tab.run(f"() => {{ for (let n = 0; n < 120; n++) {seen(2)}; }}")
    tab.run("() => new Promise(setTimeout)")
    website.answer = lambda posted: None
    visit(tab, blog)
    website.wait_for(lambda: website.rows(OTHER))

    assert website.rows(OTHER) == [("1", BOB)]
