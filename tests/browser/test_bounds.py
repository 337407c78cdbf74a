"""What waits is bounded by count and by size, and a call costs the same however much waits."""

from __future__ import annotations

import pytest

from .websites import ANNA, AWAY, SEEN, OpenTab, Website, seen, settle, track, visit

#: Characters of all that the client keeps in the storage.
KEPT = """() => Object.entries(localStorage)
  .filter(([name]) => name.startsWith("ap3c"))
  .reduce((size, [name, value]) => size + name.length + value.length, 0)"""
BOUND = 65_536
#: Counts what calls have the page do with its storage, and how much of it is read as JSON.
COUNTING = """<script>
window.counted = {storage: 0, parsed: 0};
for (const name of ["getItem", "setItem", "removeItem", "key"]) {
  const real = Storage.prototype[name];
  Storage.prototype[name] = function (...given) {
    counted.storage++;
    return real.apply(this, given);
  };
}
const parse = JSON.parse;
JSON.parse = (text, ...given) => {
  counted.parsed += String(text).length;
  return parse(text, ...given);
};
</script>"""


#: Calls with this before their number.
EIGHTY = "() => { for (let n = 0; n < 80; n++) " + seen("%s' + n + '") + "; }"


def dropped(website: Website) -> list[dict[str, int]]:
    """What was counted as dropped, request by request."""
    return [each.body["dropped"] for each in website.posted if "dropped" in each.body]


@pytest.mark.parametrize("identified", [True, False])
def test_what_waits_is_never_larger_than_64_kib(
    open_tab: OpenTab, website: Website, identified: bool
) -> None:
    """The oldest go, their callers are told, and the server is."""
    tab = open_tab()
    visit(tab, website.put("/", website.snippet()))
    if identified:
        tab.run(f"() => {track(ANNA)}")
        website.answer = lambda posted: AWAY
    tab.run(f"""async () => {{
      window.told = [];
      for (let n = 0; n < 20; n++) {{
        const attributes = {{"str:cm:serial": "" + n, "txt:cm:long": "x".repeat(3900)}};
        ap3c.activity({{activity_id: "{SEEN.id}", attributes}}).then(each => told.push([n, each]));
      }}
      await new Promise(setTimeout);
    }}""")

    assert tab.run(KEPT) <= BOUND
    lost = {"ok": False, "code": "overflow"}
    overflown = sorted(n for n, each in tab.run("() => told") if each == lost)
    assert 0 < len(overflown) < 10
    assert overflown == list(range(len(overflown)))
    website.answer = lambda posted: None
    tab.run(f"() => {{ {track(ANNA)}; }}")
    settle(tab)
    left = 20 - len(overflown)
    assert website.wait_for(lambda: len(website.rows()) == left)
    assert sorted(website.rows()) == sorted((str(n), ANNA) for n in range(20 - left, 20))
    assert {"overflow": len(overflown)} in dropped(website)


@pytest.mark.parametrize("state", ["held", "away", "well"])
def test_a_thousand_calls_in_one_task_cost_as_much_as_a_thousand_times_one(
    open_tab: OpenTab, website: Website, state: str
) -> None:
    """Counted by what they do until the page's task and all that follows at once are done.

    A queue that is read for each call, or for each that is dropped, costs its size each time.
    """
    tab = open_tab()
    visit(tab, website.put("/", COUNTING + website.snippet()))
    if state != "held":
        tab.run(f"() => {track(ANNA)}")
    if state == "away":
        website.answer = lambda posted: AWAY
    counted = [
        tab.run(f"""async () => {{
          for (const name in counted) counted[name] = 0;
          for (let n = 0; n < {calls}; n++) {seen(1)};
          await new Promise(setTimeout);
          return {{...counted}};
        }}""")
        for calls in (100, 1000)
    ]

    few, many = counted
    assert many["storage"] <= 8 * 1_000, counted
    assert many["storage"] <= 12 * max(few["storage"], 100), counted
    assert many["parsed"] <= 1_000 * 400, counted
    assert many["parsed"] <= 12 * max(few["parsed"], 100 * 400), counted


def test_a_thousand_people_in_one_task_cost_as_much_as_a_thousand_times_one(
    open_tab: OpenTab, website: Website
) -> None:
    """Each with an activity, which goes with who it was when both are too many."""
    tab = open_tab()
    visit(tab, website.put("/", COUNTING + website.snippet()))
    few, many = [
        tab.run(f"""async () => {{
          for (const name in counted) counted[name] = 0;
          for (let n = 0; n < {people}; n++) {{
            ap3c.track({{email: n + "@emaildomain.com"}});
            {seen(1)};
          }}
          await new Promise(setTimeout);
          return {{...counted}};
        }}""")
        for people in (100, 1000)
    ]

    assert many["storage"] <= 2 * 8 * 1_000, (few, many)
    assert many["parsed"] <= 2 * 1_000 * 400, (few, many)


def test_a_hundred_wait_and_no_more(open_tab: OpenTab, website: Website) -> None:
    """Also after a page was left and another one calls: those that wait there count."""
    tab = open_tab()
    shop = website.put("/", website.snippet())
    visit(tab, shop)
    tab.run(EIGHTY % "a")
    visit(tab, shop)
    tab.run(EIGHTY % "b")
    assert tab.run(f"() => {track(ANNA)}")["ok"]
    settle(tab)
    assert website.wait_for(lambda: len(website.rows()) >= 99)

    stored = [serial for serial, _ in website.rows()]
    assert len(stored) in (99, 100), "who it is takes a place, too"
    assert {f"b{n}" for n in range(80)} <= set(stored)
    assert sum(each["overflow"] for each in dropped(website)) == 160 - len(stored)
