"""Every example runs, and does what its page says."""

from __future__ import annotations

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
from werkzeug.test import Client

from ortto_capture import BackendError, Definitions, open_backends
from ortto_capture.testing import DefinitionsContract

from .services import PATIENCE, ROOT

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


def test_the_flask_shop_keeps_its_pages_and_captures(copies: Path) -> None:
    names = load("flask_shop", copies)
    client = Client(names["app"])

    with names["backends"]:
        assert b"/capture/app.js" in client.get("/").data
        assert record(client, "/capture") == (200, 200)
    assert (copies / "flask_shop" / "data" / "store.sqlite3").exists()


_DJANGO = """
import json, runpy
from werkzeug.test import Client
from tests.test_examples import record
import sys, types
names = runpy.run_path(sys.argv[1], run_name="__main__x")
module = types.ModuleType("__main__x")
module.__dict__.update(names)
sys.modules["__main__x"] = module
client = Client(names["application"])
assert b"/capture/app.js" in client.get("/").data
assert record(client, "/capture") == (200, 200)
"""


def test_the_django_shop_keeps_its_pages_and_captures(copies: Path) -> None:
    """In a process of its own: Django is configured once a process."""
    command = [sys.executable, "-c", _DJANGO, str(copies / "django_shop" / "app.py")]
    subprocess.run(command, check=True, cwd=ROOT, timeout=PATIENCE * 3)


def test_a_custom_backend_serves_its_activities(tmp_path: Path) -> None:
    client = Client(load("custom_backend")["build"](tmp_path / "activities.db"))

    assert record(client) == (200, 200)
    refused = client.post("/-/events/activity", json={"activity_id": "act:cm:refund-issued"})
    assert refused.status_code == 404


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
    """The addresses it says it serves: the shop and the activity page."""
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
        for address, part in ((shop, b"Harbour Coffee"), (activity_page, b"<h1>Activity</h1>")):
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
