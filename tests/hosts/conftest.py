"""Environments with a host in them, made once and kept."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from ..services import ROOT, campaign, missing

Installed = Callable[..., str]

#: The host that is tried every day: the one that is ready soonest.
EVERYDAY = "test_appbuilder.py"
collect_ignore = [
    each.name
    for each in Path(__file__).parent.glob("test_*.py")
    if each.name != EVERYDAY and campaign(1) == 1
]


@pytest.fixture(scope="session")
def installed() -> Installed:
    """``installed("wagtail==8.0", …)``: the interpreter of an environment that has these.

    What this package needs is there too; the package itself is that of the checkout.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]

    def python_with(*requirements: str) -> str:
        wanted = [*requirements, *project["dependencies"]]
        name, _, _ = requirements[0].partition("==")
        digest = hashlib.sha256(repr([sys.version, *wanted]).encode()).hexdigest()[:12]
        place = ROOT / "build" / "hosts" / f"{name}-{digest}"
        python = place / "bin" / "python"
        if not (place / "installed").exists():
            # What an installation that was cut short has left.
            shutil.rmtree(place, ignore_errors=True)
            # To install pip there, too, and to compile what no test imports, would take longest.
            _run(sys.executable, "-m", "venv", "--without-pip", str(place))
            pip = [sys.executable, "-m", "pip", "--python", str(python)]
            _run(*pip, "install", "-q", "--no-compile", *wanted)
            (place / "installed").touch()
        return str(python)

    return python_with


def _run(*command: str) -> None:
    """Run what may need the package index."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        missing(f"what the package index has (pip wrote: {done.stderr.strip()})")
