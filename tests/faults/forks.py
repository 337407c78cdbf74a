"""Forks while other threads are in the middle of writing.

The law of this file: a child is on its own: it opens its own handles, finds no lock that is never
released, writes, and what it and its parent were told is stored is stored once.

``python -m tests.faults.forks DIR CHILDREN``
"""

from __future__ import annotations

import os
import signal
import threading
import warnings
from pathlib import Path

from ortto_capture import Capture

from .stage import LOGIN, account, define, ended, everything, files, finish, program, spawn

THREADS = 4


def main(directory: str, children: str) -> None:
    """Fork so many children, each of which records through what it inherited."""
    warnings.simplefilter("ignore", DeprecationWarning)
    place = Path(directory) / "data"
    define(place)
    findings: list[str] = []
    done: list[str] = []
    stop = threading.Event()

    with account(place) as capture:

        def keep_recording(thread: int) -> None:
            number = 0
            while not stop.is_set():
                number += 1
                done.append(recorded(capture, f"parent-{thread}-{number}"))

        threads = [threading.Thread(target=keep_recording, args=(n,)) for n in range(THREADS)]
        for thread in threads:
            thread.start()
        try:
            for number in range(int(children)):

                def work(number: int = number) -> None:
                    # The kernel ends one that hangs.
                    signal.signal(signal.SIGALRM, signal.SIG_DFL)
                    signal.alarm(20)
                    recorded(capture, f"child-{number}")
                    files(capture).journal.latest()
                    grandchild = os.fork()
                    if grandchild == 0:
                        recorded(capture, f"grandchild-{number}")
                        os._exit(0)
                    os._exit(ended(grandchild))

                if (status := ended(spawn(work))) != 0:
                    findings.append(f"child {number} ended with {status}")
                done += [f"child-{number}", f"grandchild-{number}"]
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        stored = [each.event_id for each in everything(files(capture))]
        if sorted(stored) != sorted(done):
            findings.append(f"{len(done)} were done and {len(stored)} are stored")
        findings += files(capture).problems()
    finish(findings, children=children, acked=len(done), stored=len(stored))


def recorded(capture: Capture, event: str) -> str:
    """Record one, and return its event id."""
    capture.record(None, LOGIN, event_id=event, person={"email": f"{event[:9]}@emaildomain.com"})
    return event


if __name__ == "__main__":
    program(main)
