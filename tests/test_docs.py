"""What the docs show is run: Python blocks in order, a page at a time, and JSON is JSON."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from werkzeug.wrappers import Response

from ortto_capture import Capture, CaptureApp, Settings, mount, open_backends
from ortto_capture.errors import CaptureError

from .services import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]


def blocks(page: Path, language: str) -> list[tuple[int, str]]:
    """The fenced blocks of a language, with the line that each begins at."""
    text = page.read_text("utf-8")
    found = re.finditer(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [(text.count("\n", 0, each.start(1)) + 1, each.group(1)) for each in found]


def surroundings() -> dict[str, Any]:
    """What a page may take for granted: a Flask app, Django's, and a capture to mount."""
    backends = open_backends("memory:")
    settings = Settings(secret_keys=["an example secret of more than 32 bytes"])
    return {
        "app": Flask("shop"),
        "get_wsgi_application": lambda: Response("Django's"),
        "capture": Capture(backends=backends, settings=settings),
        "mount": mount,
        "CaptureApp": CaptureApp,
    }


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_python_blocks_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # What an example stores, it stores where nobody keeps anything.
    monkeypatch.chdir(tmp_path)
    names = surroundings()
    for line, source in blocks(page, "python"):
        # Blank lines in front, so that a traceback names the line of the page.
        exec(compile("\n" * (line - 1) + source, str(page), "exec"), names)  # noqa: S102


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_json_blocks_are_json(page: Path) -> None:
    for _, source in blocks(page, "json"):
        json.loads(source)


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text("utf-8")):
        assert (page.parent / target).exists(), target


def test_every_setting_is_documented() -> None:
    page = (ROOT / "docs" / "reference" / "settings.md").read_text("utf-8")

    assert re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE) == list(Settings.__dataclass_fields__)


def test_every_error_is_documented_with_its_status_and_code() -> None:
    page = (ROOT / "docs" / "reference" / "errors.md").read_text("utf-8")

    def below(error: type[CaptureError]) -> list[type[CaptureError]]:
        return [error, *(each for child in error.__subclasses__() for each in below(child))]

    for error in below(CaptureError):
        if error.__module__.startswith("ortto_capture"):
            code, status = getattr(error, "code", ""), getattr(error, "status", "")
            [line] = re.findall(rf"(?:^|[├└]── ){error.__name__}\b(.*)$", page, re.MULTILINE)
            assert error.__name__ == "Refused" or (code in line and str(status) in line)


def test_the_readme_shows_the_two_commands_first() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    shell, *_ = [source for _, source in blocks(ROOT / "README.md", "sh")]

    assert re.findall(r"^scripts/\w+", shell, re.MULTILINE) == ["scripts/demo", "scripts/test"]
    assert readme.index("scripts/demo") < readme.index("```python")
