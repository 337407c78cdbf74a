"""The Flask shop as its page says to run it, driven in a browser."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, expect

from ortto_capture import open_backends

from ..services import ROOT

SHOP = ROOT / "examples" / "flask_shop"


@contextmanager
def flask_run(app: Path) -> Iterator[str]:
    """The address of a Flask app, run as its page says but for the port."""
    command = [sys.executable, "-m", "flask", "--app", str(app), "run", "--port", "0"]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env
    ) as process:
        try:
            assert process.stdout is not None
            said = ""
            while not (address := re.search(r"Running on (http://127\.0\.0\.1:\d+)", said)):
                line = process.stdout.readline()
                assert line, said
                said += line
            yield address[1]
        finally:
            process.terminate()


def log_in(page: Page, email: str, password: str) -> None:
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()


def test_the_shop_knows_who_did_what_and_shows_it_to_its_staff(tmp_path: Path, page: Page) -> None:
    # It stores beside itself.
    left_behind = shutil.ignore_patterns("store.*", "secret*", "erased", "*.lock", "__pycache__")
    shop = shutil.copytree(SHOP, tmp_path / "shop", ignore=left_behind)
    with flask_run(shop / "app.py") as address:
        page.goto(f"{address}/")
        page.wait_for_function("ap3c.loaded")
        page.get_by_role("button", name="Add cup").click()
        page.get_by_role("link", name="Log in").click()
        with page.expect_response("**/-/events/activity") as held_back:
            log_in(page, "jo@example.com", "coffee")
        assert held_back.value.status == 200
        page.get_by_role("button", name="Buy beans").click()
        expect(page.get_by_role("status")).to_have_text("Thank you for your beans.")
        with page.expect_response("**/capture/console/") as hidden:
            page.goto(f"{address}/capture/console/")
        assert hidden.value.status == 404

        page.goto(f"{address}/")
        page.get_by_role("button", name="Log out").click()
        # Of another person at the same computer.
        page.get_by_role("button", name="Buy cup").click()
        expect(page.get_by_role("status")).to_have_text("Thank you for your cup.")
        page.goto(f"{address}/capture/console/")
        log_in(page, "staff@example.com", "console")
        expect(page.get_by_role("heading", name="Overview")).to_be_visible()
        page.get_by_role("link", name="Live").click()
        expect(page.get_by_text("j•••@e•••.com").first).to_be_visible()

    with open_backends(f"file:{shop / 'data'}") as backends:
        captured = backends.journal.latest()
        people = [backends.people.get(each.person_id) for each in captured]
    assert [each.activity_id for each in captured] == ["act:cm:basket-add", "act:cm:paid"]
    assert [each.activity.source for each in captured] == ["site", "server"]
    assert [each.activity.assurance for each in captured] == ["verified"] * 2
    assert [person and person.email for person in people] == ["jo@example.com"] * 2
