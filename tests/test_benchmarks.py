"""What the benchmarks compare does the same job: statuses and rows, never times."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from .benchmarks import browser as client
from .benchmarks import http, imports, inprocess, memory
from .benchmarks.measure import Figure
from .benchmarks.programs import body, call, environ, flask_peer, ours, session_of

TINY = 0.001


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
}


@pytest.mark.parametrize("part", PARTS)
def test_every_part_runs(part: str) -> None:
    """Refusals assert their status while they are measured."""
    figures = list(PARTS[part](TINY))

    assert figures
    assert all(isinstance(figure, Figure) and str(figure) for figure in figures)


def test_the_servers_answer_200_throughout() -> None:
    assert len(list(http.figures(TINY))) == 5


def test_the_browser_client_is_measured_beside_the_peers_at_hand(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That calls are stored or wait, and none is given up, is asserted while they are measured."""
    tmp_path.joinpath("peer 1.js").write_text("window.peer = 1;")
    monkeypatch.setenv("ORTTO_CAPTURE_PEERS", str(tmp_path))

    figures = {figure.name: figure for figure in client.measured(browser, TINY)}

    assert figures["peer 1.js gzipped"].limit is None
    assert figures["evaluating peer 1.js alone"].value > 0
    asked = [figure.limit for figure in figures.values() if figure.limit]
    assert asked == [4_096, 5, 0.3, 2]
