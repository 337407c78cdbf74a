"""Fills the disk, and gives the space back.

The law of this file: the disk is really full, by a limit of the kernel or by a small file system of
our own; what was acknowledged before and meanwhile is read from another process.

``python -m tests.faults.space DIR limit``, or ``unshare -m`` the same with ``tmpfs``.
"""

from __future__ import annotations

import json
import resource
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

from ortto_capture import BackendError, Capture, CaptureApp

from ..host_apps import Reply, call, environ_for
from .stage import (
    LOGIN,
    ROOMY,
    account,
    child,
    define,
    everything,
    files,
    finish,
    login,
    program,
    redefine,
)

#: Enough for a page or two, so that the disk is soon full.
NOTE = "x" * 3_000
#: Space taken, and given back.
Squeeze: TypeAlias = Callable[[Path, int], Iterator[None]]


class Visitor:
    """A visitor who posts, and a list of what was acknowledged."""

    def __init__(self, capture: Capture) -> None:
        self.app = CaptureApp(capture)
        self.acknowledged: list[str] = []
        self.number = 0
        self.session = capture.identify(email="user@emaildomain.com").session

    def post(self) -> Reply:
        """One activity."""
        self.number += 1
        event = f"event-{self.number}"
        body = {
            "session": self.session,
            "activity_id": LOGIN,
            "event_id": event,
            "attributes": {"txt:cm:note": NOTE},
        }
        reply = call(self.app, environ_for("POST", "/-/events/activity", body=_json(body)))
        if reply.status == 200:
            self.acknowledged.append(event)
        return reply

    def until_full(self) -> Reply:
        """Post until it is not accepted."""
        for _ in range(2_000):
            if (reply := self.post()).status != 200:
                return reply
        raise AssertionError("the disk is never full")


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


def elsewhere(directory: Path) -> list[str]:
    """The event ids that another process reads."""

    def read(say: Callable[[str], None], _wait: Callable[[], None]) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        with account(directory) as capture:
            say(" ".join(each.event_id for each in everything(files(capture))))

    with child(read) as reader:
        return reader.heard().split()


def full(directory: Path, squeeze: Squeeze, odd: int) -> Iterator[str]:
    """What must be true when the disk is full, and when it is not any more."""
    with account(directory) as capture:
        visitor = Visitor(capture)
        for _ in range(3):
            visitor.post()
        with contextmanager(squeeze)(directory, odd):
            reply = visitor.until_full()
            if (reply.status, reply.json["error"]["code"]) != (503, "storage-full"):
                yield f"a full disk is answered with {reply.status} {reply.body!r}"
            if reply.header("Retry-After") != "1":
                yield "no Retry-After"
            stored = [each.event_id for each in everything(files(capture))]
            if not set(visitor.acknowledged) <= set(stored):
                yield "acknowledged, and not to be read while the disk is full"
            before = files(capture).definitions.all()
            try:
                redefine(files(capture), login(ROOMY, "N" * 8_000))
            except BackendError as error:
                if str(directory) not in str(error):
                    yield f"the message names no path: {error}"
                if files(capture).definitions.all() != before:
                    yield "a definition that was refused is in force"
            json.loads((directory / "activities.json").read_text())
        if (reply := visitor.post()).status != 200:
            yield f"there is space again, and the answer is {reply.status} {reply.body!r}"
        yield from files(capture).problems()
        missing = set(visitor.acknowledged) - set(elsewhere(directory))
        if missing:
            yield f"acknowledged, and lost: {sorted(missing)}"


def limited(directory: Path, odd: int) -> Iterator[None]:
    """No file may grow by more than a little, and not to the end of a page."""
    size = max(path.stat().st_size for path in directory.iterdir())
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + odd, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def ballast(directory: Path, odd: int) -> Iterator[None]:
    """All space but a little is taken by something else."""
    heavy = directory / "ballast"
    with heavy.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(4_096)):
                pass
        except OSError:
            pass
        file.truncate(max(0, file.tell() - odd))
    try:
        yield
    finally:
        heavy.unlink(missing_ok=True)


def main(directory: str, kind: str) -> None:
    """Fill it in several ways."""
    place = Path(directory)
    place.mkdir(exist_ok=True)
    if kind == "tmpfs":
        command = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", directory]
        if subprocess.run(command, capture_output=True, check=False).returncode:
            finish([], file_system="may not be mounted here")
    findings = []
    rounds = 0
    for odd in (0, 1, 97, 4_096, 5_000, 30_000):
        rounds += 1
        store = place / str(odd)
        define(store)
        squeeze = ballast if kind == "tmpfs" else limited
        findings += [f"{kind} {odd}: {found}" for found in full(store, squeeze, odd)]
        for path in store.iterdir() if kind == "tmpfs" else ():
            path.unlink()
    finish(findings, kind=kind, rounds=rounds)


if __name__ == "__main__":
    program(main)
