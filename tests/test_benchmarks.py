"""What the benchmarks compare does the same job: statuses and rows, never times."""

from __future__ import annotations

import gc
import tarfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from .benchmarks import browser as client
from .benchmarks import console, http, imports, inprocess, integrations, memory
from .benchmarks.measure import Figure
from .benchmarks.peers import Client, Peer, read
from .benchmarks.programs import body, call, environ, flask_peer, ours, session_of

TINY = 0.001


@pytest.fixture(autouse=True)
def _own_heap() -> Iterator[None]:
    """Garbage is collected before each measurement, but not among all that the session made."""
    gc.freeze()
    yield
    gc.unfreeze()


def test_both_sides_do_the_same_job() -> None:
    """The same answers to the same requests, and the same number of activities kept."""
    app, capture = ours()
    peer = flask_peer()
    for program in (app, peer):
        session = session_of(program, "user@emaildomain.com")
        once = body(session)
        assert call(program, environ(once))[0] == 200
        assert call(program, environ(once))[0] == 200, "a repetition"
        assert call(program, environ(body(session, key="another")))[0] == 401
        assert call(program, environ(body(session, activity_id="act:cm:x")))[0] == 404
        assert call(program, environ(body(session, attributes={"x": 1})))[0] == 400
        assert call(program, environ(body("forged")))[0] == 401
    assert len(capture.backends.journal.latest()) == 1
    assert len(peer.extensions["journal"]) == 1  # type: ignore[attr-defined]


def test_the_request_is_of_the_size_that_the_figures_speak_of() -> None:
    app, _ = ours()

    assert 410 <= len(body(session_of(app, "user@emaildomain.com"))) <= 440


PARTS = {
    "in process": inprocess.figures,
    "worst bodies": inprocess.worst_bodies,
    "memory": memory.figures,
    "import": imports.figures,
    "integrations": integrations.figures,
    "console": console.figures,
}


@pytest.mark.parametrize("part", PARTS)
def test_every_part_runs(part: str) -> None:
    """Refusals assert their status while they are measured."""
    figures = list(PARTS[part](TINY))

    assert figures
    assert all(isinstance(figure, Figure) and str(figure) for figure in figures)


def test_the_servers_answer_200_throughout() -> None:
    assert len(list(http.figures(TINY))) == 5


def test_the_browser_client_is_measured_beside_its_peers(browser: Browser) -> None:
    """That no call is refused, and that each peer sends, is asserted while they are measured."""
    script = b"document.title = 'a peer';"
    call = "() => navigator.sendBeacon('/event')"
    peers = [Client(name, script, script, call) for name in ("GoatCounter", "Plausible")]

    figures = {figure.name: figure for figure in client.measured(browser, peers, TINY)}

    asked = {name: figure.limit for name, figure in figures.items() if figure.limit}
    assert asked.pop("heap after them: app.js / GoatCounter", 2) == 2
    assert asked.pop("heap after them: app.js / Plausible", 2) == 2
    assert asked == {
        "gzipped: app.js": 6_500,
        "1,000 calls in one task: app.js": 50,
        "load: app.js / GoatCounter": 1.5,
        "one call: app.js / Plausible": 1,
        "load when slow: app.js / an empty script": 3,
        "one call when slow: app.js / a bare setItem": 1,
        "the same work when slow / at full speed": 2,
    }
    assert figures["load: GoatCounter"].value > 0


def test_the_files_of_a_peer_become_one_script(tmp_path: Path) -> None:
    peer = Peer("@maker/peer@1.2.3", ("a.js",), "begin(); %s", "() => report(%s)")
    module = b"const report = 1;\nexport { report }\n//# sourceMappingURL=a.js.map"
    with tarfile.open(tmp_path / "maker-peer-1.2.3.tgz", "w:gz") as archive:
        member = tarfile.TarInfo("package/a.js")
        member.size = len(module)
        archive.addfile(member, BytesIO(module))

    script = read(tmp_path, "a peer", peer).script

    assert script.split() == b"begin(); const report = 1; void { report }".split()
