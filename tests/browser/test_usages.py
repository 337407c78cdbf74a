"""Every call found on public sites, replayed against our server, and what comes of each.

The lines are in ``data/ap3c_usages.jsonl``; capture keys, endpoints and script addresses are
replaced by ours, and nothing else. Beside each line stands what was posted and what it came to.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Timer
from typing import Any, NamedTuple

import pytest

from ..services import campaign
from .conftest import KEY, Site, by_turns

USAGES = [
    json.loads(line)
    for line in (Path(__file__).parent / "data" / "ap3c_usages.jsonl").read_text().splitlines()
]


class Expected(NamedTuple):
    """What a line comes to: what is posted, with its status, and who is identified by what."""

    posted: list[tuple[str, int]]
    identifiers: Sequence[tuple[str, str]] = ()
    rows: int = 0


ANONYMOUS = Expected([("track", 200)])
USER = ("email", "user@emaildomain.com")

#: One for each line, in its order.
EXPECTED: list[Expected] = [
    # The guide's full example, without a shim: our snippet's stub takes the call.
    Expected([("track", 200), ("activity", 200)], [USER], 1),
    # An activity alone: nobody is identified, so it waits, and nothing is sent.
    Expected([]),
    Expected([("track", 200)], [USER]),
    Expected([]),
    # Anonymous, then an activity: the activity waits.
    ANONYMOUS,
    # Merge keys: the first two are on this account's list.
    Expected([("track", 200)], [("str:cm:generic-text", "generictextvalue")]),
    Expected(
        [("track", 200)],
        [("str:cm:generic-text", "firstmerge"), ("int:cm:exnumber", "1234567895")],
    ),
    Expected(
        [("track", 200)],
        [("int:cm:exnumber", "112233"), ("str:cm:generic-text", "numberfirstthentext")],
    ),
    # A key that is not on the list, and "fs", identify nobody.
    ANONYMOUS,
    # A syntax error of the page's: nothing runs, nothing breaks.
    Expected([]),
    Expected([("track", 200)], [("str:cm:customer-id", "1234")]),
    Expected([("track", 200)], [USER, ("str:cm:customer-id", "1234")]),
    Expected([("track", 200)], [("ei", "ID4674")]),
    # Documented in words only: skipNonExisting with an identifier; the answer is an anonymous one.
    ANONYMOUS,
    # Options we do not have are ignored, and counted.
    Expected([("track", 200)], [USER]),
    # init with options: nothing is sent by init.
    Expected([]),
    Expected([]),
    # getCookie and clearSession.
    Expected([]),
    # Whole snippets that only report a page view.
    ANONYMOUS,
    ANONYMOUS,
    # track outside cmd.push, before the script: our snippet's stub takes it. skipNonExisting.
    Expected([("track", 200), ("track", 200)]),
    ANONYMOUS,
    ANONYMOUS,
    # A merge key that is not listed.
    ANONYMOUS,
    Expected([("track", 200)], [("email", "jane@example.com")]),
    # Empty identifiers, as templates print them when nobody is logged in.
    ANONYMOUS,
    # Reading lastVar, which is undefined before any track.
    Expected([]),
    ANONYMOUS,
    # A callback as second argument, and a widget's event object.
    ANONYMOUS,
]

#: The lines that describe a call in words, as the call they describe.
DESCRIBED: dict[str, list[dict[str, Any]]] = {
    "option skipNonExisting:true together with an identifier": [
        {"email": USER[1], "skipNonExisting": True}
    ],
    "options unsubscribe, gdpr:{hasConsentGiven:true}, link": [
        {"email": USER[1], "unsubscribe": False, "gdpr": {"hasConsentGiven": True}, "link": "x"}
    ],
}


def arguments(call: str, given: list[Any]) -> str:
    """The arguments in JavaScript, the capture key and the endpoint replaced by ours."""
    if call == "init":
        given = [KEY, "/capture/", *given[2:]]
    return ", ".join(
        "function () { window.called = true; }" if each == "callback" else json.dumps(each)
        for each in given
    )


def statement(call: str, given: list[Any]) -> str:
    return f"ap3c.{call}({arguments(call, given)});"


def statements(usage: dict[str, Any]) -> list[str]:
    """What the page's scripts say, without the loading of the client."""
    call, given = usage["call"], usage["args"]
    if isinstance(given, str) and given.startswith("raw: "):
        return [f"ap3c.track({given.removeprefix('raw: ')});"]
    if call != "snippet":
        given = DESCRIBED[given] if isinstance(given, str) else given
        return [f"ap3c.cmd.push(function () {{ {statement(call, given)} }});"]
    lines = []
    for step in given["steps"]:
        if step.get("op") == "cmd.push":
            calls = "".join(
                statement(name, args) for each in step["calls"] for name, args in each.items()
            )
            lines.append(f"ap3c.cmd.push(function () {{ {calls} }});")
        elif step.get("op") == "ensure_global":
            lines.append("window.ap3c = window.ap3c || {}; ap3c.cmd = ap3c.cmd || [];")
        elif step.get("op") == "define_activity_shim":
            lines.append(
                "ap3c.activity = function (a) { ap3c.act = (ap3c.act || []); ap3c.act.push(a); };"
            )
        elif step.get("op") == "read":
            lines.append("ap3c.cmd.push(function () { ap3c.lastVar && ap3c.lastVar.first; });")
        elif step.get("op") == "call" and step["name"] != "track":
            # No stub of these exists before the script has arrived.
            lines.append(
                f"ap3c.cmd.push(function () {{ {statement(step['name'], step['args'])} }});"
            )
        elif "call" in step or step.get("op") == "call":
            lines.append(statement(step.get("name") or step["call"], step["args"]))
    return lines


def scripts(number: int) -> str:
    """Each statement of a line in a script of its own: a syntax error stays its page's own."""
    return "".join(f"<script>{each}</script>" for each in statements(USAGES[number - 1]))


def at_once(site: Site, head: str, scripts: str) -> None:
    site.open(head + scripts)


def late(site: Site, head: str, scripts: str) -> None:
    """The script comes when those of the page have run."""
    site.late = "/app.js"
    site.open(head + scripts, until="domcontentloaded")
    site.released.set()


def twice(site: Site, head: str, scripts: str) -> None:
    """As by a template and by a tag manager."""
    site.open(head + scripts + head)


def cached(site: Site, head: str, scripts: str) -> None:
    """The second page of a visit."""
    site.open(head)
    site.settle()
    site.open(head + scripts)
    site.arrived()
    assert site.fetched.count("/capture/app.js") == 1


Visit = Callable[[Site, str, str], None]
VISITS: list[Visit] = [at_once, late, twice, cached]
Snippet = Callable[[Site], str]


GENERATIONS = ["ours", "old"]


@pytest.fixture(params=GENERATIONS)
def snippet(request: pytest.FixtureRequest, old_snippet: Callable[[str], str]) -> Snippet:
    """Either generation."""
    if request.param == "ours":
        return Site.snippet
    return lambda site: old_snippet(f"ap3c.init('{KEY}', '/capture/');")


NUMBERS = range(1, len(USAGES) + 1)
#: What the first generation cannot do is what the second was made for: calls outside cmd.push.
OUTSIDE = (1, 21)
BROKEN = 10


#: Which of the visits each engine makes, counted from one that is another for each line: together
#: they make all. In a campaign each engine makes all by itself.
TURNS = {"chromium": (0, 1), "firefox": (2,), "webkit": (3,)}


def visits(engine: str, number: int, generation: str) -> list[Visit]:
    """How that engine visits the page of that line."""
    if campaign(1) > 1:
        return VISITS
    first = number + 2 * (generation == "old")
    return [VISITS[(first + turn) % len(VISITS)] for turn in TURNS[engine]]


each_visit = pytest.mark.parametrize(
    ("engine", "snippet", "number", "visit"),
    [
        (engine, generation, number, visit)
        for engine in TURNS
        for generation in GENERATIONS
        for number in NUMBERS
        for visit in visits(engine, number, generation)
    ],
    indirect=["engine", "snippet"],
)


@each_visit
def test_a_line_comes_to_the_same_however_the_script_comes(
    site: Site, snippet: Snippet, number: int, visit: Visit
) -> None:
    """At once, late, twice or from the cache."""
    comes_to(site, snippet, number, visit)


def comes_to(site: Site, snippet: Snippet, number: int, visit: Visit) -> None:
    """Report what the line says, and see what was posted, answered and stored."""
    expected = EXPECTED[number - 1]
    visit(site, snippet(site), scripts(number))
    site.settle()

    if number in OUTSIDE and snippet != Site.snippet:
        # The guide's note says so; what stands inside the block goes out all the same.
        assert site.sent[0] == "track"
        assert len(site.errors) <= 1
        return
    assert site.answers == expected.posted
    assert len(site.stored) == expected.rows
    identified = site.run("() => ap3c.getCookie()")
    assert bool(identified) == bool(expected.identifiers)
    if identified:
        person = site.backends.people.get(identified.split(".")[1])
        assert person is not None
        assert [tuple(each) for each in person.identifiers] == list(expected.identifiers)
    assert len(site.errors) == (number == BROKEN)
    assert site.said == []


@by_turns("number", NUMBERS)
def test_a_page_whose_script_is_blocked_goes_on(site: Site, snippet: Snippet, number: int) -> None:
    site.trouble("down", "/app.js")
    at_once(site, snippet(site), scripts(number))

    own = number == BROKEN or (number in OUTSIDE and snippet != Site.snippet)
    assert len(site.errors) == own
    assert site.sent == []
    # Ours says in one line that its script did not come; the guide's says nothing.
    assert len(site.said) == (snippet == Site.snippet)


def test_the_stubs_of_a_blocked_script_answer_as_always(site: Site) -> None:
    """With promises, which nobody keeps."""
    site.trouble("down", "/app.js")
    site.open(site.snippet())

    assert (
        site.run("""() => Promise.race([
      ap3c.init("key", "/capture"), ap3c.track({}), ap3c.activity({}), ap3c.clearSession(),
      ap3c.consent(true), new Promise(done => setTimeout(done, 0, "still waiting")),
    ])""")
        == "still waiting"
    )


def test_a_script_that_is_two_seconds_late_finds_everything(site: Site) -> None:
    site.late = "/app.js"
    Timer(2, site.released.set).start()
    site.open(site.snippet() + scripts(1))
    site.settle()

    assert site.answers == EXPECTED[0].posted
