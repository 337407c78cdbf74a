"""Tabs of one origin take turns, and none of them waits for another for ever."""

from __future__ import annotations

from collections import Counter

from .websites import ANNA, HURRIED, OpenTab, Website, seen, settle, track, visit

HELD = "async () => (await navigator.locks.query()).held.map(each => each.name)"
#: Takes every lock that the client asked for, for good.
KEEP = """names => {
  window.kept = 0;
  for (const name of names)
    navigator.locks.request(name, () => { window.kept++; return new Promise(() => {}); });
}"""


def test_a_tab_that_keeps_the_lock_for_ever_stops_no_other(
    open_tab: OpenTab, website: Website
) -> None:
    """As one does that stands in a debugger or in ``alert()``."""
    one, keeper = open_tab(), open_tab()
    visit(one, website.put("/", website.snippet()))
    keeper.goto(website.put("/keeper", ""))
    released = website.hold(lambda posted: posted.route == "track")
    one.run(f"() => {{ {track(ANNA)}; }}")
    assert website.wait_for(lambda: website.sent("track"))
    names = one.run(HELD)
    assert names
    keeper.run(KEEP, names)
    released.set()
    keeper.until(f"() => window.kept === {len(names)}")

    other = open_tab()
    visit(other, website.put("/hurried", HURRIED + website.snippet()))
    other.run(f"() => {{ {seen(1)}; }}")
    assert website.wait_for(website.rows)
    assert website.rows() == [("1", ANNA)]


def test_what_two_tabs_call_at_the_same_time_is_stored_once(
    open_tab: OpenTab, website: Website
) -> None:
    """Ten calls each. A tab that has not seen in time what the other sent may send it again.

    The requests that the server sees are counted: without turns they are nearly twice as many.
    """
    shop = website.put("/", website.snippet())
    tabs = [open_tab(), open_tab()]
    for tab in tabs:
        visit(tab, shop)
    tabs[0].run(f"() => {track(ANNA)}")
    for number, tab in enumerate(tabs):
        tab.run(f"""() => {{
          window.told = [];
          (function call(serial) {{
            if (serial === 10) return;
            {seen(f"{number}-' + serial + '")}.then(each => told.push(each));
            setTimeout(call, 5, serial + 1);
          }})(0);
        }}""")
    for tab in tabs:
        tab.until("() => told.length === 10")
        settle(tab)

    assert len(website.rows()) == 20
    assert len(set(website.rows())) == 20
    asked = Counter(each.serial for each in website.sent("activity"))
    assert asked.total() <= 30, asked


def test_a_tab_that_is_closed_leaves_its_calls_to_the_others(
    open_tab: OpenTab, website: Website
) -> None:
    """While its request was under way."""
    shop = website.put("/", website.snippet())
    other, one = open_tab(), open_tab()
    visit(one, shop)
    visit(other, shop)
    one.run(f"() => {track(ANNA)}")
    released = website.hold(lambda posted: posted.serial == "1")
    one.run(f"() => {{ {seen(1)}; {seen(2)}; }}")
    assert website.wait_for(lambda: website.sent("activity"))
    one.close()
    released.set()

    assert other.run(f"() => {seen(3)}")["ok"]
    assert website.wait_for(lambda: len(website.rows()) == 3)
    assert sorted(website.rows()) == [("1", ANNA), ("2", ANNA), ("3", ANNA)]


#: A page that goes at the moment when it has an answer, and before it does anything with it.
GONE = """<script>
const send = window.fetch;
window.fetch = async (...given) => {
  const answer = await send(...given);
  dispatchEvent(new Event("pagehide"));
  return answer;
};
</script>"""


def test_what_waits_is_sent_though_the_page_that_said_who_it_is_goes_at_once(
    open_tab: OpenTab, website: Website
) -> None:
    """As a window for logging in does, which closes itself."""
    one, login = open_tab(), open_tab()
    visit(one, website.put("/", website.snippet()))
    visit(login, website.put("/login", GONE + website.snippet()))
    one.run(f"() => {{ window.told = {seen(1)}; }}")
    settle(one)
    login.run(f"() => {track(ANNA)}")
    login.close()
    website.wait_for(website.rows)

    assert website.rows() == [("1", ANNA)]
    assert one.run("() => told")["ok"]
