"""The guide, walked by a person: from an empty console to a report on the Overview."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from ortto_capture import Capture, CaptureApp, Settings, mount, open_backends

from ..services import serve
from .engines import ChromiumTab, Engine, origin
from .hands import Hands, button, link, switch

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

ENGINES = pytest.mark.parametrize("engine", ["chromium", "firefox"], indirect=True)
#: Where the operator pastes what the console gave to copy.
EDITOR = "<!doctype html><title>Editor</title><textarea rows=40 cols=80 autofocus></textarea>"
ANSWERS = """() => performance.getEntriesByType("resource")
  .filter((each) => each.name.endsWith("/activity")).map((each) => each.responseStatus)"""


class Account:
    """A website whose operator has just mounted the capture app, and opened nothing yet."""

    def __init__(self) -> None:
        settings = Settings(secret_keys=["an example secret of more than 32 bytes"])
        self.capture = Capture(backends=open_backends("memory:"), settings=settings)
        self.html = ""
        self.base = ""

    def host(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """The website's page, and the editor in which it is written."""
        page = {"/": self.html, "/editor": EDITOR}.get(environ["PATH_INFO"])
        start_response(
            "200 OK" if page else "204 No Content", [("Content-Type", "text/html; charset=utf-8")]
        )
        return [(page or "").encode()]


@pytest.fixture
def account() -> Iterator[Account]:
    """A fresh account."""
    made = Account()
    app = CaptureApp(made.capture, console_guard=lambda environ: True)
    with serve(mount(made.host, app, at="/capture")) as base:
        made.base = origin(base)
        yield made


@contextmanager
def tabs(engine: Engine, *addresses: str) -> Iterator[list[Hands]]:
    """A tab for each address, and a person at each."""
    opened = [Hands(engine.tab()) for _ in addresses]
    for each, address in zip(opened, addresses, strict=True):
        if isinstance(each.tab, ChromiumTab):
            # As it asks its user to allow, once.
            each.tab.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        each.tab.goto(address)
    yield opened
    for each in opened:
        each.tab.close()


def copied(operator: Hands, editor: Hands, what: str) -> str:
    """Press the copy button of this code, and paste what it copied into the editor."""
    copy = f"//figure[figcaption[normalize-space()={what!r}]]//button"
    operator.click(copy)
    operator.sees(f"{copy}[normalize-space()='Copied']")
    editor.tab.reload()
    editor.click("//textarea")
    editor.press("Control+v")
    editor.tab.until("() => document.querySelector('textarea').value")
    text = editor.tab.run("() => document.querySelector('textarea').value")
    assert isinstance(text, str)
    return text


@ENGINES
def test_from_an_empty_console_to_a_report_by_clicks_and_keys(
    engine: Engine, account: Account
) -> None:
    console = f"{account.base}/capture/console/"
    with tabs(engine, console, f"{console}?page=live", f"{account.base}/editor") as opened:
        operator, live, editor = opened
        live.reads("Live")
        live.tab.run("() => { window.neverReloaded = true; }")

        # A new activity, which websites may send.
        operator.reads("No activities yet")
        operator.click(link("New activity"))
        operator.click("//label[normalize-space()='Name']/following-sibling::input")
        operator.write("Logged in")
        operator.click(button("Create activity"))
        operator.click(switch("Let websites send it"))
        operator.reads("Waiting for the first activity")

        # Its code, pasted into the website.
        snippet = copied(operator, editor, "1. In the head of every page, once")
        call = copied(operator, editor, "2. Where it happens")
        assert '"act:cm:logged-in"' in call
        signed_in = 'ap3c.track({"email": "jo@example.com"});'
        account.html = (
            f"<!doctype html><head><title>Shop</title>{snippet}</head>"
            f"<body><script>{signed_in}\n{call}</script></body>"
        )
        with tabs(engine, f"{account.base}/") as [visitor]:
            operator.reads("The first activity arrived")
            live.reads("j•••@e•••.com")
            assert visitor.tab.run(ANSWERS) == [200]

            # Off again: the browser is told 404, and the console why.
            operator.click(switch("Websites may send it"))
            operator.reads("Logged in is off")
            visitor.tab.reload()
            visitor.tab.until(f"() => ({ANSWERS})().length")
            assert visitor.tab.run(ANSWERS) == [404]
            live.reads("Its client-side source is off.")
        live.click("//*[contains(@class, 'event')][.//*[normalize-space()='Refused']]//a")
        live.reads("404 not-found")
        assert live.tab.run("() => window.neverReloaded")

        # A report, which stands on the Overview from now on.
        operator.press("g", "r")
        operator.click(link("New report"))
        operator.click(button("Save report…"))
        operator.reads("Save report")
        operator.click("//dialog//input")
        operator.press("Control+a")
        operator.write("Sign-ins")
        operator.press("Enter")
        operator.click(button("Pin on Overview"))
        operator.reads("It is on the Overview.")
        operator.press("g", "o")
        operator.reads("Sign-ins")
        operator.tab.reload()
        operator.reads("Sign-ins")
    assert "sign-ins" in account.capture.reports.pinned().names
