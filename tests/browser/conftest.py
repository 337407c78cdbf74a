"""A website with a page, the capture app mounted below it, and the engines that look at it."""

from __future__ import annotations

import io
import json
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from threading import Condition, Event
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import Browser, Page

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

from ..services import PATIENCE, campaign, clock_after, serve
from . import engines
from .engines import ChromiumTab, Engine, PageError, Tab, Until, origin
from .trouble import TROUBLE
from .websites import OpenTab, Website, open_website

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

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
#: The empty page to which a tab goes when a test is done with it. It is of the test's own site,
#: because browsers start a process for each other one, and for ``about:blank``.
LEFT = "/left"

#: The first script of each page. It writes down what no driver of all three engines tells, for as
#: long as the tab stays with the website, and with what later scripts can no longer change.
RECORDER = """(() => {
  const read = Storage.prototype.getItem.bind(sessionStorage, "heard");
  const write = Storage.prototype.setItem.bind(sessionStorage, "heard");
  const note = (kind, text) => write((read() || "") + kind + " " + text + "\\u001e");
  window[Symbol.for("heard")] = read;
  for (const level of ["debug", "log", "info", "warn", "error"]) {
    const print = console[level];
    console[level] = (...given) => {
      note("said", given.join(" "));
      print.apply(console, given);
    };
  }
  const failed = (error, message) => note("error", Object(error).message || message || error);
  addEventListener("error", (event) => failed(event.error, event.message));
  addEventListener("unhandledrejection", (event) => failed(event.reason));
  addEventListener("securitypolicyviolation", (event) => note("forbidden", event.blockedURI));
})()"""
RECORDER_HASH = f"sha256-{b64encode(sha256(RECORDER.encode()).digest()).decode()}"
HEARD = """() => {
  const read = window[Symbol.for("heard")];
  return (read ? read() : sessionStorage.getItem("heard")) || "";
}"""


@dataclass
class Posted:
    """A request that a page posted, as the server saw it."""

    path: str
    body: Any
    content_type: str
    #: By which the server tells a beacon (``no-cors``).
    mode: str
    #: None until it is answered; 0 when the connection broke instead.
    status: int | None = None

    @property
    def route(self) -> str:
        """The last part of its address, as the network inspector names it."""
        return self.path.rpartition("/")[2]


class Site:
    """One website: what its page is, what was posted to it and stored, and what went wrong."""

    def __init__(self, tab: Tab, open_tab: Callable[[], Tab]) -> None:
        #: The tab that looks at it.
        self.tab = tab
        self._open_tab = open_tab
        self.tabs: list[Tab] = []
        self.backends = open_backends("memory:")
        for definition in (LOGIN, ROBERTS, OFF):
            self.backends.definitions.put(definition)
        settings = Settings(
            secret_keys=["an example secret of more than 32 bytes"],
            merge_keys=["str:cm:customer-id", "str:cm:generic-text", "int:cm:exnumber"],
        )
        self.capture = Capture(backends=self.backends, settings=settings, clock=clock_after(600))
        self.app = CaptureApp(
            self.capture, console_guard=lambda environ: True, identity=lambda environ: None
        )
        self.mounted: WSGIApplication = mount(self.host, self.app, at="/capture")
        #: What was asked of the server: not what the browser had kept.
        self.fetched: list[str] = []
        self._posted: list[Posted] = []
        #: Notified whenever something was asked or answered.
        self._changed = Condition()
        #: The end of a path that is not answered before ``released`` is set.
        self.late = "none"
        self.released = Event()
        #: What answers instead of the capture app, by the end of the path.
        self._troubles: dict[str, WSGIApplication] = {}
        self.html = ""
        self.headers: list[tuple[str, str]] = []
        self.base = ""

    # -- the server

    def serve(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """The website with the capture app, as slow and as ill as the test wants it."""
        path = environ["PATH_INFO"]
        if path == LEFT:
            start_response("200 OK", [("Content-Type", "text/html")])
            return [b'<!doctype html><link rel="icon" href="data:,">']
        posted = self._note(environ) if environ["REQUEST_METHOD"] == "POST" else None
        with self._changed:
            self.fetched.append(path)
            self._changed.notify_all()

        def begin(status: str, *rest: Any) -> Any:
            if posted:
                posted.status = int(status[:3])
            return start_response(status, *rest)

        if path.endswith(self.late):
            self.released.wait(PATIENCE)
        wrong = [app for end, app in self._troubles.items() if path.endswith(end)]
        try:
            return (wrong[0] if wrong else self.mounted)(environ, begin)
        except ConnectionError:
            if posted:
                posted.status = 0
            raise
        finally:
            with self._changed:
                self._changed.notify_all()

    def _note(self, environ: WSGIEnvironment) -> Posted:
        raw = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(raw)
        posted = Posted(
            environ["PATH_INFO"],
            json.loads(raw),
            environ.get("CONTENT_TYPE", ""),
            environ.get("HTTP_SEC_FETCH_MODE", ""),
        )
        self._posted.append(posted)
        return posted

    def host(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """The website: one page, whatever the path."""
        found = environ["PATH_INFO"] in ("/", "/next")
        body = self.html.encode() if found else b""
        # Each policy permits our recorder, and nothing more than the test wants.
        permitted = [
            (name, value.replace("script-src ", f"script-src '{RECORDER_HASH}' "))
            for name, value in self.headers
        ]
        headers = [("Content-Type", "text/html; charset=utf-8"), *permitted]
        # No icon is no fault of the page's.
        start_response("200 OK" if found else "204 No Content", headers if found else [])
        return [body]

    def trouble(self, kind: str, end: str = "/activity") -> None:
        """From now on this happens to what is asked for below an address that ends so."""
        self._troubles[end] = TROUBLE[kind]

    def over(self) -> None:
        """The server is well again."""
        self._troubles.clear()

    def wait(self, true: Callable[[], object]) -> None:
        """Wait until it is so, after any request or answer."""
        with self._changed:
            assert self._changed.wait_for(true, PATIENCE), "it never got so"

    # -- the page

    def put(self, head: str) -> None:
        """Serve a page with this in its head."""
        icon = '<link rel="icon" href="data:,">'  # else the browser asks for one
        self.html = (
            f"<!doctype html><html><head><script>{RECORDER}</script>"
            f"<title>Shop</title>{icon}{head}</head><body></body></html>"
        )

    def open(self, head: str, *, until: Until = "load") -> None:
        """Serve a page with this in its head, and go there."""
        self.put(head)
        self.tab.goto(self.base, until=until)

    def beside(self) -> Tab:
        """Another tab of the same visitor, closed when the test ends."""
        self.tabs.append(self._open_tab())
        return self.tabs[-1]

    def snippet(self) -> str:
        """Our own."""
        return self.app.snippet(KEY)

    def run(self, script: str, argument: object = None) -> Any:
        """Call a function in the page; a promise is awaited, but not for ever."""
        return self.tab.run(script, argument)

    def settle(self) -> None:
        """Wait until every call made so far has been answered or is held.

        Calls go out one after another, so an anonymous one of our own is answered after them all.
        """
        self.arrived()
        self.run(f"() => ap3c.track({{{OURS}: true}})")

    def arrived(self) -> None:
        """Wait until the script is there: then it takes up what was pushed."""
        self.run("() => new Promise(done => ap3c.cmd.push(() => done()))")

    @property
    def page(self) -> Page:
        """What Playwright has in hand, for what only Chromium can show."""
        assert isinstance(self.tab, ChromiumTab)
        return self.tab.page

    # -- what became of it

    @property
    def posted(self) -> list[Posted]:
        """What the page reported, without what the test did to settle it."""
        return [each for each in self._posted if OURS not in each.body]

    def bodies(self, route: str) -> list[Any]:
        """What was posted there."""
        return [each.body for each in self.posted if each.route == route]

    @property
    def sent(self) -> list[str]:
        """The routes of what was posted."""
        return [each.route for each in self.posted]

    @property
    def answers(self) -> list[tuple[str, int | None]]:
        """What was posted, with the status of each answer."""
        return [(each.route, each.status) for each in self.posted]

    @property
    def stored(self) -> list[Captured]:
        """The journal."""
        return list(self.backends.journal.latest())

    @property
    def emails(self) -> list[str | None]:
        """Whose the stored activities are, in order."""
        people = [self.backends.people.get(row.person_id) for row in self.stored]
        return [person and person.email for person in people]

    def _heard(self, kind: str) -> list[str]:
        lines = self.run(HEARD).split("\x1e")
        return [line.partition(" ")[2] for line in lines if line.startswith(f"{kind} ")]

    @property
    def said(self) -> list[str]:
        """What scripts printed; the browser's own complaints are left out."""
        return self._heard("said")

    @property
    def console(self) -> list[str]:
        """What scripts printed, and what the browser complained of, where its driver tells."""
        return [*self.said, *self.tab.complaints]

    @property
    def errors(self) -> list[str]:
        """Exceptions and rejections that no script handled."""
        return self._heard("error")

    @property
    def forbidden(self) -> list[str]:
        """What the page's policy kept from it."""
        return self._heard("forbidden")


ENGINES = ["chromium", "firefox", "webkit"]


def by_turns(name: str, cases: Iterable[Any]) -> pytest.MarkDecorator:
    """Each case in one engine, where it hardly matters which; in a campaign in all of them."""
    turns = [
        (engine, case)
        for number, case in enumerate(cases)
        for turn, engine in enumerate(ENGINES)
        if number % len(ENGINES) == turn or campaign(1) > 1
    ]
    return pytest.mark.parametrize(("engine", name), turns, indirect=["engine"])


@pytest.fixture(scope="session", params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """Each engine; one process of it serves the session."""
    if request.param == "chromium":
        made = engines.chromium(request.getfixturevalue("browser"))
    else:
        made = engines.OTHERS[request.param]()
    with made as running:
        yield running


@pytest.fixture(scope="session")
def _shared_tab(engine: Engine) -> Tab:
    """To open one takes most time."""
    return engine.tab()


def put_aside(tab: Tab, left: str) -> None:
    """Leave the page of a test, which may have something to say then."""
    try:
        tab.goto(left, until="domcontentloaded")
    except PageError:
        # It was on its way to another page.
        tab.goto(left, until="domcontentloaded")
    tab.complaints.clear()


@pytest.fixture
def site(engine: Engine, _shared_tab: Tab) -> Iterator[Site]:
    """A website in each engine, in a tab that tests take over from each other.

    A new name is a new origin, with cookies, a storage and a cache of its own.
    """
    made = Site(_shared_tab, engine.tab)
    with serve(made.serve) as base:
        address = made.base = origin(base)
        yield made
        made.released.set()
        for tab in made.tabs:
            tab.close()
        put_aside(_shared_tab, address + LEFT)


@pytest.fixture
def chromium_site(browser: Browser) -> Iterator[Site]:
    """A website in a Chromium of its own, for what Playwright has to do or only Chromium shows."""
    with browser.new_context() as context:
        made = Site(ChromiumTab(context.new_page()), lambda: ChromiumTab(context.new_page()))
        with serve(made.serve) as base:
            made.base = base
            yield made
            made.released.set()


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


@pytest.fixture
def open_tab(engine: Engine, _shared_tab: Tab, website: Website) -> Iterator[OpenTab]:
    """Opens tabs of the engine: first the one that tests take over from each other."""
    opened: list[Tab] = []
    left = website.put(LEFT, "")

    def opening() -> Tab:
        opened.append(engine.tab() if opened else _shared_tab)
        return opened[-1]

    yield opening
    for each in opened[1:]:
        with suppress(PageError):  # for the test may have closed it
            each.close()
    website.release()
    put_aside(_shared_tab, left)


@pytest.fixture
def website() -> Iterator[Website]:
    """A website whose server tells what it saw."""
    with open_website() as made:
        yield made
