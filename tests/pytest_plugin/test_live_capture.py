"""The app on a port, for a browser."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from http.client import HTTPConnection
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from flask import Flask
from playwright.sync_api import Page

from ortto_capture.testing import LiveCapture, TestCapture


@pytest.fixture
def live_capture(capture: TestCapture) -> Iterator[LiveCapture]:
    live = LiveCapture(capture)
    yield live
    live.close()


def report(url: str, activity_id: str) -> int:
    """What a visitor's browser does, by hand."""
    connection = HTTPConnection(url.removeprefix("http://"))
    activity = {"activity_id": activity_id, "person": {"email": "jo@example.com"}}
    connection.request(
        "POST", "/capture/-/events/activity", json.dumps(activity), {"Content-Type": "text/plain"}
    )
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status


def test_a_browser_reports_to_the_test(
    page: Page, capture: TestCapture, live_capture: LiveCapture, app: Flask
) -> None:
    page.goto(live_capture.url)
    page.evaluate("ap3c.track({email: 'jo@example.com'})")
    page.get_by_text("Buy").click()

    [bought] = live_capture.wait_for("act:cm:bought", {"int:cm:price": 12}, email="jo@example.com")

    assert bought.assurance == "claimed"
    capture.assert_recorded("act:cm:bought", times=1)


def test_what_comes_later_is_waited_for(
    capture: TestCapture, live_capture: LiveCapture, app: Flask
) -> None:
    url = live_capture.url
    visitors = [threading.Thread(target=report, args=(url, "act:cm:login")) for _ in range(3)]
    for visitor in visitors:
        visitor.start()

    assert len(capture.wait_for("act:cm:login", times=3)) == 3
    for visitor in visitors:
        visitor.join()


def test_waiting_ends_and_says_what_came_instead(
    capture: TestCapture, live_capture: LiveCapture, app: Flask
) -> None:
    assert report(live_capture.url, "act:cm:logn") == 404

    with pytest.raises(AssertionError) as failed:
        live_capture.wait_for("act:cm:login", timeout=0.01)

    assert "no activity has this id; did you mean act:cm:login?" in str(failed.value)
    assert str(failed.value).endswith("\n\nWaited 0.01 seconds.")


def test_what_can_never_come_is_not_waited_for(capture: TestCapture, app: Flask) -> None:
    with pytest.raises(AssertionError, match="did you mean act:cm:login"):
        capture.wait_for("act:cm:logn", timeout=3_600)


def test_the_server_is_gone_when_the_test_ends(capture: TestCapture, app: Flask) -> None:
    live = LiveCapture(capture)
    before = threading.active_count()
    url = live.url
    with urlopen(url) as page:  # noqa: S310
        assert page.status == 200
    assert live.url == url

    live.close()
    live.close()

    assert threading.active_count() == before
    with pytest.raises(URLError):
        urlopen(url)  # noqa: S310


def test_without_an_app_there_is_nothing_to_serve(
    capture: TestCapture, live_capture: LiveCapture
) -> None:
    with pytest.raises(RuntimeError, match=r"Call capture\.use\(app\) first"):
        _ = live_capture.url


def test_the_server_of_asgi_apps_is_named_when_it_is_missing(
    capture: TestCapture, live_capture: LiveCapture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def app(*_: object) -> None:
        """Answer nothing."""

    monkeypatch.setitem(sys.modules, "uvicorn", None)
    capture.app = app

    with pytest.raises(ImportError, match="pip install uvicorn"):
        _ = live_capture.url
