"""Every example runs, and does what its page says."""

from __future__ import annotations

import ast
import json
import os
import re
import runpy
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from werkzeug.test import Client

from ortto_capture import BackendError, Definitions, open_backends
from ortto_capture.testing import DefinitionsContract

from .services import PATIENCE, ROOT, serve

EXAMPLES = ROOT / "examples"


def load(name: str, folder: Path = EXAMPLES) -> dict[str, Any]:
    """The names an example defines."""
    return runpy.run_path(str(folder / name / "app.py"), run_name=f"example_{name}")


@pytest.fixture
def copies(tmp_path: Path) -> Path:
    """A copy of the examples, for they store beside themselves."""
    left_behind = shutil.ignore_patterns("store.*", "secret*", "erased", "*.lock", "__pycache__")
    return shutil.copytree(EXAMPLES, tmp_path / "examples", ignore=left_behind)


def record(client: Client, mounted: str = "") -> tuple[int, int]:
    """Identify and record, over HTTP: the two statuses."""
    tracked = client.post(f"{mounted}/-/events/track", json={"email": "user@emaildomain.com"})
    session = json.loads(tracked.data)["session"]
    activity = {
        "session": session,
        "activity_id": "act:cm:login",
        "attributes": {"str::email": "john@example.com"},
    }
    return tracked.status_code, client.post(
        f"{mounted}/-/events/activity", json=activity
    ).status_code


def test_a_custom_backend_serves_its_activities(tmp_path: Path) -> None:
    client = Client(load("custom_backend")["build"](tmp_path / "activities.db"))

    assert record(client, "/capture") == (200, 200)
    refunded = {"activity_id": "act:cm:refund-issued"}
    assert client.post("/capture/-/events/activity", json=refunded).status_code == 404


def test_the_page_of_the_custom_backend_is_answered_by_the_table(
    tmp_path: Path, page: Page
) -> None:
    build = load("custom_backend")["build"]
    with serve(build(tmp_path / "activities.db")) as address:
        page.goto(f"{address}/")
        for name, status in (("Log in", "200"), ("Refund", "404")):
            page.get_by_role("button", name=name).click()
            expect(page.locator("p")).to_have_text(status)


class TestTableDefinitions(DefinitionsContract):
    """The whole test of a backend of one's own."""

    @pytest.fixture
    def definitions(self, tmp_path: Path) -> Definitions:
        backend: Definitions = load("custom_backend")["TableDefinitions"](
            tmp_path / "activities.db"
        )
        return backend

    def test_a_database_that_is_away_is_a_backend_error(self, tmp_path: Path) -> None:
        backend = load("custom_backend")["TableDefinitions"](tmp_path / "activities.db")
        (tmp_path / "activities.db").write_bytes(b"no database any more" * 100)

        with pytest.raises(BackendError):
            backend.get("act:cm:login")


# -- what a user writes

_OURS = re.compile("capture|ortto|identity", re.IGNORECASE)


def written(folder: Path) -> list[str]:
    """The lines of an example that are there because of us.

    What counts is every line of a statement or a template's tag that says ``capture``, ``ortto`` or
    ``identity``, and a function whole when its decorator does. Of a list, a dict or a call over
    several lines it is the entry. The page's own calls of ``ap3c`` are the same whatever takes
    them.
    """
    found = []
    for file in sorted(folder.rglob("*")):
        if file.suffix == ".html":
            found += [line for line in file.read_text("utf-8").splitlines() if _OURS.search(line)]
        elif file.suffix == ".py":
            source = file.read_text("utf-8")
            lines = source.splitlines()
            numbers = _counted(ast.parse(source).body, lines)
            found += [lines[number - 1] for number in sorted(numbers)]
    return found


def _counted(body: list[ast.stmt], lines: list[str]) -> set[int]:
    """The numbers of the lines that count in statements."""
    numbers: set[int] = set()
    for each in body:
        if isinstance(each, ast.Expr) and isinstance(each.value, ast.Constant):
            continue  # a docstring
        decorators = getattr(each, "decorator_list", [])
        if any(_OURS.search(ast.unparse(decorator)) for decorator in decorators):
            numbers |= set(range(decorators[0].lineno, (each.end_lineno or 0) + 1))
        elif inner := getattr(each, "body", []):
            below = [*inner, *getattr(each, "orelse", []), *getattr(each, "finalbody", [])]
            header = set(range(each.lineno, inner[0].lineno))
            numbers |= header if _says(header, lines) else set()
            numbers |= _counted(below, lines)
        else:
            numbers |= _entries(each, lines)
    return numbers


def _entries(node: ast.AST, lines: list[str]) -> set[int]:
    """The same of one statement without others in it, or of one entry."""
    whole, entries = _span(node), list[ast.AST]()
    for each in ast.walk(node):
        if len(_span(each)) == 1:
            continue
        if isinstance(each, ast.Call):
            entries = [*each.args, *each.keywords]
            break
        if isinstance(each, ast.List | ast.Tuple | ast.Set):
            entries = [*each.elts]
            break
    if _says(whole.difference(*map(_span, entries)), lines):
        return whole
    return {number for each in entries for number in _entries(each, lines)}


def _span(node: ast.AST) -> set[int]:
    """The numbers of its lines; none for what is no place in the text."""
    return set(range(getattr(node, "lineno", 0), getattr(node, "end_lineno", -1) + 1))


def _says(numbers: set[int], lines: list[str]) -> bool:
    return any(_OURS.search(lines[number - 1]) for number in numbers)


SHOPS = {"flask_shop": 12, "django_shop": 10, "fastapi_shop": 8}


@pytest.mark.parametrize(("example", "most"), SHOPS.items())
def test_an_example_needs_few_lines_of_ours(example: str, most: int) -> None:
    lines = written(EXAMPLES / example)

    assert 0 < len(lines) <= most, "\n".join(lines)


@pytest.mark.parametrize("example", [*SHOPS, "custom_backend"])
def test_an_example_is_short(example: str) -> None:
    files = [each for each in (EXAMPLES / example).rglob("*") if each.suffix in (".py", ".html")]
    assert sum(len(each.read_text("utf-8").splitlines()) for each in files) < 120


def test_lines_are_counted_by_statement_by_decorated_function_and_by_entry(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(
        '"""capture"""\n'
        "from ortto_capture import x  # counts\n"
        "ORTTO = {  # counts\n    'a': 1,  # counts\n}  # counts\n"
        "APPS = [\n    'other',\n    'ortto_capture',  # counts\n]\n"
        "def view():\n    if other:\n        capture.record(  # counts\n            1  # counts\n"
        "        )  # counts\n"
        "@capture.identity  # counts\ndef who():  # counts\n    return None  # counts\n"
    )
    (tmp_path / "page.html").write_text("{{ ortto_capture() }} counts\n<script>ap3c.track()\n")

    found = written(tmp_path)
    assert len(found) == 12
    assert all("counts" in line for line in found)


@contextmanager
def demo(*options: str, temporary: Path) -> Iterator[subprocess.Popen[str]]:
    """The demo server as ``scripts/demo`` starts it, on a port that is taken at first."""
    env = {**os.environ, "TMPDIR": str(temporary)}
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        server = str(EXAMPLES / "standalone" / "server.py")
        command = [sys.executable, "-u", server, "--port", port, *options]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as process:
            try:
                yield process
            finally:
                process.kill()


def where(demo: subprocess.Popen[str]) -> list[str]:
    """The addresses it says it serves: the shop and the console."""
    assert demo.stdout is not None
    said = ""
    while "Ctrl-C" not in said:
        line = demo.stdout.readline()
        assert line, said
        said += line
    return re.findall(r"http://127\.0\.0\.1:\d+\S*", said)


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_the_demo_says_where_it_is_and_leaves_nothing(
    ending: signal.Signals, tmp_path: Path
) -> None:
    with demo(temporary=tmp_path) as server:
        shop, activity_page = where(server)
        token = shop.partition("#")[2]
        assert activity_page.endswith(f"/capture/console/#{token}")
        for address, part in ((shop, b"Harbour Coffee"), (activity_page, b"console.js")):
            with urllib.request.urlopen(address) as answer:  # noqa: S310  # our own server
                assert part in answer.read()
        server.send_signal(ending)

        assert server.wait(PATIENCE) == 0
        assert list(tmp_path.iterdir()) == []


def test_the_demo_keeps_what_happens_where_it_is_told(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    for times in (1, 2):
        with demo("--data", str(kept), temporary=tmp_path) as server:
            shop = where(server)[0].partition("#")[0]
            activity = {"activity_id": "act:cm:cup-poured", "person": {"email": "jo@example.com"}}
            request = urllib.request.Request(  # noqa: S310  # our own server
                f"{shop}capture/-/events/activity",
                json.dumps(activity).encode(),
                {"Content-Type": "text/plain"},
            )
            urllib.request.urlopen(request).close()  # noqa: S310
            server.send_signal(signal.SIGTERM)
            assert server.wait(PATIENCE) == 0

        with open_backends(f"file:{kept}") as backends:
            assert len(backends.journal.latest()) == times
