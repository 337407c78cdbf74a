"""A website with a page, the capture app mounted below it, and a browser that looks at it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import count
from threading import Event
from typing import TYPE_CHECKING, Any, Literal

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request

from ortto_capture import (
    Attribute,
    Capture,
    CaptureApp,
    Captured,
    Definition,
    Settings,
    mount,
    open_backends,
)

from ..services import PATIENCE, clock_after, serve

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

KEY = "YdOVzkqoVlq0G5Pscm9iZXJ0"
LOGIN = Definition(
    "act:cm:login",
    "Logged in",
    client_side=True,
    attributes=[
        Attribute("str::email"),
        Attribute("str:cm:payment-plan"),
        Attribute("bol:cm:account-owner"),
        Attribute("str:cm:web-browser"),
    ],
)
ROBERTS = Definition(
    "act:cm:test-that-it-is-not-brokensdfasdfasdf",
    "Test",
    client_side=True,
    attributes=[Attribute("str:cm:generic-text"), Attribute("str:cm:number")],
)
OFF = Definition("act:cm:off", "Off")
#: A member that the server ignores, by which a test tells its own calls from the page's.
OURS = "settling"
NAMES = count()


class Site:
    """One website: what its page is, what was stored, and what the browser saw."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.begin()
        page.on("console", self.heard)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", self.saw)

    def begin(self) -> None:
        """Be a website that nobody has seen."""
        self.backends = open_backends("memory:")
        for definition in (LOGIN, ROBERTS, OFF):
            self.backends.definitions.put(definition)
        settings = Settings(
            secret_keys=["an example secret of more than 32 bytes"],
            merge_keys=["str:cm:customer-id", "str:cm:generic-text", "int:cm:exnumber"],
        )
        self.capture = Capture(backends=self.backends, settings=settings, clock=clock_after(600))
        self.app = CaptureApp(self.capture, console_guard=lambda environ: True)
        self.mounted = mount(self.host, self.app, at="/capture")
        #: What was asked of the server: not what the browser had kept.
        self.fetched: list[str] = []
        #: The end of a path that is not answered before ``released`` is set.
        self.late = "none"
        self.released = Event()
        self.html = ""
        self.headers: list[tuple[str, str]] = []
        self.console: list[str] = []
        #: What scripts printed; the browser's own complaints are left out.
        self.said: list[str] = []
        #: Exceptions and rejections that nobody handled.
        self.errors: list[str] = []
        self.requests: list[Request] = []
        self.base = ""

    def heard(self, message: ConsoleMessage) -> None:
        """Remember what was printed."""
        self.console.append(message.text)
        if message.args:
            self.said.append(message.text)

    def saw(self, request: Request) -> None:
        """Remember what the browser asked for."""
        self.requests.append(request)

    def serve(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """The website with the capture app, as slow as the test wants it."""
        self.fetched.append(environ["PATH_INFO"])
        if environ["PATH_INFO"].endswith(self.late):
            self.released.wait(PATIENCE)
        return self.mounted(environ, start_response)

    def host(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """The website: one page, whatever the path."""
        found = environ["PATH_INFO"] in ("/", "/next")
        body = self.html.encode() if found else b""
        headers = [("Content-Type", "text/html; charset=utf-8"), *self.headers]
        # No icon is no fault of the page's.
        start_response("200 OK" if found else "204 No Content", headers if found else [])
        return [body]

    def open(self, head: str, *, until: Literal["load", "domcontentloaded"] = "load") -> None:
        """Serve a page with this in its head, and go there."""
        icon = '<link rel="icon" href="data:,">'  # else the browser asks for one
        self.html = (
            f"<!doctype html><html><head><title>Shop</title>{icon}{head}</head><body></body></html>"
        )
        self.page.goto(self.base, wait_until=until)

    def snippet(self) -> str:
        """Our own."""
        return self.app.snippet(KEY)

    def run(self, script: str, argument: object = None) -> Any:
        """Call a function in the page; a promise is awaited, but not for ever."""
        return self.page.evaluate(
            f"""argument => Promise.race([
              ({script})(argument),
              new Promise((done, fail) => setTimeout(fail, {PATIENCE * 500}, "no answer")),
            ])""",
            argument,
        )

    def settle(self) -> None:
        """Wait until every call made so far has been answered or is held.

        Calls go out one after another, so an anonymous one of our own is answered after them all;
        the network falling idle would say so only once in a page's life.
        """
        self.arrived()
        self.run(f"() => ap3c.track({{{OURS}: true}})")

    def arrived(self) -> None:
        """Wait until the script is there: then it takes up what was pushed."""
        self.run("() => new Promise(done => ap3c.cmd.push(() => done()))")

    @property
    def posted(self) -> list[Request]:
        """What the page reported, without what the test did to settle it."""
        return [
            each
            for each in self.requests
            if each.method == "POST" and OURS not in (each.post_data or "")
        ]

    def bodies(self, route: str) -> list[Any]:
        """What was posted there."""
        return [each.post_data_json for each in self.posted if each.url.endswith(route)]

    @property
    def stored(self) -> list[Captured]:
        """The journal."""
        return list(self.backends.journal.latest())

    @property
    def sent(self) -> list[str]:
        """The last parts of what was posted, as the network inspector names it."""
        return [each.url.rpartition("/")[2] for each in self.posted]

    @property
    def answers(self) -> list[tuple[str, int]]:
        """What was posted, with the status of each answer."""
        answers = [(each, each.response()) for each in self.posted]
        return [
            (request.url.rpartition("/")[2], answer.status if answer else 0)
            for request, answer in answers
        ]

    @property
    def emails(self) -> list[str | None]:
        """Whose the stored activities are, in order."""
        people = [self.backends.people.get(row.person_id) for row in self.stored]
        return [person and person.email for person in people]


@pytest.fixture
def site(page: Page) -> Iterator[Site]:
    """A website of its own for each test."""
    made = Site(page)
    with serve(made.serve) as base:
        made.base = base
        yield made


@pytest.fixture(scope="module")
def _shop(browser: Browser) -> Iterator[Site]:
    with browser.new_context() as context:
        yield Site(context.new_page())


@pytest.fixture
def shop(_shop: Site) -> Iterator[Site]:
    """As ``site``, in a page that tests take over from each other: to open one takes most time.

    A new name is a new origin, with cookies, a storage and a cache of its own.
    """
    _shop.begin()
    with serve(_shop.serve) as base:
        _shop.base = base.replace("127.0.0.1", f"shop{next(NAMES)}.localhost")
        yield _shop
        # It may have something to say when it is left.
        _shop.page.goto("about:blank")
    _shop.page.unroute_all()


@pytest.fixture
def old_snippet() -> Callable[[str], str]:
    """The first generation: a queue, and no stub for ``activity``."""

    def render(commands: str) -> str:
        return f"""<script>
window.ap3c = window.ap3c || {{}};
var ap3c = window.ap3c;
ap3c.cmd = ap3c.cmd || [];
ap3c.cmd.push(function() {{ {commands} }});
(function(d, t) {{
  var s = d.createElement(t), x = d.getElementsByTagName(t)[0];
  s.type = "text/javascript"; s.async = true; s.src = "/capture/app.js";
  x.parentNode.insertBefore(s, x);
}})(document, "script");
</script>"""

    return render
