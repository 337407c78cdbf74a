"""The queues take what any snippet, and any second code on the page, puts into them."""

from __future__ import annotations

import pytest

from .engines import Tab
from .websites import ANNA, OURS, SEEN, SERIAL, OpenTab, Website, seen, track, visit


def item(queue: str, serial: int) -> str:
    """What goes into that queue to report an activity, in JavaScript."""
    if queue == "cmd":
        return f"() => {{ {seen(serial)}; }}"
    return f"{{activity_id: '{SEEN.id}', attributes: {{'{SERIAL}': '{serial}'}}}}"


@pytest.fixture
def tab(open_tab: OpenTab, website: Website) -> Tab:
    """A page of an identified visitor."""
    opened = open_tab()
    visit(opened, website.put("/", website.snippet()))
    opened.run(f"() => {track(ANNA)}")
    return opened


@pytest.mark.parametrize("queue", ["cmd", "act"])
def test_push_takes_all_that_it_is_given(tab: Tab, website: Website, queue: str) -> None:
    """As an array's own does."""
    tab.run(f"() => {{ ap3c.{queue}.push({item(queue, 1)}, {item(queue, 2)}); }}")
    website.wait_for(lambda: len(website.rows()) == 2)

    assert website.rows() == [("1", ANNA), ("2", ANNA)]


#: Has the script come again, as a second code on the page does.
AGAIN = f"""await new Promise(done => {{
  const script = document.createElement("script");
  script.src = "{OURS}/app.js";
  script.onload = done;
  document.head.append(script);
}});"""


@pytest.mark.parametrize("queue", ["cmd", "act"])
def test_a_queue_that_is_put_in_place_of_ours_is_drained_when_the_script_comes_again(
    tab: Tab, website: Website, queue: str
) -> None:
    """What is in it, and from then on what is pushed to it, under whichever name."""
    tab.run(f"""async () => {{
      const mine = [{item(queue, 1)}];
      ap3c.{queue} = mine;
      ap3c.{queue}.push({item(queue, 2)});
      {AGAIN}
      mine.push({item(queue, 3)});
      ap3c.{queue}.push({item(queue, 4)}, {item(queue, 5)});
    }}""")
    website.wait_for(lambda: len(website.rows()) == 5)

    assert website.rows() == [(str(serial), ANNA) for serial in range(1, 6)]


def test_what_is_no_queue_is_replaced_when_the_script_comes_again(
    tab: Tab, website: Website
) -> None:
    for serial, value in enumerate(["null", "undefined", "'text'", "{}", "5"]):
        tab.run(f"""async () => {{
          ap3c.cmd = {value};
          ap3c.act = {value};
          {AGAIN}
          ap3c.act.push({item("act", 2 * serial)});
          ap3c.cmd.push({item("cmd", 2 * serial + 1)});
        }}""")
    website.wait_for(lambda: len(website.rows()) == 10)

    assert website.rows() == [(str(serial), ANNA) for serial in range(10)]
