"""The activity page of a small account, opened in a browser whose clock the test moves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import Locator, Page, Response, expect

from ortto_capture import (
    Attribute,
    Capture,
    CaptureApp,
    Captured,
    Definition,
    Refused,
    Settings,
    mount,
    open_backends,
)
from ortto_capture.testing import FakeClock

from ..services import serve

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

PAID = Definition(
    "act:cm:paid",
    "Paid",
    client_side=True,
    attributes=[Attribute("str:cm:plan"), Attribute("int:cm:price")],
    limits={"person": "10000/day"},
)
ONCE = Definition("act:cm:once", "Once", client_side=True, limits={"person": "1/day"})
OFF = Definition("act:cm:off", "Off")


class Complaints:
    """What a page did that its author should know of: it is to stay empty."""

    def __init__(self, page: Page) -> None:
        self.said: list[str] = []
        page.on("console", lambda message: self.said.append(message.text))
        page.on("pageerror", lambda error: self.said.append(str(error)))


class ActivityPage:
    """The page, and the account behind it."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.backends = open_backends("memory:")
        for definition in (PAID, ONCE, OFF):
            self.backends.definitions.put(definition)
        settings = Settings(secret_keys=["an example secret of more than 32 bytes"])
        self.clock = FakeClock()
        self.capture = Capture(backends=self.backends, settings=settings, clock=self.clock)
        self.answering = True
        self.welcome = True
        self.let_in: Callable[[WSGIEnvironment], bool] = lambda environ: self.welcome
        self.app = mount(
            self.host,
            CaptureApp(self.capture, console_guard=self.guard),
            at="/capture",
        )
        self.session = self.capture.identify(email="user@emaildomain.com").session
        self.complaints = Complaints(page)
        self.base = ""

    def guard(self, environ: WSGIEnvironment) -> bool:
        """Let in those whom the test lets in."""
        return self.let_in(environ)

    @staticmethod
    def host(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """There is no website here."""
        start_response("404 Not Found", [])
        return []

    def serving(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """The server, or what stands in front of it when it is away."""
        if self.answering:
            return self.app(environ, start_response)
        start_response("502 Bad Gateway", [])
        return []

    def open(self) -> None:
        """Go there, and see the first answer."""
        with self.page.expect_response("**/api/feed?*"):
            self.page.goto(f"{self.base}/capture/console/")
        self.settle()

    def settle(self) -> None:
        """Wait until the answer is on the page and the next question is set."""
        self.page.locator("#feed[aria-busy=false]").wait_for(state="attached")

    def poll(self, milliseconds: int = 2_000) -> Response:
        """Let the page ask once more, within that time by its clock."""
        with self.page.expect_response("**/api/feed?*") as asked:
            self.page.clock.run_for(milliseconds)
        self.settle()
        return asked.value

    def record(self, activity_id: str = PAID.id, attributes: Any = None) -> Captured | None:
        """Record an activity in the name of the one person there is; None if it was refused."""
        try:
            return self.capture.record(self.session, activity_id, attributes)
        except Refused:
            return None

    @property
    def rows(self) -> Locator:
        """The rows that show, newest first."""
        return self.page.locator("#feed > li:not([hidden]) > .row")

    def says(self, text: str) -> None:
        """Expect the page to report this about its server."""
        expect(self.page.get_by_role("status")).to_contain_text(text)


@pytest.fixture
def activity_page(page: Page) -> Iterator[ActivityPage]:
    """An activity page, empty, not opened yet."""
    there = ActivityPage(page)
    # Twelve seconds after what the account's own clock says, which stands still as well.
    page.clock.install(time=there.clock() + 10)
    page.clock.pause_at(there.clock() + 12)
    with serve(there.serving) as there.base:
        yield there
