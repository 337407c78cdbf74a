"""Values of strangers and of operators: whatever they are, they are shown, and do nothing."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from werkzeug.test import Client

import ortto_capture
from ortto_capture import Attribute, Definition, Refused
from ortto_capture.questions.parsing import plain
from ortto_capture.reports import Audience, Did, Query, Report

from ..services import campaign
from .conftest import PAID, Console

STATIC = Path(ortto_capture.__file__).parent / "console" / "static"
CALL = "window.ran=1"

#: Markup that would run as soon as it is made.
_EVENTS = ("onerror", "onload", "onfocus autofocus", "onanimationstart", "onbegin", "ontoggle open")
_TAGS: tuple[str, ...] = (
    "img src=x",
    "svg",
    "body",
    "input",
    "video src=x",
    "details",
    "iframe src=x",
    "object",
)
_TAGS += ("form", "select", "audio src=x", "embed src=x", "isindex type=image src=x")
MARKUP = [
    *(f"<{tag} {event}={CALL}>" for tag in _TAGS for event in _EVENTS),
    f"<script>{CALL}</script>",
    f"</script><script>{CALL}</script>",
    f"</title><script>{CALL}</script>",
    f"</style><svg/onload={CALL}>",
    f"--><script>{CALL}</script><!--",
    f"]]><script>{CALL}</script>",
    f"\"'><script>{CALL}</script>",
    f"' onmouseover={CALL} x='",
    f'" autofocus onfocus={CALL} x="',
    f"<svg><animate onbegin={CALL} attributeName=x dur=1s>",
    f"<svg><use href=\"data:image/svg+xml,<svg id=x onload='{CALL}'/>#x\">",
    f"<math><mtext><table><mglyph><style><img src=x onerror={CALL}>",
    f"<template><img src=x onerror={CALL}></template>",
    f"<noscript><p title='</noscript><img src=x onerror={CALL}>'>",
    f'<iframe srcdoc="<script>{CALL}</script>">',
    f"<base href=//evil.example/><link rel=stylesheet href=//evil.example/{CALL}>",
    f"<meta http-equiv=refresh content='0;url=javascript:{CALL}'>",
    f"<form action=javascript:{CALL}><button>x",
    f"<a href=javascript:{CALL}>x",
    f"<ScRiPt/x>{CALL}</sCrIpT >",
    f"\\x3cscript\\x3e{CALL}",
    f"&lt;script&gt;{CALL}&lt;/script&gt;",
    f"<<script>{CALL}//<</script>",
    f"<img src=`x`onerror={CALL}>",
    "<plaintext>",
    "<textarea>",
    "<!--",
    "<style>*{display:none}</style>",
    "<marquee>",
    "<dialog open>",
]
#: Addresses that run, or leave the console.
ADDRESSES = [
    *(f"{scheme}{CALL}" for scheme in ("javascript:", "JaVaScRiPt:", "java\tscript:", "vbscript:")),
    f"data:text/html,<script>{CALL}</script>",
    f"data:text/html;base64,{'PHNjcmlwdD4=' * 3}",
    "//evil.example/x",
    "/\\evil.example",
    "https://evil.example/?#",
    "blob:x",
    "file:///etc/passwd",
    "?page=token",
    "#token=oct_x",
    "../../api/me",
    "%2e%2e%2fapi%2fme",
]
#: What template engines and clever objects would make something of.
TEMPLATES = [
    "{{7*7}}",
    "${7*7}",
    "#{7*7}",
    "<%= 7*7 %>",
    "{% debug %}",
    "{{constructor.constructor('window.ran=1')()}}",
    "${window.ran=1}",
    "`${window.ran=1}`",
    "%s%n%x",
    "$&$1$`",
    "{str:cm:plan}",
    "{0}{}",
    "__proto__",
    "constructor",
    "prototype",
    "toString",
    "hasOwnProperty",
    "valueOf",
    "__defineGetter__",
    '{"__proto__":{"ran":1}}',
    "[object Object]",
    "undefined",
    "null",
    "NaN",
    "true",
    "-0",
    "1e309",
    "0x10",
]
#: What turns a line, hides in it, or would be a formula in a sheet.
TEXT = [
    *(f"a{mark}b" for mark in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f"),
    *(f"a{mark}b" for mark in "\u0001\u0007\u0008\u001b\u007f\u0085\u00ad\u200b\u2028\u2029\ufeff"),
    "\u202egnp.exe\u202c.png",
    "\u2067\u2067\u2067deep",
    "مرحبا \u200e<b>\u200f שלום",
    "Z\u0338\u0321\u031ba\u0336l\u0337" * 8,
    "\U0001f469\u200d\U0001f467" * 20,
    "\U000e0001\U000e0041",
    "\ufff9annotated\ufffb",
    '=HYPERLINK("http://evil.example","x")',
    "=cmd|' /C calc'!A0",
    "+1+1",
    "-1+1",
    "@SUM(1+1)",
    "\t=1+1",
    "\r=1+1",
    "a\nb\r\nc",
    "ﷺ" * 60,
    "x" * 250,
    "W" * 250,
    " " * 20 + "x",
    "'; DROP TABLE people; --",
    "' OR 1=1 --",
    "%00",
    "%0d%0aSet-Cookie: x=1",
    "\\u0000\\",
    '"',
    "'",
    "\\",
    "/",
    "..",
]
PAYLOADS = [*MARKUP, *ADDRESSES, *TEMPLATES, *TEXT]

WATCH = """
window.ran = 0;
window.reported = [];
addEventListener("securitypolicyviolation", ({ violatedDirective, blockedURI }) =>
  window.reported.push(violatedDirective + " " + blockedURI));
window.alert = window.confirm = window.prompt = () => { window.ran += 1; };
"""
#: Elements that only a payload would have made, and what is not where it belongs.
FOUND = """() => ({
  ran: window.ran || ({}).ran || 0,
  reported: window.reported,
  made: [...document.querySelectorAll("main :is(script, img, iframe, object, embed, base, meta, " +
    "style, link, template, video, marquee, math)")]
    .map((each) => each.outerHTML.slice(0, 100)),
  handlers: [...document.querySelectorAll("body *")].flatMap((each) => each.getAttributeNames())
    .filter((name) => name.startsWith("on") || name === "style"),
  left: [...document.querySelectorAll("main a[href]")].map((each) => each.href)
    .filter((href) => !href.startsWith(location.origin + location.pathname)),
  turned: /[\\u202a-\\u202e\\u2066-\\u2069]/.test(document.body.innerText),
})"""
SPLIT = Query(PAID.id, split_by=PAID.attributes[0].key, limit=1000)
CLEAN = {"ran": 0, "reported": [], "made": [], "handlers": [], "left": [], "turned": False}


def test_there_are_two_hundred_of_them() -> None:
    assert len(set(PAYLOADS)) >= 200
    assert len(PAYLOADS) == len(set(PAYLOADS))


def send(console: Console, payload: str, turn: int) -> None:
    """Put it where a stranger can, as often as the limits let them: in two places by turns, or in
    a campaign in all of them, and in the one where it is shown whole.
    """
    console.clock.advance(400)
    key = re.sub(r"[^a-z0-9-]", "", payload.lower())[:40] or "x"
    bodies: list[tuple[str, dict[str, Any]]] = [
        ("activity", {"activity_id": payload}),
        ("activity", {"activity_id": PAID.id, "attributes": {"str:cm:plan": payload}}),
        ("activity", {"activity_id": PAID.id, "attributes": {payload: payload}}),
        ("activity", {"activity_id": PAID.id, "attributes": {"int:cm:price": payload}}),
        ("activity", {"activity_id": PAID.id, "event_id": payload, payload: payload}),
        ("activity", {"activity_id": PAID.id, "dropped": {payload: 3}, "key": payload}),
        ("track", {"email": f"{key}@example.com", "first": payload, "last": payload, payload: 1}),
        ("track", {"email": payload}),
        ("track", {"ei": payload, "session": payload}),
    ]
    if campaign(1) == 1:
        bodies = [bodies[1], *(bodies[(turn + each) % len(bodies)] for each in (0, 4))]
    for route, members in bodies:
        body = members if route == "track" else {"session": console.session, **members}
        Client(console.serving).post(
            f"/capture/-/events/{route}",
            data=json.dumps(body),
            headers={"Content-Type": "application/json", "Origin": "https://evil.example"},
        )


@pytest.fixture
def watched(console: Console) -> Console:
    """A console whose pages tell what ran in them."""
    console.page.add_init_script(WATCH)
    console.page.on("dialog", lambda dialog: dialog.dismiss())
    return console


def look(console: Console, address: str, *, anew: bool = campaign(1) > 1) -> str:
    """Go to a page, and return its text.

    :param anew: load it, instead of going on from the one before.
    """
    console.clock.advance(60)
    if anew or console.base not in console.page.url:
        console.open(address)
    else:
        console.follow(address)
    console.later(1)
    assert console.page.evaluate(FOUND) == CLEAN, address
    text = console.page.locator("body").inner_text()
    return re.sub(r"\s+", " ", text)


def written(payload: str) -> str:
    """As it is read on a page: what cannot be seen is written out."""
    odd = r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]"
    text = re.sub(odd, lambda match: f"\\u{{{ord(match[0]):x}}}", payload)
    return re.sub(r"\s+", " ", text).strip()


def portion(every: int) -> list[str]:
    """Each so-and-so-many-th of them; in a campaign all."""
    return PAYLOADS if campaign(1) > 1 else PAYLOADS[::every]


#: In a campaign each is in nine rows, and a page holds a thousand.
PARTS = [PAYLOADS[::2], PAYLOADS[1::2]] if campaign(1) > 1 else [PAYLOADS]


@pytest.mark.parametrize("part", PARTS, ids=range(len(PARTS)))
def test_what_strangers_send_is_shown_as_sent_and_does_nothing(
    watched: Console, part: list[str]
) -> None:
    console = watched
    for turn, payload in enumerate(part):
        send(console, payload, turn)
    look(console, "?page=live")
    for _ in range(40):
        older = console.page.get_by_role("button", name=re.compile("Load older|Look further back"))
        if not older.count():
            break
        before = console.rows.count()
        older.click()
        console.page.wait_for_function(
            "(before) => document.querySelectorAll('.event').length > before "
            "|| document.body.innerText.includes('That is all that is kept')",
            arg=before,
        )
    assert console.page.evaluate(FOUND) == CLEAN
    shown = re.sub(r"\s+", " ", console.page.locator("main").text_content() or "")
    missing = [each for each in part if written(each)[:30] not in shown]
    assert missing == []

    for address in (
        "?page=overview",
        "?page=activities",
        f"?page=activity&id={PAID.id}&period=24h",
        f"?page=activity&id={PAID.id}&tab=activity",
        f"?page=activity&id={PAID.id}&tab=people",
        f"?page=activity&id={PAID.id}&tab=setup",
        "?page=people",
        "?page=health",
        f"?page=report&q={quote(json.dumps(plain(SPLIT)))}",
    ):
        look(console, address)


def test_the_details_of_what_strangers_sent_do_nothing(watched: Console) -> None:
    console = watched
    for turn, payload in enumerate(portion(12)):
        console.capture.identify(session=console.session, first=payload[:200])
        with suppress(Refused):
            console.record(plan=payload[:250], note=payload, card=payload)
        send(console, payload, turn)
    look(console, "?page=live")
    every = 1 if campaign(1) > 1 else 6
    for number in range(0, console.rows.count(), every):
        console.rows.nth(number).locator(".whole").click()
        console.details.get_by_text("Received").wait_for()
        assert console.page.evaluate(FOUND) == CLEAN
    person_id = console.backends.journal.latest(1)[0].person_id
    look(console, f"?page=person&id={person_id}")
    console.page.get_by_role("button", name="Show masked values").click()
    console.page.get_by_role("button", name="Show masked values").wait_for(state="detached")
    assert console.page.evaluate(FOUND) == CLEAN


def test_what_operators_write_is_text_on_every_page(watched: Console) -> None:
    console = watched
    for number, payload in enumerate(portion(9)):
        slug = f"n{number}"
        title = payload.strip()[:100] or "x"
        with suppress(Refused, ValueError):
            console.define(
                Definition(
                    f"act:cm:{slug}",
                    title,
                    client_side=True,
                    attributes=[Attribute("str:cm:a", title)],
                    shown_as=title.replace("{", "(").replace("}", ")"),
                )
            )
            console.record(f"act:cm:{slug}", **{"str:cm:a": payload[:250]})
        with suppress(Refused, ValueError):
            console.capture.reports.put(Report(slug, title, Query(f"act:cm:{slug}", by="day")))
            console.capture.audiences.put(Audience(slug, title, Did(f"act:cm:{slug}")))
    console.capture.reports.pin(
        [each.name for each in console.capture.reports.all() if each.name[0] == "n"][:30]
    )
    for page in ("overview", "live", "activities", "reports", "audiences", "report", "audience"):
        look(console, f"?page={page}")
    for slug in ("n0", "n9", "n15", "n20"):
        for page in (
            f"activity&id=act:cm:{slug}",
            f"activity&id=act:cm:{slug}&tab=setup",
            f"new&edit=act:cm:{slug}",
            f"report&name={slug}",
            f"audience&name={slug}",
        ):
            look(console, f"?page={page}")
    look(console, "?page=health")


def test_state_in_the_address_is_only_looked_up(watched: Console) -> None:
    """A link that a stranger sent to an operator."""
    for payload in portion(40):
        for page in (
            f"live&text={quote(payload)}&outcome={quote(payload)}&open={quote(payload)}",
            f"{quote(payload)}",
            f"activity&id={quote(payload, safe='')}",
            f"report&q={quote(json.dumps({'activity': payload}))}",
        )[:: 1 if campaign(1) > 1 else 2]:
            look(watched, f"?page={page}", anew=True)


def test_a_long_text_is_cut_and_can_be_unfolded(watched: Console) -> None:
    """The longest there is: a megabyte is refused, of the host's own programs too."""
    console = watched
    console.define(Definition("act:cm:mega", "Mega", attributes=[Attribute("txt:cm:note")]))
    sent = f"<img src=x onerror={CALL}>" * 40_000
    with pytest.raises(Refused):
        console.capture.record_for("act:cm:mega", {"txt:cm:note": sent}, email="jo@example.com")
    console.capture.record_for("act:cm:mega", {"txt:cm:note": sent[:4000]}, email="jo@example.com")
    assert len(look(console, "?page=live")) < 3_000
    console.rows.first.locator(".whole").click()
    console.details.get_by_role("button", name=re.compile("Show all")).click()
    assert sent[:4000] in (console.details.text_content() or "")
    assert console.page.evaluate(FOUND) == CLEAN


#: What makes markup, or programs, of text.
MAKERS = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|DOMParser|"
    r"createContextualFragment|setHTML|srcdoc|\.style\b|cssText|style=|setTimeout\(\s*[\"'`]"
)


def test_no_page_can_make_markup_or_programs_of_text() -> None:
    found = [
        f"{path.name}: {match[0]}"
        for path in sorted(STATIC.rglob("*.*"))
        if path.suffix in (".js", ".html")
        for match in MAKERS.finditer(path.read_text("utf-8"))
    ]
    assert found == []
