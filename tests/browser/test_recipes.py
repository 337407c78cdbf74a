"""What the how-tos show for a browser, taken out of their pages and opened as it stands there."""

from __future__ import annotations

import re

import pytest

from ortto_capture import Definition

from ..services import ROOT
from .engines import Tab
from .websites import OURS, SEEN, OpenTab, Website, seen, track, visit

HOW_TO = ROOT / "docs" / "how-to"
LOGIN = Definition("act:cm:login", "Logged in", client_side=True)
JO = "jo@example.com"


def blocks(page: str, language: str) -> list[str]:
    """The fenced blocks of a language in a how-to."""
    text = (HOW_TO / f"{page}.md").read_text("utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def logins(website: Website) -> int:
    return len([row for row in stored(website) if row == LOGIN.id])


def stored(website: Website) -> list[str]:
    return [row.activity_id for row in website.captures[OURS].backends.journal.latest()]


# -- privacy.md: a consent banner


@pytest.fixture
def banner(website: Website) -> str:
    """The address of the page with the banner."""
    [page] = blocks("privacy", "html")
    website.captures[OURS].backends.definitions.put(LOGIN)
    website.pages["/"] = page.replace("{{ snippet }}", website.snippet())
    return website.base + "/"


def answer(tab: Tab, choice: str) -> None:
    tab.run(f"() => document.querySelector('[value={choice}]').click()")


def kept_in(tab: Tab) -> list[str]:
    kept = tab.run("() => Object.keys(localStorage).filter(name => name !== 'consent')")
    return [*kept, *(cookie.name for cookie in tab.cookies())]


SHOWN = "() => !document.getElementById('banner').hidden"


def test_before_the_visitor_has_answered_nothing_is_sent_or_kept(
    open_tab: OpenTab, website: Website, banner: str
) -> None:
    tab = open_tab()
    visit(tab, banner)
    tab.run("() => new Promise(done => setTimeout(done, 100))")

    assert tab.run(SHOWN)
    assert (website.posted, kept_in(tab)) == ([], [])


def test_what_was_called_goes_out_with_the_visitors_yes_and_later_pages_know_it(
    open_tab: OpenTab, website: Website, banner: str
) -> None:
    tab = open_tab()
    visit(tab, banner)
    answer(tab, "yes")
    assert website.wait_for(lambda: logins(website) == 1)

    visit(tab, banner)
    assert website.wait_for(lambda: logins(website) == 2)
    assert not tab.run(SHOWN)


def test_a_visitor_who_changes_to_no_is_followed_no_more(
    open_tab: OpenTab, website: Website, banner: str
) -> None:
    tab = open_tab()
    visit(tab, banner)
    answer(tab, "yes")
    assert website.wait_for(lambda: logins(website) == 1)
    tab.run("() => document.getElementById('change').click()")
    assert tab.run(SHOWN)
    answer(tab, "no")
    tab.until("() => !document.cookie")

    visit(tab, banner)
    tab.run("() => new Promise(done => setTimeout(done, 100))")
    assert (logins(website), kept_in(tab)) == (1, [])


# -- moving-from-ortto.md: the tracking code, changed, and both clients on one page

#: What Ortto's own script may do: it is not known whether it hands queued activities to itself,
#: replaces the queues, or the whole object.
THEIRS = {
    "to itself": """(() => {
      const q = window.ap3c, heard = window.heard = [];
      q.init = q.clearSession = () => {};
      q.track = given => heard.push(given.email || "anonymous");
      q.activity = given => heard.push(given.attributes["str:cm:serial"]);
      q.cmd.forEach(run => run());
      q.cmd = {push: run => run()};
      (q.act || []).forEach(given => q.activity(given));
      q.act = {push: given => q.activity(given)};
    })()""",
    "inside": """(() => {
      const q = window.ap3c, heard = window.heard = [];
      const act = given => heard.push(given.attributes["str:cm:serial"]);
      q.init = q.clearSession = () => {};
      q.track = given => heard.push(given.email || "anonymous");
      q.activity = act;
      while (q.cmd.length) q.cmd.shift()();
      q.cmd.push = run => run();
      q.act = q.act || [];
      while (q.act.length) act(q.act.shift());
      q.act.push = act;
    })()""",
    "another object": """(() => {
      const old = window.ap3c, heard = window.heard = [];
      const q = window.ap3c = {
        init() {}, clearSession() {},
        track: given => heard.push(given.email || "anonymous"),
        activity: given => heard.push(given.attributes["str:cm:serial"]),
        cmd: {push: run => run()}, act: {push: given => q.activity(given)},
      };
      old.cmd.forEach(run => run());
      (old.act || []).forEach(given => q.activity(given));
    })()""",
}
CODE = blocks("moving-from-ortto", "html")[0]
THEIR_COOKIE = "ap3c=theirs; path=/"


def tracking_code(changed: str) -> str:
    """The block of the page, with the address that its script is loaded from."""
    assert "s.src = '/capture/app.js'" in CODE
    return CODE.replace("'/capture/app.js'", f"'{changed}'")


def older(code: str) -> str:
    """Without the line that only newer tracking code has."""
    lines = code.splitlines(keepends=True)
    return "".join(line for line in lines if "only in newer code" not in line)


@pytest.mark.parametrize("generation", ["older", "newer"])
def test_the_changed_tracking_code_reports_to_the_shop(
    open_tab: OpenTab, website: Website, generation: str
) -> None:
    inside, outside = f"{track(JO)}; {seen(1)};", ""
    if generation == "newer":
        inside, outside = f"{track(JO)};", f"{seen(1)};"
    code = older(CODE) if generation == "older" else CODE
    calls = f"ap3c.cmd.push(function () {{ {inside} }}); {outside}"
    visit(open_tab(), website.put("/", f"{code}<script>{calls}</script>"))

    assert website.wait_for(lambda: website.rows() == [("1", JO)])


@pytest.mark.parametrize("theirs", THEIRS)
def test_both_clients_hear_what_the_page_calls_and_theirs_keeps_its_cookie(
    open_tab: OpenTab, website: Website, theirs: str
) -> None:
    [both] = blocks("moving-from-ortto", "js")
    website.pages["/static/both.js"] = both
    website.pages["/theirs.js"] = f"document.cookie = '{THEIR_COOKIE}'; {THEIRS[theirs]}"
    head = '<script src="/static/both.js"></script>' + tracking_code("/theirs.js")
    early = f"{seen(1)}; ap3c.cmd.push(function () {{ {track(JO)}; {seen(2)}; }});"
    address = website.put("/", f"{head}<script>{early}</script>")
    tab = open_tab()
    tab.goto(address)
    tab.until("() => window.heard")
    tab.run(f"() => {{ {seen(3)}; }}")

    assert website.wait_for(lambda: len(website.rows()) == 3)
    assert sorted(website.rows()) == [("1", JO), ("2", JO), ("3", JO)]
    assert sorted(tab.run("() => heard")) == ["1", "2", "3", "anonymous", JO]

    # On the next page the session is still known.
    website.put("/next", f"{head}<script>{seen(4)}</script>")
    tab.goto(website.base + "/next")
    assert website.wait_for(lambda: ("4", JO) in website.rows())
    assert [cookie.value for cookie in tab.cookies()] == ["theirs"]


def test_the_older_code_of_ortto_is_heard_as_well(open_tab: OpenTab, website: Website) -> None:
    [both] = blocks("moving-from-ortto", "js")
    website.pages["/static/both.js"] = both
    website.pages["/theirs.js"] = THEIRS["inside"]
    head = '<script src="/static/both.js"></script>' + older(tracking_code("/theirs.js"))
    calls = f"ap3c.cmd.push(function () {{ {track(JO)}; {seen(1)}; }});"
    open_tab().goto(website.put("/", f"{head}<script>{calls}</script>"))

    assert website.wait_for(lambda: website.rows() == [("1", JO)])
    assert SEEN.id in stored(website)
