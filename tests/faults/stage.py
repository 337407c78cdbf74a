"""What every campaign needs: an account on a directory, children that end, and a report.

The law of this file: a child never outlives its parent, nothing listens outside 127.0.0.1, and a
program's last word is one line of JSON: what it found, and its figures.
"""

from __future__ import annotations

import ctypes
import json
import logging
import os
import random
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from ortto_capture import (
    Attribute,
    Backends,
    Capture,
    Captured,
    Definition,
    Outcomes,
    Settings,
    open_backends,
)
from ortto_capture.backends.file import FileBackends
from ortto_capture.ports import Pingable

from ..services import PATIENCE, ROOT, campaign
from . import variants

LOGIN = "act:cm:login"
#: 2026-11-23, the beginning of a UTC day.
NOW = 1_795_392_000.0
DAY = 86_400.0
#: Limits that no campaign reaches, where limits are not the question.
ROOMY = {"person": "1000000/day", "ip": "1000000/hour"}

_PR_SET_PDEATHSIG = 1
_PR_SET_PTRACER = 0x59616D61


class Result(NamedTuple):
    """What a program found wrong, and its figures for the report."""

    findings: list[str]
    figures: Mapping[str, Any]


# -- accounts


def opened(directory: Path | str, options: str = "") -> FileBackends:
    """The backends of this directory."""
    backends = open_backends(f"file:{directory}{options}")
    assert isinstance(backends, FileBackends)
    return backends


@contextmanager
def account(
    directory: Path | str, variant: str = "", clock: Callable[[], float] = lambda: NOW
) -> Iterator[Capture]:
    """An account on this directory, as ``variant`` spoils it."""
    with variants.spoilt(variant, lambda: opened(directory)) as backends:
        yield Capture(backends=backends, settings=Settings(), clock=clock)


def files(capture: Capture) -> FileBackends:
    """The backends of an account made here."""
    assert isinstance(capture.backends, FileBackends)
    return capture.backends


def outcomes(backends: Backends) -> Outcomes:
    """Where these remember outcomes."""
    assert backends.outcomes is not None
    return backends.outcomes


def ping(backends: Backends) -> None:
    """Ask the journal whether it answers."""
    assert isinstance(backends.journal, Pingable)
    backends.journal.ping()


def define(directory: Path | str, limits: Mapping[str, str] | None = ROOMY) -> None:
    """Make the store, with one activity that takes any attribute the campaigns send."""
    with opened(directory) as backends:
        redefine(backends, login(limits))


def redefine(backends: FileBackends, definition: Definition) -> None:
    """Put a definition."""
    backends.definitions.put(definition)


def login(limits: Mapping[str, str] | None = ROOMY, name: str = "Logged in") -> Definition:
    """The activity that every campaign records."""
    attributes = [Attribute("txt:cm:note"), Attribute("str::email"), Attribute("str:cm:id")]
    return Definition(LOGIN, name, client_side=True, attributes=attributes, limits=limits)


def everything(backends: FileBackends) -> list[Captured]:
    """Every activity, from the oldest."""
    found: list[Captured] = []
    cursor = ""
    while page := backends.journal.after(cursor, 1_000):
        found += page
        cursor = page[-1].cursor
    return found


# -- children


def spawn(work: Callable[[], object]) -> int:
    """Fork a child that does ``work`` and ends, and return its id. It dies with this process."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            _die_with_parent()
            work()
            status = 0
        except BaseException:  # noqa: BLE001  # nothing of the parent may run here
            traceback.print_exc()
        finally:
            os._exit(status)
    return child


def _die_with_parent() -> None:
    if sys.platform == "linux":
        prctl = ctypes.CDLL(None).prctl
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        # Where only descendants may be traced, this one may be traced by its parent's strace.
        prctl(_PR_SET_PTRACER, ctypes.c_ulong(-1))


def ended(child: int) -> int:
    """Wait for a child: its exit code, negative for the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@contextmanager
def child(work: Callable[[Callable[[str], None], Callable[[], None]], object]) -> Iterator[Talk]:
    """A child that does ``work(say, wait)``, and is gone when the block ends.

    ``say`` sends one line, ``wait`` blocks until the parent's next ``go``.
    """
    from_child, to_parent = os.pipe()
    from_parent, to_child = os.pipe()

    def run() -> None:
        os.close(to_child)
        os.close(from_child)

        def wait() -> None:
            if not os.read(from_parent, 1):
                os._exit(0)

        work(lambda line: _write(to_parent, f"{line}\n"), wait)

    pid = spawn(run)
    os.close(to_parent)
    os.close(from_parent)
    talk = Talk(pid, from_child, to_child)
    try:
        yield talk
    finally:
        talk.close()


def _write(descriptor: int, text: str) -> None:
    os.write(descriptor, text.encode())


class Talk:
    """The parent's end of a :func:`child`."""

    def __init__(self, pid: int, reading: int, writing: int) -> None:
        self.pid = pid
        self._lines = os.fdopen(reading, "r")
        self._writing: int | None = writing
        self._status: int | None = None

    def go(self) -> None:
        """Let the child go on from its next ``wait``."""
        assert self._writing is not None
        os.write(self._writing, b".")

    def heard(self) -> str:
        """The next line that the child says; empty once it has ended."""
        return self._lines.readline().rstrip("\n")

    def rest(self) -> list[str]:
        """Everything else it says until it ends."""
        return self._lines.read().splitlines()

    def status(self) -> int:
        """Wait for its end: the exit code, negative for a signal."""
        if self._status is None:
            self._status = ended(self.pid)
        return self._status

    def close(self) -> None:
        """End it, if it has not ended."""
        if self._status is None:
            os.kill(self.pid, signal.SIGKILL)
            self.status()
        self._lines.close()
        if self._writing is not None:
            os.close(self._writing)
            self._writing = None


# -- programs

#: All are errors but one: that threads were running when a process forked, which is the point.
_WARNINGS = ("-W", "error", "-W", "ignore:This process:DeprecationWarning")


def seed() -> int:
    """The same in CI, another in campaigns; in the report either way.

    ``ORTTO_CAPTURE_SEED`` repeats one.
    """
    if given := os.environ.get("ORTTO_CAPTURE_SEED"):
        return int(given)
    return 1 if os.environ.get("CI") and campaign(1) == 1 else random.randrange(1 << 32)


def run(
    name: str, *arguments: object, seconds: float = PATIENCE, before: Sequence[str] = ()
) -> Result:
    """Run ``python -m tests.faults.<name>`` in a process without coverage, and read its result.

    :param before: a command to run it under.
    """
    plain = {key: value for key, value in os.environ.items() if not key.startswith("COV")}
    command = [*before, sys.executable, *_WARNINGS, "-m", f"tests.faults.{name}"]
    done = subprocess.run(
        [*command, *map(str, arguments)],
        cwd=ROOT,
        env=plain,
        timeout=seconds,
        text=True,
        capture_output=True,
        check=False,
    )
    lines = done.stdout.splitlines()
    if done.returncode or not lines:
        ending = f"{name} ended with {done.returncode}"
        return Result([f"{ending}: {done.stderr[-4_000:]}"], {})
    findings, figures = json.loads(lines[-1])
    return Result([*findings, *filter(None, [done.stderr[-4_000:]])], figures)


def program(main: Callable[..., None]) -> None:
    """Run ``main`` on the arguments. What is logged is expected here, and goes nowhere."""
    logging.getLogger().addHandler(logging.NullHandler())
    main(*sys.argv[1:])


def finish(findings: list[str], **figures: object) -> NoReturn:
    """The last word of a program."""
    sys.stdout.write(json.dumps([findings[:50], figures]) + "\n")
    sys.exit(0)
