"""What the other tests take for granted of each engine, and of how it is driven."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import pytest

from ..services import serve
from .engines import Engine, PageError, origin

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

#: Firefox opens no storage for a page that is being closed, only one that was open already.
PAGE = b"""<!doctype html><title>Page</title><link rel="icon" href="data:,"><script>
localStorage.came = location.pathname;
addEventListener("pageshow", (event) => { window.persisted = event.persisted; });
addEventListener("pagehide", () => { localStorage.left = location.pathname; });
</script>"""


@pytest.fixture
def base() -> Iterator[str]:
    """A website of one page."""

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "text/html")])
        return [PAGE]

    with serve(app) as address:
        yield address


def test_a_function_is_called_in_the_page_and_awaited(engine: Engine, base: str) -> None:
    tab = engine.tab()
    tab.goto(origin(base))

    given: object = {"text": "é\u2028\"'", "list": [1, None, True, {}]}
    assert tab.run("(given) => new Promise(done => setTimeout(done, 1, given))", given) == given
    assert tab.run("() => [] instanceof window.Array") is True
    assert tab.run("() => undefined") is None
    with pytest.raises(PageError, match="mine"):
        tab.run("() => { throw new Error('mine'); }")
    tab.close()


def test_tabs_of_one_name_share_a_secure_origin_that_other_names_do_not_see(
    engine: Engine, base: str
) -> None:
    one, other, stranger = engine.tab(), engine.tab(), engine.tab()
    shared = origin(base)
    one.goto(shared)
    other.goto(shared)
    stranger.goto(origin(base))
    other.run("() => { addEventListener('storage', () => { window.heard = true; }); }")
    one.run("""() => {
      localStorage.x = 1;
      document.cookie = "x=1";
      navigator.locks.request("x", () => new Promise(() => {}));
    }""")
    other.until("() => window.heard")

    look = """async () => [
      isSecureContext, !!localStorage.x, document.cookie,
      (await navigator.locks.query()).held.length, document.visibilityState,
    ]"""
    assert other.run(look) == [True, True, "x=1", 1, "visible"]
    assert stranger.run(look) == [True, False, "", 0, "visible"]
    for tab in (one, other, stranger):
        tab.close()


def test_a_page_that_was_left_comes_back_as_it_was(engine: Engine, base: str) -> None:
    base = origin(base)
    tab = engine.tab()
    tab.goto(base)
    tab.run("() => { window.mark = 5; }")
    tab.goto(f"{base}/next")
    tab.back()

    assert tab.run("() => [window.mark, window.persisted]") == [5, True]
    tab.reload()
    assert tab.run("() => [window.mark === undefined, window.persisted]") == [True, False]
    tab.close()


def test_a_closed_tab_says_goodbye_and_a_killed_one_does_not(engine: Engine, base: str) -> None:
    base = origin(base)
    tab, closed = engine.tab(), engine.tab()
    tab.goto(base)
    closed.goto(f"{base}/closed")
    closed.close()
    tab.until("() => localStorage.left === '/closed'")

    if engine.name != "webkit":
        killed = engine.tab()
        killed.goto(f"{base}/killed")
        engine.crash(killed)
        with pytest.raises(PageError):
            killed.run("() => window.persisted.x")
        killed.close()
        assert tab.run("() => localStorage.left") == "/closed"
    tab.close()
