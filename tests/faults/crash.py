"""Kills processes at random moments and looks at what is left.

The law of this file: a worker says what it begins and, once it was told so, what it has done; the
pipe it says it to survives it. What it was told is done is there, what it never began is not, and
in between lies at most what each of its threads had in hand.

``python -m tests.faults.crash DIR KILLS PROCESSES SEED VARIANT``
"""

from __future__ import annotations

import json
import os
import queue
import random
import select
import signal
import threading
import time
import traceback
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from ortto_capture import Capture, Captured

from .stage import (
    DAY,
    LOGIN,
    NOW,
    account,
    define,
    ended,
    everything,
    files,
    finish,
    login,
    opened,
    program,
    redefine,
    spawn,
)

#: A person's activities come one after the other, then the person may be erased.
EACH = 3
#: A store is used for so many kills, then the next one is made.
LIVES = 10
#: Threads of one worker: two take in, one erases, one forgets, one defines.
INTAKE, THREADS = 2, 5
#: What retention has to forget: received so long ago.
OLD = NOW - 500 * DAY


def attributes(event: str) -> dict[str, str]:
    """What the activity with this event id carries, of very different sizes."""
    return {"txt:cm:note": f"{event} " * (sum(event.encode()) % 97), "str:cm:id": event}


def email(name: str) -> str:
    """Where this person is written to."""
    return f"{name}@emaildomain.com"


class Worker:
    """One process that does everything at once, until it is killed."""

    def __init__(self, directory: Path, life: int, out: int, variant: str) -> None:
        self.life = life
        self.out = out
        #: Names of people who have said all they will: whom to erase, when to do a chore.
        self.to_erase: queue.Queue[str] = queue.Queue()
        self.to_retain: queue.Queue[str] = queue.Queue()
        self.to_define: queue.Queue[str] = queue.Queue()
        self.directory = directory
        self.variant = variant

    def run(self) -> None:
        """Work, without end."""
        now = threading.local()
        with account(self.directory, self.variant, lambda: getattr(now, "now", NOW)) as capture:
            chores = [
                *(partial(self.intake, capture, thread, now) for thread in range(INTAKE)),
                *(partial(chore, capture) for chore in (self.erase, self.retain, self.define)),
            ]
            threads = [threading.Thread(target=self.chore, args=(chore,)) for chore in chores]
            assert len(threads) == THREADS
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

    def chore(self, work: Callable[[], object]) -> None:
        """One thread's work; what goes wrong is said, and ends the process."""
        try:
            work()
        except BaseException:  # noqa: BLE001  # said to the parent, which is the judge
            self.say("!", traceback.format_exc().replace("\n", "|"))
            os._exit(3)

    def say(self, mark: str, what: str) -> None:
        """``?`` begun, ``+`` done, ``!`` wrong."""
        os.write(self.out, f"{mark} {what[-3_900:]}\n".encode())

    def do(self, what: str, work: Callable[..., object], *given: Any, **named: Any) -> None:
        """Say it, do it, say that it is done."""
        self.say("?", what)
        work(*given, **named)
        self.say("+", what)

    def intake(self, capture: Capture, thread: int, now: threading.local) -> None:
        """New people without end, each with a few activities, every fourth of them long ago."""
        for number in count(1):
            old = number % 4 == 0
            now.now = OLD if old else NOW
            name = f"{'old' if old else 'new'}-{self.life}-{thread}-{number}"
            for event in (f"{name}-{each}" for each in range(EACH)):
                self.do(
                    f"record {name} {event}",
                    capture.record,
                    None,
                    LOGIN,
                    attributes(event),
                    event_id=event,
                    person={"email": email(name)},
                )
            if number % 4 == 1:
                self.to_erase.put(name)
            (self.to_retain if number % 2 else self.to_define).put(name)

    def erase(self, capture: Capture) -> None:
        """Erase people who have said all they will."""
        while name := self.to_erase.get():
            self.do(f"erase {name}", capture.erase, email(name))

    def retain(self, capture: Capture) -> None:
        """Forget what is old, over and over."""
        while self.to_retain.get():
            self.do("retain", files(capture).retain, NOW - 400 * DAY, NOW - 30 * DAY)

    def define(self, capture: Capture) -> None:
        """Replace the definition, version after version."""
        for version in count(1):
            self.to_define.get()
            named = login(name=f"{self.life} {version}")
            self.do(f"define {self.life} {version}", redefine, files(capture), named)


class Account:
    """What workers said, and what must therefore be on the disk."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.done: list[str] = []
        self.wrong: list[str] = []
        #: All of it, in order.
        self.heard: list[str] = []
        self._rest = b""

    def hear(self, said: bytes) -> None:
        """Take in what came through the pipe; half a line waits for its other half."""
        *lines, self._rest = (self._rest + said).split(b"\n")
        for line in lines:
            mark, _, what = line.decode().partition(" ")
            {"?": self.begun, "+": self.done, "!": self.wrong}[mark].append(what)
            self.heard.append(what)

    def findings(self, directory: Path, lives: int, tally: Counter[str]) -> Iterator[str]:
        """Compare the directory with the account."""
        yield from self.wrong
        begun, done = _by_kind(self.begun), _by_kind(self.done)
        unfinished = Counter(self.begun) - Counter(self.done)
        # Retention repeats itself without a name of its own, so it counts by the rest.
        if (flying := sum(unfinished.values())) > lives * THREADS:
            yield f"{flying} were in flight, in {lives} lives of {THREADS} threads"
        with account(directory) as capture:
            problems = files(capture).problems()
            tally["unreadable"] += len(problems)
            yield from problems
            stored = everything(files(capture))
            yield from self._activities(capture, stored, begun, done, tally)
            for (name,) in done["erase"]:
                if capture.person(email(name)) is not None:
                    yield f"{name} was erased, and is back"
        yield from self._definition(directory, begun, done)

    def _activities(
        self,
        capture: Capture,
        stored: list[Captured],
        begun: dict[str, list[list[str]]],
        done: dict[str, list[list[str]]],
        tally: Counter[str],
    ) -> Iterator[str]:
        seen = Counter(each.event_id for each in stored)
        tally["duplicates"] += sum(seen.values()) - len(seen)
        yield from (
            f"{event} is stored {times} times" for event, times in seen.items() if times > 1
        )
        of = {event: name for name, event in begun["record"]}
        people = {name: capture.person(email(name)) for name in of.values()}
        for each in stored:
            person = people.get(of.get(each.event_id, ""))
            if each.event_id not in of:
                yield f"{each.event_id} is stored, and was never recorded"
            elif person is None or person.id != each.person_id:
                yield f"{each.event_id} belongs to no person, or to another one"
            elif each.attributes != attributes(each.event_id):
                yield f"{each.event_id} is not what was recorded"
        erasing = {name for (name,) in begun["erase"]}
        for name, event in done["record"]:
            if event in seen or (name in erasing and people[name] is None):
                continue
            if not (name.startswith("old") and self._retained_since(f"record {name} {event}")):
                tally["lost"] += 1
                yield f"{event} was acknowledged, and is lost"
        tally["acked"] += len(done["record"])
        tally["stored"] += len(seen)

    def _retained_since(self, begun: str) -> bool:
        """Whether retention was under way when this was begun, or later.

        Recording something new retains by itself.
        """
        later = self.heard[self.heard.index(begun) :]
        unfinished = Counter(self.begun) - Counter(self.done)
        return any(
            each == "retain" or each.startswith("record new-") for each in (*later, *unfinished)
        )

    def _definition(
        self,
        directory: Path,
        begun: dict[str, list[list[str]]],
        done: dict[str, list[list[str]]],
    ) -> Iterator[str]:
        raw = (directory / "activities.json").read_text()
        try:
            json.loads(raw)
        except ValueError as error:
            yield f"activities.json is torn: {error}"
            return
        with opened(directory) as backends:
            (found,) = backends.definitions.all()
        if found.name == "Logged in":
            if done["define"]:
                yield "every definition that was put is lost"
            return
        life, version = found.name.split()
        last = max((int(each) for by, each in done["define"] if by == life), default=0)
        if found != login(name=found.name) or [life, version] not in begun["define"]:
            yield f"the definition {found} is not one that was put"
        elif int(version) < last:
            yield f"the definition is version {version} of {life}, which had put {last}"


def _by_kind(said: list[str]) -> dict[str, list[list[str]]]:
    found: dict[str, list[list[str]]] = defaultdict(list)
    for line in said:
        kind, *rest = line.split(" ")
        found[kind].append(rest)
    return found


class Campaign:
    """One store, its workers, and the pipe that they all talk into."""

    def __init__(self, directory: Path, variant: str, first_life: int) -> None:
        self.directory = directory
        self.variant = variant
        self.account = Account()
        self.lives = first_life
        self.born = 0
        self.children: list[int] = []
        self.hearing, self._out = os.pipe()

    def start(self) -> None:
        """One more worker."""
        self.lives += 1
        self.born += 1
        worker = Worker(self.directory, self.lives, self._out, self.variant)
        self.children.append(spawn(worker.run))

    def hear(self, enough: int) -> None:
        """Listen until so many more things are done, or something is wrong."""
        wanted = len(self.account.done) + enough
        while len(self.account.done) < wanted and not self.account.wrong:
            if not select.select([self.hearing], [], [], 20)[0]:
                self.account.wrong.append("nothing was done for 20 seconds")
                return
            self.account.hear(os.read(self.hearing, 65_536))

    def kill(self, child: int) -> None:
        """Kill one, and hear its last words."""
        self.children.remove(child)
        os.kill(child, signal.SIGKILL)
        if (status := ended(child)) != -signal.SIGKILL:
            self.account.wrong.append(f"a worker ended by itself, with {status}")
        while select.select([self.hearing], [], [], 0)[0]:
            self.account.hear(os.read(self.hearing, 65_536))

    def close(self) -> None:
        """Kill all that is left."""
        while self.children:
            self.kill(self.children[0])
        os.close(self.hearing)
        os.close(self._out)


def main(directory: str, kills: str, processes: str, seed: str, variant: str = "") -> None:
    """Kill so many workers, one at a time, of so many that work side by side."""
    rng = random.Random(seed)
    tally = Counter({"acked": 0, "stored": 0, "lost": 0, "duplicates": 0, "unreadable": 0})
    findings: list[str] = []
    killed = 0
    while killed < int(kills) and not findings:
        place = Path(directory) / str(killed)
        define(place)
        campaign = Campaign(place, variant, killed)
        last: Counter[str] = Counter()
        try:
            for _ in range(min(LIVES, int(kills) - killed)):
                while len(campaign.children) < int(processes):
                    campaign.start()
                # Often in the middle of opening the store, else anywhere.
                campaign.hear(rng.choice([0, 1, rng.randrange(40)]))
                moment = time.perf_counter() + rng.random() * 0.02
                while time.perf_counter() < moment:
                    pass
                campaign.kill(rng.choice(campaign.children))
                killed += 1
                if not campaign.children:
                    last = Counter()
                    findings += campaign.account.findings(place, campaign.born, last)
        finally:
            campaign.close()
        if int(processes) > 1:
            last = Counter()
            findings += campaign.account.findings(place, campaign.born, last)
        tally += last
        findings += settle(place)
    figures = {
        name: tally[name] for name in ("acked", "stored", "lost", "duplicates", "unreadable")
    }
    finish(
        findings, kills=killed, processes=processes, **figures, seed=seed, variant=variant or "none"
    )


def settle(directory: Path) -> Iterator[str]:
    """Afterwards retention still forgets everything old, and nothing else."""
    with account(directory) as capture:
        backends = files(capture)
        new = [each for each in everything(backends) if each.event_id.startswith("new")]
        while backends.retain(NOW - 400 * DAY, NOW - 30 * DAY):
            pass
        if everything(backends) != new:
            yield "retention did not leave exactly what is new"


if __name__ == "__main__":
    program(main)
