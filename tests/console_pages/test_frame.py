"""The frame of all pages: who reads, the keys, what is asked for, and what cannot run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect
from werkzeug.wrappers import Response

from ortto_capture import Capture, CaptureApp, Definition, Settings, mount, open_backends
from ortto_capture.console.tokens import TokenGuard

from ..services import serve
from .conftest import PAID, Console


class Guarded:
    """A console that asks for a token, and what a reader's browser asked it for."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.guard = TokenGuard()
        backends = open_backends("memory:")
        backends.definitions.put(Definition("act:cm:login", "Logged in", client_side=True))
        settings = Settings(secret_keys=["an example secret of more than 32 bytes"])
        self.app = CaptureApp(
            Capture(backends=backends, settings=settings), console_guard=self.guard
        )
        self.base = ""
        self.asked: list[str] = []
        page.on("request", lambda request: self.asked.append(request.url))

    @property
    def token(self) -> str:
        """The token itself."""
        return self.guard.fragment.removeprefix("#token=")

    def open(self, address: str) -> None:
        """Go to a page of the console."""
        self.page.goto(f"{self.base}/capture/console/{address}")


@pytest.fixture
def guarded(page: Page) -> Iterator[Guarded]:
    """A console that asks for a token."""
    there = Guarded(page)
    with serve(mount(Response("nothing here", 404), there.app)) as there.base:
        yield there


def test_the_token_of_a_printed_link_stays_in_the_tab_and_leaves_the_address(
    guarded: Guarded,
) -> None:
    guarded.open(f"?page=activities{guarded.guard.fragment}")
    expect(guarded.page.get_by_role("link", name="Logged in")).to_be_visible()
    assert guarded.page.url == f"{guarded.base}/capture/console/?page=activities"

    guarded.page.reload()
    expect(guarded.page.get_by_role("link", name="Logged in")).to_be_visible()
    assert not [url for url in guarded.asked if guarded.token in url.partition("#")[0]]


def test_without_a_token_it_is_asked_for_and_the_page_that_was_wanted_follows(
    guarded: Guarded,
) -> None:
    guarded.open("?page=activities")
    expect(guarded.page.get_by_role("heading", name="Who reads?")).to_be_visible()
    guarded.page.keyboard.type("oct_wrong")
    guarded.page.keyboard.press("Enter")
    expect(guarded.page.get_by_label("Token")).to_have_attribute("aria-invalid", "true")
    expect(guarded.page.get_by_text("This token is not known here")).to_be_visible()

    guarded.page.get_by_label("Token").fill(guarded.token)
    guarded.page.keyboard.press("Enter")
    expect(guarded.page.get_by_role("link", name="Logged in")).to_be_visible()
    assert not [url for url in guarded.asked if guarded.token in url]


def test_all_pages_are_reached_by_keys(console: Console) -> None:
    page = console.page
    console.open("?page=activities")
    for letter, heading in {"l": "Live", "p": "People", "h": "Health", "a": "Activities"}.items():
        page.keyboard.press("g")
        page.keyboard.press(letter)
        expect(page.get_by_role("heading", name=heading, level=1)).to_be_visible()

    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    page.keyboard.press("Enter")
    expect(page.get_by_role("navigation", name="Of this activity")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("heading", name="Activities", level=1)).to_be_visible()

    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_a_key_that_is_typed_into_a_field_is_only_text(console: Console) -> None:
    console.open("?page=activities")
    console.page.keyboard.press("/")
    console.page.keyboard.type("glj?")

    expect(console.page.get_by_role("searchbox")).to_have_value("glj?")
    expect(console.page.get_by_role("dialog")).to_have_count(0)


def test_back_and_forward_show_what_was_there(console: Console) -> None:
    page = console.page
    console.open("?page=activities")
    page.get_by_role("link", name="Paid").click()
    page.get_by_role("link", name="7 days").click()
    expect(page.get_by_role("link", name="7 days")).to_have_attribute("aria-current", "true")
    page.go_back()
    expect(page.get_by_role("link", name="30 days")).to_have_attribute("aria-current", "true")
    page.go_back()
    expect(page.get_by_role("heading", name="Activities", level=1)).to_be_visible()
    page.go_forward()
    expect(page.get_by_role("heading", name="Paid")).to_be_visible()


def test_a_page_that_is_not_looked_at_asks_nothing(console: Console) -> None:
    page = console.page
    page.add_init_script("Object.defineProperty(document, 'hidden', {get: () => window.away})")
    console.open("?page=activities")
    expect(page.get_by_text("Up to date")).to_be_visible()
    page.evaluate("away = true")
    console.asked.clear()
    console.later(600)
    console.record(plan="Pot")
    assert console.asked == []

    page.evaluate("away = false; document.dispatchEvent(new Event('visibilitychange'))")
    expect(page.get_by_text("1 accepted today")).to_be_visible()


def test_a_server_that_is_away_is_said_and_what_is_shown_stays(console: Console) -> None:
    page = console.page
    console.open("?page=activities")
    console.answering = False
    console.later(5)
    expect(page.get_by_text("Offline, trying again")).to_be_visible()
    expect(page.get_by_role("link", name="Paid")).to_be_visible()

    console.answering = True
    console.later(60)
    expect(page.get_by_text("Up to date")).to_be_visible()


def test_a_page_that_failed_says_why_and_comes_by_itself(console: Console) -> None:
    page = console.page
    console.open("?page=activities")
    console.backends.definitions.put(PAID)
    page.route("**/api/activities/**", lambda route: route.fulfill(status=503, json={}))
    page.get_by_role("link", name="Paid").click()
    expect(page.get_by_role("alert")).to_contain_text("The server failed.")

    page.unroute("**/api/activities/**")
    console.later(6)
    expect(page.get_by_role("heading", name="Paid")).to_be_visible()


def test_a_scope_that_is_missing_is_named(console: Console) -> None:
    console.scopes = ("write",)
    console.open("?page=activities")

    expect(console.page.get_by_role("alert")).to_contain_text("(read)")


def test_no_page_of_another_site_changes_anything(console: Console) -> None:
    """The guard here lets in who has the address, as it would a reader with a cookie."""
    before = console.backends.definitions.all()
    console.page.goto(f"{console.base.replace('127.0.0.1', 'localhost')}/capture/app.js")
    with console.page.expect_response("**/from-a-form") as response:
        console.page.evaluate(
            """async (api) => {
              const body = '{"id": "act:cm:evil", "name": "Evil"}';
              const paths = {POST: "activities", DELETE: "reports/refusals"};
              for (const type of ["text/plain", "application/json"])
                for (const mode of ["no-cors", "cors"])
                  for (const [method, path] of Object.entries(paths))
                    await fetch(api + path, {
                      method, body, mode, credentials: "include", headers: {"Content-Type": type},
                    }).catch(() => null);
              await new Promise((done) => {
                const image = new Image();
                image.onload = image.onerror = done;
                image.src = api + "people/x/export";
              });
              const form = document.createElement("form");
              form.method = "POST";
              form.enctype = "text/plain";
              form.action = api + "activities?/from-a-form";
              form.append(document.createElement("input"));
              form.firstChild.name = '{"id": "act:cm:evil", "name": "Evil", "x": "';
              form.firstChild.value = '"}';
              document.body.append(form);
              form.submit();
            }""",
            f"{console.base}/capture/console/api/",
        )
    assert response.value.status == 403
    assert console.backends.definitions.all() == before
    assert console.capture.reports.get("refusals") is not None


def test_nothing_moves_for_those_who_asked_for_that(console: Console) -> None:
    console.page.emulate_media(reduced_motion="reduce")
    console.open("?page=new")
    console.page.get_by_label("Name", exact=True).fill("Calm")
    console.page.get_by_role("button", name="Create activity").click()

    expect(console.page.get_by_text("Waiting for the first activity")).to_be_visible()
    running = "document.getAnimations().filter((each) => each.playState === 'running').length"
    assert console.page.evaluate(running) == 0


#: What a page is made of refuses to make these, or makes text of them.
REFUSED = {
    "javascript:": "core.h('a', {href: 'javascript:alert(1)'})",
    "data:": "core.h('a', {href: 'data:text/html,x'})",
    "another host": "core.h('a', {href: '//evil.example'})",
    "another host, by a backslash": "core.h('a', {href: '/\\\\evil.example'})",
    "another host, by a tab": "core.h('a', {href: '/\\t/evil.example'})",
    "a handler that is text": "core.h('a', {onclick: 'alert(1)'})",
    "a style": "core.h('p', {style: 'color: red'})",
    "in SVG": "core.s('a', {'xlink:href': 'javascript:alert(1)'})",
}


def test_no_element_is_made_that_could_run_what_strangers_send(console: Console) -> None:
    console.open("?page=activities")
    for what, attempt in REFUSED.items():
        script = f"""import("/modules/core.js").then((core) => {{
            try {{ {attempt}; return "made"; }} catch (error) {{ return error.name; }}
        }})"""
        assert console.page.evaluate(script) == "TypeError", what
    text = console.page.evaluate(
        "import('/modules/core.js').then(({h}) => h('p', null, '<b>x</b>').innerHTML)"
    )
    assert text == "&lt;b&gt;x&lt;/b&gt;"
    assert console.complaints == []


#: A name, and what is proposed for it.
PROPOSED = {
    "Logged in": "act:cm:logged-in",
    "  Größe & Farbe!  ": "act:cm:grosse-farbe",
    "İstanbul": "act:cm:istanbul",
    "تسجيل": "",
    "": "",
    "x" * 200: "act:cm:" + "x" * 60,
}


def test_an_id_is_proposed_that_the_server_takes(console: Console) -> None:
    console.open("?page=activities")
    for name, wanted in PROPOSED.items():
        got = console.page.evaluate(
            "(name) => import('/modules/draft.js').then((draft) => draft.proposedId(name))",
            name,
        )
        assert got == wanted
        if got:
            Definition(got, "one that the server takes")


#: Text, and what a reader sees of it.
SEEN = {
    "plain": "plain",
    "a\u202eb": "a\\u{202e}b",
    "\u2066x\u2069": "\\u{2066}x\\u{2069}",
    "\u0000\u001b[31m": "\\u{0}\\u{1b}[31m",
    "two\nlines\tand": "two\nlines\tand",
    "👩\u200d👩\u200d👧": "👩\u200d👩\u200d👧",
    "می\u200cخواهم": "می\u200cخواهم",
}


def test_what_cannot_be_seen_is_written_out_and_what_writing_needs_stays(console: Console) -> None:
    console.open("?page=activities")
    seen = console.page.evaluate(
        "(all) => import('/modules/format.js').then(({visible}) => all.map(visible))",
        list(SEEN),
    )
    assert seen == list(SEEN.values())
