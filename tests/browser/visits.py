"""Many visits to a website in trouble, and what is left of them.

The law of this file: a visitor is told nothing. What the page called is compared with what the
journal holds when everything is well again and every visitor has come back once more.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

from playwright.sync_api import Browser, BrowserContext, Page
from playwright.sync_api import Error as PlaywrightError

from ..faults.stage import Result
from ..services import PATIENCE, campaign, run_server
from .front import Front, front
from .visited import DIRECTORY, capture, trouble

#: Seconds that a page must have lived after a call for the call to count.
LIVED = 0.05
#: Seconds of trouble, at most.
LONGEST = 3.0 if campaign(1) > 1 else 1.0
#: Visitors, each with cookies and storage of their own.
VISITORS = 5
#: How many visits out of ten are of several tabs at once.
MANY_TABS = 2
NOTHING_WAITS = "() => !Object.keys(localStorage).some(name => name.startsWith('ap3c-'))"
CALL = """serials => {
  for (const serial of serials) {
    ap3c.activity({activity_id: "act:cm:seen", attributes: {"str:cm:serial": serial}});
  }
}"""


@dataclass
class Visitor:
    """One browser's user, and whose the calls are."""

    context: BrowserContext
    name: str
    #: The address last given to ``track``.
    email: str | None = None
    people: int = 0
    #: Tabs that went on to another page.
    left: list[Page] = field(default_factory=list)
    #: Calls made before anybody was identified.
    held: list[str] = field(default_factory=list)


class Visits:
    """The campaign."""

    def __init__(self, browser: Browser, directory: Path, network: Front, seed: int) -> None:
        self.random = random.Random(seed)
        self.directory = directory
        self.network = network
        self.base = f"http://127.0.0.1:{network.port}/"
        self.visitors = [
            Visitor(browser.new_context(), f"visitor{number}") for number in range(VISITORS)
        ]
        #: Whose each call is, and whether its page lived long enough.
        self.called: dict[str, str | None] = {}
        self.counted: set[str] = set()
        self.errors: list[str] = []
        self.made = 0
        self.ending: threading.Timer | None = None

    # -- what goes wrong, and for how long

    def begin_trouble(self) -> None:
        """Something of the server's or the network's goes wrong, and is well again by itself."""
        kinds: list[Callable[[], object]] = [
            lambda: self.network.be("cut"),
            lambda: self.network.be("mute"),
            *(
                lambda wrong=wrong: trouble(self.directory).write_text(wrong)
                for wrong in ("500", "429", "after", "killed")
            ),
        ]
        self.random.choice(kinds)()
        self.ending = threading.Timer(self.random.uniform(0, LONGEST), self.end_trouble)
        self.ending.start()

    def end_trouble(self) -> None:
        """Everything is well."""
        self.network.be("well")
        trouble(self.directory).unlink(missing_ok=True)

    def wait_for_the_end(self) -> None:
        """No trouble is left over."""
        if self.ending is not None:
            self.ending.join()

    # -- visits

    def visit(self) -> None:
        """Somebody comes, does something, and leaves."""
        visitor = self.random.choice(self.visitors)
        several = self.random.randrange(10) < MANY_TABS
        pages = [self.page(visitor) for _ in range(self.random.choice([2, 5]) if several else 1)]
        # Who it is is said now and then: on a later page, or somebody else's.
        if self.random.random() < (0.3 if visitor.email else 0.6):
            self.identify(visitor, pages[0])
        early = self.random.random() < 0.5
        if early:
            self.begin_trouble()
        for page in pages:
            self.call(visitor, page)
        if not early and self.random.random() < 0.6:
            self.begin_trouble()
        self.leave(visitor, pages)
        self.wait_for_the_end()
        visitor.context.set_offline(offline=False)

    def page(self, visitor: Visitor) -> Page:
        """A page whose script has come, in a tab of its own."""
        while visitor.left:
            visitor.left.pop().close()
        page = visitor.context.new_page()
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.goto(self.base)
        page.wait_for_function("window.ap3c && ap3c.loaded")
        return page

    def identify(self, visitor: Visitor, page: Page) -> None:
        """Mostly the same person again."""
        if visitor.email is None or self.random.random() < 0.3:
            visitor.people += 1
            visitor.email = f"{visitor.name}-{visitor.people}@emaildomain.com"
        page.evaluate("email => { ap3c.track({email}); }", visitor.email)
        for serial in visitor.held:
            self.called[serial] = visitor.email
        visitor.held.clear()

    def call(self, visitor: Visitor, page: Page) -> None:
        """One to five activities."""
        serials = [str(self.made + number) for number in range(self.random.randint(1, 5))]
        self.made += len(serials)
        for serial in serials:
            self.called[serial] = visitor.email
        if visitor.email is None:
            visitor.held += serials
        page.evaluate(CALL, serials)
        since = monotonic()
        if self.random.random() < 0.8:
            page.wait_for_timeout(self.random.uniform(0, 200))
        if monotonic() - since >= LIVED:
            self.counted.update(serials)

    def leave(self, visitor: Visitor, pages: list[Page]) -> None:
        """The tabs are closed, go on, are loaded again, or lose the network first."""
        for page in pages:
            way = self.random.choice(["close", "navigate", "reload", "offline"])
            if way == "offline":
                visitor.context.set_offline(offline=True)
            if way in ("close", "offline"):
                page.close()
                continue
            visitor.left.append(page)
            with suppress(PlaywrightError):  # for trouble
                if way == "reload":
                    page.reload()
                else:
                    page.goto(f"{self.base}next")

    def come_back(self) -> None:
        """Every visitor opens one more page, and stays until nothing waits."""
        for visitor in self.visitors:
            page = self.page(visitor)
            if visitor.email is None:
                self.identify(visitor, page)
            page.wait_for_function(NOTHING_WAITS, timeout=4 * PATIENCE * 1_000)
            visitor.context.close()

    # -- what is left

    def result(self, figures: dict[str, int]) -> Result:
        """What the journal holds against what was called."""
        with capture(self.directory).backends as backends:
            stored: Counter[str] = Counter()
            wrong = []
            for row in backends.journal.after("", limit=1_000_000):
                serial = row.attributes["str:cm:serial"]
                stored[serial] += 1
                person = backends.people.get(row.person_id)
                if person is None or person.email != self.called[serial]:
                    wrong.append(serial)
        lost = [each for each in self.counted if not stored[each]]
        twice = [each for each, times in stored.items() if times > 1]
        figures |= {
            "called": len(self.called),
            "on pages that lived": len(self.counted),
            "stored": len(stored),
            "lost": len(lost),
            "duplicated": len(twice),
            "somebody else's": len(wrong),
        }
        findings = [
            f"{what}: {sorted(which, key=int)}"
            for what, which in (("lost", lost), ("duplicated", twice), ("somebody else's", wrong))
            if which
        ]
        findings += [f"the page was told: {each}" for each in self.errors]
        return Result(findings, figures)


def campaign_of_visits(browser: Browser, directory: Path, visits: int, seed: int) -> Result:
    """So many visits to a website that is often in trouble."""
    with (
        run_server(
            "gunicorn-gthread",
            "tests.browser.visited:app",
            workers=2,
            env={DIRECTORY: str(directory)},
        ) as port,
        front(port) as network,
    ):
        campaign = Visits(browser, directory, network, seed)
        for _ in range(visits):
            campaign.visit()
        campaign.come_back()
    return campaign.result({"visits": visits, "seed": seed})
