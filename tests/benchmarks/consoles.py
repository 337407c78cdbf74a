"""Fifty open pages beside the capture of activities: gunicorn, two workers of four threads.

The law of this file: the server has one core and its clients the other; activities are sent by a
timetable, whether or not the one before was answered in time; and each page asks again when its
time has come, as the browser does, for what came since.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from asyncio import StreamReader, StreamWriter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import cycle
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter
from typing import TYPE_CHECKING

from ortto_capture import CaptureApp, open_backends

from ..services import run_server
from .http import DATA, PEOPLE, on_core, request, visitors
from .measure import Figure, ratio
from .programs import body, ours

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

CONSOLES = 50
#: Seconds after which an open page asks again.
POLL = 2.0
#: Activities a second, on so many connections.
RATE = 20
CONNECTIONS = 8
#: Seconds of one measurement: enough activities for a hundredth of them to be several.
ROUND = 15.0
FEED = "/console/api/feed"
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


def __getattr__(name: str) -> WSGIApplication:
    if name == "app":
        _, capture = ours(backends=open_backends(f"file:{os.environ[DATA]}"))
        return CaptureApp(capture, console_guard=lambda _environ: True)
    raise AttributeError(name)


async def exchange(reader: StreamReader, writer: StreamWriter, sent: bytes) -> tuple[int, bytes]:
    """One request and its answer: status and body."""
    writer.write(sent)
    head = await reader.readuntil(b"\r\n\r\n")
    length = _LENGTH.search(head)
    return int(head[9:12]), await reader.readexactly(int(length[1]) if length else 0)


async def capture(port: int, tokens: list[str | None], seconds: float) -> list[float]:
    """How long each activity took to be answered, from the moment it was to be sent."""
    turn = cycle(tokens)
    start = perf_counter() + 0.1
    took: list[float] = []

    async def send(first: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for number in range(first, int(seconds * RATE), CONNECTIONS):
            waiting = request("/-/events/activity", body(next(turn)))
            due = start + number / RATE
            await asyncio.sleep(due - perf_counter())
            status, answer = await exchange(reader, writer, waiting)
            took.append(perf_counter() - due)
            assert status == 200, answer
        writer.close()

    await asyncio.gather(*map(send, range(CONNECTIONS)))
    return took


async def keep_open(port: int) -> None:
    """The open pages, until the process is ended; says so once all have their first rows."""
    first = 0

    async def page(number: int) -> None:
        nonlocal first
        seen = ""
        await asyncio.sleep(number / CONSOLES * POLL)
        while True:
            # A connection each: the server closes an idle one about when the page asks again.
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            asked = f"GET {FEED}?after={seen} HTTP/1.1\r\nHost: shop.example\r\n\r\n"
            status, answer = await exchange(reader, writer, asked.encode())
            writer.close()
            if status == 429:
                # Another page's report is being made: the browser asks again in a second.
                await asyncio.sleep(1)
                continue
            assert status in (200, 304), answer
            if not seen:
                first += 1
                if first == CONSOLES:
                    sys.stdout.write("open\n")
                    sys.stdout.flush()
            if status == 200:
                seen = json.loads(answer)["cursor"]
            await asyncio.sleep(POLL)

    await asyncio.gather(*map(page, range(CONSOLES)))


@contextmanager
def open_pages(port: int) -> Iterator[None]:
    """The pages, in a process of their own."""
    command = [sys.executable, "-m", __name__, str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as pages:
        try:
            assert pages.stdout is not None
            assert pages.stdout.readline() == "open\n"
            yield
            assert pages.poll() is None, "an answer was wrong"
        finally:
            pages.terminate()


def p99(times: list[float]) -> float:
    """What one of a hundred exceeds."""
    return quantiles(times, n=100)[98]


def measured(data: Path, rounds: int, seconds: float) -> list[tuple[float, float]]:
    """The p99 of captured activities, in seconds, without and with the pages, turn by turn."""
    found = []
    with ExitStack() as stack:
        stack.enter_context(on_core(0))
        port = stack.enter_context(
            run_server("gunicorn-gthread", f"{__name__}:app", workers=2, env={DATA: str(data)})
        )
        stack.enter_context(on_core(-1))
        tokens = visitors(port, PEOPLE)
        asyncio.run(capture(port, tokens, seconds / 4))
        for _round in range(rounds):
            alone = p99(asyncio.run(capture(port, tokens, seconds)))
            with open_pages(port):
                found.append((alone, p99(asyncio.run(capture(port, tokens, seconds)))))
    return found


def figures(data: Path, scale: float = 1.0) -> Iterator[Figure]:
    """The figures of this file; ``data`` is a store that may be written to."""
    found = measured(data, max(1, int(7 * scale)), max(0.4, ROUND * scale))
    alone, beside = (list(each) for each in zip(*found, strict=True))
    yield Figure("p99 of an activity, gunicorn 2 × 4", median(alone) * 1000, unit="ms")
    yield Figure("p99 beside 50 open pages", median(beside) * 1000, unit="ms")
    yield Figure("p99 beside 50 open pages / without", ratio(beside, alone), 1.5)


if __name__ == "__main__":
    asyncio.run(keep_open(int(sys.argv[1])))
