"""A page whose visitor the host knows: by a token that may be too old, or by asking the host."""

from __future__ import annotations

import json
import random
from itertools import pairwise
from time import sleep

import pytest

from ..faults.stage import seed
from ..services import campaign
from .engines import Tab
from .websites import (
    ANNA,
    AWAY,
    BOB,
    OTHER,
    OURS,
    OpenTab,
    Posted,
    Reply,
    Website,
    seen,
    sign_in,
    track,
    visit,
)

LINK = '<a id="link" href="/next">Next</a>'
FOLLOW = "() => { document.getElementById('link').click(); }"
AT_NEXT = "() => location.pathname === '/next' && window.ap3c && ap3c.loaded"
QUEUED = "() => Object.keys(localStorage).filter(name => name.startsWith('ap3c-')).length"
#: Has a page try again almost at once, in each wait for a random time.
HASTY = """<script>
const random = Math.random;
Math.random = () => random() / 1000;
</script>"""
FORMS = pytest.mark.parametrize("inline", [True, False])


def script(code: str) -> str:
    return f"<script>{code};</script>"


def expired_token(website: Website, email: str = ANNA) -> str:
    """Of a page that was cached for longer than its token is good."""
    token = website.captures[OURS].sign_identity(email, max_age=1)
    website.later += 10
    return token


def first_visit(open_tab: OpenTab, website: Website) -> Tab:
    """A tab with a page without the client."""
    tab = open_tab()
    tab.goto(website.put("/empty", ""))
    return tab


def hold_the_host(website: Website) -> None:
    """Let the host think about who is signed in, until ``website.release()``."""
    website.hold(lambda posted: posted.route == "identity")


def arrived(website: Website, *rows: tuple[str, str]) -> None:
    """These activities arrive, and no others."""
    website.wait_for(lambda: len(website.rows()) >= len(rows))
    assert sorted(website.rows()) == sorted(rows)


# A token.


@FORMS
def test_a_token_in_the_snippet_says_who_it_is(
    open_tab: OpenTab, website: Website, inline: bool
) -> None:
    token = website.captures[OURS].sign_identity(ANNA)
    tab = open_tab()
    visit(tab, website.put("/", website.snippet(identity=token, inline=inline)))
    tab.run(f"() => {{ {seen(1)}; }}")

    arrived(website, ("1", ANNA))
    assert website.proofs() == ["verified"]
    assert not website.sent("identity")


@pytest.mark.parametrize("by", ["the snippet", "the page"])
def test_a_cached_page_with_an_expired_token_gets_a_new_one(
    open_tab: OpenTab, website: Website, by: str
) -> None:
    """What was held, and what the page has called meanwhile, go out in that name."""
    token = expired_token(website)
    told = f"window.told = ap3c.track({{identity: '{token}'}}, each => {{ window.heard = each; }})"
    snippet = website.snippet(identity=token if by == "the snippet" else None)
    page = script(f"{sign_in(ANNA)}; {seen(1)}; {told if by == 'the page' else ''}; {seen(2)}")
    tab = open_tab()
    visit(tab, website.put("/", snippet + page))

    arrived(website, ("1", ANNA), ("2", ANNA))
    assert website.proofs() == ["verified"] * 2
    assert [each.status for each in website.sent("track")] == [401, 200]
    assert len(website.sent("identity")) == 1
    if by == "the page":
        assert tab.run("() => told")["identified"] is True
        assert tab.run("() => heard")["identified"] is True


def test_an_expired_token_of_a_visitor_who_is_signed_out_is_refused(
    open_tab: OpenTab, website: Website
) -> None:
    """Whose it is, is not known then: the activity waits for the next who is identified."""
    token = expired_token(website)
    tab = open_tab()
    visit(tab, website.put("/", website.snippet()))
    tab.run(f"() => {{ {seen(1)}; }}")
    told = tab.run(f"() => ap3c.track({{identity: '{token}'}})")

    assert (told["ok"], told["status"], told["code"]) == (False, 401, "bad-identity")
    assert len(website.sent("identity")) == 1
    tab.run(f"() => {track(BOB)}")
    arrived(website, ("1", BOB))


def test_a_second_refusal_is_final(open_tab: OpenTab, website: Website) -> None:
    refusal = Reply("401 Unauthorized", json.dumps({"error": {"code": "bad-identity"}}))
    website.answer = lambda posted: refusal if posted.route == "track" else None
    tab = open_tab()
    visit(tab, website.put("/", script(sign_in(ANNA)) + website.snippet()))

    assert tab.run("() => ap3c.track({identity: 'oi1.bad'})")["code"] == "bad-identity"
    assert [len(website.sent(route)) for route in ("track", "identity")] == [2, 1]


def test_a_page_that_is_gone_gets_no_new_token(open_tab: OpenTab, website: Website) -> None:
    """Another visitor may have signed in since."""
    token = expired_token(website)
    website.hold(lambda posted: posted.route == "track")
    tab = open_tab()
    visit(tab, website.put("/", script(sign_in(ANNA)) + website.snippet(identity=token)))
    assert website.wait_for(lambda: website.sent("track"))
    visit(tab, website.put("/next", script(sign_in(BOB)) + website.snippet()))
    website.release()
    assert website.wait_for(lambda: [each.status for each in website.sent("track")][1:2] == [401])
    tab.until(f"() => ({QUEUED})() === 0")

    assert not website.sent("identity")


def test_a_page_whose_track_another_tab_has_sent_gets_a_new_token(
    open_tab: OpenTab, website: Website
) -> None:
    """Tabs that are opened together send for each other."""
    token = expired_token(website)
    one, other = open_tab(), open_tab()
    visit(one, website.put("/", website.snippet()))
    visit(other, website.base + "/")
    one.run(f"() => {{ {sign_in(ANNA)}; }}")
    released = website.hold(lambda posted: posted.body.get("email") == BOB)
    other.run(f"() => {{ {track(BOB)}; }}")
    assert website.wait_for(lambda: website.sent("track"))
    one.run(f"() => {{ window.told = ap3c.track({{identity: '{token}'}}); {seen(1)}; }}")
    one.until(f"() => ({QUEUED})() >= 3")
    released.set()

    told = one.run("() => told")
    assert told["ok"], told
    arrived(website, ("1", ANNA))
    assert website.proofs() == ["verified"]


# The host is asked.


@FORMS
def test_the_host_says_who_it_is(open_tab: OpenTab, website: Website, inline: bool) -> None:
    """For what was held before, too."""
    tab = open_tab()
    visit(tab, website.put("/", website.snippet()))
    tab.run(f"() => {{ {seen(1)}; }}")
    tab.until(f"() => ({QUEUED})() === 1")
    page = script(sign_in(ANNA)) + website.snippet(identity="host", inline=inline)
    visit(tab, website.put("/next", page))
    tab.run(f"() => {{ {seen(2)}; }}")

    arrived(website, ("1", ANNA), ("2", ANNA))
    assert website.proofs() == ["verified"] * 2
    [asked] = website.sent("identity")
    assert asked.status == 200


def test_an_earlier_visitor_s_session_is_not_that_of_the_one_who_is_signed_in(
    open_tab: OpenTab, website: Website
) -> None:
    tab = open_tab()
    visit(tab, website.put("/", website.snippet()))
    tab.run(f"() => {track(BOB)}")
    visit(tab, website.put("/next", script(sign_in(ANNA)) + website.snippet(identity="host")))
    tab.run(f"() => {{ {seen(1)}; }}")

    arrived(website, ("1", ANNA))


@pytest.mark.parametrize("answer", ["no login", "no resolver"])
@pytest.mark.parametrize("known", [True, False])
def test_where_the_host_names_no_visitor_all_goes_on_as_before(
    open_tab: OpenTab, website: Website, answer: str, known: bool
) -> None:
    """With the session that there is, or held until a person is identified."""
    missing = Reply("404 Not Found", json.dumps({"error": {"code": "not-found"}}))
    if answer == "no resolver":
        website.answer = lambda posted: missing if posted.route == "identity" else None
    tab = open_tab()
    visit(tab, website.put("/", website.snippet()))
    if known:
        tab.run(f"() => {track(ANNA)}")
    visit(tab, website.put("/next", website.snippet(identity="host")))
    tab.run(f"() => {{ {seen(1)}; }}")
    if known:
        arrived(website, ("1", ANNA))
        return
    tab.until(f"() => ({QUEUED})() === 1")
    tab.run(f"() => {track(BOB)}")
    arrived(website, ("1", BOB))


def test_a_session_that_a_login_vouched_for_ends_where_the_host_says_signed_out(
    open_tab: OpenTab, website: Website
) -> None:
    """The next person at the computer is not who was there before, in no tab of the browser."""
    tab, other = open_tab(), open_tab()
    visit(tab, website.put("/", script(sign_in(ANNA)) + website.snippet(identity="host")))
    tab.run(f"() => {{ {seen(1)}; }}")
    arrived(website, ("1", ANNA))
    visit(other, website.put("/next", script(sign_in("")) + website.snippet(identity="host")))
    other.run(f"() => {{ window.told = {seen(2)}; }}")
    other.until("() => ap3c.getCookie() === null")

    tab.until("() => ap3c.getCookie() === null")
    assert other.run("() => ap3c.track({identity: 'host'})")["identified"] is False
    other.run(f"() => {track(BOB)}")
    arrived(website, ("1", ANNA), ("2", BOB))


def test_a_session_that_began_while_the_host_was_being_asked_goes_on(
    open_tab: OpenTab, website: Website
) -> None:
    account = website.captures[OURS]
    tab = open_tab()
    visit(tab, website.put("/", website.snippet(identity=account.sign_identity(BOB))))
    tab.run(f"() => {seen(1)}")
    hold_the_host(website)
    visit(tab, website.put("/next", website.snippet(identity="host")))
    assert website.wait_for(lambda: website.sent("identity"))
    # As a page of another tab does, after a log-in.
    session = account.identify(identity=account.sign_identity(ANNA)).session
    tab.run(f"() => {{ document.cookie = 'ap3c={session}; path=/'; }}")
    website.release()
    tab.run(f"() => {seen(2)}")

    arrived(website, ("1", BOB), ("2", ANNA))


def test_a_page_may_ask_the_host_after_a_login_of_its_own(
    open_tab: OpenTab, website: Website
) -> None:
    tab = open_tab()
    visit(tab, website.put("/", website.snippet(identity="host")))
    tab.run(f"() => {{ {seen(1)}; }}")
    tab.run(f"() => {{ {sign_in(ANNA)}; }}")

    assert tab.run("() => ap3c.track({identity: 'host'})")["identified"] is True
    arrived(website, ("1", ANNA))


#: What answers in place of the host.
WRONG = {
    "away": AWAY,
    "a log-in page": Reply("200 OK", "<h1>Log in</h1>"),
    "too busy": Reply(
        "429 Too Many Requests",
        json.dumps({"error": {"code": "rate-limit"}}),
        (("Retry-After", "1"),),
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_host_that_is_away_is_asked_again(
    open_tab: OpenTab, website: Website, wrong: str
) -> None:
    """Whether it fails or another program answers in its place, and not without a pause."""
    website.answer = lambda posted: WRONG[wrong] if posted.route == "identity" else None
    tab = open_tab()
    page = HASTY + script(sign_in(ANNA)) + website.snippet(identity="host")
    visit(tab, website.put("/", page))
    told = tab.run(f"() => {seen(1)}")
    assert told["queued"], "no page waits for it"
    website.answer = lambda posted: None

    arrived(website, ("1", ANNA))
    if wrong == "too busy":
        waits = [later.at - asked.at for asked, later in pairwise(website.sent("identity"))]
        assert waits
        assert all(each > 0.9 for each in waits), "clocks of browsers are rounded"


def test_a_host_of_another_origin_is_not_waited_for(open_tab: OpenTab, website: Website) -> None:
    """It tells no page of ours who is signed in there."""
    init = f"ap3c.init('key', '{website.elsewhere}{OURS}', {{identity: 'host'}})"
    page = f"<script src='{OURS}/app.js'></script>" + script(init)
    tab = open_tab()
    visit(tab, website.put("/", page))
    tab.run(f"() => {{ {seen(1)}; {track(ANNA)}; }}")

    arrived(website, ("1", ANNA))


def test_each_endpoint_has_a_visitor_of_its_own(open_tab: OpenTab, website: Website) -> None:
    token = website.captures[OTHER].sign_identity(BOB)
    page = website.snippet(identity="host") + script(f"{sign_in(ANNA)}; {seen(1)}")
    tab = open_tab()
    visit(tab, website.put("/", page + website.snippet(OTHER, identity=token)))
    tab.run(f"() => {{ {seen(2)}; }}")

    arrived(website, ("1", ANNA))
    website.wait_for(lambda: website.rows(OTHER))
    assert website.rows(OTHER) == [("2", BOB)]


# A page that goes away before the host has answered.


@pytest.mark.parametrize("next_visitor", [BOB, ""])
def test_what_waits_for_the_host_never_goes_to_the_next_visitor(
    open_tab: OpenTab, website: Website, next_visitor: str
) -> None:
    """Not by way of the storage, and not by what the page sends as it is left."""
    hold_the_host(website)
    tab = first_visit(open_tab, website)
    tab.run(f"() => {{ {sign_in(ANNA)}; }}")
    visit(tab, website.put("/", website.snippet(identity="host")))
    assert website.wait_for(lambda: website.sent("identity"))
    calls = "addEventListener('pagehide', () => {{ {}; {}; }})".format(
        sign_in(next_visitor), seen("late")
    )
    tab.run(f"() => {{ {seen('early')}; {calls}; }}")
    assert tab.run(QUEUED) == 0
    visit(tab, website.put("/next", website.snippet()))
    website.release()
    tab.run(f"() => {track(BOB)}")
    tab.run(f"() => {seen('next')}")

    assert website.rows() == [("next", BOB)]
    assert [each.serial for each in website.sent("activity")] == ["next"]


def test_a_page_that_comes_back_asks_again(open_tab: OpenTab, website: Website) -> None:
    """Another person may have signed in; what waited is not theirs."""
    hold_the_host(website)
    tab = open_tab()
    visit(tab, website.put("/", website.snippet(identity="host"), LINK))
    website.put("/next", script(sign_in(BOB)) + website.snippet())
    assert website.wait_for(lambda: website.sent("identity"))
    tab.run(f"() => {{ window.told = {seen(1)}; window.left = true; }}")
    tab.run(FOLLOW)
    tab.until(AT_NEXT)
    tab.back()
    tab.until("() => window.ap3c && ap3c.loaded && location.pathname === '/'")
    website.release()
    kept = tab.run("() => !!window.left")
    if kept:
        assert not tab.run("() => told")["ok"]
    assert tab.run(f"() => {seen(2)}")["ok"]

    assert website.rows() == [("2", BOB)]


def test_no_call_has_the_name_of_another_visitor_of_the_same_browser(
    open_tab: OpenTab, website: Website
) -> None:
    """Each page signs another one in, and is left before, while or after the host answers."""
    pages, host = random.Random(seed()), random.Random(seed())

    def answer(posted: Posted) -> Reply | None:
        if posted.route == "activity":
            return None
        sleep(host.choice([0, 0, 0.05, 0.2]))
        return AWAY if host.random() < 0.1 else None

    website.answer = answer
    website.put("/", HASTY + website.snippet(identity="host"), LINK)
    tab = open_tab()
    visit(tab, f"{website.base}/?login={ANNA}")
    called: dict[str, str] = {}
    for number in range(campaign(10)):
        email, following = (ANNA, BOB) if number % 2 == 0 else (BOB, ANNA)
        serials = [f"{number}-{each}" for each in range(3)]
        called |= dict.fromkeys(serials, email)
        go = {"address": f"/?login={following}", "after": pages.choice([0, 0, 20, 100, 300])}
        tab.run(
            f"""({{address, after}}) => {{
              {"; ".join(map(seen, serials))};
              window.left = true;
              const link = document.getElementById("link");
              link.href = address;
              setTimeout(() => link.click(), after);
            }}""",
            go,
        )
        tab.until("() => !window.left && window.ap3c && ap3c.loaded")
    website.answer = lambda posted: None
    tab.until(f"() => ({QUEUED})() === 0")

    rows = website.rows()
    assert {row for row in rows if called[row[0]] != row[1]} == set()
    assert len(rows) == len(dict(rows)), "each once"


# A visitor who signs out meanwhile.


@pytest.mark.parametrize("when", ["before it is asked", "before it answers"])
def test_signing_out_never_ends_with_the_name_of_the_next(
    open_tab: OpenTab, website: Website, when: str
) -> None:
    hold_the_host(website)
    tab = first_visit(open_tab, website)
    tab.run(f"() => {{ {sign_in(ANNA)}; }}")
    visit(tab, website.put("/", website.snippet()))
    asks = f"ap3c.init('key', '{OURS}', {{identity: 'host'}}); window.told = {seen(1)}"
    out = f"ap3c.clearSession(); {sign_in(BOB)}"
    if when == "before it is asked":
        tab.run(f"() => {{ {asks}; {out}; }}")
    else:
        tab.run(f"() => {{ {asks}; }}")
        assert website.wait_for(lambda: website.sent("identity"))
        tab.run(f"() => {{ {out}; }}")
    website.release()

    assert tab.run("() => told")["code"] == "cleared"
    assert tab.run("() => ap3c.getCookie()") is None
    assert website.rows() == []
    assert bool(website.sent("identity")) is (when == "before it answers")


def test_a_host_that_was_away_is_not_asked_about_a_visitor_who_has_signed_out(
    open_tab: OpenTab, website: Website
) -> None:
    website.answer = lambda posted: AWAY if posted.route == "identity" else None
    tab = open_tab()
    page = HASTY + script(sign_in(ANNA)) + website.snippet(identity="host")
    visit(tab, website.put("/", page))
    assert tab.run(f"() => {seen(1)}")["queued"]
    tab.run(f"() => {{ ap3c.clearSession(); {sign_in(BOB)}; }}")
    website.answer = lambda posted: None
    tab.run(f"() => {{ ap3c.track({{identity: 'host'}}); {seen(2)}; }}")
    assert website.wait_for(lambda: ("2", BOB) in website.rows())

    assert website.rows() == [("2", BOB)]


def test_signing_out_while_a_new_token_is_asked_for_ends_with_no_name(
    open_tab: OpenTab, website: Website
) -> None:
    token = expired_token(website)
    website.hold(lambda posted: posted.route == "track")
    tab = open_tab()
    visit(tab, website.put("/", website.snippet()))
    tab.run(f"() => {{ window.told = ap3c.track({{identity: '{token}'}}); }}")
    assert website.wait_for(lambda: website.sent("track"))
    tab.run(f"() => {{ ap3c.clearSession(); {sign_in(BOB)}; }}")
    website.release()

    assert tab.run("() => told")["code"] == "bad-identity"
    assert tab.run("() => ap3c.getCookie()") is None
    assert not website.sent("identity")


# Consent.


@pytest.mark.parametrize("asked", [True, False])
def test_the_host_is_not_asked_before_consent(
    open_tab: OpenTab, website: Website, asked: bool
) -> None:
    """A banner may say first that there is none; the page need not say again who it is."""
    init = f"ap3c.init('key', '{OURS}', {{identity: 'host', consent: false}})"
    client = f"<script src='{OURS}/app.js'></script>"
    tab = open_tab()
    visit(tab, website.put("/", client + script(f"{sign_in(ANNA)}; {init}")))
    if asked:
        tab.run(f"() => {{ ap3c.init('key', '{OURS}'); ap3c.consent(false); }}")
    tab.run("() => fetch('/turn')")
    assert not website.posted
    tab.run(f"() => {{ {seen(1)}; ap3c.consent(true); }}")
    tab.run(f"() => {{ {seen(2)}; }}")

    website.wait_for(lambda: len(website.rows()) == 2)
    assert website.rows() == [("1", ANNA), ("2", ANNA)]


def test_consent_brings_no_visitor_back_who_has_signed_out(
    open_tab: OpenTab, website: Website
) -> None:
    token = website.captures[OURS].sign_identity(ANNA)
    tab = open_tab()
    visit(tab, website.put("/", website.snippet(identity=token)))
    assert website.wait_for(lambda: website.sent("track"))
    tab.run("() => { ap3c.clearSession(); ap3c.consent(false); ap3c.consent(true); }")
    tab.run(f"() => {track(BOB)}")
    tab.run(f"() => {seen(1)}")

    assert website.rows() == [("1", BOB)]
    assert [each.body.get("email") for each in website.sent("track")] == [None, BOB]


def test_an_answer_of_the_host_that_comes_after_consent_was_taken_back_leaves_nothing(
    open_tab: OpenTab, website: Website
) -> None:
    hold_the_host(website)
    tab = open_tab()
    page = script(sign_in(ANNA)) + website.snippet(identity="host")
    visit(tab, website.put("/", page))
    tab.run(f"() => {{ {seen(1)}; }}")
    assert website.wait_for(lambda: website.sent("identity"))
    tab.run("() => ap3c.consent(false)")
    website.release()
    assert website.wait_for(lambda: website.sent("identity")[0].status)
    tab.run("() => fetch('/turn')")

    assert tab.run("() => Object.keys(localStorage)") == []
    assert (website.rows(), len(website.posted)) == ([], 1)
