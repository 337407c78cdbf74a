"""The page about Django, done: a new project, with what the page adds to it, file by file.

The law of this file: nothing is in the project but what ``django-admin startproject`` makes and
what the page says; the page's own tests run in it. django-allauth is a stand-in of three lines.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ..services import PATIENCE, ROOT
from ..test_docs import blocks

PAGE = ROOT / "docs" / "how-to" / "django.md"
#: What a reader of the page has already.
THERE = {
    "urls.py": """
from django.urls import path
import views
urlpatterns = [path("", views.home), path("pay/<int:order>/", views.pay)]
""",
    "allauth/account/models.py": """
from types import SimpleNamespace
class EmailAddress:
    class objects:
        filter = lambda **wanted: SimpleNamespace(first=lambda: wanted["user"])
""",
}
USED = """
from types import SimpleNamespace
import django; django.setup()
from django.test import RequestFactory
import addresses, checkout, identity, receivers, tests, views
from ortto_capture import Identity
request = RequestFactory().get("/", headers={"X-Forwarded-For": "198.51.100.1, 203.0.113.9"})
assert addresses.visitor(request) == "203.0.113.9"
request.user = SimpleNamespace(is_authenticated=True, pk=17, email="jo@example.com")
assert identity.confirmed(request) == Identity("jo@example.com", ei="17")
request.user.is_authenticated = False
assert identity.confirmed(request) is None
from django.conf import settings
from ortto_capture.contrib.django import capture_app
capture = capture_app().capture
request.COOKIES["ap3c"] = capture.identify(email="jo@example.com").session
checkout.check_out(request, SimpleNamespace(save=lambda: None))
assert capture.flush()
assert receivers.seen == [12]
"""


def python(
    *words: str, folder: Path, settings: str = "settings"
) -> subprocess.CompletedProcess[str]:
    """Run Python in a project, and have it end well."""
    env = {**os.environ, "PYTHONPATH": f"{ROOT}:{folder}", "DJANGO_SETTINGS_MODULE": settings}
    ran = subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        timeout=PATIENCE * 3,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """What ``startproject`` makes, in one directory, with the page's files."""
    python("-m", "django", "startproject", "made", str(tmp_path), folder=tmp_path, settings="")
    settings = (tmp_path / "made" / "settings.py").read_text()
    settings = settings.replace("parent.parent", "parent").replace(
        "'DIRS': []", "'DIRS': [BASE_DIR]"
    )
    settings = settings.replace("'made.urls'", "'urls'").replace("WSGI_APPLICATION", "_")
    files = {
        "settings.py": settings,
        "home.html": "{% load ortto_capture %}<!doctype html>",
    } | THERE
    for _, source in blocks(PAGE, "python"):
        name = source.splitlines()[0].removeprefix("# ")
        files[name] = files.get(name, "") + source
    files["home.html"] += blocks(PAGE, "html")[0][1]
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    return tmp_path


def test_what_the_page_says_works_in_a_new_project(project: Path) -> None:
    for line in "".join(source for _, source in blocks(PAGE, "sh")).splitlines():
        python(*line.replace("python manage.py", "-m django").split(), folder=project)
    tested = python("-m", "django", "test", "--verbosity=2", folder=project)
    used = python("-c", USED, folder=project)

    assert "Ran 3 tests" in tested.stderr
    assert used.stderr == ""
    assert "act:cm:added" in (project / "capture" / "activities.json").read_text()
