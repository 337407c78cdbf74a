"""The guide's own example, character for character but for its key and endpoint."""

from __future__ import annotations

from collections.abc import Callable

from .conftest import KEY, Site

TRACK = 'ap3c.track({"v":0,"email":"user@emaildomain.com","first":"John","last":"Apple"});'
ACTIVITY = (
    'ap3c.activity({ "activity_id": "act:cm:login", "attributes": { "str::email": '
    '"john@example.com", "str:cm:payment-plan": "$100 starter plan", "bol:cm:account-owner": true, '
    '"str:cm:web-browser": "Google Chrome" } });'
)
EXAMPLE = f"ap3c.cmd.push(function() {{ ap3c.init('{KEY}', '/capture/'); {TRACK} }}); {ACTIVITY}"
SHIM = "ap3c.activity = function(act) { ap3c.act = (ap3c.act || []); ap3c.act.push(act); };"
ATTRIBUTES = {
    "str::email": "john@example.com",
    "str:cm:payment-plan": "$100 starter plan",
    "bol:cm:account-owner": True,
    "str:cm:web-browser": "Google Chrome",
}


def test_the_full_working_example_as_it_stands_with_our_snippet(site: Site) -> None:
    """``activity`` stands outside ``cmd.push``, before the script has arrived."""
    site.open(f"{site.snippet()}<script>{EXAMPLE}</script>")
    finish(site)


def test_the_full_working_example_with_the_guides_additional_line(
    site: Site, old_snippet: Callable[[str], str]
) -> None:
    """The updated tracking code: the shim pushes onto ``ap3c.act``."""
    queue = old_snippet("").replace("ap3c.cmd.push(function() {  });", "")
    site.open(f"{queue}<script>{SHIM} {EXAMPLE}</script>")
    finish(site)


def test_the_example_inside_the_block_of_the_old_snippet(
    site: Site, old_snippet: Callable[[str], str]
) -> None:
    """As the guide's note asks of those who have not updated."""
    site.open(old_snippet(f"ap3c.init('{KEY}', '/capture/'); {TRACK} {ACTIVITY}"))
    finish(site)


def finish(site: Site) -> None:
    """Stored for the tracked person, shown in the console, and nothing printed."""
    site.settle()
    [row] = site.stored
    person = site.backends.people.get(row.person_id)
    assert person is not None
    assert (person.email, person.first, person.last) == ("user@emaildomain.com", "John", "Apple")
    assert row.attributes == ATTRIBUTES
    assert site.answers == [("track", 200), ("activity", 200)]
    assert (site.said, site.errors, site.tab.complaints) == ([], [], [])
    site.tab.goto(f"{site.base}/capture/console/?page=live")
    for shown in ("u•••@e•••.com", "Logged in"):
        site.tab.until(f"() => document.body.innerText.includes('{shown}')")
