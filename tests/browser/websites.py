"""Websites that report to several accounts, and to whose server anything may happen.

The law of this file: a test knows what the server saw and what it stored, and no browser is asked.
So the same test tells the truth of every engine.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.cookies import SimpleCookie
from threading import Condition, Event
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple

from ortto_capture import (
    Attribute,
    Capture,
    CaptureApp,
    Definition,
    Identity,
    Settings,
    open_backends,
)

from ..services import PATIENCE, clock_after, serve
from .engines import Tab, origin

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

#: So many that no limit is in the way.
RAISED = "1000000/hour"
#: Where the accounts are mounted.
OURS = "/capture"
OTHER = "/blog/capture"
SERIAL = "str:cm:serial"
SEEN = Definition(
    "act:cm:seen",
    "Seen",
    client_side=True,
    attributes=[Attribute(SERIAL), Attribute("txt:cm:long")],
    limits={"person": RAISED, "ip": RAISED},
)
#: Another one, with the limits of every day.
BOUGHT = Definition("act:cm:bought", "Bought", client_side=True, attributes=[Attribute(SERIAL)])
#: How much faster than the clock a page's timers are, where a test cannot wait.
FASTER = 5
HURRIED = f"""<script>
const later = window.setTimeout, timeout = AbortSignal.timeout;
window.setTimeout = (call, after, ...given) => later(call, after / {FASTER}, ...given);
AbortSignal.timeout = after => timeout.call(AbortSignal, after / {FASTER});
</script>"""
#: A page whose clock a test sets: what the server asks to wait for is over when the test says so.
CLOCK = """<script>
window.ahead = 0;
const now = Date.now;
Date.now = () => now() + 1000 * ahead;
</script>"""
#: A member that the server ignores, by which a test tells its own calls from the page's.
ASIDE = "aside"
#: Every address that is written into a head must be one; else the browser asks for one itself.
_HEAD = '<!doctype html><html><head><title>Shop</title><link rel="icon" href="data:,">'

OpenTab = Callable[[], Tab]


class Reply(NamedTuple):
    """An answer that is not the capture server's own."""

    status: str
    body: str = ""
    headers: tuple[tuple[str, str], ...] = ()


AWAY = Reply("503 Service Unavailable", "<h1>Service Unavailable</h1>")


@dataclass
class Posted:
    """What a page posted or asked of the host, as the server saw it.

    ``status`` is 0 until it is answered.
    """

    account: str
    route: str
    body: dict[str, Any]
    at: float
    status: int = 0
    #: The session that the answer gave the page.
    session: str | None = None

    @property
    def serial(self) -> str | None:
        """Which activity it is."""
        found = (self.body.get("attributes") or {}).get(SERIAL)
        return None if found is None else str(found)


LOGIN = "login"


def signed_in(environ: WSGIEnvironment) -> Identity | None:
    """Who is signed in at the host, whose cookie says so in plain text."""
    cookie = SimpleCookie(environ.get("HTTP_COOKIE", "")).get(LOGIN)
    return Identity(cookie.value) if cookie and cookie.value else None


def sign_in(email: str) -> str:
    """What signs a visitor in, or out with an empty address, in JavaScript."""
    return f"document.cookie = '{LOGIN}={email}; path=/'"


class Website:
    """One website: its pages by path, its accounts by mount path, and all that was posted."""

    def __init__(self) -> None:
        self.clock = clock_after(600)
        #: Seconds by which a test moves the accounts' clock.
        self.later = 0.0
        self.captures = {each: self._account() for each in (OURS, OTHER)}
        self._apps = {
            each: CaptureApp(capture, identity=signed_in) for each, capture in self.captures.items()
        }
        self.pages: dict[str, str] = {}
        self.posted: list[Posted] = []
        #: Every other path that was asked for.
        self.asked: list[str] = []
        #: Decides in place of the capture server; it may take its time.
        self.answer: Callable[[Posted], Reply | None] = lambda posted: None
        self._held: list[Event] = []
        self._told: dict[str, Event] = {}
        self._changed = Condition()
        self.base = ""
        #: The same server, as another origin.
        self.elsewhere = ""

    def _account(self) -> Capture:
        backends = open_backends("memory:")
        for definition in (SEEN, BOUGHT):
            backends.definitions.put(definition)
        settings = Settings(
            secret_keys=["an example secret of more than 32 bytes"], new_people_limit=RAISED
        )
        return Capture(
            backends=backends, settings=settings, clock=lambda: self.clock() + self.later
        )

    def end_a_day_in(self, seconds: float) -> None:
        """Have the accounts' clock so many seconds before midnight."""
        self.later = 86_400 - seconds - self.clock() % 86_400

    # -- pages

    def snippet(self, account: str = OURS, key: str = "key", **rest: Any) -> str:
        """Our own, for that account."""
        return self._apps[account].snippet(key, endpoint=account, **rest)

    def put(self, path: str, head: str, body: str = "") -> str:
        """Have a page with this in its head, and return its address.

        With ``?login=`` and an address behind it, the page signs the visitor in.
        """
        self.pages[path] = f"{_HEAD}{head}</head><body>{body}</body></html>"
        return self.base + path

    def tell(self, path: str) -> Callable[[str], None]:
        """Keep back what is asked there, until the function that is returned has the answer."""
        released = Event()
        self._held.append(released)
        self._told[path] = released

        def told(text: str) -> None:
            self.pages[path] = text
            released.set()

        return told

    # -- what the server sees

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        path = environ["PATH_INFO"]
        for account, app in self._apps.items():
            if path.startswith(f"{account}/"):
                environ["SCRIPT_NAME"], environ["PATH_INFO"] = account, path[len(account) :]
                if environ["REQUEST_METHOD"] == "POST" or path.endswith("/-/identity"):
                    return self._post(account, app, environ, start_response)
                return app(environ, start_response)
        with self._changed:
            self.asked.append(path)
            self._changed.notify_all()
        if path in self._told:
            self._told[path].wait(PATIENCE)
        page = self.pages.get(path)
        if page is None:
            start_response("204 No Content", [])
            return []
        headers = [("Content-Type", "text/html; charset=utf-8")]
        asks, _, email = environ["QUERY_STRING"].partition("=")
        if asks == LOGIN:
            headers.append(("Set-Cookie", f"{LOGIN}={email}; Path=/"))
        start_response("200 OK", headers)
        return [page.encode()]

    def _post(
        self, account: str, app: CaptureApp, environ: WSGIEnvironment, start: StartResponse
    ) -> Iterable[bytes]:
        raw = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        route = environ["PATH_INFO"].rpartition("/")[2]
        posted = Posted(account, route, json.loads(raw or b"{}"), monotonic())
        with self._changed:
            self.posted.append(posted)
            self._changed.notify_all()
        reply = None if ASIDE in posted.body else self.answer(posted)
        if reply is None:
            environ["wsgi.input"] = io.BytesIO(raw)
            told: list[str] = []

            def begin(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
                told.append(status)
                return start(status, headers, *rest)

            answer = list(app(environ, begin))
            status = told[0]
        else:
            status = reply.status
            allowed = ("Access-Control-Allow-Origin", "*")
            exposed = ("Access-Control-Expose-Headers", "Retry-After")
            start(status, [("Content-Type", "text/html"), allowed, exposed, *reply.headers])
            answer = [reply.body.encode()]
        if reply is None and route == "track" and status.startswith("200"):
            posted.session = json.loads(b"".join(answer)).get("session")
        with self._changed:
            posted.status = int(status[:3])
            self._changed.notify_all()
        return answer

    def hold(self, wanted: Callable[[Posted], object]) -> Event:
        """Keep the answers to these back until the event is set; what others get is unchanged."""
        released, before = Event(), self.answer
        self._held.append(released)

        def answer(posted: Posted) -> Reply | None:
            if wanted(posted):
                released.wait(PATIENCE)
            return before(posted)

        self.answer = answer
        return released

    def release(self) -> None:
        """Keep nothing back any more."""
        for each in self._held:
            each.set()

    def wait_for(self, true: Callable[[], object]) -> bool:
        """Wait until it is, after any request or answer; False when it never gets so."""
        with self._changed:
            return bool(self._changed.wait_for(true, PATIENCE))

    # -- what became of it

    def rows(self, account: str = OURS) -> list[tuple[str, str | None]]:
        """The serial of each stored activity, with whose it is, in the order of storing."""
        backends = self.captures[account].backends
        stored = sorted(backends.journal.latest(100_000), key=lambda row: row.position)
        people = [backends.people.get(row.person_id) for row in stored]
        return [
            (row.attributes.get(SERIAL, ""), person and person.email)
            for row, person in zip(stored, people, strict=True)
        ]

    def proofs(self, account: str = OURS) -> list[str]:
        """How it was proved whose the stored activities are, in the order of storing."""
        stored = self.captures[account].backends.journal.latest(100_000)
        return [row.assurance for row in sorted(stored, key=lambda row: row.position)]

    def sent(self, route: str, account: str | None = None) -> list[Posted]:
        """What was posted there, but for what the test did by itself."""
        return [
            each
            for each in self.posted
            if each.route == route and account in (None, each.account) and ASIDE not in each.body
        ]


@contextmanager
def open_website() -> Iterator[Website]:
    """Serve one under a name of its own: so it has cookies and a storage of its own, too."""
    made = Website()
    with serve(made) as base:
        made.base, made.elsewhere = origin(base), origin(base)
        yield made
        made.release()


# -- what tests have pages say

ANNA, BOB = "anna@emaildomain.com", "bob@emaildomain.com"


def seen(serial: object, activity_id: str = SEEN.id) -> str:
    """The call that reports this activity, in JavaScript."""
    return (
        f"ap3c.activity({{activity_id: '{activity_id}', attributes: {{'{SERIAL}': '{serial}'}}}})"
    )


def track(email: str) -> str:
    """The call that says who it is."""
    return f"ap3c.track({{email: '{email}'}})"


def visit(tab: Tab, address: str) -> None:
    """Go there, and wait until the client has arrived."""
    tab.goto(address)
    tab.until("() => window.ap3c && ap3c.loaded")


def move_on(tab: Tab, seconds: int) -> None:
    """Have a page with ``CLOCK`` be so many seconds later, and notice it by a call."""
    tab.run(f"() => {{ ahead += {seconds}; ap3c.track({{{ASIDE}: true}}); }}")


def settle(tab: Tab) -> None:
    """Wait until the page's calls so far are answered or held.

    They go out one after another, so an anonymous one of the test's own is answered after them.
    """
    tab.run(f"() => ap3c.track({{{ASIDE}: true}})")
