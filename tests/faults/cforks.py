"""Forks in C, behind Python's back, as uWSGI's master does, and recycles the workers.

The law of this file: what a worker acknowledged is there afterwards, whatever the process that
loaded the store had open, whichever other program opens and closes the store meanwhile, and
whichever worker ends. POSIX locks do not cross a fork and SQLite believes that they do: its "last
connection" then deletes the log into which the workers go on committing.

``python -m tests.faults.cforks HOW DIR ROUNDS``
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from time import sleep

from ortto_capture import Capture, UnknownActivity

from ..services import PATIENCE, ROOT
from .stage import LOGIN, account, define, everything, files, finish, outcomes, program, spawn

WORKERS = 3
#: Keeps the interpreter's lock: the child is the calling thread and no other.
_libc = ctypes.PyDLL(None)

#: Another program, as an operator runs it.
_READ = """
import sys
from ortto_capture.backends.file import open_file
with open_file(sys.argv[1]) as backends:
    for each in backends.journal.latest(100_000):
        print(each.event_id)
"""


class Line:
    """A process at the other end, which answers each order with one line."""

    def __init__(self) -> None:
        self._mine, self.theirs = socket.socketpair()
        self._mine.settimeout(PATIENCE)

    def ask(self, order: str) -> str:
        """What it says to an order, or that it says nothing."""
        try:
            self._mine.sendall(f"{order}\n".encode())
            answer = self._mine.recv(65_536)
        except OSError as error:
            return f"no answer: {error}"
        return answer.decode().strip()

    def close(self) -> None:
        """Close both ends."""
        self._mine.close()
        self.theirs.close()


def done(capture: Capture, order: str) -> str:
    """Do what was ordered, and say how it went: ``done``, or the error."""
    try:
        if order == "read":
            files(capture).journal.latest()
        else:
            email = f"{order.partition('-')[0]}@emaildomain.com"
            capture.record(None, LOGIN, event_id=order, person={"email": email})
    except Exception as error:  # noqa: BLE001  # told to the parent, which is the judge
        return f"{type(error).__name__} {error}".replace("\n", " ")
    return "done"


def work(capture: Capture, line: socket.socket) -> None:
    """A worker: it does what it is told, until it is told to end, in one way or the other."""
    with line.makefile() as orders:
        for each in orders:
            order = each.strip()
            if order == "end":
                files(capture).close()
            said = "ended" if order in ("end", "die") else done(capture, order)
            line.sendall(f"{said}\n".encode())
            if said == "ended":
                return


def master(directory: Path, used: bool, line: socket.socket, workers: list[Line]) -> None:
    """Load the store, then fork a worker in C whenever that is ordered.

    :param used: record and read before the first fork; a moment's outcomes are gathered then.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with account(directory) as capture, line.makefile() as orders:
        if used:
            done(capture, "master-loaded")
            outcomes(files(capture)).counts()
            done(capture, "master-used")
        for each in orders:
            order = each.strip()
            said = "done"
            if order.isdigit():
                if used:
                    # Outcomes are gathered, and their thread sleeps: one that waited for the
                    # interpreter's lock at a fork in C would leave that lock broken in the child.
                    while len(os.listdir("/proc/self/task")) > 1:  # noqa: PTH208  # names, no paths
                        sleep(0.01)
                    with suppress(UnknownActivity):
                        capture.record(None, "act:cm:unknown")
                    # The new thread begins to sleep meanwhile, for a second.
                    sleep(0.3)
                if _libc.fork() == 0:
                    try:
                        signal.alarm(60)
                        work(capture, workers[int(order)].theirs)
                    finally:
                        os._exit(0)
            elif order != "leave":
                said = done(capture, order)
            line.sendall(f"{said}\n".encode())
            if order == "leave":
                # As a process ends that has made its workers daemons: nothing is closed.
                os._exit(0)


class Site:
    """A server: the process that loads the store, and the workers forked from it.

    :param workers: how many can be forked.
    """

    def __init__(self, directory: Path, used: bool, workers: int) -> None:
        self._spare = [Line() for _ in range(workers)]
        self._forked = 0
        self.master = Line()
        spawn(lambda: master(directory, used, self.master.theirs, self._spare))
        self.acknowledged = ["master-loaded", "master-used"] if used else []
        self.wrong: list[str] = []

    def fork(self) -> Line:
        """One more worker."""
        number = self._forked
        self._forked += 1
        if (said := self.master.ask(str(number))) != "done":
            self.wrong.append(f"the master forked no worker: {said}")
        return self._spare[number]

    def request(self, line: Line, event: str) -> None:
        """Have this process record one activity."""
        if (said := line.ask(event)) == "done":
            self.acknowledged.append(event)
        else:
            self.wrong.append(f"{event}: {said}")

    def read_elsewhere(self, directory: Path) -> None:
        """Another program opens the store, reads all that was acknowledged, and closes it."""
        done = subprocess.run(
            [sys.executable, "-c", _READ, str(directory)],
            cwd=ROOT,
            timeout=PATIENCE,
            check=True,
            capture_output=True,
            text=True,
        )
        if lost := set(self.acknowledged) - set(done.stdout.split()):
            self.wrong.append(f"{len(lost)} were acknowledged, and no other program finds them")

    def findings(self, directory: Path) -> Iterator[str]:
        """What is wrong with what is stored, after the last process has ended."""
        for line in (self.master, *self._spare):
            line.close()
        yield from self.wrong
        with account(directory) as capture:
            stored = [each.event_id for each in everything(files(capture))]
            if lost := set(self.acknowledged) - set(stored):
                yield f"{len(lost)} of {len(self.acknowledged)} were acknowledged, and are lost"
            if len(stored) != len(set(stored)):
                yield "an activity is stored twice"
            accepted = outcomes(files(capture)).counts().get("accepted", 0)
            if accepted > len(self.acknowledged):
                yield f"{len(self.acknowledged)} were accepted and {accepted} are counted"
            yield from files(capture).problems()
        if not self.acknowledged:
            yield "nothing was acknowledged"


def busy(site: Site, directory: Path, workers: list[Line], round_: int) -> None:
    """Requests to all, and another program that opens and closes the store meanwhile."""
    for moment in ("before", "after"):
        for number, worker in enumerate(workers):
            site.request(worker, f"worker{number}-{round_}-{moment}")
        if moment == "before":
            site.read_elsewhere(directory)


def daemons(directory: Path, rounds: int, used: bool) -> Iterator[str]:
    """The loading process ends; the workers go on, and end one after the other."""
    site = Site(directory, used, WORKERS)
    first, *others = workers = [site.fork() for _ in range(WORKERS)]
    site.master.ask("leave")
    for round_ in range(rounds):
        busy(site, directory, workers, round_)
    for number, worker in enumerate(others):
        worker.ask("die" if number else "end")
        site.request(first, f"worker0-without-{number}")
    site.read_elsewhere(directory)
    site.request(first, "worker0-alone")
    first.ask("die")
    yield from site.findings(directory)


def recycled(directory: Path, rounds: int, used: bool) -> Iterator[str]:
    """The loading process stays, records now and then, and forks workers for those that end."""
    site = Site(directory, used, WORKERS + rounds)
    workers = [site.fork() for _ in range(WORKERS)]
    for round_ in range(rounds):
        busy(site, directory, workers, round_)
        site.request(site.master, f"master-{round_}")
        number = round_ % WORKERS
        workers[number].ask("end" if round_ % 2 else "die")
        site.request(workers[number - 1], f"worker-{round_}-beside")
        workers[number] = site.fork()
        site.request(workers[number], f"worker{number}-{round_}-fresh")
    for worker in workers:
        worker.ask("die")
    site.master.ask("leave")
    yield from site.findings(directory)


def one_after_the_other(directory: Path, rounds: int, used: bool) -> Iterator[str]:
    """All are forked at once; each works, and is gone before the next one has begun."""
    site = Site(directory, used, WORKERS + rounds)
    workers = [site.fork() for _ in range(WORKERS + rounds)]
    site.master.ask("leave")
    for number, worker in enumerate(workers):
        site.request(worker, f"worker{number}")
        worker.ask("end" if number % 3 == 2 else "die")
    site.read_elsewhere(directory)
    yield from site.findings(directory)


#: Whether the loading process has used the store before it forks, and what comes then.
HOW = {
    "loaded-daemons": (False, daemons),
    "loaded-recycled": (False, recycled),
    "used-daemons": (True, daemons),
    "used-recycled": (True, recycled),
    "loaded-one-after-the-other": (False, one_after_the_other),
    "used-one-after-the-other": (True, one_after_the_other),
}


def main(how: str, directory: str, rounds: str) -> None:
    """Fork in C, after loading or after use, from a process that leaves or stays."""
    used, life = HOW[how]
    place = Path(directory) / "data"
    define(place)
    found = list(life(place, int(rounds), used))
    finish(found, how=how, rounds=rounds)


if __name__ == "__main__":
    program(main)
