"""The pages about Flask and FastAPI, done: the shop that grows on each, saved and used."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ..services import PATIENCE, ROOT
from ..test_docs import blocks

HOW_TO = ROOT / "docs" / "how-to"
#: By its module, whether or not this environment knows its entry point.
PLUGIN = ["-p", "ortto_capture.pytest_plugin"]
USED = """
from starlette.testclient import TestClient
from shop import app, capture
with TestClient(app) as client:
    anonymous = client.get("/").text
    activity = {"activity_id": "act:cm:basket-add", "person": {"email": "jo@example.com"}}
    assert client.post("/capture/-/events/activity", json=activity).json() == {"ok": True}
    signed_in = client.get("/login").text
    assert "oi1." in signed_in and "oi1." not in anonymous
    assert "blog" in client.get("/blog").text
    assert client.post("/pay").json() == {"ok": True}
    assert client.get("/capture/console/").status_code == 200
    assert "oi1." not in client.post("/logout").text
    assert client.get("/capture/console/").status_code == 404
print([each.activity_id for each in capture.backends.journal.latest()])
"""


@pytest.fixture
def folder(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """The directory of a reader who has saved what a page shows, block below block."""
    files: dict[str, str] = {}
    for _, source in blocks(HOW_TO / request.param, "python"):
        name = source.splitlines()[0].removeprefix("# ")
        files[name] = files.get(name, "") + source + "\n\n"
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    return tmp_path


def python(*words: str, folder: Path) -> str:
    """Run Python in a folder, have it end well, and return what it printed."""
    ran = subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": f"{ROOT}:{folder}",
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        },
        capture_output=True,
        text=True,
        timeout=PATIENCE * 3,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


@pytest.mark.parametrize("folder", ["flask.md"], indirect=True)
def test_the_shop_of_the_page_about_flask_passes_its_test(folder: Path) -> None:
    assert "1 passed" in python("-m", "pytest", "-q", *PLUGIN, folder=folder)
    shown = python("-m", "flask", "--app", "shop", "capture", "tail", folder=folder)

    assert "act:cm:paid" not in shown


@pytest.mark.parametrize("folder", ["asgi.md"], indirect=True)
def test_the_shop_of_the_page_about_fastapi_knows_who_is_signed_in(folder: Path) -> None:
    assert python("-c", USED, folder=folder) == "['act:cm:basket-add', 'act:cm:paid']\n"
