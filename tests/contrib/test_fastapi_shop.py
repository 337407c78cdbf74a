"""The FastAPI example in a browser: what its page says is what happens."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from ortto_capture import open_backends

from ..browser_pages.conftest import Complaints
from ..deployed import free_port, running
from ..services import ROOT

EXAMPLE = ROOT / "examples" / "fastapi_shop"


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example's folder, for it stores beside itself."""
    left_behind = shutil.ignore_patterns("store.*", "secret*", "erased", "*.lock", "__pycache__")
    here = tmp_path_factory.mktemp("checkout") / "examples" / "fastapi_shop"
    return shutil.copytree(EXAMPLE, here, ignore=left_behind)


@pytest.fixture(scope="module")
def shop(copy: Path) -> Iterator[str]:
    """The address of the shop, started by its one command."""
    (line,) = re.findall(r"^(uvicorn .+)$", (copy / "README.md").read_text("utf-8"), re.MULTILINE)
    port = free_port()
    with running(f"{line} --port {port}", copy.parent.parent, port):
        yield f"http://127.0.0.1:{port}/"


def test_what_a_visitor_did_before_the_login_arrives_verified_after_it(
    shop: str, copy: Path, page: Page
) -> None:
    complaints = Complaints(page)
    page.goto(shop)
    page.wait_for_function("ap3c.loaded")
    page.get_by_role("button", name="Add cup").click()
    page.get_by_label("E-mail").fill("jo@example.com")
    page.get_by_label("Password").fill("coffee")
    with page.expect_response("**/-/events/activity") as sent:
        page.get_by_role("button", name="Log in").click()
    assert sent.value.status == 200
    with page.expect_response("**/-/events/activity") as sent:
        page.get_by_role("button", name="Add beans").click()
    assert sent.value.status == 200
    page.get_by_role("button", name="Log out jo@example.com").click()
    expect(page.get_by_role("button", name="Log in")).to_be_visible()
    # Another person at the same computer is not Jo.
    page.wait_for_function("ap3c.loaded")
    assert page.evaluate("ap3c.getCookie()") is None

    with open_backends(f"file:{copy / 'data'}") as backends:
        rows = backends.journal.latest()
        assert [each.assurance for each in rows] == ["verified", "verified"]
        assert [each.attributes["str:cm:item"] for each in rows] == ["cup", "beans"]
    assert complaints.said == []


def test_a_page_that_only_claims_to_be_jo_gets_401(shop: str, page: Page) -> None:
    page.goto(shop)
    page.wait_for_function("ap3c.loaded")
    page.evaluate("ap3c.track({email: 'jo@example.com'})")
    with page.expect_response("**/-/events/activity") as sent:
        page.get_by_role("button", name="Add cup").click()

    assert sent.value.status == 401
    assert sent.value.json()["error"]["code"] == "needs-verified"
