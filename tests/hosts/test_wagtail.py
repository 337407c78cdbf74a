"""Wagtail: pages below a language, several workers, a strict policy with nonces."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from ortto_capture import open_backends

from ..services import ROOT, campaign, run_server
from .conftest import Installed

REQUIREMENTS = ("wagtail==8.0.1", "django-csp==4.0", "gunicorn==27.0.1")
REPORT = """async (id) => (await ap3c.activity({ activity_id: id })).code"""


@pytest.fixture
def address(installed: Installed, tmp_path: Path) -> Iterator[str]:
    python = installed(*REQUIREMENTS)
    env = {"PYTHONPATH": f"{tmp_path}:{ROOT}"}
    program = ROOT / "tests" / "hosts" / "wagtail_host.py"
    made = subprocess.run(
        [python, str(program)], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stdout + made.stderr
    app = "site_of_ours.wsgi:application"
    with run_server("gunicorn-sync", app, workers=2, env=env, python=python) as port:
        yield f"http://127.0.0.1:{port}"


if campaign(1) > 1:

    def test_what_an_editor_does_on_a_page_arrives_verified(
        address: str, page: Page, tmp_path: Path
    ) -> None:
        complaints: list[str] = []
        page.on("console", lambda message: complaints.append(message.text))

        page.goto(f"{address}/capture/console/")
        page.get_by_label("Username").fill("editor")
        page.get_by_label("Password").fill("coffee")
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("heading", name="Overview")).to_be_visible()
        page.goto(f"{address}/de/")
        with page.expect_response("**/-/events/activity") as answer:
            page.evaluate(REPORT, "act:cm:read")
        assert answer.value.status == 200
        # Wagtail's pages take every path below a language, where Django would send a 404.
        with page.expect_response("**/-/events/activity") as unknown:
            page.evaluate(REPORT, "act:cm:red")
        assert unknown.value.status == 404

        assert [each for each in complaints if "/capture/" in each and "Policy" in each] == []
        with open_backends(f"file:{tmp_path / 'capture'}") as backends:
            [read] = backends.journal.latest()
            person = backends.people.get(read.person_id)
        assert read.activity.assurance == "verified"
        assert person is not None
        assert person.email == "jo@example.com"
