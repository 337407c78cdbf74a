"""The how-to about other frameworks: each of its files is a shop that captures."""

from __future__ import annotations

import re
import runpy
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import Client, create_environ

from .deployed import HOW_TO, LOGIN, commands, files, run

SHOPS = files("other-frameworks")
# What Pyramid imports.
pytestmark = pytest.mark.filterwarnings("ignore:'cgi' is deprecated:DeprecationWarning")

ACTIVITY = "/capture/-/events/activity"
#: What a browser says of a request that the shop's own page makes.
OWN = {"Sec-Fetch-Site": "same-origin", "Origin": "http://localhost"}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of a reader who has saved the files and defined the activity."""
    for name, source in SHOPS.items():
        (tmp_path / name).write_text(source)
    (define,) = commands("other-frameworks")
    run(define, tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def shop(folder: Path, name: str) -> dict[str, Any]:
    return runpy.run_path(str(folder / name))


@pytest.mark.parametrize("name", SHOPS)
def test_each_shop_has_the_snippet_in_its_page_and_captures(name: str, folder: Path) -> None:
    names = shop(folder, name)
    client = Client(names["application"])
    activity = {"activity_id": LOGIN, "person": {"email": "jo@example.com"}}

    page = client.get("/", base_url="http://localhost/below")
    assert page.mimetype == "text/html"
    assert '<script src="/below/capture/app.js' in page.text
    assert client.get("/capture/app.js").status_code == 200
    assert client.post(ACTIVITY, json=activity).json == {"ok": True}
    (captured,) = names["capture_app"].capture.backends.journal.latest()
    assert captured.activity_id == LOGIN
    assert client.get("/capturex").status_code in ((200,) if name == "plain_shop.py" else (404,))


def test_the_login_of_the_framework_vouches_for_its_visitors(folder: Path) -> None:
    names = shop(folder, "signed_in_shop.py")
    client = Client(names["application"])

    assert client.post(ACTIVITY, json={"activity_id": LOGIN}, headers=OWN).status_code == 400
    client.post("/sign-in", data={"email": "jo@example.com"})
    assert client.post(ACTIVITY, json={"activity_id": LOGIN}, headers=OWN).json == {"ok": True}
    (captured,) = names["capture_app"].capture.backends.journal.latest()
    assert captured.assurance == "verified"
    assert '"identity":"oi1.' in client.get("/capture/-/identity", headers=OWN).text.replace(
        " ", ""
    )


PAGE = (HOW_TO / "other-frameworks.md").read_text("utf-8")


@pytest.mark.parametrize("expression", re.findall(r"\| `(.+\(environ\))` \|", PAGE))
def test_each_framework_makes_its_request_of_an_environ(expression: str) -> None:
    name, _, argument = expression.partition("(")
    module, _, kind = name.rpartition(".")
    environ = create_environ("/page", headers=[("Cookie", "user=jo")])

    assert argument == "environ)"
    request = getattr(import_module(module), kind)(environ)
    assert request.cookies["user"] == "jo"
    assert request.path == "/page"
