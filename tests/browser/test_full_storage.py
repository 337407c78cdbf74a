"""A storage that has no room left loses no call of a page that is open."""

from __future__ import annotations

import pytest

from .websites import ANNA, OpenTab, Website, seen, track, visit

#: Until not one character more fits.
FILL = """() => {
  let text = "x".repeat(1e6);
  while (text) {
    try {
      localStorage.setItem("filler" + localStorage.length, text);
    } catch (error) {
      text = text.slice(0, text.length / 2);
    }
  }
}"""
EMPTY = "() => localStorage.clear()"


@pytest.mark.parametrize("before", [True, False])
def test_what_is_called_when_the_storage_is_full_is_stored(
    open_tab: OpenTab, website: Website, before: bool
) -> None:
    """Whether the client has kept something there before, or comes to a full storage."""
    tab = open_tab()
    shop = website.put("/", website.snippet())
    if before:
        visit(tab, shop)
        tab.run(f"() => {track(ANNA)}")
    else:
        tab.goto(website.put("/plain", ""))
    try:
        tab.run(FILL)
        visit(tab, shop)
        if not before:
            tab.run(f"() => {track(ANNA)}")
        told = tab.run(f"() => {seen(1)}")
        website.wait_for(website.rows)
    finally:
        # Names below localhost may share their room.
        tab.run(EMPTY)

    assert told["ok"]
    assert website.rows() == [("1", ANNA)]
