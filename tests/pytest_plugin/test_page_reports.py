"""The calls in a page's own code, read without a browser and held against the definitions."""

from __future__ import annotations

import re
from textwrap import dedent

import pytest
from flask import Flask, Response, request

from ortto_capture import Attribute, Definition
from ortto_capture.testing import TestCapture

from .shop import BOUGHT, LOGIN, PAID

SNIPPET = '<script src="/capture/app.js" async></script>'


@pytest.fixture(autouse=True)
def definitions(capture: TestCapture) -> None:
    capture.define(BOUGHT, LOGIN, PAID)


def problems(capture: TestCapture, html: str, *activity_ids: str) -> list[str]:
    """What is wrong with a page, a line each, without what was read."""
    try:
        capture.assert_page_reports(dedent(html), *activity_ids)
    except AssertionError as failed:
        first, *lines = str(failed).splitlines()
        assert first == "the page's reports are wrong:"
        listed = [line for line in lines if line.startswith("  ")]
        end = next(n for n, line in enumerate(lines) if not line.startswith("  "))
        return [line.strip() for line in listed[:end]]
    return []


#: ``ID`` stands for the id of the activity, ``PRICE`` for its one required attribute.
CALLS = [
    "ap3c.activity({ID, attributes: {PRICE: 12}})",
    "window.ap3c.activity({'activity_id': 'act:cm:bought', 'attributes': {'int:cm:price': 1}})",
    "ap3c?.activity({activity_id: `act:cm:bought`, attributes: {PRICE: -0x1F}});",
    "ap3c.act.push({ID, attributes: {PRICE: 1_000}})",
    "(ap3c.act = ap3c.act || []).push({ID, attributes: {PRICE: 12.0}})",
    "ap3c.cmd.push(function () { ap3c.activity({ID, attributes: {[PRICE]: (12)}}, done) })",
    "buy.onclick = async (e) => { await send({ID, attributes: {PRICE: sum(), 'str:cm:plan': p}}) }",
    "ap3c.activity({ID, attributes: {...cart, 'str:cm:plan': null}})",
    "ap3c.activity({ID, attributes: cart.attributes, ...more})",
    "ap3c.activity({ID, attributes: {PRICE: 1e3, 'str:cm:plan': undefined}})",
    r"ap3c.activity({activity_id: 'act:cm:b\x6fu\u0067h\u{74}', attributes: {PRICE: +.5e1,},})",
    "ap3c\n  .activity({ // a comment\n ID /* the id */, attributes: {PRICE: 1}})",
    "ap3c.activity(/* what */ {ID, attributes: {PRICE: - /* less */ 5}} /* end */)",
    "ap3c.activity({ID, event_id: 'order-17_A', attributes: {[/* a */ PRICE]: (/* b */ 1)}})",
    "ap3c.activity({ID, event_id: '', attributes: {PRICE: 1}})",
    "ap3c.activity({ID, event_id: order.id, attributes: {PRICE: 1}})",
    "ap3c.activity({ID, attributes: {PRICE: 1}}); runs.list({activity_id: 5, page: 2})",
    "ap3c.activity({ID, attributes: {PRICE: 1}}); runs.get({activity_id: 'run-7'})",
]


@pytest.mark.parametrize("call", CALLS)
def test_calls_are_understood_as_people_write_them(capture: TestCapture, call: str) -> None:
    code = call.replace("ID", 'activity_id: "act:cm:bought"').replace("PRICE", '"int:cm:price"')
    page = f"<head>{SNIPPET}</head><script>if (a < b) {{}}\n{code}</script>"
    assert problems(capture, page, "act:cm:bought") == []


@pytest.mark.parametrize(
    "script",
    [
        '// ap3c.activity({activity_id: "act:cm:login"})',
        '/* ap3c.activity({activity_id: "act:cm:login"}) */',
        "'ap3c.activity({activity_id: \"act:cm:login\"})'",
        '/"/; `ap3c.activity({activity_id: "act:cm:login"})`',
        'ap3c.track({email: "act:cm:login"})',
        'ap3c.activity("act:cm:login")',
        'ap3c.activity(login, {activity_id: "act:cm:login"})',
        'new Event("act:cm:login")',
        "ap3c.activity`act:cm:login`",
        "ap3c.activity()",
        "ap3c.activity({activity_id: 5n})",
        "ap3c.activity({activity_id: login})",
        'ap3c.activity({["activity" + "_id"]: "act:cm:login"})',
        "ap3c.activity({activity_id})",
        "ap3c.activity({activity_id: ['act:cm:login']})",
        "ap3c.activity({activity_id: {}})",
        r"ap3c.activity({activity_id: 'act:cm:login\u{110000}'})",
        r"ap3c.activity({activity_id: 'act:cm:login\u{fffffffffffffffffffff}'})",
        "send({activity_id: id})",
        f"ap3c.activity({{activity_id: {'[' * 3000}{']' * 3000}}})",
    ],
    ids=lambda script: script[:60],
)
def test_what_is_no_call_with_that_id_reports_nothing(capture: TestCapture, script: str) -> None:
    found = problems(capture, f"<script>{script}</script>", "act:cm:login")
    assert "act:cm:login is not reported" in found


def test_a_page_s_handlers_are_its_code_and_its_data_are_not(capture: TestCapture) -> None:
    page = """
        <script type="application/json">ap3c.activity({activity_id: "act:cm:no"})</script>
        <script type="text/template"><b onclick="ap3c.activity({})"></b></script>
        <p>ap3c.activity({activity_id: "act:cm:no"})</p>
        <script src="https://cdn.example/ap3c.js"></script>
        <button @click="ap3c.activity({activity_id: &quot;act:cm:login&quot;}); return false">
    """
    assert problems(capture, page, "act:cm:login") == []


LOGIN_CALL = "ap3c.activity({activity_id: 'act:cm:login'})"


@pytest.mark.parametrize(
    "part",
    [
        '<button onclick="CALL">',
        """<button onclick="report({activity_id: 'act:cm:login'})">""",
        '<form onsubmit="return CALL">',
        '<button hx-on:click="CALL">',
        '<button data-hx-on:click="CALL">',
        '<button x-on:click="CALL">',
        '<button v-on:click="CALL">',
        '<button (click)="CALL">',
        '<div x-data="{open: false, buy() { CALL }}">',
        '<a href=" JavaScript:CALL">',
        """<a href="javascript:ap3c.activity(%7Bactivity_id:'act:cm:login'})">""",
        "<SCRIPT TYPE=' Text/JavaScript '>CALL</SCRIPT>",
        "<script type=application/x-javascript>CALL</script>",
        "<script type=text/ecmascript>CALL</script>",
        "<script type=text/javascript1.5>CALL</script>",
        "<script type=module>import x from './x.js'; await CALL</script>",
        "<template><b></b></template><script>CALL</script>",
    ],
)
def test_code_that_browsers_run_is_read(capture: TestCapture, part: str) -> None:
    assert problems(capture, part.replace("CALL", LOGIN_CALL), "act:cm:login") == []


@pytest.mark.parametrize(
    "part",
    [
        '<p title="CALL">',
        '<p data-code="CALL">',
        '<a href="CALL">',
        "<template><template></template><script>CALL</script></template>",
        "<template><button onclick='CALL'></template>",
        "<noscript><script>CALL</script></noscript>",
        "<textarea><script>CALL</script></textarea>",
        "<script nomodule>CALL</script>",
        "<script type=text/x-template>CALL</script>",
    ],
)
def test_code_that_browsers_do_not_run_is_not_read(capture: TestCapture, part: str) -> None:
    found = problems(capture, part.replace("CALL", LOGIN_CALL), "act:cm:login")
    assert found == ["act:cm:login is not reported"]


def test_a_script_without_a_sound_address_fails_the_page(capture: TestCapture) -> None:
    assert problems(capture, "<p><script src='http://[x'></script>") == [
        "line 1: the script http://[x has no sound address"
    ]


def test_a_script_that_browsers_cannot_parse_fails_the_page(capture: TestCapture) -> None:
    assert problems(capture, f"<script>\n{LOGIN_CALL};\nif (</script>", "act:cm:login") == [
        "line 3: not JavaScript, so browsers run none of it"
    ]
    # Of a script that reports nothing, others have to take care.
    page = f"<script>if (</script><script>{LOGIN_CALL}</script>"
    assert problems(capture, page, "act:cm:login") == []


@pytest.mark.parametrize("event_id", ["'order 17'", "17", f"'{'x' * 65}'", "{}", "true"])
def test_an_event_id_that_would_be_refused_is_a_mistake(
    capture: TestCapture, event_id: str
) -> None:
    page = f"<script>ap3c.activity({{activity_id: 'act:cm:login', event_id: {event_id}}})</script>"
    [found] = problems(capture, page, "act:cm:login")
    assert found.startswith("line 1: event_id is ")
    assert found.endswith("; expected 1 to 64 of the characters A-Z a-z 0-9 _ -")


def test_an_id_that_is_no_text_is_shown(capture: TestCapture) -> None:
    page = "<script>ap3c.activity({activity_id: ['act:cm:login']})</script>"
    with pytest.raises(AssertionError) as failed:
        capture.assert_page_reports(page)
    assert str(failed.value).splitlines()[1:] == [
        "  line 1: the call has no activity_id",
        "calls on the page:",
        '  line 1: ["act:cm:login"]',
    ]


def test_each_mistake_is_named_with_its_line(capture: TestCapture) -> None:
    page = """\
        <!-- a part of a page -->
        <h1>Shop</h1>
        <script
          data-x>
        ap3c.activity({activity_id: "act:cm:bougth"});
        ap3c.activity({activity_id: "act:cm:bought", attribute: {"int:cm:price": 12}});
        ap3c.activity({activity_id: "act:cm:bought", attributes: {
          "int:cm:prise": 12, "str:cm:plan": ["pro"]}});
        ap3c.activity({activity_id: "act:cm:bought", attributes: {"int:cm:price": 12.5}});
        ap3c.activity({activity_id: "act:cm:bought", attributes: "int:cm:price"});
        ap3c.activity({activity_id: "act:cm:paid"});
        ap3c.activity({attributes: {}});
        ap3c.activity({activity_id: 12});
        </script>
    """
    text = "a string of at most 255 characters"
    whole = "a whole number from -9007199254740991 to 9007199254740991"
    assert problems(capture, page, "act:cm:login") == [
        "act:cm:login is not reported",
        "line 5: act:cm:bougth is not defined; did you mean act:cm:bought?",
        "line 6: attribute is no member of an activity; did you mean attributes?",
        "line 6: act:cm:bought: int:cm:price is required",
        "line 7: act:cm:bought declares no attribute int:cm:prise; did you mean int:cm:price?",
        f'line 7: act:cm:bought: str:cm:plan is ["pro"]; expected {text}',
        "line 7: act:cm:bought: int:cm:price is required",
        f"line 9: act:cm:bought: int:cm:price is 12.5; expected {whole}",
        'line 10: act:cm:bought: attributes is "int:cm:price", and no object',
        "line 11: act:cm:paid may not be sent by websites: its client_side is off",
        "line 12: the call has no activity_id",
        "line 13: the call has no activity_id",
    ]


def test_only_keys_are_checked_of_what_is_worked_out_when_the_script_runs(
    capture: TestCapture,
) -> None:
    capture.define(
        Definition(
            "act:cm:cart",
            "Cart",
            client_side=True,
            attributes=[Attribute("stl:cm:items", required=True), "obj:cm:shop", "dtz:cm:day"],
        )
    )
    page = """
        <script>
        ap3c.activity({activity_id: "act:cm:cart", attributes: {
          "stl:cm:items": [first, "b"], "obj:cm:shop": {name, at: {x: 1}}, "str:cm:x": x}});
        ap3c.activity({activity_id: "act:cm:cart", attributes: {
          "stl:cm:items": ["a", 1], "dtz:cm:day": {year: 2026, month: 2, day: 30}}});
        ap3c.activity({activity_id: "act:cm:cart", attributes: {
          "stl:cm:items": [...more], "obj:cm:shop": {...more}, "dtz:cm:day": -day}});
        </script>
    """
    found = problems(capture, page)
    assert [re.sub(r";.*", "", each) for each in found] == [
        "line 3: act:cm:cart declares no attribute str:cm:x",
        'line 5: act:cm:cart: stl:cm:items is ["a", 1]',
        'line 5: act:cm:cart: dtz:cm:day is {"year": 2026, "month": 2, "day": 30}',
    ]


def test_what_the_settings_and_the_definition_allow_decides(capture: TestCapture) -> None:
    capture.define(
        Definition("act:cm:any", "Any", client_side=True, unknown_attributes="drop"),
        Definition("act:cm:old", "Old", client_side=True, archived=True),
    )
    many = ", ".join(f'"str:cm:a{number}": ""' for number in range(16))
    page = f"""
        <script>
        ap3c.activity({{activity_id: "act:cm:any", attributes: {{"str:cm:x": 1}}}});
        ap3c.activity({{activity_id: "act:cm:any", attributes: {{{many}}}}});
        ap3c.activity({{activity_id: "act:cm:old"}});
        </script>
    """
    assert problems(capture, page) == [
        "line 4: act:cm:any: 16 attributes, and 15 are allowed",
        "line 5: act:cm:old is archived",
    ]


def test_a_failure_shows_what_was_read_and_what_was_not(capture: TestCapture) -> None:
    page = dedent("""\
        <script src="/static/shop.js"></script>
        <script>
        ap3c.activity({activity_id: id, attributes: {"int:cm:price": 2 * price, ...more}});
        ap3c.activity({activity_id: "act:cm:bought", attributes: {"int:cm:price": [1, x]}});
        ap3c.activity(found);
        ap3c.activity({activity_id: "act:cm:login"};
        </script>
    """)
    with pytest.raises(AssertionError) as failed:
        capture.assert_page_reports(page, "act:cm:loggin")

    assert str(failed.value) == dedent("""\
        the page's reports are wrong:
          act:cm:loggin is not reported
          line 6: not JavaScript, so browsers run none of it
        calls on the page:
          line 3: an id that is worked out when the script runs {"int:cm:price": …, …}
          line 4: act:cm:bought {"int:cm:price": [1, …]}
          line 5: an id that is worked out when the script runs
          line 6: act:cm:login
        scripts that were not read: /static/shop.js; client= reads those of the page's own host""")


def test_a_page_without_calls_is_told_from_one_with_others(capture: TestCapture) -> None:
    with pytest.raises(AssertionError, match=r"there is no call of ap3c\.activity on the page"):
        capture.assert_page_reports("<h1>Shop</h1>", "act:cm:login")


def test_a_page_that_does_not_load_the_client_reports_nothing(capture: TestCapture) -> None:
    call = '<script>ap3c.activity({activity_id: "act:cm:login"})</script>'

    for page in (f"<html><body>{call}</body></html>", f"<!DOCTYPE html><title>Shop</title>{call}"):
        assert problems(capture, page, "act:cm:login") == [
            "the page does not load the client: its snippet is missing in the head"
        ]
    assert problems(capture, f"<html><head>{SNIPPET}</head>{call}", "act:cm:login") == []
    # Behind a proxy, the path may be longer.
    behind = SNIPPET.replace("/capture", "https://shop.example/a%20shop/capture")
    assert problems(capture, f"<html><head>{behind}</head>{call}", "act:cm:login") == []
    # Code of the page's own may load it.
    own = 'load("/capture/app.js")'
    assert problems(capture, f"<html><script>{own}</script>{call}", "act:cm:login") == []
    # A part of a page stands within one that loads it.
    assert problems(capture, f"<div>{call}</div>", "act:cm:login") == []


@pytest.mark.parametrize(
    "part",
    [
        '<script src="/static/app.js"></script>',
        '<script src="/capture/app.jsx"></script>',
        "<p>our app.js, at /capture/app.js</p>",
        '<template><script src="/capture/app.js"></script></template>',
    ],
)
def test_another_app_js_is_not_taken_for_the_client(capture: TestCapture, part: str) -> None:
    page = f"<html><head>{part}</head><script>{LOGIN_CALL}</script></html>"
    assert problems(capture, page, "act:cm:login") == [
        "the page does not load the client: its snippet is missing in the head"
    ]


def test_the_snippet_is_known_whatever_its_endpoint_is(capture: TestCapture, app: Flask) -> None:
    snippet = app.config["capture_app"].snippet("shop", endpoint="https://t.example/t")
    page = f"<html><head>{snippet}</head><script>{LOGIN_CALL}</script></html>"
    assert problems(capture, page, "act:cm:login") == []


# -- through an app


@pytest.fixture
def shop(app: Flask) -> Flask:
    """A shop whose code is in a file of its own."""
    snippet = app.config["capture_app"].snippet

    @app.get("/cart/")
    def cart() -> str:
        scripts = "".join(f'<script src="{each}"></script>' for each in request.args.getlist("s"))
        return f"<html><head>{snippet('shop')}</head>{scripts}</html>"

    @app.get("/cart/buy.js")
    def code() -> Response:
        text = '"use strict";\nap3c.activity({activity_id: "act:cm:login", attributes: {x: 1}});\n'
        return Response(text, mimetype="text/javascript")

    return app


def test_the_page_of_the_shop_reports(capture: TestCapture, app: Flask) -> None:
    client = app.test_client()
    capture.assert_page_reports(client.get("/"), "act:cm:bought", client=client)


def test_scripts_of_the_origin_are_read_through_the_client(
    capture: TestCapture, shop: Flask
) -> None:
    client = shop.test_client()
    page = client.get("/cart/?s=buy.js&s=//cdn.example/x.js")

    with pytest.raises(AssertionError) as failed:
        capture.assert_page_reports(page, "act:cm:login", client=client)

    assert str(failed.value) == dedent("""\
        the page's reports are wrong:
          buy.js, line 2: act:cm:login declares no attribute x; there are none
        calls on the page:
          buy.js, line 2: act:cm:login {"x": 1}
        scripts that were not read: //cdn.example/x.js; they are not of the page's own host""")


def test_a_script_that_is_not_there_fails_the_page(capture: TestCapture, shop: Flask) -> None:
    client = shop.test_client()
    with pytest.raises(AssertionError, match=r"line \d+: the script gone\.js was answered 404"):
        capture.assert_page_reports(client.get("/cart/?s=gone.js"), client=client)


def test_the_client_is_known_at_any_address_of_the_app(capture: TestCapture, app: Flask) -> None:
    """Hosts may serve the file themselves, from a place of their own."""
    client = app.test_client()
    text = client.get("/capture/app.js").text
    app.add_url_rule("/own.js", view_func=lambda: text)
    page = f'<html><head><script src="/own.js"></script></head><script>{LOGIN_CALL}</script></html>'

    capture.assert_page_reports(page, "act:cm:login", client=client)


def test_absolute_addresses_of_the_page_s_own_host_are_read(
    capture: TestCapture, shop: Flask
) -> None:
    client = shop.test_client()
    page = client.get("/cart/?s=http://localhost/cart/buy.js&s=data:text/javascript,x")

    with pytest.raises(AssertionError, match=r"/cart/buy\.js, line 2: act:cm:login declares no"):
        capture.assert_page_reports(page, "act:cm:login", client=client)
    with pytest.raises(
        AssertionError, match=r"buy\.js, data:.*; give the response and not its text"
    ):
        capture.assert_page_reports(page.text, "act:cm:login", client=client)
