"""What is looked at on every page of the console: by axe, with a ruler, and at each width.

The law of this file: it looks, and changes nothing but the width of the window and its scrolling.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import axe_playwright_python
from playwright.sync_api import Page
from playwright.sync_api import TimeoutError as TooLate

AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text("utf-8")
WIDTHS = (375, 1120, 768, 2560)
#: Pixels that a finger needs, and a mouse, at the width where each is used.
LEAST = {375: 44, 1120: 32}

_VIOLATIONS = """async () =>
  (await axe.run({resultTypes: ["violations"], preload: false})).violations.flatMap(
    ({id, nodes}) => nodes.map(({html}) => `${id}: ${html.slice(0, 200)}`))"""

# Up and down from the middle of each control, as far as what is hit is still the control. A link
# within a sentence is as high as its line (WCAG 2.2, 2.5.8).
_SMALL = """(least) => {
  const within = (link) => getComputedStyle(link).display.startsWith("inline") &&
    [...link.parentElement.childNodes].some((each) => each.nodeType === 3 && each.data.trim());
  const controls = "a[href], button, input, select, summary";
  const found = [], modal = document.querySelector("dialog[open]");
  for (const each of (modal || document).querySelectorAll(controls)) {
    if (!each.checkVisibility() || each.disabled || each.matches(".skip, svg a")) continue;
    if (each.matches("a") && within(each)) continue;
    const area = each.matches(".whole") ? each.closest("tr, li") : each.closest("label") || each;
    if (area.getBoundingClientRect().height + 0.5 >= least) continue;
    each.scrollIntoView({ block: "center", behavior: "instant" });
    const { left, top, width, height } = area.getBoundingClientRect();
    if (!width) continue;
    const x = left + Math.min(width, 60) / 2, middle = top + height / 2;
    const hit = (by) => area.contains(document.elementFromPoint(x, middle + by));
    if (!hit(0)) continue; // what covers it is looked at itself
    let up = 0, down = 0;
    while (up < least && hit(-up)) up += 1;
    while (down < least && hit(down)) down += 1;
    if (up + down < least) {
      const name = (each.ariaLabel || each.textContent).slice(0, 40);
      found.push(`${each.tagName} ${each.className} ${name}: ${Math.round(height)}, ${up + down}`);
    }
  }
  scrollTo(0, 0);
  return [...new Set(found)];
}"""

# Charts are drawn anew when their width has changed, which a busy browser tells them late.
_FITS = """() => document.documentElement.scrollWidth <= innerWidth"""
_WIDER = """() => [...document.querySelectorAll("body *")]
  .filter((each) => each.getBoundingClientRect().right > innerWidth + 1)
  .slice(0, 3).map((each) => `${each.tagName} ${each.getAttribute("class")}`)"""


def violations(page: Page) -> list[str]:
    """What axe finds wrong. The page's clock goes on from here."""
    page.clock.resume()
    if page.evaluate("() => !window.axe"):
        page.evaluate(AXE)
    found = page.evaluate(_VIOLATIONS)
    assert isinstance(found, list)
    return found


def misfits(page: Page, widths: Sequence[int] = WIDTHS) -> list[str]:
    """At which widths the page scrolls sideways, and which controls are missed at two of them."""
    found = []
    for width in widths:
        page.set_viewport_size({"width": width, "height": 800})
        try:
            page.wait_for_function(_FITS)
        except TooLate:
            found += [f"{width}, too wide: {each}" for each in page.evaluate(_WIDER)]
        if least := LEAST.get(width):
            found += [f"{width}, too small: {each}" for each in page.evaluate(_SMALL, least)]
    return found


def unexpected(complaints: list[str]) -> list[str]:
    """Complaints, but for those about an answer that the page itself tells of."""
    return [each for each in complaints if not re.match("Failed to load resource", each)]
