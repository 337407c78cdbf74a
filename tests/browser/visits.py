"""Many visits to a website in trouble, and what is left of them.

The law of this file: every activity of a page that lived for 50 ms after the call is stored once,
to the right person, in the right account. A visitor is told nothing: what the pages called is
compared with what the journals hold when everything is well again and every visitor has come back.

Whose an activity is, contract §8: the person last named to ``track`` for that endpoint, on any page
of the visitor's browser; and what was called while there was none belongs to the next one.

Exceptions hold for calls that may be lost. They are counted apart, and may neither be stored twice
nor belong to another person:

* the page was left, or its process killed, within 50 ms;
* a page of the visitor cleared the browser's data before the call was settled, and the page of the
  call was gone before it was;
* the page was prerendered and never shown. What it called must not be stored at all.

Two websites share the origin of each visitor, with an account each.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
import tempfile
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, sleep, time
from typing import Any
from urllib.parse import urlencode

from ..conftest import CHROMIUM_FLAGS
from ..faults.stage import Result
from ..services import PATIENCE, campaign, run_server
from .engines import Engine, PageError, Tab
from .front import Front, front
from .visited import DIRECTORY, ENDPOINTS, SERIAL, asked, capture, trouble

#: Seconds that a page must have lived after a call for the call to count.
LIVED = 0.05
#: Seconds that a visitor needs to go from one tab to another.
TURN = 0.05
#: Seconds of trouble, at most.
LONGEST = 3.0 if campaign(1) > 1 else 1.0
#: Visitors, each with an origin, and so with cookies and storage, of their own.
VISITORS = 5 if campaign(1) > 1 else 3
HOUR = 3_600_000
#: How far, in milliseconds, a device clock is moved.
CLOCKS = [sign * far for far in (HOUR, 24 * HOUR, 60 * HOUR, 400 * 24 * HOUR) for sign in (1, -1)]
#: What the server or a proxy before it does instead of answering.
TROUBLES = ["500", "502", "429", "403", "404", "408", "425", "lost", "lost", "killed", "killed"]
#: And what the network does.
TROUBLES += ["cut", "cut", "mute", "mute"]
#: What a page has: the client of one of the websites, or of both.
PAGES = ["shop", "shop", "shop", "blog", "blog", "both"]
#: How a tab is left.
WAYS = ["close", "close", "go on", "go away", "reload", "offline", "stay", "killed"]
#: Two of the reasons for which a call may be lost.
CLEARED = "the browser's data were cleared"
NEVER_SHOWN = "never shown"

LOADED = "() => Boolean(window.ap3c && ap3c.loaded)"
#: The calls of earlier pages that wait in this browser.
WAITING = """() => Object.keys(localStorage).filter(name => name.startsWith("ap3c-"))
  .map(name => localStorage[name]).join()"""
NOTHING_WAITS = '() => !Object.keys(localStorage).some(name => name.startsWith("ap3c-"))'
#: Something of the visitor's pages, for one endpoint. ``init`` is called only on a page of both.
CALL = """({endpoint, serials, serial}) => {
  if (endpoint) ap3c.init("key", endpoint);
  for (const each of serials) {
    ap3c.activity({activity_id: "act:cm:seen", attributes: {[serial]: each}});
  }
}"""
TRACK = """({endpoint, email}) => {
  if (endpoint) ap3c.init("key", endpoint);
  ap3c.track({email});
}"""
INIT = "endpoint => { ap3c.init('key', endpoint); }"
LOG_OUT = """({endpoint}) => {
  if (endpoint) ap3c.init("key", endpoint);
  ap3c.clearSession();
}"""
#: The browser's data are cleared as log-in and log-out code of pages does it; what is called before
#: that has reached the browser's storage, and nothing was answered.
CLEAR = """async ({endpoint, before, after}) => {
  if (endpoint) ap3c.init("key", endpoint);
  if (before) ap3c.track({email: before});
  for (let turn = 0; turn < 20; turn++) await null;
  localStorage.clear();
  for (const each of document.cookie.split("; ")) {
    document.cookie = each.split("=")[0] + "=; path=/; max-age=0";
  }
  if (after) ap3c.track({email: after});
}"""
FORWARD = "() => { setTimeout(() => history.forward()); }"
WANDERED = "() => location.search.includes('wandered')"
SET_CLOCK = "clock => { window.clockIs = clock; }"


@dataclass
class Call:
    """One activity that a page called."""

    serial: str
    account: str
    visit: Visit
    #: None as long as no person was named.
    owner: str | None
    #: When it was called.
    at: float
    #: Why it may be lost; empty when it may not.
    excuse: str = ""
    #: The numbers of the visits that found it waiting in the browser.
    seen: list[int] = field(default_factory=list)


@dataclass
class Visitor:
    """The user of one browser, or several who share it, and whose the calls are."""

    name: str
    #: The address last given to ``track``, for each account.
    person: dict[str, str | None]
    people: int = 0
    #: What the device's clock is wrong by.
    clock: int = 0
    #: Tabs that went on to another page, or stay.
    left: list[Tab] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)


@dataclass
class Visit:
    """One visit, and what happened in it."""

    number: int
    visitor: Visitor
    since: float = field(default_factory=time)
    story: list[str] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    #: For which accounts a page said who it is.
    named: set[str] = field(default_factory=set)

    def tell(self, what: str) -> None:
        """Remember what happened."""
        self.story.append(f"{time() - self.since:.3f} {what}")


@dataclass
class Place:
    """A page in a tab, and the account that it calls for."""

    tab: Tab
    name: str
    path: str
    account: str
    #: Whether its client knows both endpoints.
    both: bool

    @property
    def endpoint(self) -> str | None:
        """What its next call gives to ``init``, if anything."""
        return ENDPOINTS[self.account] if self.both else None


class Visits:
    """The campaign."""

    def __init__(self, engine: Engine, directory: Path, network: Front, seed: int) -> None:
        self.engine = engine
        self.random = random.Random(seed)
        self.directory = directory
        self.network = network
        self.visitors = [
            Visitor(f"visitor{number}-{network.port}", dict.fromkeys(ENDPOINTS))
            for number in range(VISITORS)
        ]
        self.ways = [each for each in WAYS if not (each == "killed" and engine.name == "webkit")]
        self.calls: dict[str, Call] = {}
        self.visits: list[Visit] = []
        self.ending: threading.Timer | None = None
        #: What was asked of the server so far.
        self.asked: list[dict[str, Any]] = []
        self.read = 0

    def chance(self, probability: float) -> bool:
        """True so often."""
        return self.random.random() < probability

    # -- what goes wrong, and for how long

    def begin_trouble(self, visit: Visit) -> None:
        """Something of the server's or the network's goes wrong, and is well again by itself."""
        kind = self.random.choice(TROUBLES)
        lasts = self.random.uniform(0, LONGEST)
        visit.tell(f"trouble for {lasts:.1f} s: {kind}")
        match kind:
            case "cut" | "mute":
                self.network.be(kind)
            case _:
                trouble(self.directory).write_text(kind)
        self.ending = threading.Timer(lasts, self.end_trouble)
        self.ending.start()

    def end_trouble(self) -> None:
        """Everything is well."""
        self.network.be("well")
        trouble(self.directory).unlink(missing_ok=True)

    def wait_for_the_end(self) -> None:
        """No trouble is left over."""
        if self.ending is not None:
            self.ending.join()
            self.ending = None
        self.end_trouble()

    # -- visits

    def visit(self) -> None:
        """A visitor comes, does something, and leaves."""
        visit = Visit(len(self.visits), self.random.choice(self.visitors))
        self.visits.append(visit)
        if self.chance(0.2):
            visit.visitor.clock = self.random.choice([0, *CLOCKS])
        tabs = self.random.choice([2, 5]) if self.chance(0.2) else 1
        places = [self.open(visit, f"tab {number}") for number in range(tabs)]
        clears = self.chance(0.1)
        # The pages live until everything is settled.
        stays = clears and (tabs > 1 or self.chance(0.5))
        early = self.chance(0.5)
        if early:
            self.begin_trouble(visit)
        for place in places:
            self.browse(visit, place, wanders=not clears)
            if clears and place is places[0]:
                self.clear(visit, place, stays=stays)
            if tabs > 1:
                sleep(TURN)
        if not early and self.chance(0.6):
            self.begin_trouble(visit)
        for place in places:
            self.leave(visit, place, "stay" if stays else self.random.choice(self.ways))
        self.wait_for_the_end()
        visit.tell("well again")
        if stays:
            self.wait_for_delivery(visit)

    def address(self, visitor: Visitor, path: str, **query: object) -> str:
        """That of a page."""
        given = {"clock": visitor.clock, **query}
        base = f"http://{visitor.name}.localhost:{self.network.port}"
        return f"{base}{path}?{urlencode(given)}"

    def open(self, visit: Visit, name: str) -> Place:
        """A page whose script has come, in a tab of its own."""
        visitor = visit.visitor
        while visitor.left:
            # Firefox may have closed the window of a process that was killed.
            with suppress(PageError):
                visitor.left.pop().close()
        kind = self.random.choice(PAGES)
        visit.tell(f"{name} opens {kind}, the clock is wrong by {visitor.clock / HOUR:g} h")
        path = "/blog/" if kind == "blog" else "/"
        tab = self.engine.tab()
        tab.goto(self.address(visitor, path))
        tab.until(LOADED)
        self.look(visit, tab)
        return Place(tab, name, path, "blog" if kind == "blog" else "shop", kind == "both")

    def look(self, visit: Visit, tab: Tab) -> None:
        """Remember which calls wait in the browser."""
        for serial in re.findall(rf'{SERIAL}\\*":\\*"(\d+)', tab.run(WAITING)):
            self.calls[serial].seen.append(visit.number)

    def browse(self, visit: Visit, place: Place, *, wanders: bool) -> None:
        """Say who it is now and then, call, set the clock, log out, look at other pages."""
        visitor = visit.visitor
        self.turn(place)
        if self.chance(0.3 if visitor.person[place.account] else 0.6):
            self.identify(visit, place)
        self.call(visit, place)
        if self.chance(0.1):
            visitor.clock = self.random.choice([0, *CLOCKS])
            visit.tell(f"{place.name}: the clock is set wrong by {visitor.clock / HOUR:g} h")
            place.tab.run(SET_CLOCK, visitor.clock)
            self.call(visit, place)
        if visitor.person[place.account] and self.chance(0.1):
            self.log_out(visit, place)
            if self.chance(0.5):
                self.call(visit, place)
            if self.chance(0.5):
                self.identify(visit, place)
                self.call(visit, place)
        if wanders and self.chance(0.15):
            self.wander(visit, place)

    def turn(self, place: Place) -> None:
        """On a page of both websites, go to one of them."""
        if place.both:
            place.account = self.random.choice(list(ENDPOINTS))

    def identify(self, visit: Visit, place: Place) -> None:
        """Mostly the same person again."""
        person = visit.visitor.person[place.account]
        if person is None or self.chance(0.3):
            person = self.another(visit.visitor)
        visit.tell(f"{place.name} tracks {person} for {place.account}")
        place.tab.run(TRACK, {"endpoint": place.endpoint, "email": person})
        self.named(visit, place.account, person)

    def another(self, visitor: Visitor) -> str:
        """A person who has not been here."""
        visitor.people += 1
        return f"{visitor.name}-{visitor.people}@emaildomain.com"

    def named(self, visit: Visit, account: str, person: str) -> None:
        """That is who it is from now on, and who called what waits for a person."""
        visit.named.add(account)
        visit.visitor.person[account] = person
        for call in visit.visitor.calls:
            if call.owner is None and call.account == account:
                call.owner = person

    def log_out(self, visit: Visit, place: Place) -> None:
        """What is called from now on is the next person's."""
        visit.tell(f"{place.name} logs out of {place.account}")
        place.tab.run(LOG_OUT, {"endpoint": place.endpoint})
        visit.named.add(place.account)
        visit.visitor.person[place.account] = None

    def call(self, visit: Visit, place: Place) -> None:
        """One to five activities, and some time."""
        serials = [self.made(visit, place.account).serial for _ in range(self.random.randint(1, 5))]
        visit.tell(f"{place.name} calls {', '.join(serials)} for {place.account}")
        arguments = {"endpoint": place.endpoint, "serials": serials, "serial": SERIAL}
        place.tab.run(CALL, arguments)
        if self.chance(0.8):
            sleep(self.random.uniform(0, 0.2))

    def made(self, visit: Visit, account: str) -> Call:
        """The next call, of some page."""
        owner = visit.visitor.person[account]
        call = Call(str(len(self.calls)), account, visit, owner, monotonic())
        self.calls[call.serial] = call
        visit.visitor.calls.append(call)
        visit.calls.append(call)
        return call

    def clear(self, visit: Visit, place: Place, *, stays: bool) -> None:
        """The page clears the browser's data when another person logs in."""
        visitor = visit.visitor
        if visit.named - {place.account}:
            # Whether that was answered, and is forgotten, cannot be known.
            return
        person = self.another(visitor)
        first = stays and self.chance(0.5)
        visit.tell(f"{place.name} clears {'after' if first else 'before'} track {person}")
        delivered = self.delivered()
        for each in visitor.calls:
            if each.serial not in delivered and not (stays and each.visit is visit):
                each.excuse = each.excuse or CLEARED
        named = {"before": person} if first else {"after": person}
        place.tab.run(CLEAR, {"endpoint": place.endpoint, **named})
        visitor.person = dict.fromkeys(ENDPOINTS)
        self.named(visit, place.account, person)
        self.call(visit, place)

    def wander(self, visit: Visit, place: Place) -> None:
        """Go on to another page, back, and forward again, as far as the network allows."""
        try:
            for step in ("on", "back", "forward"):
                visit.tell(f"{place.name} goes {step}")
                self.gone(visit, "left")
                if step == "on":
                    place.tab.goto(self.address(visit.visitor, place.path, wandered="on"))
                elif step == "back":
                    place.tab.back()
                else:
                    place.tab.run(FORWARD)
                    place.tab.until(WANDERED)
                place.tab.until(LOADED)
                self.call(visit, place)
        except (PageError, TimeoutError) as error:
            visit.tell(f"{place.name} did not: {error}")

    def gone(self, visit: Visit, how: str) -> None:
        """What was called a moment ago may be lost."""
        for each in visit.calls:
            if monotonic() - each.at < LIVED:
                each.excuse = each.excuse or f"{how} within 50 ms"

    def leave(self, visit: Visit, place: Place, way: str) -> None:
        """The tab is closed, goes on, is loaded again, loses the network first, or is killed."""
        visitor = visit.visitor
        visit.tell(f"{place.name} leaves: {way}")
        if way == "offline":
            self.network.be("cut")
        if way == "killed":
            if visit.named or self.chance(0.5):
                sleep(LIVED)
            self.gone(visit, "killed")
            self.engine.crash(place.tab)
            visitor.left.append(place.tab)
            return
        if way != "stay":
            self.gone(visit, "left")
        if way in ("close", "offline"):
            place.tab.close()
            return
        visitor.left.append(place.tab)
        with suppress(PageError, TimeoutError):  # for trouble
            if way == "reload":
                place.tab.reload()
            elif way == "go on":
                place.tab.goto(self.address(visitor, "/next"))
            elif way == "go away":
                place.tab.goto("about:blank")

    def wait_for_delivery(self, visit: Visit) -> None:
        """The pages of this visit are kept until the server has what they called."""
        ends = monotonic() + 2 * PATIENCE
        waiting = {each.serial for each in visit.calls if each.owner and not each.excuse}
        while waiting - self.delivered() and monotonic() < ends:
            sleep(TURN)

    def tour(self, pages: int) -> list[str]:
        """A visitor whose browser makes pages ready, of which every second one is shown.

        A Chromium of its own: Playwright's prerenders nothing.
        """
        visitor = Visitor(f"tourist-{self.network.port}", dict.fromkeys(ENDPOINTS))
        visit = Visit(len(self.visits), visitor)
        self.visits.append(visit)
        person = self.another(visitor)
        self.named(visit, "shop", person)
        tour = []
        for number in range(pages):
            call = self.made(visit, "shop")
            if number % 2:
                call.excuse = NEVER_SHOWN
            tour.append(call.serial + ("skipped" if call.excuse else ""))
        visit.tell(f"tour of {tour}")
        address = self.address(visitor, "/", email=person, tour=",".join(tour))
        with unwatched_chromium(address):
            ends = monotonic() + PATIENCE + pages
            while monotonic() < ends:
                sleep(TURN)
                if any(line["path"] == "/finished" for line in self.lines()):
                    return []
        return ["a tour was not finished"]

    def come_back(self) -> list[str]:
        """Every visitor opens one more page, and stays until nothing waits."""
        findings = []
        for visitor in self.visitors:
            visit = Visit(len(self.visits), visitor)
            self.visits.append(visit)
            place = self.open(visit, "the last tab")
            place.both = True
            for place.account in ENDPOINTS:
                if visitor.person[place.account] is None:
                    self.identify(visit, place)
                else:
                    place.tab.run(INIT, place.endpoint)
            ends = monotonic() + 4 * PATIENCE
            while True:
                try:
                    place.tab.until(NOTHING_WAITS)
                    break
                except TimeoutError:
                    if monotonic() > ends:
                        findings.append(f"{visitor.name}: what waits is not sent")
                        break
            self.look(visit, place.tab)
            place.tab.close()
        return findings

    # -- what is left

    def lines(self) -> list[dict[str, Any]]:
        """What was asked of the server."""
        with suppress(FileNotFoundError), asked(self.directory).open() as file:
            file.seek(self.read)
            while (line := file.readline()).endswith("\n"):
                self.asked.append(json.loads(line))
                self.read = file.tell()
        return self.asked

    def delivered(self) -> set[str]:
        """What the server has stored so far."""
        return {line["serial"] for line in self.lines() if line["answer"].startswith("200")}

    def result(self, findings: list[str], figures: dict[str, Any]) -> Result:
        """What the journals hold against what was called."""
        stored: defaultdict[str, list[tuple[str, str | None]]] = defaultdict(list)
        for account in ENDPOINTS:
            with capture(self.directory, account).backends as backends:
                for row in backends.journal.after("", limit=1_000_000):
                    person = backends.people.get(row.person_id)
                    email = person and person.email
                    stored[row.attributes[SERIAL]].append((account, email))
        wrong = Counter[str]()
        excused = Counter[str]()
        for call in self.calls.values():
            kept = stored[call.serial]
            what = self.fault(call, kept)
            if what:
                wrong[what] += 1
                findings.append(f"{what}: {self.explain(call, kept)}")
            if call.excuse:
                excused[f"{call.excuse}: called"] += 1
                excused[f"{call.excuse}: stored"] += bool(kept)
        told = [line["body"] for line in self.lines() if line["path"] == "/told"]
        findings += [f"a page was told: {each}" for each in told]
        dropped = Counter[str]()
        for line in self.lines():
            if line["answer"].startswith("200"):
                dropped.update(line.get("dropped") or {})
        figures |= {
            "calls": len(self.calls),
            "stored": sum(map(bool, stored.values())),
            **{what: wrong[what] for what in ("lost", "twice", "misplaced", "of nothing shown")},
            **excused,
            "given up by the client": dict(dropped),
        }
        return Result(findings, figures)

    def fault(self, call: Call, kept: list[tuple[str, str | None]]) -> str:
        """What is wrong with what became of a call, if anything."""
        if len(kept) > 1:
            return "twice"
        if kept and call.excuse == NEVER_SHOWN:
            return "of nothing shown"
        if kept and kept != [(call.account, call.owner)]:
            return "misplaced"
        if not kept and not call.excuse:
            return "lost"
        return ""

    def explain(self, call: Call, kept: list[tuple[str, str | None]]) -> str:
        """What can be known about a call."""
        visitor = call.visit.visitor
        visits = [call.visit, *(self.visits[number] for number in call.seen)]
        people = f"{visitor.name}-"
        since = call.visit.since
        asked = [
            f"    {line['at'] - since:.3f} {json.dumps(line)}"
            for line in self.lines()
            if line["serial"] == call.serial
            or (line["at"] > since and str(line.get("email")).startswith(people))
        ]
        return "\n".join(
            [
                f"{call.serial} of {call.owner} in {call.account}, {call.excuse or 'not excused'}",
                f"  stored: {kept}",
                *(f"  {visit.number}: {each}" for visit in visits for each in visit.story),
                "  the server was asked, in seconds since the call's visit began:",
                *asked,
            ]
        )


@contextmanager
def unwatched_chromium(address: str) -> Iterator[None]:
    """A Chromium that no driver is connected to, at that address."""
    command = [shutil.which("chromium") or "chromium", *CHROMIUM_FLAGS]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        process = subprocess.Popen(
            [*command, f"--user-data-dir={home}", address],
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            yield
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def campaign_of_visits(engine: Engine, directory: Path, visits: int, seed: int) -> Result:
    """So many visits to a website that is often in trouble."""
    with (
        run_server(
            "gunicorn-gthread",
            "tests.browser.visited:app",
            workers=2,
            env={DIRECTORY: str(directory)},
        ) as port,
        front(port) as network,
    ):
        made = Visits(engine, directory, network, seed)
        try:
            for _ in range(visits):
                made.visit()
            findings = made.come_back()
            if engine.name == "chromium":
                findings += made.tour(campaign(2))
        finally:
            made.wait_for_the_end()
    return made.result(findings, {"engine": engine.name, "visits": visits, "seed": seed})
