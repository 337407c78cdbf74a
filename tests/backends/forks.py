"""Forks while other threads are in the middle of everything; run by ``test_memory.py``."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

from ortto_capture import Person
from ortto_capture.backends.file import open_file
from ortto_capture.backends.memory import (
    MemoryJournal,
    MemoryOutcomes,
    MemoryPeople,
)
from ortto_capture.limiting import FixedWindows
from ortto_capture.model import Activity, Charge, Identifier, Quota

NOW = 1_795_392_000.0
DAY, HOUR = 86_400, 3_600


def activity(event_id: str) -> Activity:
    """Something that happened."""
    return Activity(event_id, "act:cm:login", "person", {}, "", "claimed", NOW, NOW, False)


def visitor(name: str) -> Person:
    """A person with this id."""
    return Person(name, (Identifier("ei", name),), None, None, "claimed", NOW)


@contextmanager
def busy(*work: object) -> Iterator[None]:
    """Run the callables in threads, over and over, meanwhile."""
    stop = threading.Event()

    def run(call: object) -> None:
        assert callable(call)
        while not stop.is_set():
            call()

    threads = [threading.Thread(target=run, args=(call,)) for call in work]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def main(times: int) -> None:
    """Fork so many times under load; no child finds a count without its key, or hangs."""
    limiter, journal = FixedWindows(capacity=10**9), MemoryJournal(capacity=100)
    people, outcomes = MemoryPeople(capacity=10**9), MemoryOutcomes()

    def count() -> None:
        key = uuid4().bytes
        limiter.acquire([Charge(key, Quota(5, DAY)), Charge(key[::-1], Quota(5, HOUR))], NOW)

    def journal_one() -> None:
        journal.append(activity(uuid4().hex))

    def save_one() -> None:
        people.save(visitor(uuid4().hex))

    with busy(count, journal_one, save_one):
        for _ in range(times):
            child = os.fork()
            if child == 0:
                # Nothing of pytest may run here: work, and leave at once. One that hangs is ended
                # by the kernel, and the test fails with its signal.
                signal.signal(signal.SIGALRM, signal.SIG_DFL)
                signal.alarm(20)
                status = 1
                try:
                    whole = len(limiter) % 2 == 0
                    count()
                    journal_one()
                    save_one()
                    outcomes.counts()
                    status = 0 if whole and journal.latest(1)[-1].position else 2
                finally:
                    os._exit(status)
            _, status = os.waitpid(child, 0)
            assert os.waitstatus_to_exitcode(status) == 0


def of_two_stores(directory: Path) -> None:
    """Two threads fork while others store in two files at once, and no fork waits for ever."""
    # Opened first, so that a fork takes its lock first; a decision takes it second.
    with open_file(f"{directory}/b") as other, open_file(f"{directory}/a") as own:
        mixed = replace(own, journal=other.journal)
        mixed.people.save(visitor("person"))

        def record() -> None:
            assert mixed.record(activity(uuid4().hex), ()) is not None

        def fork() -> None:
            child = os.fork()
            if child == 0:
                signal.signal(signal.SIGALRM, signal.SIG_DFL)
                signal.alarm(20)
                status = 1
                try:
                    record()
                    status = 0
                finally:
                    os._exit(status)
            _, status = os.waitpid(child, 0)
            assert os.waitstatus_to_exitcode(status) == 0

        with busy(record, fork):
            for _ in range(20):
                fork()
        record()


if __name__ == "__main__":
    main(int(sys.argv[1]))
    with TemporaryDirectory() as name:
        of_two_stores(Path(name))
