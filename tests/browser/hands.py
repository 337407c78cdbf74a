"""A person's hands on a tab: they click what can be seen, and type where the cursor is.

The law of this file: no script of the page is called to do anything; what is waited for is what a
person would wait for, which is words on the page.
"""

from __future__ import annotations

import json
from time import monotonic
from typing import Any

from marionette_driver.errors import NoSuchElementException, StaleElementException
from marionette_driver.keys import Keys

from ..services import PATIENCE
from .engines import ChromiumTab, FirefoxTab, Tab

#: Keys that are no letters, as Playwright names them and as WebDriver writes them.
KEYS = {
    "Enter": Keys.ENTER,
    "Tab": Keys.TAB,
    "Escape": Keys.ESCAPE,
    "Control+a": Keys.CONTROL + "a",
    "Control+v": Keys.CONTROL + "v",
}


def link(words: str) -> str:
    """A link, by the words on it."""
    return f"//a[normalize-space()={words!r}]"


def button(words: str) -> str:
    """A button of the page, or of the dialog above it, by the words on it."""
    return f"//button[normalize-space()={words!r}]"


def switch(name: str) -> str:
    """A switch, by its name."""
    return f"//button[@role='switch'][@aria-label={name!r}]"


class Hands:
    """One tab, and a person at it."""

    def __init__(self, tab: Tab) -> None:
        self.tab = tab

    def reads(self, words: str) -> None:
        """Wait until the page says so."""
        self.tab.until(f"() => document.body.innerText.includes({json.dumps(words)})")

    def sees(self, where: str) -> None:
        """Wait until there is something.

        :param where: an XPath.
        """
        found = f"document.evaluate({json.dumps(where)}, document, null, 9).singleNodeValue"
        self.tab.until(f"() => {{ const at = {found}; return at && at.checkVisibility(); }}")

    def click(self, where: str) -> None:
        """Click there, as soon as there is something.

        :param where: an XPath.
        """
        self.sees(where)
        if isinstance(self.tab, ChromiumTab):
            # Behind another tab a page is drawn once a second, for which a click would wait.
            self.tab.page.bring_to_front()
            self.tab.page.locator(f"xpath={where}").first.click()
        else:
            # A page that draws itself anew has another one there: found again, as a person would.
            until = monotonic() + PATIENCE
            while True:
                try:
                    self._driver.find_element("xpath", where).click()
                    break
                except (StaleElementException, NoSuchElementException):
                    if monotonic() >= until:
                        raise

    def write(self, words: str) -> None:
        """Type this where the cursor is."""
        if isinstance(self.tab, ChromiumTab):
            self.tab.page.keyboard.type(words)
        else:
            self._driver.get_active_element().send_keys(words)

    def press(self, *keys: str) -> None:
        """Press these keys, one after the other."""
        for key in keys:
            if isinstance(self.tab, ChromiumTab):
                self.tab.page.keyboard.press(key)
            else:
                self._driver.get_active_element().send_keys(KEYS.get(key, key))

    @property
    def _driver(self) -> Any:
        assert isinstance(self.tab, FirefoxTab)
        return self.tab.shown()
