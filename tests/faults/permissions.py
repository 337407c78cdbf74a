"""Opens a store as a user who may not.

The law of this file: the kernel says no, not a flag: where this process is root, who may do
anything, a child without privileges opens the store.

``python -m tests.faults.permissions DIR``
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from ortto_capture import CaptureError

from .stage import LOGIN, account, child, define, everything, files, finish, program

#: The user id of an unprivileged user on Debian and elsewhere.
UNPRIVILEGED = 65_534
#: What is closed to its owner, and how far.
CLOSED = [
    (".", 0o000),
    (".", 0o500),
    ("store.sqlite3", 0o000),
    ("store.sqlite3", 0o400),
    ("activities.json", 0o000),
    ("secret", 0o000),
]


def recorded(directory: Path, event: str) -> None:
    """Open, and record one."""
    with account(directory) as capture:
        capture.record(None, LOGIN, event_id=event, person={"email": "user@emaildomain.com"})


def as_unprivileged(directory: Path) -> str:
    """What opening and recording comes to for that user: ``opened``, or the error's words."""

    def work(say: Callable[[str], None], _wait: Callable[[], None]) -> None:
        if os.geteuid() == 0:
            os.setgroups([])
            os.setgid(UNPRIVILEGED)
            os.setuid(UNPRIVILEGED)
        try:
            recorded(directory, "by-unprivileged")
        except CaptureError as error:
            say(f"{type(error).__name__} {error}".replace("\n", " "))
        else:
            say("opened")

    with child(work) as talk:
        return talk.heard()


def main(directory: str) -> None:
    """Close one thing after the other, and open it again."""
    findings: list[str] = []
    template = Path(directory) / "template"
    define(template)
    recorded(template, "before")
    # Not below pytest's directories, which are closed to other users.
    with tempfile.TemporaryDirectory() as made:
        place = Path(made)
        place.chmod(0o755)
        for name, mode in CLOSED:
            store = place / f"{name.strip('.')}-{mode:o}"
            shutil.copytree(template, store)
            for path in (store, *store.iterdir()):
                if os.geteuid() == 0:
                    os.chown(path, UNPRIVILEGED, UNPRIVILEGED)
            closed = store / name
            before = closed.stat().st_mode
            closed.chmod(mode)
            said = as_unprivileged(store)
            if not said.startswith("ConfigurationError") or str(store) not in said:
                findings.append(f"{name} closed to {mode:o}: {said}")
            closed.chmod(before)
            if (said := as_unprivileged(store)) != "opened":
                findings.append(f"{name} is open again: {said}")
            with account(store) as capture:
                stored = [each.event_id for each in everything(files(capture))]
            if stored != ["before", "by-unprivileged"]:
                findings.append(f"{name} closed to {mode:o}: stored are {stored}")
    finish(findings, cases=len(CLOSED))


if __name__ == "__main__":
    program(main)
