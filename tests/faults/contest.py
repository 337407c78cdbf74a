"""Four processes of eight threads want the same places: exactly ten and exactly a hundred get them.

The law of this file: every place is accounted for. A refused request was refused by a key that
had given all its places to requests begun before, and after the rush each key has exactly the
places left that were not given: a refused request took none.

``python -m tests.faults.contest DIR ROUNDS PRELOAD VARIANT``
"""

from __future__ import annotations

import json
import os
import random
import sys
import threading
import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from ortto_capture import Capture, RateLimited

from .stage import LOGIN, account, define, ended, everything, files, finish, opened, program, spawn

PROCESSES, THREADS, HITS = 4, 8, 100
PERSON, ADDRESS = 10, 100

#: One wants to be everywhere; twenty crowd one address; five share another, with room to spare.
ALONE = ["alone"]
CROWD = [f"crowd-{number}" for number in range(20)]
FIVE = [f"five-{number}" for number in range(5)]
CROWDED, ROOMY_ADDRESS = "203.0.113.7", "203.0.113.8"


class Hit(NamedTuple):
    """One request: by whom, from where, when (``monotonic_ns``), and what came of it."""

    person: str
    ip: str
    began: int
    ended: int
    accepted: bool


def plan(process: int, thread: int) -> list[tuple[str, str]]:
    """What one thread asks for, in its order."""
    mine = process * THREADS + thread
    hits = [("alone", f"198.51.{mine}.{number}") for number in range(40)]
    hits += [(CROWD[(mine + number) % 20], CROWDED) for number in range(40)]
    hits += [(FIVE[(mine + number) % 5], ROOMY_ADDRESS) for number in range(HITS - len(hits))]
    random.Random(mine).shuffle(hits)
    return hits


def take(capture: Capture, session: str, person: str, ip: str | None) -> Hit:
    """Ask once."""
    began = time.monotonic_ns()
    try:
        capture.record(session, LOGIN, ip=ip)
    except RateLimited:
        accepted = False
    else:
        accepted = True
    return Hit(person, ip or "", began, time.monotonic_ns(), accepted)


def compete(capture: Capture, sessions: dict[str, str], process: int) -> list[Hit]:
    """All threads of one process."""
    start = threading.Barrier(THREADS)

    def run(thread: int) -> list[Hit]:
        start.wait()
        return [take(capture, sessions[who], who, ip) for who, ip in plan(process, thread)]

    with ThreadPoolExecutor(THREADS) as pool:
        return [hit for hits in pool.map(run, range(THREADS)) for hit in hits]


def rush(directory: Path, preload: bool, variant: str) -> tuple[list[Hit], dict[str, str]]:
    """One round: its hits, and the sessions of the people.

    :param preload: the processes are forked from one that has opened and used the backends.
    """
    with account(directory, variant) as capture:
        people = [*ALONE, *CROWD, *FIVE]
        emails = {person: f"{person}@emaildomain.com" for person in people}
        sessions = {who: capture.identify(email=emails[who]).session or "" for who in people}
        if preload:
            return _processes(capture, directory, sessions, variant), sessions
    return _processes(None, directory, sessions, variant), sessions


def _processes(
    inherited: Capture | None, directory: Path, sessions: dict[str, str], variant: str
) -> list[Hit]:
    waiting, go = os.pipe()
    pipes: list[int] = []
    children: list[int] = []
    for process in range(PROCESSES):
        reading, writing = os.pipe()

        def work(process: int = process, writing: int = writing) -> None:
            os.close(go)
            sys.setswitchinterval(1e-5)
            if inherited is not None:
                os.read(waiting, 1)
                hits = compete(inherited, sessions, process)
            else:
                with account(directory, variant) as capture:
                    os.read(waiting, 1)
                    hits = compete(capture, sessions, process)
            with os.fdopen(writing, "w") as answer:
                json.dump(hits, answer)

        children.append(spawn(work))
        os.close(writing)
        pipes.append(reading)
    os.close(go)
    answers = []
    for pipe in pipes:
        with os.fdopen(pipe) as answer:
            answers.append(answer.read())
    os.close(waiting)
    if any(codes := [ended(child) for child in children]):
        raise AssertionError(f"processes ended with {codes}")
    return [Hit(*hit) for answer in answers for hit in json.loads(answer)]


# -- the checks


def exactness(hits: list[Hit]) -> Iterator[str]:
    """Exactly as many as there are places, where there were more requests than places."""
    taken = places(hits)
    for key in [*ALONE, *FIVE]:
        if len(taken[key]) != PERSON:
            yield f"{key} was accepted {len(taken[key])} times, not {PERSON}"
    if len(taken[CROWDED]) != ADDRESS:
        yield f"{CROWDED} was accepted {len(taken[CROWDED])} times, not {ADDRESS}"
    for key, begun in taken.items():
        if len(begun) > (ADDRESS if "." in key else PERSON):
            yield f"{key} was accepted {len(begun)} times"


def history(hits: list[Hit]) -> Iterator[str]:
    """Each refusal's person or address was full by requests begun before the refusal ended."""
    taken = places(hits)
    for hit in hits:
        if not hit.accepted:
            person = bisect_left(taken[hit.person], hit.ended)
            address = bisect_left(taken[hit.ip], hit.ended)
            if person < PERSON and address < ADDRESS:
                yield f"{hit} was refused with {person} and {address} places taken"


def places(hits: list[Hit]) -> dict[str, list[int]]:
    """For each key, when those whom it accepted had begun, in order."""
    taken: dict[str, list[int]] = defaultdict(list)
    for hit in hits:
        if hit.accepted:
            taken[hit.person].append(hit.began)
            taken[hit.ip].append(hit.began)
    for begun in taken.values():
        begun.sort()
    return taken


def remainder(directory: Path, hits: list[Hit], sessions: dict[str, str]) -> Iterator[str]:
    """Afterwards each key has exactly the places not yet given, and each place given has a row."""
    taken = places(hits)
    with account(directory) as capture:
        stored = len(everything(files(capture)))
        if stored != sum(hit.accepted for hit in hits):
            yield f"{sum(hit.accepted for hit in hits)} were accepted and {stored} are stored"
        for address in (CROWDED, ROOMY_ADDRESS):
            fresh = (
                capture.identify(email=f"{address}-{number}@emaildomain.com").session or ""
                for number in range(ADDRESS // PERSON + 1)
            )
            more = sum(_fill(capture, session, address, PERSON) for session in fresh)
            if more != ADDRESS - len(taken[address]):
                yield f"{address} had {more} places left after {len(taken[address])}"
        for person, session in sessions.items():
            more = _fill(capture, session, None, PERSON + 1)
            if more != PERSON - len(taken[person]):
                yield f"{person} had {more} places left after {len(taken[person])}"


def _fill(capture: Capture, session: str, ip: str | None, most: int) -> int:
    """Take what is left, at most ``most``."""
    for number in range(most):
        if not take(capture, session, "", ip).accepted:
            return number
    return most


def main(directory: str, rounds: str, preload: str, variant: str = "") -> None:
    findings: list[str] = []
    count = 0
    accepted = 0
    for number in range(int(rounds)):
        place = Path(directory) / str(number)
        define(place, None)
        hits, sessions = rush(place, preload == "preload", variant)
        findings += [*exactness(hits), *history(hits), *remainder(place, hits, sessions)]
        with opened(place) as backends:
            findings += backends.problems()
        count += len(hits)
        accepted += sum(hit.accepted for hit in hits)
    finish(findings, rounds=rounds, hits=count, accepted=accepted, variant=variant or "none")


if __name__ == "__main__":
    program(main)
