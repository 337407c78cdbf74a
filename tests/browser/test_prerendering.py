"""A page that its visitor has not seen yet reports nothing before it is shown.

Only Chromium makes such pages. A driver that attaches to all pages forbids it to, so here Chromium
runs without one: the pages themselves tell the server what they see, and wait for what it says.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from ..conftest import CHROMIUM_FLAGS
from ..services import PATIENCE, missing
from .websites import ANNA, BOB, Website, seen, track

RULES = json.dumps({"prerender": [{"source": "list", "urls": ["/next"], "eagerness": "immediate"}]})
#: Goes where it is told to, as soon as the server lets it.
GOING = f"""<script type="speculationrules">{RULES}</script>
<script>
fetch("/where").then(told => told.text()).then(address => {{ location = address; }});
</script>"""
#: Says that it runs, and then, after so many turns that anything of the client's could have been
#: sent, what it has stored.
NEXT = f"""<script>
fetch("/next-" + (document.prerendering ? "prerendered" : "shown"));
document.addEventListener("prerenderingchange", () => fetch("/next-is-shown"));
{track(ANNA)};
{seen(1)};
addEventListener("load", async () => {{
  for (let turns = 0; turns < 20; turns++) await fetch("/turn");
  fetch("/stored-" + localStorage.length + "-" + document.cookie.length);
}});
</script>"""


@contextmanager
def visitor(address: str) -> Iterator[None]:
    """A Chromium that opens this page."""
    path = shutil.which("chromium")
    if path is None:
        missing("chromium")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        command = [path, *CHROMIUM_FLAGS, f"--user-data-dir={home}", address]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            yield
        finally:
            process.terminate()
            process.wait(PATIENCE)


def put_pages(website: Website, identity: str | None = None) -> str:
    """A page that has the next one prerendered, and one that it may go to instead."""
    website.put("/next", website.snippet(identity=identity) + NEXT)
    website.put("/other", f"{website.snippet()}<script>{track(BOB)}; {seen(2)};</script>")
    return website.put("/", GOING)


def stored(website: Website) -> list[str]:
    """What the prerendered page said of its storage and its cookies."""
    return [each for each in website.asked if each.startswith("/stored")]


@pytest.mark.parametrize("identity", [None, "host"])
def test_a_prerendered_page_reports_when_it_is_shown(
    website: Website, identity: str | None
) -> None:
    """Nor does it ask the host before who is signed in."""
    where = website.tell("/where")
    with visitor(put_pages(website, identity)):
        assert website.wait_for(lambda: stored(website))
        assert "/next-prerendered" in website.asked
        assert website.posted == []
        assert stored(website) == ["/stored-0-0"]

        where("/next")
        assert website.wait_for(lambda: "/next-is-shown" in website.asked)
        assert website.wait_for(website.rows)
    assert website.rows() == [("1", ANNA)]
    assert bool(website.sent("identity")) is bool(identity)


def test_a_prerendered_page_that_is_never_shown_reports_nothing(website: Website) -> None:
    """Neither by itself nor through another page."""
    where = website.tell("/where")
    with visitor(put_pages(website)):
        assert website.wait_for(lambda: stored(website))
        assert "/next-prerendered" in website.asked

        where("/other")
        assert website.wait_for(lambda: ("2", BOB) in website.rows())
    assert website.rows() == [("2", BOB)]
    assert "/next-is-shown" not in website.asked
    assert ANNA not in str(website.posted)
