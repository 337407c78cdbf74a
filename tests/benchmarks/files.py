"""The file backend: durable activities against bare SQLite, growth, bytes, HTTP.

The bare side inserts the same row, with the same keys and indexes, into a SQLite file of the same
durability, changes the two counters of the same visitor in the same transaction, and does nothing
else.
"""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from itertools import count
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter, time
from typing import TYPE_CHECKING

from ortto_capture import Person, open_backends
from ortto_capture.backends.file import FileBackends, open_file
from ortto_capture.backends.store_file import PAGE
from ortto_capture.backends.tables import SCHEMA
from ortto_capture.model import Activity, Identifier

from ..services import run_server
from .http import DATA
from .inprocess import sessions, visits
from .measure import Figure, in_turns, ratio
from .programs import ATTRIBUTES, KEY, PURCHASE, event_id, ours

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

THREADS = 8
#: Seconds that every fsync is made to take, as on a disk that is no match for this machine's.
SLOW = 0.005


class Bare:
    """The limit: one row and two counters, one commit."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._connection.executescript(
            f"PRAGMA page_size = {PAGE}; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
            + SCHEMA
        )
        self._turn = count()
        self._attributes = json.dumps(ATTRIBUTES, separators=(",", ":"))

    def __call__(self, _environ: WSGIEnvironment, _start_response: object) -> list[bytes]:
        """Insert one."""
        number, now = next(self._turn), round(time() * 1000)
        visitor = number % 64
        row = (event_id(), 1, visitor, self._attributes, KEY, 0, now, now, 0, number)
        self._connection.execute("BEGIN IMMEDIATE")
        self._connection.execute(
            "INSERT INTO counts (seconds, slot, key, amount, count) "
            "VALUES (?, ?, ?, ?, 1), (?, ?, ?, ?, 1) "
            "ON CONFLICT (seconds, slot, key) DO UPDATE SET count = counts.count + 1",
            [
                part
                for seconds in (86_400, 3_600)
                for part in (seconds, now // seconds // 1000, b"%016d" % visitor, 1_000_000)
            ],
        )
        self._connection.execute(
            "INSERT INTO journal (event_id, activity, person, attributes, source, verified, "
            "occurred_at, received_at, gpc, checksum) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            row,
        )
        self._connection.execute("COMMIT")
        return []


def threads_against_bare(requests: int, rounds: int, threads: int) -> tuple[float, float]:
    """Activities a second of so many threads over those of the bare insert; and the bare rate."""
    with TemporaryDirectory() as name, open_file(f"{name}/data") as backends:
        bare = Bare(Path(name, "bare.sqlite3"))
        app, _ = ours(backends=backends)
        visitors = sessions(app, 64)
        ratios, rates = [], []
        for _round in range(rounds):
            bare_rate = rate(bare, [list(visits(visitors, requests)())])
            share = max(1, requests // threads)
            work = [list(visits(visitors[n::threads], share)()) for n in range(threads)]
            ratios.append(rate(app, work) / bare_rate)
            rates.append(bare_rate)
    # Until the log has its full length each fsync makes it longer as well, on either side.
    settled = slice(rounds // 2, None)
    return median(ratios[settled]), median(rates[settled])


def rate(app: WSGIApplication, work: list[list[WSGIEnvironment]]) -> float:
    """Requests a second of one thread for each list."""
    ready = threading.Barrier(len(work) + 1)

    def run(requests: list[WSGIEnvironment]) -> None:
        ready.wait()
        for each in requests:
            app(each, lambda status, headers, exc_info=None: _good(status))

    running = [threading.Thread(target=run, args=(each,)) for each in work]
    for each in running:
        each.start()
    ready.wait()
    start = perf_counter()
    for each in running:
        each.join()
    return sum(map(len, work)) / (perf_counter() - start)


def _good(status: str) -> Callable[[bytes], object]:
    assert status.startswith("200"), status
    return lambda _: None


def slowed(requests: int, rounds: int) -> tuple[float, float]:
    """The same with every fsync slowed, in a process that strace holds up at them."""
    inject = f"inject=fdatasync,fsync:delay_exit={int(SLOW * 1e6)}"
    strace = ["strace", "-f", "-qq", "--seccomp-bpf", "-o", "/dev/null"]
    command = [*strace, "-e", "trace=fdatasync,fsync", "-e", inject]
    command += [sys.executable, "-m", __name__, str(requests), str(rounds)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: list[float] = json.loads(done.stdout)
    return found[0], found[1]


def fill(backends: FileBackends, people: int) -> None:
    """As many people, and as many activities, as if they had come long ago."""
    now = time()
    for start in range(0, people, 5_000):

        def some(first: int = start) -> None:
            for number in range(first, min(first + 5_000, people)):
                name = f"someone-{number * 7_919 % people:014}"
                address = Identifier("email", f"someone{number}@emaildomain.com")
                backends.people.save(Person(name, (address,), None, None, "claimed", now))
                backends.journal.append(
                    Activity(
                        event_id(), PURCHASE.id, name, ATTRIBUTES, KEY, "claimed", now, now, False
                    )
                )

        backends.atomically(some)


def grown(folder: Path, people: int) -> tuple[WSGIApplication, FileBackends]:
    """An app on a store of that size."""
    backends = open_file(str(folder / f"data-{people}"))
    fill(backends, people)
    return ours(backends=backends)[0], backends


def over_http(folder: Path, requests: int, rounds: int) -> float:
    """gunicorn, 2 workers of 4 threads: the file backend's requests a second over memory's."""
    environment = {DATA: str(folder / "http")}
    with ExitStack() as servers:
        ports = [
            servers.enter_context(
                run_server(
                    "gunicorn-gthread",
                    f"tests.benchmarks.http:{program}",
                    workers=2,
                    env=environment,
                )
            )
            for program in ("file_app", "workers_app")
        ]
        command = [sys.executable, "-m", "tests.benchmarks.http"]
        command += map(str, (requests, rounds, *ports))
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    files, memory = zip(*json.loads(done.stdout), strict=True)
    return ratio(files, memory)


def figures(scale: float = 1.0) -> Iterator[Figure]:
    """All figures of this file."""
    requests, rounds = max(16, int(400 * scale)), max(2, int(20 * scale))
    with TemporaryDirectory() as name:
        folder = Path(name)
        share, bare_rate = threads_against_bare(requests, rounds, 1)
        yield Figure("bare SQLite: insert, two counters, commit", bare_rate, unit="/s")
        yield Figure("durable activities, one thread / bare", share, 0.6, at_least=True)
        share, _ = threads_against_bare(requests, rounds, THREADS)
        yield Figure("durable activities, 8 threads / bare", share, 1.0, at_least=True)
        share, _ = slowed(requests, max(2, rounds // 10))
        yield Figure("the same with every fsync at 5 ms", share, 5, at_least=True)
        yield from growth(folder, scale, requests, rounds)
        http = over_http(folder, requests, rounds)
        yield Figure("HTTP, gunicorn 2 × 4, file / memory", http, 0.5, at_least=True)


def growth(folder: Path, scale: float, requests: int, rounds: int) -> Iterator[Figure]:
    """What many people and activities cost: time, bytes, and opening."""
    many = max(2_000, int(1_000_000 * scale))
    few_app, few = grown(folder, 1_000)
    many_app, lots = grown(folder, many)
    with few, lots:
        turns = {
            "few": (few_app, visits(sessions(few_app, 500), requests)),
            "many": (many_app, visits(sessions(many_app, 500), requests)),
        }
        times = in_turns(turns, rounds)
        yield Figure("10⁶ people and activities / 10³", ratio(times["many"], times["few"]), 1.2)
    path = folder / f"data-{many}" / "store.sqlite3"
    with closing(sqlite3.connect(path)) as connection:
        sizes = connection.execute(
            "SELECT sum(pgsize) FROM dbstat WHERE name LIKE 'journal%'"
        ).fetchall()
    yield Figure("on disk, an activity with all indexes", sizes[0][0] / many, 430, unit="B")
    start = perf_counter()
    open_backends(f"file:{path.parent}").close()
    yield Figure("opening 10⁶ people and activities", perf_counter() - start, 1, unit="s")


if __name__ == "__main__":
    json.dump(threads_against_bare(int(sys.argv[1]), int(sys.argv[2]), THREADS), sys.stdout)
