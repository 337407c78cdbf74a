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


@pytest.mark.parametrize("queue", ["cmd", "act"])
def test_a_queue_that_is_put_in_place_of_ours_is_drained(
    tab: Tab, website: Website, queue: str
) -> None:
    """What is in it, what is pushed to it later, and what is pushed by the page's own name."""
    tab.run(f"""() => {{
      const mine = [{item(queue, 1)}];
      ap3c.{queue} = mine;
      mine.push({item(queue, 2)});
      ap3c.{queue}.push({item(queue, 3)}, {item(queue, 4)});
    }}""")
    website.wait_for(lambda: len(website.rows()) == 4)

    assert website.rows() == [("1", ANNA), ("2", ANNA), ("3", ANNA), ("4", ANNA)]


@pytest.mark.parametrize("queue", ["cmd", "act"])
def test_a_second_code_on_the_page_is_drained(tab: Tab, website: Website, queue: str) -> None:
    """It makes queues of its own, and has the script come again."""
    tab.run(f"""() => {{
      ap3c.{queue} = [];
      ap3c.{queue}.push({item(queue, 1)});
      const script = document.createElement("script");
      script.src = "{OURS}/app.js";
      document.head.append(script);
    }}""")
    website.wait_for(website.rows)

    assert website.rows() == [("1", ANNA)]
    tab.run(f"() => {{ ap3c.{queue}.push({item(queue, 2)}); }}")
    website.wait_for(lambda: len(website.rows()) == 2)
    assert website.rows() == [("1", ANNA), ("2", ANNA)]


@pytest.mark.parametrize("value", ["null", "undefined", "'text'", "{}", "5"])
def test_what_is_no_queue_breaks_nothing(tab: Tab, website: Website, value: str) -> None:
    tab.run(f"() => {{ ap3c.cmd = {value}; ap3c.act = {value}; }}")

    assert tab.run(f"() => {seen(1)}")["ok"]
    tab.run(f"() => {{ ap3c.act.push({item('act', 2)}); ap3c.cmd.push({item('cmd', 3)}); }}")
    website.wait_for(lambda: len(website.rows()) == 3)
    assert website.rows() == [("1", ANNA), ("2", ANNA), ("3", ANNA)]
