"""Flask-AppBuilder: its login, its roles and its pages, under a strict policy with nonces."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from ortto_capture import open_backends

from ..services import run_server
from .conftest import Installed

REQUIREMENTS = ("flask-appbuilder==5.3.0", "flask-talisman==1.1.0", "waitress==3.0.2")


@pytest.fixture
def address(installed: Installed, tmp_path: Path) -> Iterator[str]:
    app = "tests.hosts.appbuilder_host:app"
    env = {"HOST_DATA": str(tmp_path)}
    with run_server("waitress", app, env=env, python=installed(*REQUIREMENTS)) as port:
        yield f"http://127.0.0.1:{port}"


def log_in(page: Page, name: str) -> None:
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password").fill("a password")
    page.get_by_role("button", name="Sign In").click()


def test_what_a_user_does_arrives_verified_and_admins_see_it(
    address: str, page: Page, tmp_path: Path
) -> None:
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.goto(f"{address}/reports/")
    log_in(page, "jo")
    with page.expect_response("**/-/events/activity") as answer:
        page.get_by_role("button", name="Approve").click()
    assert answer.value.status == 200
    assert [each for each in complaints if "Content Security Policy" in each] == []

    with page.expect_response("**/capture/console/") as hidden:
        page.goto(f"{address}/capture/console/")
    assert hidden.value.status == 404

    page.context.clear_cookies()
    page.goto(f"{address}/capture/console/")
    assert page.url.startswith(f"{address}/login/")
    log_in(page, "ada")
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    page.get_by_role("link", name="Live").click()
    expect(page.get_by_text("j•••@e•••.com").first).to_be_visible()

    with open_backends(f"file:{tmp_path / 'capture'}") as backends:
        [approved] = backends.journal.latest()
        person = backends.people.get(approved.person_id)
    assert approved.attributes == {"str:cm:report": "2026"}
    assert approved.activity.assurance == "verified"
    assert person is not None
    assert person.email == "jo@example.com"
