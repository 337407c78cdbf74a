"""Nothing a page reports is lost or stored twice, and a client that does so is caught."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import pytest

from ortto_capture import Backends, Capture, CaptureApp, Settings, mount, open_backends

from ..conftest import Campaigns
from ..faults.stage import seed
from ..services import PATIENCE, campaign
from .conftest import LOGIN, Site
from .engines import Engine, Tab
from .trouble import JSON, answer, reset
from .variants import VARIANTS, spoilt
from .visits import LOADED, NOTHING_WAITS, campaign_of_visits

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

LOGGED_IN = "() => { ap3c.activity({activity_id: 'act:cm:login'}); }"
ANSWERED = "() => ap3c.activity({activity_id: 'act:cm:login'})"
IDENTIFIED = "() => ap3c.track({email: 'anna@emaildomain.com'})"
WAITING_TABS = "async () => (await navigator.locks.query()).pending.length"


def test_what_visitors_did_is_stored_once_whatever_the_server_and_the_network_do(
    engine: Engine, tmp_path: Path, campaigns: Campaigns
) -> None:
    visits = campaign(10 if engine.name == "chromium" else 3) if campaign(1) > 1 else 6
    result = campaign_of_visits(engine, tmp_path, visits, seed())
    campaigns.report("visits", result)

    assert not result.findings, "\n".join(result.findings)


def ready(
    site: Site, tab: Tab | None = None, *, path: str = "/", endpoint: str = "/capture"
) -> Tab:
    """A page with the client, in that tab or in the first one."""
    tab = tab or site.tab
    snippet = site.app.snippet("key", endpoint=endpoint)
    # One script for both accounts: the one that a bad client stands in for.
    site.put(snippet.replace(f"{endpoint}/app.js", "/capture/app.js"))
    tab.goto(f"{site.base}{path}")
    tab.until(LOADED)
    return tab


def leave(site: Site) -> None:
    """Go on to a page without the client: that would send what is left."""
    site.put("")
    site.tab.goto(f"{site.base}/next")


def another_account(site: Site) -> Backends:
    """A second capture app on the same origin, below ``/blog``."""
    backends = open_backends("memory:")
    backends.definitions.put(LOGIN)
    settings = Settings(secret_keys=["another secret of more than 32 bytes"])
    app = CaptureApp(Capture(backends=backends, settings=settings))
    site.mounted = mount(site.mounted, app, at="/blog")
    return backends


def emails(backends: Backends) -> list[str | None]:
    """Whose the stored activities are."""
    people = [backends.people.get(row.person_id) for row in backends.journal.latest()]
    return [person and person.email for person in people]


def until(true: Callable[[], object]) -> None:
    """Ask again and again."""
    ends = monotonic() + PATIENCE
    while not true():
        assert monotonic() < ends, "it never got so"


def outage(site: Site) -> bool:
    """The server is down, the page is left, and the visitor comes back."""
    tab = ready(site)
    tab.run(IDENTIFIED)
    tab.run("() => { navigator.sendBeacon = () => false; }")
    site.trouble("down")
    tab.run(ANSWERED)
    leave(site)
    site.over()
    ready(site).until(NOTHING_WAITS)
    return len(site.stored) == 1


def answer_lost(site: Site) -> bool:
    """What was stored once already is sent again."""
    tab = ready(site)
    tab.run(IDENTIFIED)
    inner = site.mounted

    def lose_the_first(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if len(site.bodies("activity")) != 1:
            return inner(environ, start_response)
        list(inner(environ, lambda status, headers, exc_info=None: lambda data: None))
        return reset(environ, start_response)

    site.mounted = lose_the_first
    tab.run(LOGGED_IN)
    tab.until(NOTHING_WAITS)
    return len(site.stored) == 1


def two_tabs(site: Site) -> bool:
    """One waits for the server, the other has something to send as well."""
    one, other = ready(site), ready(site, site.beside())
    one.run(IDENTIFIED)
    site.late = "/activity"
    one.run(LOGGED_IN)
    site.wait(lambda: site.bodies("activity"))
    other.run(LOGGED_IN)
    until(lambda: other.run(WAITING_TABS) or len(site.bodies("activity")) > 1)
    sent = len(site.bodies("activity"))
    site.released.set()
    other.until(NOTHING_WAITS)
    return sent == 1


def left_at_once(site: Site) -> bool:
    """Identifies, acts, and is gone for good, while the answer to the track is still out."""
    tab = ready(site)
    site.late = "/track"
    tab.run("() => { ap3c.track({email: 'anna@emaildomain.com'}); }")
    site.wait(lambda: site.bodies("track"))
    tab.run(LOGGED_IN)
    leave(site)
    for _ in range(100):
        if site.stored:
            break
        # A round trip, in which what was sent before may arrive.
        tab.run("() => fetch('/next').then(answer => answer.text())")
    site.released.set()
    return len(site.stored) == 1


def last_words(site: Site) -> bool:
    """The page reports that it is left, and the next one wants to report something as well."""
    tab = ready(site)
    tab.run(IDENTIFIED)
    tab.run(f"() => {{ addEventListener('pagehide', {LOGGED_IN}); }}")
    ready(site, path="/next")
    tab.run(LOGGED_IN)
    until(lambda: len(site.stored) == 2 or tab.run(WAITING_TABS))
    return len(site.stored) == 2


def two_accounts_in_one_task(site: Site) -> bool:
    """A page reports to one account, and then to another."""
    blog = another_account(site)
    tab = ready(site)
    tab.run(
        """() => {
          const call = (endpoint, email) => {
            ap3c.init("key", endpoint);
            ap3c.track({email});
            ap3c.activity({activity_id: "act:cm:login"});
          };
          call("/capture", "anna@emaildomain.com");
          call("/blog", "bob@emaildomain.com");
        }"""
    )
    until(lambda: len(site.emails) + len(emails(blog)) == 2)
    return (site.emails, emails(blog)) == (["anna@emaildomain.com"], ["bob@emaildomain.com"])


def two_pages_of_one_origin(site: Site) -> bool:
    """What waits for a person of one account; and then a person of another one comes."""
    blog = another_account(site)
    tab = ready(site)
    tab.run(LOGGED_IN)
    ready(site, endpoint="/blog")
    tab.run("() => ap3c.track({email: 'bob@emaildomain.com'})")
    tab.run(ANSWERED)
    ready(site)
    tab.run(IDENTIFIED)
    tab.until(NOTHING_WAITS)
    return (site.emails, emails(blog)) == (["anna@emaildomain.com"], ["bob@emaildomain.com"])


def cleared(site: Site) -> bool:
    """The page clears the storage of its origin while calls wait for the server."""
    tab = ready(site)
    tab.run(IDENTIFIED)
    site.trouble("down")
    tab.run(ANSWERED)
    tab.run("() => localStorage.clear()")
    site.over()
    tab.run(ANSWERED)
    tab.until(NOTHING_WAITS)
    return len(site.stored) == 2


def proxy(site: Site) -> bool:
    """While the app restarts, the proxy before it has never heard of it."""
    tab = ready(site)
    tab.run(IDENTIFIED)
    site.trouble("unknown to a proxy")
    tab.run(ANSWERED)
    site.over()
    tab.until(NOTHING_WAITS)
    return len(site.stored) == 1


def much(site: Site) -> bool:
    """Large calls, and no person to whom they belong."""
    tab = ready(site)
    size: int = tab.run(
        """async () => {
          const attributes = {"str::email": "x".repeat(9000)};
          for (let number = 0; number < 20; number++) {
            ap3c.activity({activity_id: "act:cm:login", attributes});
          }
          await new Promise(setTimeout);
          return Object.keys(localStorage).filter(name => name.startsWith("ap3c-"))
            .reduce((size, name) => size + localStorage[name].length, 0);
        }"""
    )
    return 9_000 < size <= 65_536


def asked_to_wait(site: Site) -> bool:
    """A limit is reached, and there is room again in 200 seconds; other calls are not limited."""
    tab = ready(site)
    # The wait that the client makes up by itself is none.
    tab.run("() => { Math.random = () => 0; }")
    tab.run(IDENTIFIED)
    inner = site.mounted
    full = answer(
        "429 Full", b'{"error":{"code":"rate-limit"}}', Retry_After="200", Content_Type=JSON
    )

    def limit_the_first(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        limited = len(site.bodies("activity")) == 1
        return (full if limited else inner)(environ, start_response)

    site.mounted = limit_the_first
    for _ in range(5):
        tab.run(ANSWERED)
    first, *others = [body["event_id"] for body in site.bodies("activity")]
    return first not in others


SCENARIOS: dict[str, Callable[[Site], bool]] = {
    "no persistence": outage,
    "a new id for each try": answer_lost,
    "no lock": two_tabs,
    "no beacon": left_at_once,
    "asks for the lock while the page is going": last_words,
    "key and endpoint are those of the page's end": two_accounts_in_one_task,
    "sends what was called for another endpoint": two_pages_of_one_origin,
    "does not remember its own calls": cleared,
    "takes a proxy's 404 for an answer": proxy,
    "a queue of any size": much,
    "does not wait as long as it is asked to": asked_to_wait,
}
#: Only Firefox gives a frozen page the lock.
ENGINES = {"asks for the lock while the page is going": "firefox"}
each_variant = pytest.mark.parametrize(
    ("engine", "variant"),
    [(ENGINES.get(variant, "chromium"), variant) for variant in VARIANTS],
    indirect=["engine"],
)


@each_variant
def test_the_client_holds_where_a_bad_one_is_caught(site: Site, variant: str) -> None:
    assert SCENARIOS[variant](site)


@each_variant
def test_a_bad_client_is_caught(site: Site, variant: str) -> None:
    client = answer("200 OK", spoilt(variant).encode(), Content_Type="text/javascript")
    inner = site.mounted

    def with_a_bad_client(environ: WSGIEnvironment, start: StartResponse) -> Any:
        wanted = client if environ["PATH_INFO"].endswith("/app.js") else inner
        return wanted(environ, start)

    site.mounted = with_a_bad_client

    assert not SCENARIOS[variant](site)
