"""What is called before ``init`` waits for it, whichever comes first: script, call or ``init``."""

from __future__ import annotations

from itertools import permutations

import pytest

from .websites import ANNA, OTHER, OURS, OpenTab, Website, seen, settle, track, visit

CLIENT = f'<script src="{OURS}/app.js"></script>'
#: The guide's queue, through which a page may call before the script is there.
QUEUE = "window.ap3c = window.ap3c || {}; ap3c.cmd = ap3c.cmd || [];"
INIT = f"ap3c.init('key', '{OURS}')"
PARTS = {
    "script": CLIENT,
    "call": f"<script>{QUEUE} ap3c.cmd.push(() => {{ {track(ANNA)}; {seen(1)}; }});</script>",
    "init": f"<script>{QUEUE} ap3c.cmd.push(() => {INIT});</script>",
}


@pytest.mark.parametrize("order", [", ".join(each) for each in permutations(PARTS)])
def test_script_call_and_init_come_in_any_order(
    open_tab: OpenTab, website: Website, order: str
) -> None:
    tab = open_tab()
    visit(tab, website.put("/", "".join(PARTS[each] for each in order.split(", "))))
    website.wait_for(website.rows)

    assert website.rows() == [("1", ANNA)]


@pytest.mark.parametrize("apart", [True, False])
def test_calls_between_script_and_init_wait_and_are_told_their_outcome(
    open_tab: OpenTab, website: Website, apart: bool
) -> None:
    """As tag managers and consent tools have it; in their order."""
    tab = open_tab()
    visit(tab, website.put("/", CLIENT))
    tab.run(f"() => {{ window.told = [{seen(1)}, {track(ANNA)}, {seen(2)}]; }}")
    if apart:
        tab.run("() => new Promise(setTimeout)")
    assert website.posted == []
    tab.run(f"() => {{ {INIT}; }}")

    told = tab.run("() => Promise.all(told)")
    assert [each["ok"] for each in told] == [True, True, True]
    assert website.rows() == [("1", ANNA), ("2", ANNA)]


def test_our_snippet_works_after_the_script(open_tab: OpenTab, website: Website) -> None:
    """As when a tag manager brings the script, and the template the snippet."""
    tab = open_tab()
    call = f"<script>{track(ANNA)}; {seen(1)};</script>"
    visit(tab, website.put("/", CLIENT + call + website.snippet() + call.replace("1", "2")))
    website.wait_for(lambda: len(website.rows()) == 2)

    assert sorted(website.rows()) == [("1", ANNA), ("2", ANNA)]
    assert {each.body["key"] for each in website.posted} == {"key"}


def test_what_waits_for_init_is_the_first_ones(open_tab: OpenTab, website: Website) -> None:
    tab = open_tab()
    visit(tab, website.put("/", CLIENT))
    second = f"ap3c.init('key', '{OTHER}')"
    tab.run(f"() => {{ {track(ANNA)}; {seen(1)}; {INIT}; {second}; }}")
    website.wait_for(website.rows)

    assert website.rows(OURS) == [("1", ANNA)]
    assert website.sent("activity", OTHER) == []


def test_what_waits_for_init_is_bounded_and_stays_in_the_page(
    open_tab: OpenTab, website: Website
) -> None:
    """At most a hundred; of more, the oldest go, and their callers are told."""
    tab = open_tab()
    visit(tab, website.put("/", CLIENT))
    tab.run(f"""async () => {{
      window.told = [];
      for (let n = 0; n < 103; n++) {seen("' + n + '")}.then(each => told.push([n, each]));
      while (told.length < 3) await new Promise(setTimeout);
    }}""")

    overflow = {"ok": False, "code": "overflow"}
    assert sorted(tab.run("() => told"), key=str) == [[0, overflow], [1, overflow], [2, overflow]]
    assert tab.run("() => localStorage.length") == 0
    tab.run(f"() => {{ {INIT}; }}")
    assert tab.run(f"() => {track(ANNA)}")["ok"]
    settle(tab)
    # Who it is takes a place, too.
    assert website.rows() == [(str(n), ANNA) for n in range(4, 103)]


def test_what_waited_for_an_init_that_never_came_is_not_sent_later(
    open_tab: OpenTab, website: Website
) -> None:
    """It waited in the page, which is gone: it could have been meant for any endpoint."""
    tab = open_tab()
    visit(tab, website.put("/", CLIENT))
    tab.run(f"() => {{ {track(ANNA)}; {seen(1)}; }}")
    visit(tab, website.put("/next", website.snippet()))
    settle(tab)

    assert (website.sent("track"), website.sent("activity")) == ([], [])
