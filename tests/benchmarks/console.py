"""The console at a million activities: pages, reports, audiences, searches, polls, open pages.

The law of this file: what is measured is a request to the console, from its environ to its bytes,
on one store, turn by turn; the times are absolute, since a person waits for them, and are those of
a machine with nothing else to do.
"""

from __future__ import annotations

import io
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import TYPE_CHECKING, Any

from ortto_capture import Capture, CaptureApp, Settings
from ortto_capture.backends.file import open_file

from . import consoles
from .measure import Figure
from .programs import SECRET, call, dumps
from .year import AMOUNT, IDS, NOW, PAGE, PLAN, TOP, cache, year

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

#: How many activities the store holds.
SIZE = "ORTTO_CAPTURE_BENCH_SIZE"
#: Milliseconds that are asked for.
FIRST_VIEW, REPORT, AUDIENCE, SEARCH, IDLE = 150, 500, 100, 350, 1
#: An activity that is neither rare nor the most frequent one: 32,000 of a million.
SEVENTH = IDS[6]


class Page:
    """A page of the console, open at the end of the year."""

    def __init__(self, app: WSGIApplication) -> None:
        self._app = app

    def get(self, path: str) -> tuple[float, int, Any]:
        """The seconds of a GET, its status, and what the JSON says."""
        return self._ask("GET", path, b"")

    def post(self, path: str, body: Mapping[str, Any]) -> tuple[float, int, Any]:
        """The same of a POST."""
        return self._ask("POST", path, dumps(body))

    def _ask(self, method: str, path: str, body: bytes) -> tuple[float, int, Any]:
        path, _, query = path.partition("?")
        environ = {
            "REQUEST_METHOD": method,
            "SCRIPT_NAME": "",
            "PATH_INFO": f"/console/api/{path}",
            "QUERY_STRING": query,
            "SERVER_NAME": "127.0.0.1",
            "SERVER_PORT": "8000",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": "203.0.113.7",
            "CONTENT_TYPE": "application/json",
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_HOST": "127.0.0.1:8000",
            "HTTP_SEC_FETCH_SITE": "same-origin",
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.errors": io.StringIO(),
            "wsgi.input": io.BytesIO(body),
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }
        start = perf_counter()
        status, answer = call(self._app, environ)
        took = perf_counter() - start
        return took, status, json.loads(answer) if answer else None


#: Reports, one of each kind.
REPORTS: dict[str, dict[str, Any]] = {
    "accepted a day, the most frequent": {"activity": TOP, "by": "day"},
    "accepted an hour, 30 days": {"activity": TOP, "by": "hour", "period": "30d"},
    "people a day, the most frequent": {"activity": TOP, "measure": "people", "by": "day"},
    "people in total, the most frequent": {"activity": TOP, "measure": "people"},
    "active people a week, all activities": {"measure": "people", "by": "week"},
    "active people a day, all activities": {"measure": "people", "by": "day"},
    "most frequent activities": {"split_by": "activity", "limit": 50},
    "activities a day by activity": {"split_by": "activity", "by": "day"},
    "who most often, the most frequent": {"activity": TOP, "split_by": "person", "limit": 50},
    "by plan, the seventh": {"activity": SEVENTH, "split_by": PLAN},
    "by plan, the most frequent": {"activity": TOP, "split_by": PLAN},
    "by plan a week, the most frequent": {"activity": TOP, "split_by": PLAN, "by": "week"},
    "by page, the seventh": {"activity": SEVENTH, "split_by": PAGE, "limit": 50},
    "sum a month, the most frequent": {
        "activity": TOP,
        "measure": "sum",
        "attribute": AMOUNT,
        "by": "month",
        "period": "12m",
    },
    "p95, the seventh": {"activity": SEVENTH, "measure": "p95", "attribute": AMOUNT},
    "p95, the most frequent": {"activity": TOP, "measure": "p95", "attribute": AMOUNT},
    "where, a day, the most frequent": {
        "activity": TOP,
        "where": [
            {"attribute": PLAN, "op": "one-of", "value": ["team", "business"]},
            {"attribute": PAGE, "op": "starts-with", "value": "/p/1"},
        ],
        "by": "day",
    },
    "people of an audience a week": {
        "activity": TOP,
        "measure": "people",
        "by": "week",
        "people": {
            "all": [
                {"did": IDS[2], "within": "90d"},
                {"not": {"did": IDS[1], "within": "90d"}},
            ]
        },
    },
    "by assurance, the most frequent": {"activity": TOP, "split_by": "assurance"},
    "funnel of two steps": {"steps": [IDS[2], IDS[1]]},
    "funnel of four steps": {"steps": [IDS[0], IDS[1], IDS[2], IDS[3]], "within": "30d"},
}


def fifteen() -> dict[str, Any]:
    """A condition of fifteen, of which some look at attributes."""
    did: list[dict[str, Any]] = [{"did": each, "within": "90d"} for each in IDS[5:20]]
    did[0]["at_least"] = 3
    did[1]["where"] = [{"attribute": PLAN, "value": "team"}]
    did[2]["where"] = [{"attribute": AMOUNT, "op": "at-least", "value": 1_000}]
    return {"all": [{"any": did[:8]}, {"any": did[8:12]}, *({"not": each} for each in did[12:])]}


AUDIENCES: dict[str, dict[str, Any]] = {
    "fifteen conditions": fifteen(),
    "did it in 30 days": {"did": TOP, "within": "30d"},
    "did one thing and not another": {
        "all": [{"did": IDS[2], "within": "90d"}, {"not": {"did": IDS[1], "within": "90d"}}]
    },
    "never did it": {"not": {"did": SEVENTH}},
    "three times where plan is team": {
        "did": SEVENTH,
        "where": [{"attribute": PLAN, "value": "team"}],
        "at_least": 3,
        "within": "90d",
    },
}


def needed(page: Page, method: str, path: str, body: Mapping[str, Any] | None = None) -> float:
    """Milliseconds of one request; endless when it is refused for taking too long."""
    took, status, answer = page.post(path, body or {}) if method == "POST" else page.get(path)
    if status == 422:
        return float("inf")
    assert status in (200, 304), (path, answer)
    return took * 1000


def searched(page: Page, text: str) -> float:
    """Milliseconds of all the slices of a search, until everything was looked at."""
    before, took = "", 0.0
    while True:
        seconds, status, answer = page.get(f"feed?text={text}&before={before}")
        assert status == 200, answer
        took += seconds
        before = answer["before"]
        if not before or answer["looked_back_to"] is None:
            return took * 1000


def timed(name: str, limit: float, rounds: int, work: Callable[[], float]) -> Iterator[Figure]:
    """The median of so many rounds, and, without a limit, what one of twenty exceeds."""
    times = [work() for _ in range(rounds + 1)][1:]
    yield Figure(name, median(times), limit, unit="ms")
    yield Figure(f"{name}, p95", sorted(times)[int(len(times) * 0.95)], unit="ms")


def figures(scale: float = 1.0) -> Iterator[Figure]:
    """All figures of this file."""
    size = int(float(os.environ.get(SIZE, max(2_000, 1_000_000 * scale))))
    rounds = max(1, int(15 * scale))
    with cache() as place:
        directory = year(place, size)
        with open_file(str(directory)) as backends:
            settings = Settings(secret_keys=[SECRET])
            capture = Capture(backends=backends, settings=settings, clock=lambda: NOW)
            page = Page(CaptureApp(capture, console_guard=lambda _environ: True))
            yield from pages(page, rounds)
            # Beyond a million a year of what is split or counts people is not promised.
            yield from reports(page, "365d" if size <= 1_000_000 else "30d", rounds)
        with TemporaryDirectory() as name:
            copy = Path(shutil.copytree(directory, Path(name, "data")))
            yield from consoles.figures(copy, scale)


def pages(page: Page, rounds: int) -> Iterator[Figure]:
    """What is asked when a page is opened, searched, or left open."""
    for name, path in {
        "activity page, the most frequent, 30 days": f"activities/{TOP}/overview?period=30d",
        "activity page, split by plan": f"activities/{TOP}/overview?period=30d&split={PLAN}",
        "activity page, 90 days": f"activities/{TOP}/overview?period=90d",
        "activity page, the seventh": f"activities/{SEVENTH}/overview?period=30d&split={PLAN}",
        "list of 50 activities": "activities",
        "people of an activity, 30 days": f"activities/{TOP}/people?period=30d",
        "live, first view": "feed",
        "people, the latest active 50": "people",
    }.items():
        yield from timed(name, FIRST_VIEW, rounds, partial(needed, page, "GET", path))
    _, _, answer = page.get("feed")
    seen = f"feed?after={answer['cursor']}"
    yield from timed("idle poll", IDLE, 20 * rounds, partial(needed, page, "GET", seen))
    for name, text in {"a common word": "linen", "an absent word": "cashmere"}.items():
        yield from timed(f"search for {name}", SEARCH, rounds, partial(searched, page, text))


def reports(page: Page, period: str, rounds: int) -> Iterator[Figure]:
    """One report of each kind over this period, and audiences."""
    for name, members in REPORTS.items():
        question = {"period": period, **members}
        work = partial(needed, page, "POST", "ask", question)
        yield from timed(f"{question['period']}: {name}", REPORT, rounds, work)
    for name, people in AUDIENCES.items():
        work = partial(needed, page, "POST", "audiences/count", {"people": people})
        yield from timed(f"audience: {name}", AUDIENCE, rounds, work)
