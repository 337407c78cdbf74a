"""What people install: whole, cheap to import, and plain about what is missing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from .services import ROOT

#: Heavy or optional: an application that only imports us pays for none of them.
ON_USE = ["jsonschema", "limits", "redis", "sqlalchemy", "flask", "django", "pytest"]


def python(program: str) -> str:
    """Run a program in a fresh interpreter, out of coverage's sight, and return what it printed."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    command = [sys.executable, "-c", program]
    ran = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.strip()


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The names of the files in the wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check"]
    options = ["--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(ROOT)]
    subprocess.run([*command, *options], check=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def test_the_wheel_holds_every_file_of_the_package(shipped: list[str]) -> None:
    """Types, client and pages included: a forgotten data file shows only after installing."""
    package = ROOT / "ortto_capture"
    ours = {
        str(path.relative_to(ROOT))
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {"ortto_capture/py.typed", "ortto_capture/client/app.js"} <= ours
    assert ours <= set(shipped)


def test_the_wheel_holds_nothing_else(shipped: list[str]) -> None:
    assert {Path(name).parts[0] for name in shipped} == {
        "ortto_capture",
        "ortto_capture-0.1.0.dist-info",
    }


def test_importing_starts_no_thread_and_loads_nothing_that_is_only_needed_on_use() -> None:
    loaded, threads = json.loads(
        python(
            "import json, sys, threading, ortto_capture;"
            "print(json.dumps([sorted(sys.modules), threading.active_count()]))"
        )
    )
    assert threads == 1
    assert not set(ON_USE) & set(loaded)


def test_importing_loads_at_most_half_as_many_modules_more_as_werkzeug() -> None:
    """Modules are counted, and not seconds, which depend on what else the machine does.

    Imported alone werkzeug loads 156, and a module costs about a millisecond on a slow disk.
    """

    def loaded(module: str) -> int:
        before = "import sys; before = len(sys.modules)"
        return int(python(f"{before}; import {module}; print(len(sys.modules) - before)"))

    assert loaded("ortto_capture") <= 1.5 * loaded("werkzeug")


@pytest.mark.parametrize(
    ("absent", "use", "extra"),
    [
        (
            "redis",
            "from ortto_capture.backends.limits import LimitsRateLimiter as L; L('redis://h')",
            "ortto-capture[redis]",
        ),
        ("pytest", "import ortto_capture.testing", "ortto-capture[testing]"),
        ("prometheus_client", "import ortto_capture.contrib.metrics", "ortto-capture[metrics]"),
    ],
    ids=["redis", "testing", "metrics"],
)
def test_a_missing_extra_is_named_where_it_is_needed(absent: str, use: str, extra: str) -> None:
    """With the package hidden, as on a machine that never had it."""
    message = python(
        f"""
import sys
sys.modules[{absent!r}] = None
try:
    {use}
except Exception as error:
    print(error)
"""
    )
    assert f"pip install '{extra}'" in message
