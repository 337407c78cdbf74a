"""The console of a small account, opened in a browser whose clock the test moves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import Locator, Page

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
from ortto_capture.testing import FakeClock, Ids

from ..services import ROOT, serve

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

PAID = Definition(
    "act:cm:paid",
    "Paid",
    client_side=True,
    attributes=[
        Attribute("str:cm:plan", "Payment plan"),
        Attribute("int:cm:price", "Price"),
        Attribute("txt:cm:note", "Note"),
        Attribute("str:cm:card", "Card", sensitive=True),
    ],
    limits={"person": "10000/day"},
)
ONCE = Definition("act:cm:once", "Once", client_side=True, limits={"person": "1/day"})
MODULES = ROOT / "ortto_capture" / "console" / "static"
#: What a link of the console does.
FOLLOW = """(address) => {
  history.pushState(null, "", address);
  dispatchEvent(new PopStateEvent("popstate"));
}"""
SCOPES = ("read", "write", "erase", "pii")


class Console:
    """The console, and the account behind it: two people, two activities."""

    def __init__(self, page: Page, backends: str = "memory:") -> None:
        self.page = page
        self.clock = FakeClock()
        self.backends = open_backends(backends)
        self.capture = Capture(
            backends=self.backends,
            settings=Settings(secret_keys=["an example secret of more than 32 bytes"]),
            clock=self.clock,
            new_id=Ids(),
        )
        self.scopes: tuple[str, ...] = SCOPES
        self.answering = True
        self.base = ""
        self.session: str | None = None
        #: What the pages did that their author should know of.
        self.complaints: list[str] = []
        #: The addresses that were asked for, as a log has them.
        self.asked: list[str] = []
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.asked.append(request.url))
        self._app = mount(
            self._host, CaptureApp(self.capture, console_guard=lambda _: self.scopes), at="/capture"
        )

    @staticmethod
    def _host(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """What a test imports is the module alone: ``/modules/core.js``."""
        module = MODULES / environ["PATH_INFO"].removeprefix("/modules/")
        if not module.is_file():
            start_response("404 Not Found", [])
            return []
        start_response("200 OK", [("Content-Type", "text/javascript; charset=utf-8")])
        return [module.read_bytes()]

    def serving(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """The server, or what stands in front of it when it is away."""
        if self.answering:
            return self._app(environ, start_response)
        start_response("502 Bad Gateway", [])
        return []

    @contextmanager
    def served(self) -> Iterator[Console]:
        """Itself, at an address."""
        with serve(self.serving) as self.base:
            yield self

    def define(self, *definitions: Definition) -> None:
        """Let there be these activities."""
        for definition in definitions:
            self.backends.definitions.put(definition)

    def record(self, activity_id: str = PAID.id, **attributes: Any) -> Captured | None:
        """Record an activity in the name of the visitor, a second later; None if it was refused.

        :param attributes: by slug: ``plan``, ``price``, ``note``, ``card``.
        """
        self.clock.advance(1)
        keys = {each.name: each.key for each in PAID.attributes} | {
            each.key.rpartition(":")[2]: each.key for each in PAID.attributes
        }
        values = {keys.get(name, name): value for name, value in attributes.items()}
        try:
            return self.capture.record(self.session, activity_id, values)
        except Refused:
            return None

    def open(self, address: str) -> None:
        """Open the page, a few seconds after the latest that happened."""
        self.page.clock.install(time=self.clock())
        self.page.clock.pause_at(self.clock() + 5)
        self.page.goto(f"{self.base}/capture/console/{address}")
        self.page.locator("main:not([aria-busy])").wait_for()

    def follow(self, address: str) -> None:
        """Go on to this page as a link of the console does, without loading anything anew."""
        self.page.evaluate(FOLLOW, address)
        self.page.locator("main:not([aria-busy])").wait_for()

    def later(self, seconds: float = 2) -> None:
        """Let time pass on the page: it asks again."""
        self.page.clock.run_for(int(seconds * 1000))

    @property
    def rows(self) -> Locator:
        """The lines of a feed, newest first."""
        return self.page.locator(".event")

    @property
    def details(self) -> Locator:
        """What is shown of the row that is open."""
        return self.page.get_by_role("complementary", name="Details")


@pytest.fixture
def console(page: Page) -> Iterator[Console]:
    """A console with two activities and a visitor who is identified."""
    with Console(page).served() as there:
        there.define(PAID, ONCE)
        there.session = there.capture.identify(email="jo@example.com", first="Jo").session
        yield there
