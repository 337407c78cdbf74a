"""A data directory with a few people in it, and the commands on it."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from ortto_capture import Attribute, Capture, Definition, Refused
from ortto_capture.backends.file import open_file
from ortto_capture.cli.commands import commands
from ortto_capture.testing import FakeClock

from ..services import PATIENCE, ROOT

DEFINITIONS = [
    Definition(
        "act:cm:login",
        "Signed in",
        client_side=True,
        attributes=[Attribute("str::email", "E-mail", sensitive=True), Attribute("bol:cm:owner")],
    ),
    Definition(
        "act:cm:plan-chosen",
        "Plan chosen",
        client_side=True,
        attributes=[Attribute("str:cm:plan", "Plan", required=True), Attribute("int:cm:price")],
        limits={"person": "3/day"},
    ),
    Definition("act:cm:refund-issued", "Refund issued"),
]
#: May be recorded as often as a test likes.
MANY = Definition("act:cm:many", "Many", client_side=True, limits={"person": "10000/day"})
JO = "jo@example.com"


class Shell:
    """The command line on one data directory."""

    def __init__(self, data: Path) -> None:
        self.data = data

    def __call__(self, *arguments: str, answer: str | None = None) -> Result:
        """Run a command, as a program does; ``answer`` is what is typed."""
        runner = CliRunner(catch_exceptions=False, env={"ORTTO_CAPTURE_DATA": str(self.data)})
        return runner.invoke(commands, arguments, answer)

    def ok(self, *arguments: str) -> str:
        """Run a command that has to succeed, and return what it printed."""
        result = self(*arguments)
        assert result.exit_code == 0, result.output
        return result.stdout

    def json(self, *arguments: str) -> list[Any]:
        """Run a command with ``--json``, and return what its lines say."""
        return [json.loads(line) for line in self.ok(*arguments, "--json").splitlines()]

    def seen(self, *arguments: str, columns: int = 80, cwd: Path = ROOT) -> tuple[str, int]:
        """Run a command in a terminal; return what it wrote there and its exit code."""
        ours, its = pty.openpty()
        fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
        env = {
            **os.environ,
            "ORTTO_CAPTURE_DATA": str(self.data),
            "TERM": "xterm-256color",
            "PYTHONPATH": str(ROOT),
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "ortto_capture", *arguments],
            stdin=its,
            stdout=its,
            stderr=its,
            cwd=cwd,
            env=env,
        )
        os.close(its)
        written = b""
        with suppress(OSError):  # that is how a terminal ends
            while part := os.read(ours, 65_536):
                written += part
        os.close(ours)
        return written.decode(), process.wait(PATIENCE)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command that goes on, as a shell does in its background; the caller ends it."""
        return subprocess.Popen(
            [sys.executable, "-m", "ortto_capture", "--data", str(self.data), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=ROOT,
            text=True,
            preexec_fn=in_background,  # noqa: PLW1509  # no thread of ours runs meanwhile
        )


def in_background() -> None:
    """Ignore SIGINT, as a shell has it for what it starts in its background."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def bare(written: str) -> list[str]:
    """The lines of what was written to a terminal, without its colours."""
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written)
    lines = text.replace("\r\n", "\n").split("\n")
    # A progress bar goes back to the start of its line to draw itself again.
    return [line.rpartition("\r")[2].rstrip() for line in lines]


class Account:
    """The backends behind the shell, and what visitors do there."""

    def __init__(self, data: Path) -> None:
        # Long ago, whatever this machine's clock says.
        self.clock = FakeClock(1_700_000_000)
        self.backends = open_file(str(data))
        self.capture = Capture(backends=self.backends, clock=self.clock)

    def record(self, who: str, activity_id: str, attributes: Any = None) -> None:
        """A visitor does something, and is refused or not."""
        with suppress(Refused):
            self.capture.record(None, activity_id, attributes, person={"email": who})


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """The command line where there is no data yet."""
    return Shell(tmp_path / "data")


@pytest.fixture
def account(shell: Shell) -> Any:
    """An account with definitions, and no people."""
    account = Account(shell.data)
    with account.backends:
        for definition in (*DEFINITIONS, MANY):
            account.backends.definitions.put(definition)
        yield account


@pytest.fixture
def busy(account: Account) -> Account:
    """Jo signed in, chose a plan and was refused a few times; another visitor came once."""
    account.capture.identify(email=JO, first="Jo", last="Ng", ei="4711")
    account.record(JO, "act:cm:login", {"str::email": JO, "bol:cm:owner": True})
    account.clock.advance(61)
    account.record(JO, "act:cm:plan-chosen", {"str:cm:plan": "Pot", "int:cm:price": 22})
    account.record(JO, "act:cm:plan-chosen", {"str:cm:plan": "Pot", "int:cm:price": "twelve"})
    account.record(JO, "act:cm:wish-list")
    account.record("łu@example.pl", "act:cm:plan-chosen", {"str:cm:plan": "Crew, all of us"})
    account.backends.own.outcomes.flush()
    return account
