"""What the docs show is run: Python blocks in order, a page at a time, and JSON is JSON."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import Client
from werkzeug.wrappers import Response

from ortto_capture import Capture, CaptureApp, Settings, mount, open_backends
from ortto_capture.errors import ANSWERS, CaptureError

from .services import PATIENCE, ROOT

DOCS = ROOT / "docs"
GUIDES = sorted(DOCS.rglob("*.md"))
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *GUIDES,
    *sorted((ROOT / "examples").rglob("*.md")),
]
CONTRACT = DOCS / "reference" / "contract.md"
LIFE = DOCS / "explanation" / "a-requests-life.md"


def name(page: Path) -> str:
    """How a page is called in the names of tests."""
    return str(page.relative_to(ROOT))


def blocks(page: Path, language: str) -> list[tuple[int, str]]:
    """The fenced blocks of a language, with the line that each begins at."""
    text = page.read_text("utf-8")
    found = re.finditer(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [(text.count("\n", 0, each.start(1)) + 1, each.group(1)) for each in found]


def run(page: Path, names: dict[str, Any]) -> None:
    """Run the Python blocks of a page; what they define is in ``names`` afterwards."""
    for line, source in blocks(page, "python"):
        # Blank lines in front, so that a traceback names the line of the page.
        code = compile("\n" * (line - 1) + source, str(page), "exec", dont_inherit=True)
        exec(code, names)  # noqa: S102


def files(page: Path) -> dict[str, str]:
    """The blocks that begin with ``# name.py``: what a reader is asked to save, by name."""
    sources = [source for _, source in blocks(page, "python")]
    return {match[1]: each for each in sources if (match := re.match(r"# (\w+\.py)\n", each))}


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


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory to be in: examples store beside themselves."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("page", [page for page in GUIDES if not files(page)], ids=name)
def test_python_blocks_run(page: Path) -> None:
    run(page, surroundings())


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_json_blocks_are_json(page: Path) -> None:
    for _, source in blocks(page, "json"):
        json.loads(source)


def anchors(page: Path) -> set[str]:
    """The names that the headings of a page can be linked by, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^):]+)\)", page.read_text("utf-8")):
        path, _, anchor = target.partition("#")
        linked = page.parent / path if path else page
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked), target


# -- the first things a newcomer does


def test_the_readme_shows_the_two_commands_first() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    shell, *_ = [source for _, source in blocks(ROOT / "README.md", "sh")]

    assert re.findall(r"^scripts/\w+", shell, re.MULTILINE) == ["scripts/demo", "scripts/test"]
    assert readme.index("scripts/demo") < readme.index("```python")


def test_the_code_of_the_readme_captures_as_it_stands(folder: Path) -> None:
    names: dict[str, Any] = {"__name__": "shop"}
    run(ROOT / "README.md", names)
    client = Client(names["app"])
    activity = {"activity_id": "act:cm:login", "person": {"email": "jo@example.com"}}

    with names["app"].extensions["ortto_capture"].capture.backends as backends:
        assert "/capture/app.js" in client.get("/").text
        assert client.post("/capture/-/events/activity", json=activity).json == {"ok": True}
        assert [each.activity_id for each in backends.journal.latest()] == ["act:cm:login"]
    assert (folder / "instance" / "capture" / "store.sqlite3").exists()


TUTORIAL = DOCS / "tutorial.md"


@pytest.fixture
def shop(folder: Path) -> Path:
    """The directory of a reader who has saved what the tutorial shows."""
    for name, source in files(TUTORIAL).items():
        (folder / name).write_text(source)
    return folder


def command(*words: str, folder: Path) -> subprocess.Popen[str]:
    """A command of the tutorial as a reader types it."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", "COLUMNS": "200"}
    return subprocess.Popen(
        [sys.executable, "-m", *words],
        cwd=folder,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_the_test_of_the_tutorial_passes(shop: Path) -> None:
    with command("pytest", "-q", folder=shop) as tests:
        said, _ = tests.communicate(timeout=PATIENCE * 3)

    assert tests.returncode == 0, said
    assert "2 passed" in said


def test_nothing_happens_when_the_shop_of_the_tutorial_is_imported(shop: Path) -> None:
    with command("shop", folder=shop) as program:
        program.communicate(timeout=PATIENCE)

    assert program.returncode == 0
    assert not (shop / "data").exists()


@pytest.fixture
def served(shop: Path) -> Iterator[str]:
    """The address of the tutorial's shop, run as the tutorial runs it but for the port."""
    with command("flask", "--app", "shop", "run", "--port", "0", folder=shop) as server:
        try:
            assert server.stdout is not None
            address = None
            while address is None:
                line = server.stdout.readline()
                assert line, "the shop has ended"
                address = re.search(r"http://127\.0\.0\.1:\d+", line)
            yield address[0]
        finally:
            server.kill()


def test_what_the_shop_of_the_tutorial_reports_is_seen(served: str, shop: Path) -> None:
    """On the console and by ``ortto-capture tail``, the misspelled one with its reason."""
    from urllib.error import HTTPError
    from urllib.request import Request, urlopen

    def report(activity_id: str) -> int:
        activity = {
            "activity_id": activity_id,
            "attributes": {"str:cm:payment-plan": "starter"},
            "person": {"email": "jo@example.com"},
        }
        request = Request(  # noqa: S310  # our own server
            f"{served}/capture/-/events/activity", json.dumps(activity).encode()
        )
        request.add_header("Content-Type", "text/plain")
        try:
            with urlopen(request) as answer:  # noqa: S310
                return int(answer.status)
        except HTTPError as refused:
            with refused:
                return refused.code

    with urlopen(served) as page:  # noqa: S310
        text = page.read().decode()
    assert "/capture/app.js" in text
    assert [report(each) for each in re.findall(r'report\("(.+?)"\)', text)] == [200, 404]

    with urlopen(f"{served}/capture/console/api/feed") as feed:  # noqa: S310
        seen = feed.read().decode()
    assert "act:cm:login" in seen
    assert "unknown-activity" in seen
    for words, expected in ((["tail"], "act:cm:login"), (["tail", "--refused"], "act:cm:logn")):
        with command("ortto_capture", *words, folder=shop) as tail:
            said, _ = tail.communicate(timeout=PATIENCE)
        assert expected in said


# -- what is written down twice


def test_every_setting_is_documented() -> None:
    page = (DOCS / "reference" / "settings.md").read_text("utf-8")

    assert re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE) == list(Settings.__dataclass_fields__)


def test_every_error_is_documented_with_its_status_and_code() -> None:
    page = (DOCS / "reference" / "errors.md").read_text("utf-8")

    def below(error: type[CaptureError]) -> list[type[CaptureError]]:
        return [error, *(each for child in error.__subclasses__() for each in below(child))]

    for error in below(CaptureError):
        if error.__module__.startswith("ortto_capture"):
            code, status = getattr(error, "code", ""), getattr(error, "status", "")
            [line] = re.findall(rf"(?:^|[├└]── ){error.__name__}\b(.*)$", page, re.MULTILINE)
            assert error.__name__ == "Refused" or (code in line and str(status) in line)
    for code, (status, _) in ANSWERS.items():
        assert re.search(rf"^\| `{code}` \| {status} \|", page, re.MULTILINE), code


def test_every_note_has_words_on_the_activity_page_and_in_the_reference() -> None:
    page = (DOCS / "reference" / "errors.md").read_text("utf-8").partition("## Notes")[2]
    words = (ROOT / "ortto_capture" / "console" / "static" / "words.js").read_text("utf-8")
    shown = words.partition("const NOTES = {")[2].partition("};")[0]

    listed = set(re.findall(r"^\| `([\w-]+)", page, re.MULTILINE))
    assert set(re.findall(r'^  "([\w-]+)"', shown, re.MULTILINE)) == listed


def test_the_picture_of_the_architecture_shows_the_layers_that_are_checked() -> None:
    """Every module, none above one that the layers of ``pyproject.toml`` place higher."""
    [contract, *_] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"][
        "importlinter"
    ]["contracts"]
    page = (DOCS / "explanation" / "architecture.md").read_text("utf-8")
    # The names are on the left, what they are about on the right.
    picture = [line[:42] for line in page.split("```")[1].splitlines()]

    def height(module: str) -> int:
        [line] = [n for n, text in enumerate(picture) if re.search(rf"\b{module}\b", text)]
        return line

    above = 0
    for layer in contract["layers"]:
        # Brackets: planned. A module whose name begins with an underscore is no room of its own.
        modules = [each.strip() for each in layer.split("|") if each.strip()[0] not in "(_"]
        heights = [height(module) for module in modules] or [above]
        assert min(heights) >= above, layer
        above = max(above, min(heights))


def sections() -> dict[int, set[int]]:
    """The sections of the contract, each with the rows of its numbered table."""
    parts = re.split(r"^## (\d+)\. ", CONTRACT.read_text("utf-8"), flags=re.MULTILINE)
    return {
        int(number): {int(row) for row in re.findall(r"^\| (\d+) \|", text, re.MULTILINE)}
        for number, text in zip(parts[1::2], parts[2::2], strict=True)
    }


def test_the_contract_has_eleven_sections_and_fourteen_rows() -> None:
    found = sections()

    assert list(found) == list(range(1, 12))
    assert found[4] == set(range(1, 15))


def test_every_reference_to_the_contract_leads_to_a_section_and_a_row() -> None:
    """``contract §4, rows 11 to 13``, in code, tests and docs."""
    found = sections()
    cited = 0
    for file in [
        *(ROOT / "ortto_capture").rglob("*.*"),
        *(ROOT / "tests").rglob("*.py"),
        *PAGES,
    ]:
        if file.suffix not in (".py", ".js", ".ts", ".html", ".css", ".md"):
            continue
        # A reference may go on in the next line, behind the sign of a comment.
        text = re.sub(r"\n\s*(?:#:?|//|\*)?\s*", " ", file.read_text("utf-8"))
        for section, first, last in re.findall(
            r"§(\d+)(?:\]\(\S+\))?(?:, rows? (\d+)(?: (?:to|and) (\d+))?)?", text
        ):
            cited += 1
            assert int(section) in found, f"{file}: §{section}"
            rows = {int(row) for row in (first, last) if row}
            assert rows <= found[int(section)], f"{file}: §{section}, rows {rows}"
    assert cited > 10


#: Words that hide who acts. The docs name the visitor, the operator, the host, another process.
VAGUE = re.compile(r"\b(?:who(?:m|so)?ever|(?:no|some|any|every)body)\b", re.IGNORECASE)


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CHANGELOG.md"], ids=name)
def test_the_docs_name_who_acts(page: Path) -> None:
    prose = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)

    assert VAGUE.findall(prose) == []


@pytest.mark.parametrize("file", sorted((ROOT / "ortto_capture").rglob("*.py")), ids=name)
def test_the_code_names_who_acts(file: Path) -> None:
    """Comments, docstrings and messages alike."""
    assert VAGUE.findall(file.read_text("utf-8")) == []


# -- a request's life


def resolve(dotted: str) -> object:
    """What ``module.Class.name`` means inside the package."""
    parts = dotted.split(".")
    found: object = import_module("ortto_capture")
    place = "ortto_capture"
    while parts and (
        Path(ROOT, *place.split("."), f"{parts[0]}.py").exists()
        or Path(ROOT, *place.split("."), parts[0]).is_dir()
    ):
        place += f".{parts.pop(0)}"
        found = import_module(place)
    for part in parts:
        found = getattr(found, part)
    return found


def told() -> list[str]:
    """The names in the page's picture and text: ``module.name``, in the order of the page."""
    text = LIFE.read_text("utf-8")
    modules = [path.stem for path in (ROOT / "ortto_capture").iterdir() if path.stem[0] != "_"]
    return re.findall(rf"(?<![\w./-])(?:{'|'.join(modules)})\.[\w.]*\w(?!\w*\.(?:py|js|md))", text)


def test_every_function_in_a_request_s_life_is_there() -> None:
    names = told()

    assert len(names) > 15
    for name in names:
        try:
            resolve(name)
        except (AttributeError, ImportError):
            pytest.fail(f"{LIFE.name}: {name} is not in the package")
