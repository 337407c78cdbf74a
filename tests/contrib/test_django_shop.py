"""The Django example, started as its page says, and used in a browser."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from ortto_capture import open_backends

from ..services import PATIENCE, ROOT

EXAMPLE = ROOT / "examples" / "django_shop"


class Running:
    """The shop in a directory of its own."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        self.manage = [sys.executable, "-u", str(folder / "manage.py")]
        self.env = {**os.environ, "PYTHONPATH": str(ROOT)}
        self.address = ""

    def command(self, *words: str) -> str:
        ran = subprocess.run(
            [*self.manage, *words],
            env=self.env,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr
        return ran.stdout


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Running]:
    folder = tmp_path / "django_shop"
    made = shutil.ignore_patterns("store.*", "secret*", "erased", "*.lock", "*.sqlite3*")
    running = Running(shutil.copytree(EXAMPLE, folder, ignore=made))
    with subprocess.Popen(
        [*running.manage, "runserver", "--noreload", "127.0.0.1:0"],
        env=running.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as server:
        try:
            yield started(running, server)
        finally:
            server.kill()


def started(running: Running, server: subprocess.Popen[str]) -> Running:
    """Wait until it says where it serves."""
    assert server.stdout is not None
    said = ""
    while not (found := re.search(r"http://127\.0\.0\.1:[1-9]\d*", said)):
        line = server.stdout.readline()
        assert line, said
        said += line
    running.address = found[0]
    return running


def sign_in(page: Page, name: str, password: str) -> None:
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()


def test_a_visitor_signs_in_adds_and_pays_and_staff_sees_it(shop: Running, page: Page) -> None:
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.location["url"] + message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))

    page.goto(shop.address)
    page.get_by_role("button", name="Add cup").click()  # held until the visitor is known
    page.get_by_role("link", name="Sign in").click()
    sign_in(page, "jo", "coffee")
    expect(page.get_by_text("jo@example.com")).to_be_visible()
    with page.expect_response("**/-/events/activity") as added:
        page.get_by_role("button", name="Add beans").click()
    assert added.value.status == 200
    page.get_by_role("button", name="Pay beans").click()
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("button", name="Pay cup").click()  # another person at the same computer
    expect(page.get_by_role("link", name="Sign in")).to_be_visible()

    page.goto(f"{shop.address}/capture/console/")
    sign_in(page, "staff", "console")
    page.goto(f"{shop.address}/capture/console/")
    page.get_by_role("link", name="Live").click()
    expect(page.get_by_text("j•••@e•••.com").first).to_be_visible()
    assert [each for each in complaints if "/favicon.ico" not in each] == []
    assert "act:cm:paid" in shop.command("capture", "tail")
    with open_backends(f"file:{shop.data}") as backends:
        stored = list(backends.journal.latest())
        people = {backends.people.get(each.person_id) for each in stored}
    paid = {each.event_id for each in stored if each.activity_id == "act:cm:paid"}
    assert ({each.activity_id for each in stored}, len(paid)) == (
        {"act:cm:added", "act:cm:paid"},
        1,
    )
    assert {each.assurance for each in stored} == {"verified"}
    assert [person and person.email for person in people] == ["jo@example.com"]
