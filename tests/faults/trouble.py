"""A disk that fails to confirm, and a store that another program holds.

The law of this file: the fault is real: an error injected into the system call, a lock really held
by another process. Each has its answer, is over when its cause is, and costs nothing acknowledged.

``python -m tests.faults.trouble WHAT DIR``
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ortto_capture import CaptureApp

from ..services import serve
from .order import answer, ask
from .signals import counted
from .space import Visitor, elsewhere
from .stage import account, child, define, everything, files, finish, opened, program
from .tracing import SYNCS, attached, injected

#: Seconds until the 503 (contract §4, row 13), and a busy machine's share on top.
LEAST, MOST = 1.5, 3.5
#: The calls that SQLite, and others, write files with.
WRITING = "pwrite64,write"
#: How many requests are made at once.
CROWD = 8


def latched(directory: Path) -> Iterator[str]:
    """After a failed fsync nothing is acknowledged until the store is opened again."""
    define(directory)

    def server(say: Callable[[str], None], wait: Callable[[], None]) -> None:
        for _ in range(2):
            with account(directory) as capture, serve(CaptureApp(capture)) as url:
                say(url)
                wait()

    failing = injected(",".join(SYNCS), "error=EIO", "1+")
    with child(server) as talk:
        url = talk.heard()
        answers = [ask(url, "first", "user@emaildomain.com")]
        with attached(talk.pid, *failing):
            answers.append(ask(url, "second", "user@emaildomain.com"))
        # The disk works again, and what it dropped meanwhile is unknown.
        answers.append(ask(url, "third", "user@emaildomain.com"))
        answers.append(ask(url, "fourth", "new@emaildomain.com"))
        talk.go()
        url = talk.heard()
        answers.append(ask(url, "fifth", "user@emaildomain.com"))
        talk.go()
        if (status := talk.status()) != 0:
            yield f"the server ended with {status}"
    if answers != [200, 503, 503, 503, 200]:
        yield f"the answers were {answers}"
    if not {"first", "fifth"} <= set(elsewhere(directory)):
        yield f"acknowledged, and lost: only {elsewhere(directory)} are there"


def full_by_injection(directory: Path) -> Iterator[str]:
    """No space at the n-th write: that request is refused, the next one is not."""
    define(directory)

    def server(say: Callable[[str], None], wait: Callable[[], None]) -> None:
        with account(directory) as capture, serve(CaptureApp(capture)) as url:
            say(url)
            wait()

    with child(server) as talk:
        url = talk.heard()
        acknowledged = []
        for number in range(1, 5):
            with attached(talk.pid, *injected("pwrite64", "error=ENOSPC", number)):
                answers = [ask(url, f"{number}-full", "user@emaildomain.com")]
            answers.append(ask(url, f"{number}-after", "user@emaildomain.com"))
            if answers[0] not in (200, 503) or answers[1] != 200:
                yield f"no space at write {number}: the answers were {answers}"
            names = (f"{number}-full", f"{number}-after")
            acknowledged += [
                name for name, answer in zip(names, answers, strict=True) if answer == 200
            ]
            if number == 1 and answers[0] == 200:
                yield "no space at the first write, and it was acknowledged"
        if not set(acknowledged) <= set(elsewhere(directory)):
            yield f"{acknowledged} were acknowledged, and {elsewhere(directory)} are there"
        talk.go()
        talk.status()


def in_a_crowd(directory: Path, error: str) -> Iterator[str]:
    """Every write fails for a while, for requests of many threads at once, which share a commit.

    Each of them is refused, none of what was refused is stored, and no counter has changed.
    """
    define(directory)

    def server(say: Callable[[str], None], wait: Callable[[], None]) -> None:
        with account(directory) as capture, serve(CaptureApp(capture)) as url:
            say(url)
            wait()

    failing = injected(WRITING, f"error={error}", "1+")
    with child(server) as talk:
        url = talk.heard()
        acknowledged = []
        for round_ in range(3):
            before = together(url, f"{round_}-before")
            with attached(talk.pid, *failing):
                meanwhile = together(url, f"{round_}-meanwhile")
            after = together(url, f"{round_}-after")
            if {*before.values(), *after.values()} != {(200, "")}:
                yield f"{error}, round {round_}: the answers were {before} and {after}"
            if set(meanwhile.values()) != {(503, "storage-full")}:
                yield f"{error}, round {round_}: the answers meanwhile were {meanwhile}"
            answers = {**before, **meanwhile, **after}
            acknowledged += [event for event, (status, _) in answers.items() if status == 200]
        talk.go()
        talk.status()
    stored = elsewhere(directory)
    if sorted(stored) != sorted(acknowledged):
        yield f"{error}: {len(acknowledged)} were acknowledged and {len(stored)} are stored"
    # By person and by address each, and the one new person.
    if (total := counted(directory)) != 2 * len(stored) + 1:
        yield f"{error}: {len(stored)} are stored and {total} are counted"


def latched_in_a_crowd(directory: Path) -> Iterator[str]:
    """An fsync fails for requests that share it: each is refused, and so are all that follow."""
    define(directory)

    def server(say: Callable[[str], None], wait: Callable[[], None]) -> None:
        with account(directory) as capture, serve(CaptureApp(capture)) as url:
            say(url)
            wait()

    failing = injected(",".join(SYNCS), "error=EIO", "1+")
    with child(server) as talk:
        url = talk.heard()
        before = together(url, "before")
        with attached(talk.pid, *failing):
            meanwhile = together(url, "meanwhile")
        after = together(url, "after")
        talk.go()
        talk.status()
    refused = {(503, "unavailable")}
    answers = [set(each.values()) for each in (before, meanwhile, after)]
    if answers != [{(200, "")}, refused, refused]:
        yield f"the answers were {before}, {meanwhile} and {after}"
    if not set(before) <= set(elsewhere(directory)):
        yield "acknowledged, and lost"


def together(url: str, name: str) -> dict[str, tuple[int, str]]:
    """The answers to requests that are made at once, by event id."""
    events = [f"{name}-{number}" for number in range(CROWD)]
    start = threading.Barrier(CROWD)

    def request(event: str) -> tuple[int, str]:
        start.wait()
        return answer(url, event, "user@emaildomain.com")

    with ThreadPoolExecutor(CROWD) as pool:
        return dict(zip(events, pool.map(request, events), strict=True))


def busy(directory: Path, hold: Callable[[Path], object]) -> Iterator[str]:
    """Another process holds the lock: 503 after about two seconds, then 200 again."""
    define(directory)

    def holder(say: Callable[[str], None], wait: Callable[[], None]) -> None:
        held = hold(directory)
        say("held")
        wait()
        if isinstance(held, sqlite3.Connection):
            held.close()

    with account(directory) as capture:
        visitor = Visitor(capture)
        if visitor.post().status != 200:
            yield "not even the first was accepted"
        with child(holder) as talk:
            talk.heard()
            began = time.monotonic()
            reply = visitor.post()
            took = time.monotonic() - began
            if reply.status != 503 or reply.json["error"]["code"] != "unavailable":
                yield f"while it was held the answer was {reply.status} {reply.body!r}"
            if reply.header("Retry-After") != "1":
                yield "no Retry-After"
            if not LEAST <= took <= MOST:
                yield f"the answer took {took:.2f} s"
            talk.go()
            talk.status()
        if (reply := visitor.post()).status != 200:
            yield f"after it was released the answer was {reply.status} {reply.body!r}"
        stored = [each.event_id for each in everything(files(capture))]
        if stored != visitor.acknowledged:
            yield f"acknowledged {visitor.acknowledged}, stored {stored}"


def write_lock(directory: Path) -> object:
    """SQLite's own lock, as another program takes it."""
    connection = sqlite3.connect(directory / "store.sqlite3", isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    return connection


def decision(directory: Path) -> object:
    """A decision of another process of ours, which does not end."""
    backends = opened(directory)
    deciding = threading.Event()

    def decide() -> None:
        deciding.set()
        threading.Event().wait()

    threading.Thread(target=backends.atomically, args=(decide,), daemon=True).start()
    deciding.wait()
    return backends


WHAT: dict[str, Callable[[Path], Iterator[str]]] = {
    "latched": latched,
    "latched-crowd": latched_in_a_crowd,
    "full": full_by_injection,
    "full-crowd": lambda directory: in_a_crowd(directory, "ENOSPC"),
    "quota-crowd": lambda directory: in_a_crowd(directory, "EDQUOT"),
    "write-lock": lambda directory: busy(directory, write_lock),
    "decision-lock": lambda directory: busy(directory, decision),
}


def main(what: str, directory: str) -> None:
    """Make this trouble."""
    finish(list(WHAT[what](Path(directory) / "data")), trouble=what)


if __name__ == "__main__":
    program(main)
