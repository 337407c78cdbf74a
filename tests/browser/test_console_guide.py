"""The guide, walked as a person walks it: by mouse and keys, in the console and in a page."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import pytest

from ortto_capture import Capture, CaptureApp, Settings, mount, open_backends

from ..services import serve
from .engines import Engine, Tab, origin

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

#: A page to paste into, as an editor has one.
EDITOR = b"<!doctype html><title>Editor</title><textarea></textarea>"
#: What the page's author writes: the visitor who logs in is known by then.
TRACK = 'ap3c.track({"email": "jo@example.com"});'


class Shop:
    """A website whose page the walker writes, and a fresh account beside it."""

    def __init__(self, engine: Engine) -> None:
        self.page = ""
        settings = Settings(secret_keys=["an example secret of more than 32 bytes"])
        capture = Capture(backends=open_backends("memory:"), settings=settings)
        console = CaptureApp(capture, console_guard=lambda environ: True)
        self.serving = mount(self._host, console, at="/capture")
        self.base = ""
        self._new_tab = engine.tab
        self._opened: list[Tab] = []

    def _host(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "text/html; charset=utf-8")])
        return [EDITOR if environ["PATH_INFO"] == "/editor" else self.page.encode()]

    def tab(self, path: str) -> Tab:
        """Another tab, with this page of the website."""
        tab = self._new_tab()
        self._opened.append(tab)
        tab.goto(f"{self.base}{path}")
        return tab

    def close(self) -> None:
        """Close all that was opened."""
        for each in self._opened:
            each.close()


@pytest.fixture
def shop(engine: Engine) -> Iterator[Shop]:
    """A website in the engine."""
    made = Shop(engine)
    with serve(made.serving) as base:
        made.base = origin(base)
        yield made
        made.close()


def link(words: str) -> str:
    return f"//a[normalize-space()='{words}']"


def button(words: str, within: str = "") -> str:
    return f"{within}//button[normalize-space()='{words}']"


def labelled(words: str) -> str:
    return f"//input[@id=//label[normalize-space()='{words}']/@for]"


def switch(name: str) -> str:
    return f"//button[@role='switch' and @aria-label='{name}']"


def sees(tab: Tab, words: str) -> None:
    """Wait until the page says this."""
    tab.until(f"() => document.body.innerText.includes({words!r})")


def copied(shop: Shop, console: Tab, label: str) -> str:
    """What the copy button of this code copies, pasted elsewhere."""
    figure = f"//figure[figcaption[normalize-space()='{label}']]"
    console.click(button("Copy", figure))
    console.until(
        "() => [...document.querySelectorAll('.copy')].some(b => b.innerText == 'Copied')"
    )
    editor = shop.tab("/editor")
    editor.paste("//textarea")
    editor.until("() => document.querySelector('textarea').value")
    text = editor.run("() => document.querySelector('textarea').value")
    assert isinstance(text, str)
    return text


@pytest.mark.parametrize("engine", ["chromium", "firefox"], indirect=True)
def test_an_activity_is_made_seen_to_arrive_switched_off_and_reported(shop: Shop) -> None:
    console = shop.tab("/capture/console/")
    create(console)
    snippet = copied(shop, console, "1. In the head of every page, once")
    call = copied(shop, console, "2. Where it happens")
    sees(console, "Waiting for the first activity…")

    shop.page = f"<!doctype html>{snippet}<title>Shop</title><script>{TRACK}{call}</script>"
    visitor = shop.tab("/")
    sees(console, "The first activity arrived")
    console.click(link("Live"))
    sees(console, "Logged in act:cm:logged-in")
    sees(console, "j•••@e•••.com")

    console.click(link("Activities"))
    console.click(switch("Websites may send Logged in"))
    sees(console, "Logged in is off: websites are answered 404.")
    console.click(link("Live"))
    visitor.reload()
    visitor.until("""() => performance.getEntriesByType("resource").some(
      each => each.name.includes("/-/") && each.responseStatus === 404)""")
    sees(console, "Its client-side source is off.")

    report(console)
    console.reload()
    console.click(link("Overview"))
    sees(console, "Who logged in")
    assert console.complaints == []


def create(console: Tab) -> None:
    """An activity, with its client-side source on."""
    sees(console, "No activities yet")
    console.click(link("New activity"))
    console.write(labelled("Name"), "Logged in")
    console.click(button("Create activity"))
    sees(console, "Websites may not send it")
    console.click(switch("Let websites send it"))


def report(console: Tab) -> None:
    """A report of it, on the Overview."""
    console.click(link("Reports"))
    console.click(link("New report"))
    console.click(button("Save report…"))
    named = "//dialog//input"
    console.run("() => document.querySelector('dialog input').select()")
    console.write(named, "Who logged in")
    console.click(button("Save", "//dialog"))
    console.click(button("Pin on Overview"))
    sees(console, "Unpin")
