"""Nothing is given up, aged beyond belief or put out of order because a device's clock moved."""

from __future__ import annotations

import pytest

from .websites import ANNA, AWAY, BOB, OpenTab, Website, seen, track, visit

HOUR, DAY = 3_600_000, 86_400_000
#: By how much a clock is put right, in milliseconds.
MOVES = {
    "an hour on": HOUR,
    "an hour back": -HOUR,
    "three days on": 3 * DAY,
    "three days back": -3 * DAY,
    "400 days on": 400 * DAY,
    "400 days back": -400 * DAY,
}


def moved(by: int) -> str:
    """A device whose clock is off by so much, whichever way a script asks for the time."""
    return f"""<script>
    window.Date = class extends Date {{
      constructor(...given) {{ super(...(given.length ? given : [new.target.now()])); }}
      static now() {{ return super.now() + {by}; }}
    }};
    </script>"""


def ages(website: Website) -> list[float]:
    """How old each activity is said to be, in hours."""
    return [each.body["age"] / HOUR for each in website.sent("activity")]


@pytest.mark.parametrize("move", MOVES)
def test_what_an_earlier_page_left_is_sent_whatever_the_clock_says(
    open_tab: OpenTab, website: Website, move: str
) -> None:
    """Of two people, in their order: the last who was named stays."""
    tab = open_tab()
    visit(tab, website.put("/", website.snippet()))
    website.answer = lambda posted: AWAY
    tab.run(f"() => {{ {track(ANNA)}; {seen(1)}; {track(BOB)}; {seen(2)}; }}")
    assert website.wait_for(lambda: website.sent("track"))
    website.answer = lambda posted: None
    visit(tab, website.put("/later", moved(MOVES[move]) + website.snippet()))
    website.wait_for(lambda: len(website.rows()) == 2)

    assert tab.run(f"() => {seen('last')}")["ok"]
    assert sorted(website.rows()) == [("1", ANNA), ("2", BOB), ("last", BOB)]
    assert all(0 <= age <= 48 for age in ages(website))
    assert [each.body["dropped"] for each in website.posted if "dropped" in each.body] == []


@pytest.mark.parametrize("move", ["an hour on", "an hour back", "three days back"])
def test_two_people_keep_their_order_when_the_clock_moves_between_them(
    open_tab: OpenTab, website: Website, move: str
) -> None:
    """What waits for an identity goes to the first of them, and the last one stays."""
    tab = open_tab()
    visit(tab, website.put("/", website.snippet()))
    website.answer = lambda posted: AWAY
    tab.run(f"() => {{ {seen('held')}; {track(ANNA)}; {seen(1)}; }}")
    assert website.wait_for(lambda: website.sent("track"))
    visit(tab, website.put("/later", moved(MOVES[move]) + website.snippet()))
    tab.run(f"() => {{ {track(BOB)}; {seen(2)}; }}")
    tab.run("() => new Promise(setTimeout)")
    website.answer = lambda posted: None
    visit(tab, website.base + "/")
    website.wait_for(lambda: len(website.rows()) == 3)
    assert tab.run(f"() => {seen('last')}")["ok"]

    assert sorted(website.rows()) == [("1", ANNA), ("2", BOB), ("held", ANNA), ("last", BOB)]
    assert all(0 <= age <= 48 for age in ages(website))


@pytest.mark.parametrize("move", ["400 days on", "400 days back"])
def test_a_clock_that_moves_while_a_page_waits_holds_up_nothing(
    open_tab: OpenTab, website: Website, move: str
) -> None:
    """Neither its own tries nor another page's: no pause lasts as long as the clock was off."""
    tab = open_tab()
    visit(tab, website.put("/", website.snippet()))
    tab.run(f"() => {track(ANNA)}")
    website.answer = lambda posted: AWAY
    tab.run(f"() => {seen(1)}")
    by = MOVES[move]
    tab.run(f"() => {{ const now = Date.now; Date.now = () => now() + {by}; }}")
    website.answer = lambda posted: None
    visit(tab, website.put("/later", moved(by) + website.snippet()))
    website.wait_for(website.rows)

    assert website.rows() == [("1", ANNA)]


@pytest.mark.parametrize("by", [HOUR, 3 * DAY])
def test_a_clock_that_moves_while_a_page_is_asked_to_wait_holds_up_no_later_call(
    open_tab: OpenTab, website: Website, by: int
) -> None:
    """As after a laptop has slept: minutes are over that the page's timers have not counted."""
    tab = open_tab()
    visit(tab, website.put("/", website.snippet()))
    website.answer = lambda posted: AWAY._replace(headers=(("Retry-After", "200"),))
    assert tab.run(f"() => {track(ANNA)}")["wait"] == 200
    website.answer = lambda posted: None
    tab.run(f"() => {{ const now = Date.now; Date.now = () => now() + {by}; {seen(1)}; }}")
    website.wait_for(website.rows)

    assert website.rows() == [("1", ANNA)]
