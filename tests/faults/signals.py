"""Raises exceptions from a signal's handler at random moments, while other threads store.

The law of this file: an exception may arrive between any two bytecodes of the main thread. It is
raised there and in no other thread; no lock stays locked, no thread is stuck, and what was
acknowledged is stored once, with exactly its charges.

``python -m tests.faults.signals WHAT DIR TIMES SEED``
"""

from __future__ import annotations

import faulthandler
import random
import signal
import sqlite3
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Self

from ortto_capture import (
    BackendError,
    Capture,
    CaptureApp,
    Settings,
    UnknownActivity,
    open_backends,
)

from ..host_apps import environ_for
from .driver import driven, slow
from .stage import (
    LOGIN,
    account,
    define,
    everything,
    files,
    finish,
    login,
    opened,
    outcomes,
    program,
    redefine,
)

#: The threads beside the main one.
THREADS = 3
#: A thread that has not stored anything for so long is stuck.
STUCK = 30.0


class TimeIsUp(Exception):
    """What a time-out decorator, a soft time limit or a caught Ctrl-C raises in the main thread."""


class Alarm:
    """At most one exception at a random moment of each attempt.

    :param act: called by the handler; it may raise.
    """

    def __init__(self, act: Callable[[], object], rng: random.Random) -> None:
        self._act = act
        self._rng = rng
        self._armed = False
        #: Seconds within which it goes off: about as long as an attempt takes.
        self.longest = 0.002
        #: How often it went off within an attempt.
        self.raised = 0

    def handle(self, *_: object) -> None:
        """The signal's handler."""
        if self._armed:
            self._armed = False
            self.raised += 1
            self._act()

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Arm it for the length of the block."""
        before = self.raised
        began = time.perf_counter()
        self._armed = True
        signal.setitimer(signal.ITIMER_REAL, self._rng.uniform(1e-6, self.longest))
        try:
            yield
            self._armed = False
        finally:
            self._armed = False
            signal.setitimer(signal.ITIMER_REAL, 0)
            if self.raised == before:
                # By the attempts that were not cut short.
                took = time.perf_counter() - began
                self.longest += 0.1 * (2 * took - self.longest)


def raise_it() -> None:
    """What most handlers do."""
    raise TimeIsUp


class Crowd:
    """Threads that record without end, and must never notice anything."""

    def __init__(self, capture: Capture) -> None:
        self.capture = capture
        self.done: list[str] = []
        self.wrong: list[str] = []
        self.last = [time.monotonic()] * THREADS
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self.run, args=(n,)) for n in range(THREADS)]

    def run(self, thread: int) -> None:
        """One thread."""
        number = 0
        while not self._stop.is_set():
            number += 1
            event = f"crowd-{thread}-{number}"
            try:
                record(self.capture, event, f"crowd-{thread}")
            except BaseException as error:  # noqa: BLE001  # any exception here is a finding
                self.wrong.append(f"{event}: {type(error).__name__}: {error}")
            else:
                self.done.append(event)
            self.last[thread] = time.monotonic()
            time.sleep(0.0005)

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(STUCK)
            if thread.is_alive():
                self.wrong.append(f"{thread.name} is stuck")


def record(capture: Capture, event: str, name: str) -> None:
    """Record one activity of a person."""
    capture.record(None, LOGIN, event_id=event, person={"email": f"{name}@emaildomain.com"})


def counted(directory: Path) -> int:
    """The sum of all counters, as another program reads it."""
    with closing(sqlite3.connect(directory / "store.sqlite3")) as connection:
        total: int = connection.execute("SELECT coalesce(sum(count), 0) FROM counts").fetchone()[0]
    return total


def verdict(capture: Capture, directory: Path, begun: list[str], done: list[str]) -> Iterator[str]:
    """What is wrong with what is stored."""
    stored = [each.event_id for each in everything(files(capture))]
    if len(stored) != len(set(stored)):
        yield "an activity is stored twice"
    if lost := set(done) - set(stored):
        yield f"{len(lost)} were acknowledged, and are lost: {sorted(lost)[:5]}"
    if odd := set(stored) - set(begun) - set(done):
        yield f"{len(odd)} are stored and were never begun: {sorted(odd)[:5]}"
    if (total := counted(directory)) != len(stored):
        yield f"{len(stored)} are stored and {total} are counted"
    yield from files(capture).problems()


def storing(directory: Path, times: int, rng: random.Random) -> tuple[list[str], dict[str, int]]:
    """Exceptions at random moments of storing, in the main thread."""
    with account(directory) as capture:
        begun, done, findings, figures = interrupted(capture, times, rng)
        return [*findings, *verdict(capture, directory, begun, done)], figures


def remembering(_: Path, times: int, rng: random.Random) -> tuple[list[str], dict[str, int]]:
    """The same in memory, where what was interrupted need not be undone."""
    with open_backends("memory:") as backends:
        backends.definitions.put(login())
        capture = Capture(backends=backends, settings=Settings(secret_keys=["x" * 32]))
        begun, done, findings, figures = interrupted(capture, times, rng)
        stored = {each.event_id for each in backends.journal.latest(1_000_000)}
        if lost := set(done) - stored:
            findings.append(f"{len(lost)} were acknowledged, and are lost")
        if odd := stored - set(begun) - set(done):
            findings.append(f"{len(odd)} are stored and were never begun")
    return findings, figures


def interrupted(
    capture: Capture, times: int, rng: random.Random
) -> tuple[list[str], list[str], list[str], dict[str, int]]:
    """Which activities the main thread began, which were acknowledged to any, what was wrong."""
    alarm = Alarm(raise_it, rng)
    signal.signal(signal.SIGALRM, alarm.handle)
    begun: list[str] = []
    done: list[str] = []
    findings: list[str] = []
    arrived = 0
    with Crowd(capture) as crowd:
        for number in range(times):
            event = f"main-{number}"
            begun.append(event)
            try:
                with alarm.attempt():
                    record(capture, event, f"main-{number % 50}")
                    done.append(event)
            except TimeIsUp:
                arrived += 1
            except Exception as error:  # noqa: BLE001  # any other exception is a finding
                findings.append(f"{event}: {type(error).__name__}: {error}")
        # A repetition finds out what became of it.
        for event in begun[-20:]:
            record(capture, event, f"main-{int(event[5:]) % 50}")
            done.append(event)
    if arrived != alarm.raised:
        findings.append(f"{alarm.raised} were raised and {arrived} arrived")
    figures = {"interrupted": arrived, "acked": len(done), "crowd": len(crowd.done)}
    return begun, done + crowd.done, findings + crowd.wrong, figures


def everything_else(
    directory: Path, times: int, rng: random.Random
) -> tuple[list[str], dict[str, int]]:
    """Exceptions in erasing, identifying, retaining, reading, health and scrubbing."""
    alarm = Alarm(raise_it, rng)
    signal.signal(signal.SIGALRM, alarm.handle)
    findings: list[str] = []
    with account(directory) as capture:
        backends = files(capture)
        health = CaptureApp(capture)

        work: list[Callable[[int], object]] = [
            lambda number: capture.identify(email=f"gone-{number}@emaildomain.com", first="Joan"),
            lambda number: capture.identify(email=f"gone-{number}@emaildomain.com", first="Jo"),
            lambda number: capture.erase(email=f"gone-{number}@emaildomain.com"),
            lambda _: backends.retain(1.0, 1.0),
            lambda _: backends.journal.latest(),
            lambda _: outcomes(backends).counts(),
            lambda _: outcomes(backends).refused(),
            lambda _: backends.scrub(),
            lambda number: capture.export(email=f"gone-{number}@emaildomain.com"),
        ]
        with Crowd(capture) as crowd:
            findings += attempted(alarm, work, times)
            interrupted = alarm.raised
            for _ in range(times):
                # An exception that answers a request with 500 has arrived.
                with suppress(TimeIsUp), alarm.attempt():
                    list(health(environ_for("GET", "/-/health"), lambda *_: lambda _: None))
        for email in {f"gone-{number // 4}@emaildomain.com" for number in range(times)}:
            capture.erase(email=email)
            if capture.person(email=email) is not None:
                findings.append(f"{email} cannot be erased")
        if not backends.scrub():
            findings.append("what was erased cannot be overwritten")
        found = [path.name for path in directory.iterdir() if b"gone-" in path.read_bytes()]
        if found:
            findings.append(f"erased people are in {found}")
        findings += crowd.wrong
        stored = {each.event_id for each in everything(backends)}
        if lost := set(crowd.done) - stored:
            findings.append(f"{len(lost)} of other threads were acknowledged, and are lost")
        findings += backends.problems()
    return findings, {"interrupted": interrupted, "crowd": len(crowd.done)}


def attempted(alarm: Alarm, work: Sequence[Callable[[int], object]], times: int) -> list[str]:
    """Do each of these so often; each exception arrives, and no other does."""
    findings: list[str] = []
    arrived = 0
    for number in range(times):
        for part in work:
            try:
                with alarm.attempt():
                    part(number // 4)
            except TimeIsUp:
                arrived += 1
            except Exception as error:  # noqa: BLE001  # a finding
                findings.append(f"{number}: {type(error).__name__}: {error}")
    if arrived != alarm.raised:
        findings.append(f"{alarm.raised} were raised and {arrived} arrived")
    return findings


def recording(directory: Path, times: int, rng: random.Random) -> tuple[list[str], dict[str, int]]:
    """A handler that records works or is refused, and what it interrupted goes on."""
    begun: list[str] = []
    done: list[str] = []
    refused: list[str] = []
    findings: list[str] = []
    with account(directory) as capture:

        def record_as_well() -> None:
            event = f"handler-{len(begun)}"
            begun.append(event)
            try:
                record(capture, event, "handler")
            except BackendError as error:
                refused.append(event)
                if "signal" not in str(error):
                    findings.append(f"{event}: {error}")
            else:
                done.append(event)

        alarms = [Alarm(record_as_well, rng) for _ in range(2)]
        with Crowd(capture) as crowd:
            for number in range(times):
                event = f"main-{number}"
                signal.signal(signal.SIGALRM, alarms[0].handle)
                with alarms[0].attempt(), suppress(UnknownActivity):
                    # Stores nothing, and is accounted for like every request.
                    capture.record(None, "act:cm:unknown")
                begun.append(event)
                signal.signal(signal.SIGALRM, alarms[1].handle)
                with alarms[1].attempt():
                    record(capture, event, f"main-{number % 50}")
                done.append(event)
        findings += crowd.wrong
        findings += verdict(capture, directory, begun, done + crowd.done)
        stored = {each.event_id for each in everything(files(capture))}
        if kept := stored & set(refused):
            findings.append(f"{len(kept)} were refused, and are stored")
        if not set(begun) & set(done) & {each for each in begun if each.startswith("handler")}:
            findings.append("no handler could record")
    figures = {
        "handled": sum(each.raised for each in alarms),
        "refused": len(refused),
        "acked": len(done),
    }
    return findings, figures


class Moment:
    """A profiler that raises at the n-th place where the interpreter would run a handler.

    That is on entering a function of Python's, and when one of C's has returned.
    """

    def __init__(self, number: int) -> None:
        self._left = number
        self.reached = False

    def __call__(self, frame: FrameType, event: str, _function: object) -> None:
        # What is raised within the finaliser of a weak set, the interpreter tells and forgets.
        finaliser = frame.f_code.co_filename.endswith("_weakrefset.py")
        if event in ("call", "c_return") and not finaliser:
            self._left -= 1
            if self._left == 0:
                self.reached = True
                sys.setprofile(None)
                raise_it()


def enumerating(
    directory: Path, times: int, _rng: random.Random
) -> tuple[list[str], dict[str, int]]:
    """An exception at every moment of what a process does, beside threads that store."""
    begun: list[str] = []
    done: list[str] = []
    findings: list[str] = []
    moments = 0
    with driven() as driver, account(directory) as capture:
        backends = files(capture)

        def record_one() -> None:
            begun.append(f"main-{len(begun)}")
            record(capture, begun[-1], "main")
            done.append(begun[-1])

        work = [
            *[record_one] * times,
            lambda: capture.identify(email=f"new-{moments}@emaildomain.com", first="Jo"),
            lambda: backends.retain(1.0, 1.0),
            lambda: outcomes(backends).counts(),
            lambda: backends.journal.latest(5),
            lambda: opened(directory).close(),
        ]
        # So that the threads share transactions.
        driver.before("COMMIT", slow(0.002))
        with Crowd(capture) as crowd:
            for each in work:
                number = 1
                while (what := at_moment(number, each)) != "not reached":
                    if what:
                        findings.append(f"moment {number}: {what}")
                    number += 1
                moments += number
        findings += crowd.wrong
        findings += verdict(capture, directory, begun, done + crowd.done)
    return findings, {"moments": moments, "acked": len(done), "crowd": len(crowd.done)}


def at_moment(number: int, work: Callable[[], object]) -> str:
    """Do this with an exception at its n-th moment: what was wrong with that, if it was reached."""
    moment = Moment(number)
    try:
        sys.setprofile(moment)
        work()
    except TimeIsUp:
        return ""
    except Exception as error:  # noqa: BLE001  # any other exception is a finding
        return f"{type(error).__name__}: {error}"
    finally:
        sys.setprofile(None)
    return "the exception did not arrive" if moment.reached else "not reached"


def defining(directory: Path, times: int, rng: random.Random) -> tuple[list[str], dict[str, int]]:
    """Exceptions while definitions are looked up and read again; the other threads see changes."""
    alarm = Alarm(raise_it, rng)
    signal.signal(signal.SIGALRM, alarm.handle)
    findings: list[str] = []
    interrupted = 0
    with account(directory) as capture, account(directory) as elsewhere:
        definitions = files(capture).definitions
        version = 0
        ends = time.monotonic() + STUCK
        for number in range(times):
            if number % 10 == 0:
                version += 1
                redefine(files(elsewhere), login(name=f"version {version}"))
            try:
                with alarm.attempt():
                    # Until the file is looked at again, which is twice a second.
                    found = definitions.get(LOGIN)
                    if number % 3 == 0:
                        definitions.put(login(name=f"version {version}"))
            except TimeIsUp:
                interrupted += 1
                continue
            if found is None:
                findings.append("a definition is gone")
        redefine(files(elsewhere), login(name="the last"))
        seen: list[str] = []

        def look() -> None:
            while time.monotonic() < ends + STUCK:
                found = definitions.get(LOGIN)
                if found is not None and found.name == "the last":
                    seen.append(found.name)
                    return
                time.sleep(0.02)

        threads = [threading.Thread(target=look, daemon=True) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        if len(seen) != THREADS:
            findings.append(f"{THREADS - len(seen)} threads never saw the last definition")
    return findings, {"interrupted": interrupted, "raised": alarm.raised, "versions": version}


WHAT = {
    "storing": storing,
    "remembering": remembering,
    "everything-else": everything_else,
    "recording": recording,
    "enumerating": enumerating,
    "defining": defining,
}


def main(what: str, directory: str, times: str, seed: str) -> None:
    """Interrupt so many attempts."""
    # Its own limit: a stuck thread shows itself and where, long before the test's time is up.
    faulthandler.dump_traceback_later(STUCK + int(times) / 20, exit=True)
    # Of a file that was opened and interrupted before ``with`` had it: it is closed by then.
    warnings.simplefilter("ignore", ResourceWarning)
    place = Path(directory) / "data"
    define(place)
    findings, figures = WHAT[what](place, int(times), random.Random(seed))
    faulthandler.cancel_dump_traceback_later()
    finish(findings, what=what, times=times, **figures, seed=seed)


if __name__ == "__main__":
    program(main)
