"""A limit puts off the one call that met it, for as long as the server asks, and no other."""

from __future__ import annotations

import json

from .websites import (
    ANNA,
    BOUGHT,
    CLOCK,
    OpenTab,
    Posted,
    Reply,
    Website,
    move_on,
    seen,
    settle,
    track,
    visit,
)

#: Longer than a client waits that goes by its own backoff.
ASKED = 3
#: How much sooner than asked a request may be seen: clocks of browsers are rounded.
ROUNDED = 0.1
#: Longer than any test takes, where the page's clock is the test's.
LONG = 200


def limited(seconds: int) -> Reply:
    """What a server answers whose limit has room again after that time."""
    error = {"code": "rate-limit", "message": "rate limit", "try-in-seconds": seconds}
    again = (("Retry-After", str(seconds)),)
    return Reply("429 Too Many Requests", json.dumps({"error": error}), again)


def limit_once(website: Website, serial: str, seconds: int) -> None:
    """Refuse this activity for so long, once."""
    refused: list[Posted] = []

    def answer(posted: Posted) -> Reply | None:
        if posted.serial != serial or refused:
            return None
        refused.append(posted)
        return limited(seconds)

    website.answer = answer


def tries(website: Website, serial: str) -> list[Posted]:
    """How often it was sent."""
    return [each for each in website.sent("activity") if each.serial == serial]


def test_the_limit_of_one_activity_puts_off_no_other_call(
    open_tab: OpenTab, website: Website
) -> None:
    """Neither here nor in another tab; what was put off is sent when its time has come.

    By both tabs, where one sees late what the other has sent: the server stores it once.
    """
    shop = website.put("/", CLOCK + website.snippet())
    one, other = open_tab(), open_tab()
    visit(one, shop)
    visit(other, shop)
    one.run(f"() => {track(ANNA)}")
    limit_once(website, "limited", LONG)
    told = one.run(f"() => {seen('limited')}")
    assert (told["ok"], told["queued"], told["wait"]) == (False, True, LONG)

    for tab in (one, other):
        assert tab.run(f"() => {seen('free')}")["ok"]
        assert tab.run(f"() => {track(ANNA)}")["ok"]
    assert len(tries(website, "limited")) == 1, "all of these came first"

    for tab in (one, other):
        move_on(tab, LONG)
    assert website.wait_for(lambda: ("limited", ANNA) in website.rows())
    first, *later = tries(website, "limited")
    assert {each.body["event_id"] for each in later} == {first.body["event_id"]}
    assert website.rows().count(("limited", ANNA)) == 1


def test_the_wait_that_the_server_asks_for_is_kept_by_the_next_page(
    open_tab: OpenTab, website: Website
) -> None:
    """The page is left at once; neither its beacon nor the next page comes too soon."""
    tab = open_tab()
    visit(tab, website.put("/", website.snippet()))
    tab.run(f"() => {track(ANNA)}")
    limit_once(website, "limited", ASKED)
    tab.run(f"() => {seen('limited')}")
    visit(tab, website.put("/next", website.snippet()))
    assert tab.run(f"() => {seen('free')}")["ok"]
    assert website.wait_for(lambda: ("limited", ANNA) in website.rows())

    first, *later = tries(website, "limited")
    assert later[0].at - first.at >= ASKED - ROUNDED


def test_several_that_are_put_off_keep_their_own_times(open_tab: OpenTab, website: Website) -> None:
    tab = open_tab()
    visit(tab, website.put("/", CLOCK + website.snippet()))
    tab.run(f"() => {track(ANNA)}")
    waits = {"long": 250, "short": 100}
    refused: set[str] = set()

    def answer(posted: Posted) -> Reply | None:
        serial = str(posted.serial)
        if serial not in waits or serial in refused:
            return None
        refused.add(serial)
        return limited(waits[serial])

    website.answer = answer
    calls = ", ".join(map(seen, ("long", "short", "free")))
    told = tab.run(f"() => Promise.all([{calls}])")
    assert [each.get("wait") for each in told] == [250, 100, None]
    assert website.rows() == [("free", ANNA)]

    move_on(tab, 100)
    assert website.wait_for(lambda: len(website.rows()) == 2)
    settle(tab)
    assert website.rows() == [("free", ANNA), ("short", ANNA)]
    move_on(tab, 150)
    assert website.wait_for(lambda: len(website.rows()) == 3)
    assert website.rows() == [("free", ANNA), ("short", ANNA), ("long", ANNA)]
    assert [len(tries(website, serial)) for serial in waits] == [2, 2]


def test_a_limit_on_who_it_is_puts_off_no_other_person(open_tab: OpenTab, website: Website) -> None:
    """What that person did waits along; what another one does next is not held up."""
    tab = open_tab()
    visit(tab, website.put("/", CLOCK + website.snippet()))
    refused: list[Posted] = []

    def answer(posted: Posted) -> Reply | None:
        if posted.route != "track" or posted.body.get("email") != ANNA or refused:
            return None
        refused.append(posted)
        return limited(LONG)

    website.answer = answer
    tab.run(f"() => {track(ANNA)}")
    tab.run(f"() => {{ {seen('hers')}; }}")
    settle(tab)
    assert website.rows() == []
    move_on(tab, LONG)
    assert website.wait_for(website.rows)

    assert website.rows() == [("hers", ANNA)]


def test_a_person_over_the_limit_at_the_end_of_a_day_holds_up_nothing(
    open_tab: OpenTab, website: Website
) -> None:
    """By the server's own limit: the eleventh of a day's ten, minutes before the day ends."""
    tab = open_tab()
    visit(tab, website.put("/", website.snippet()))
    tab.run(f"() => {track(ANNA)}")
    website.end_a_day_in(200)
    for serial in range(10):
        assert tab.run(f"() => {seen(serial, BOUGHT.id)}")["ok"]

    told = tab.run(f"() => {seen('eleventh', BOUGHT.id)}")
    assert (told["status"], told["queued"]) == (429, True)
    assert told["wait"] > ASKED
    assert tab.run(f"() => {seen('free')}")["ok"]
    settle(tab)
    assert [each.serial for each in website.sent("activity")].count("eleventh") == 1


def test_a_longer_wait_is_final(open_tab: OpenTab, website: Website) -> None:
    """And holds up nothing either."""
    tab = open_tab()
    visit(tab, website.put("/", website.snippet()))
    tab.run(f"() => {track(ANNA)}")
    limit_once(website, "limited", 301)

    told = tab.run(f"() => {seen('limited')}")
    assert (told["ok"], told["status"], told["code"]) == (False, 429, "rate-limit")
    assert "queued" not in told
    assert tab.run(f"() => {seen('free')}")["ok"]
    settle(tab)
    assert len(tries(website, "limited")) == 1


def test_what_waits_for_a_person_over_the_limit_is_kept_at_once(
    open_tab: OpenTab, website: Website
) -> None:
    """Its page does not learn that only minutes later."""
    tab = open_tab()
    visit(tab, website.put("/", website.snippet()))
    website.answer = lambda posted: limited(300)

    told = tab.run(f"() => {{ {track(ANNA)}; return {seen(1)}; }}")
    assert (told["ok"], told["queued"]) == (False, True)
    assert website.sent("activity") == []
