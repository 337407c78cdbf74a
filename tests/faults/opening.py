"""Opens stores while many processes write, and one new directory from many processes at once.

The law of this file: every worker that a server starts must open its store, or the whole site stays
away: opening waits for no writer, and takes no lock that a writer holds.

``python -m tests.faults.opening WHAT DIR TIMES``
"""

from __future__ import annotations

import fcntl
import os
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

from .driver import driven, slow
from .stage import (
    LOGIN,
    account,
    child,
    define,
    ended,
    everything,
    files,
    finish,
    opened,
    program,
    spawn,
)

WRITERS = 6
#: What a commit takes on a slow disk.
COMMIT = 0.05
#: What it takes one of them to make a store there.
MAKING = 2.5
#: How many processes open one new directory.
PROCESSES = 64
#: Seconds that opening may take on a busy machine with one lock held for good.
SOON = 1.5


def recorded(directory: Path, event: str) -> None:
    """Open, record one activity, close."""
    with account(directory) as capture:
        capture.record(None, LOGIN, event_id=event, person={"email": "user@emaildomain.com"})


def under_load(directory: Path, times: int) -> Iterator[str]:
    """Workers are recycled while six others write on a slow disk."""
    define(directory)

    def write(number: int, say: Callable[[str], None]) -> None:
        with driven() as driver, account(directory) as capture:
            driver.before("COMMIT", slow(COMMIT))
            each = 0
            while True:
                each += 1
                event = f"writer-{number}-{each}"
                capture.record(None, LOGIN, event_id=event, person={"email": "w@emaildomain.com"})
                say(event)

    said, to_parent = os.pipe()

    def say(event: str) -> None:
        os.write(to_parent, f"{event}\n".encode())

    writers = [spawn(partial(write, number, say)) for number in range(WRITERS)]
    try:
        with os.fdopen(said) as lines:
            heard = [lines.readline() for _ in range(WRITERS)]
            for number in range(times):
                # At different moments of the writers' commits.
                heard.append(lines.readline())
                began = time.monotonic()
                try:
                    with opened(directory) as backends:
                        took = time.monotonic() - began
                        backends.people.get("unknown")
                except Exception as error:  # noqa: BLE001  # any refusal is a finding
                    yield f"opening {number}: {type(error).__name__}: {error}"
                else:
                    if took > SOON:
                        yield f"opening {number} took {took:.1f} s"
            for writer in writers:
                os.kill(writer, signal.SIGKILL)
                ended(writer)
            writers.clear()
            os.close(to_parent)
            heard += lines.readlines()
    finally:
        for writer in writers:
            os.kill(writer, signal.SIGKILL)
            ended(writer)
    with account(directory) as capture:
        stored = {each.event_id for each in everything(files(capture))}
        if lost := {line.strip() for line in heard} - stored:
            yield f"{len(lost)} of {len(heard)} were acknowledged, and are lost"
        yield from files(capture).problems()


def new_directory(directory: Path, times: int) -> Iterator[str]:
    """All workers of a server start at once, on the first day."""
    for round_ in range(times):
        place = directory / str(round_)
        codes, told = started_at_once(place)
        if failed := sum(code != 0 for code in codes):
            yield f"round {round_}: {failed} of {PROCESSES} could not open it"
        if len(set(told)) != 1:
            yield f"round {round_}: they have different secrets, or different stores"
        with opened(place) as backends:
            yield from backends.problems()


def started_at_once(place: Path) -> tuple[list[int], list[str]]:
    """How so many processes ended that opened ``place`` at once, and what they found in it."""
    waiting, go = os.pipe()
    hearing, saying = os.pipe()

    def work() -> None:
        os.close(go)
        os.read(waiting, 1)
        with driven() as driver:
            driver.before("PRAGMA journal_mode", slow(MAKING))
            with opened(place) as backends:
                secret = backends.secret() or b""
                os.write(saying, f"{secret.hex()} {backends.epoch}\n".encode())

    children = [spawn(work) for _ in range(PROCESSES)]
    os.close(waiting)
    os.close(saying)
    os.close(go)
    with os.fdopen(hearing) as lines:
        told = list(lines)
    return [ended(each) for each in children], told


def held(directory: Path, _times: int) -> Iterator[str]:
    """Another program holds a lock for good: a sound store is opened and read all the same."""
    define(directory)
    recorded(directory, "before")

    def write_lock(say: Callable[[str], None], wait: Callable[[], None]) -> None:
        with closing(sqlite3.connect(directory / "store.sqlite3", isolation_level=None)) as holder:
            holder.execute("BEGIN IMMEDIATE")
            say("held")
            wait()

    def lock_files(say: Callable[[str], None], wait: Callable[[], None]) -> None:
        for path in directory.glob("*.lock"):
            fcntl.flock(os.open(path, os.O_RDWR), fcntl.LOCK_EX)
        say("held")
        wait()

    for hold in (write_lock, lock_files):
        with child(hold) as holder:
            holder.heard()
            began = time.monotonic()
            try:
                with opened(directory) as backends:
                    took = time.monotonic() - began
                    if [each.event_id for each in everything(backends)] != ["before"]:
                        yield f"{hold.__name__}: what is stored cannot be read"
            except Exception as error:  # noqa: BLE001  # any refusal is a finding
                yield f"{hold.__name__}: {type(error).__name__}: {error}"
            else:
                if took > SOON:
                    yield f"{hold.__name__}: opening took {took:.1f} s"


WHAT = {"load": under_load, "new": new_directory, "held": held}


def main(what: str, directory: str, times: str) -> None:
    """Open so often."""
    finish(list(WHAT[what](Path(directory) / "data", int(times))), what=what, times=times)


if __name__ == "__main__":
    program(main)
