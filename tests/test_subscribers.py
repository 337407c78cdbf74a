"""Functions of the host that are called after the commit, and what they can do no harm to."""

from __future__ import annotations

import gc
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from ortto_capture import Capture, Captured, Definition, Settings, open_backends
from ortto_capture.testing import FakeClock

from .services import ROOT

JO = "jo@example.com"
LOGIN, PAID = "act:cm:login", "act:cm:paid"
SETTINGS = Settings(secret_keys=["an example secret of more than 32 bytes"])


@pytest.fixture
def capture() -> Iterator[Capture]:
    with open_backends("memory:") as backends:
        backends.definitions.declare(
            [
                Definition(LOGIN, "Logged in", client_side=True),
                Definition(PAID, "Paid", attributes=["int:cm:price"]),
            ]
        )
        yield Capture(backends=backends, settings=SETTINGS, clock=FakeClock())


def counts(capture: Capture) -> Any:
    outcomes = capture.backends.outcomes
    assert outcomes is not None
    return outcomes.counts()


def test_it_is_told_of_what_one_thread_stores_in_order_and_of_nothing_else(
    capture: Capture,
) -> None:
    told: list[Captured] = []
    assert capture.subscribe(told.append) == told.append
    session = capture.identify(email=JO).session
    stored = [capture.record(session, LOGIN, event_id=f"e{n}") for n in range(3)]
    capture.record(session, LOGIN, event_id="e0")
    capture.record_for("act:cm:unknown", email=JO, on_refused="log")
    stored.append(capture.record_for(PAID, {"int:cm:price": 1}, email=JO) or stored[0])

    assert capture.flush()
    assert told == stored


def test_it_may_ask_for_one_activity_or_for_several(capture: Capture) -> None:
    told: dict[str, list[str]] = {"one": [], "both": []}
    capture.subscribe(lambda each: told["one"].append(each.activity_id), PAID)
    capture.subscribe(lambda each: told["both"].append(each.activity_id), [PAID, LOGIN])
    for activity_id in (LOGIN, PAID):
        capture.record_for(activity_id, email=JO)

    assert capture.flush()
    assert told == {"one": [PAID], "both": [LOGIN, PAID]}


def test_the_visitor_does_not_wait_for_it(capture: Capture) -> None:
    done = threading.Event()
    capture.subscribe(lambda _: done.wait(60))
    capture.record_for(PAID, email=JO)

    assert not capture.flush(timeout=0.01)
    done.set()
    assert capture.flush()


def test_an_exception_of_one_is_logged_and_counted_and_stops_no_other(
    capture: Capture, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[Captured] = []

    def failing(captured: Captured) -> None:
        if captured.attributes:
            raise SystemExit
        raise ValueError(JO)

    capture.subscribe(failing)
    capture.subscribe(told.append)
    with caplog.at_level(logging.ERROR, "ortto_capture"):
        capture.record_for(PAID, email=JO)
        capture.record_for(PAID, {"int:cm:price": 1}, email=JO)
        assert capture.flush()

    assert len(told) == 2
    [first, second] = caplog.messages
    assert "failing failed, ValueError at " in first
    assert __file__ in first
    assert "SystemExit" in second
    assert JO not in caplog.text
    # An outcome carries the notes of what failed before it.
    capture.record_for(PAID, email=JO)
    assert counts(capture)["note:subscriber-failed"] == 2
    # What it logs is not to fall into the time of another test.
    assert capture.flush()


def test_too_many_that_wait_are_counted_and_slow_nothing_down(
    capture: Capture, caplog: pytest.LogCaptureFixture
) -> None:
    begun, go_on = threading.Event(), threading.Event()
    told = 0

    def slow(captured: Captured) -> None:
        nonlocal told
        begun.set()
        go_on.wait(60)
        told += 1

    capture.subscribe(slow)
    capture.record_for(PAID, email=JO)
    assert begun.wait(60)
    with caplog.at_level(logging.ERROR, "ortto_capture"):
        for _ in range(1_002):
            capture.record_for(PAID, email=JO)
    go_on.set()

    assert capture.flush(timeout=60)
    assert told == 1_001
    assert caplog.messages == ["subscribers miss activities: 1000 are waiting for them"]
    capture.record_for(LOGIN, email=JO)
    assert counts(capture)["note:subscriber-missed"] == 2


def test_a_process_that_can_start_no_thread_refuses_no_activity(
    capture: Capture, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refused(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    capture.subscribe(print)
    monkeypatch.setattr(threading.Thread, "start", refused)

    assert capture.record_for(PAID, email=JO)
    assert caplog.messages == ["subscribers miss activities: no thread can be started"]


def test_a_filter_of_the_log_that_fails_does_not_end_the_telling(capture: Capture) -> None:
    told: list[str] = []

    def failing(_: Captured) -> None:
        raise ValueError

    def broken(_: logging.LogRecord) -> bool:
        raise RuntimeError("Working outside of request context.")

    capture.subscribe(failing, PAID)
    capture.subscribe(lambda each: told.append(each.activity_id), LOGIN)
    log = logging.getLogger("ortto_capture")
    log.addFilter(broken)
    try:
        for activity_id in (PAID, LOGIN):
            capture.record_for(activity_id, email=JO)
        assert capture.flush()
    finally:
        log.removeFilter(broken)

    assert told == [LOGIN]


def test_an_account_that_is_gone_leaves_no_thread_behind() -> None:
    before = set(threading.enumerate())
    for _ in range(3):
        with open_backends("memory:") as backends:
            backends.definitions.put(Definition(PAID, "Paid"))
            capture = Capture(backends=backends, settings=SETTINGS)
            capture.subscribe(lambda _: None)
            capture.record_for(PAID, email=JO)
            assert capture.flush()
            del capture
    gc.collect()

    for each in set(threading.enumerate()) - before:
        each.join(60)
        assert not each.is_alive()


def test_the_same_function_is_called_once(capture: Capture) -> None:
    told: list[Captured] = []
    wanted = [PAID]
    for _ in range(2):
        capture.subscribe(told.append, wanted)
    wanted.clear()
    capture.record_for(PAID, email=JO)

    assert capture.flush()
    assert len(told) == 1


def test_a_child_of_a_fork_tells_of_its_own_activities_only(capture: Capture) -> None:
    read, write = os.pipe()
    go_on = threading.Event()

    def telling(captured: Captured) -> None:
        go_on.wait(60)
        os.write(write, f"{os.getpid()} {captured.event_id}\n".encode())

    capture.subscribe(telling)
    capture.record_for(PAID, email=JO, event_id="parent")
    child = os.fork()
    if child == 0:
        go_on.set()
        capture.record_for(PAID, email=JO, event_id="child")
        os._exit(0 if capture.flush() else 1)
    assert os.waitpid(child, 0)[1] == 0
    go_on.set()
    assert capture.flush()
    os.close(write)
    with os.fdopen(read) as lines:
        assert sorted(lines) == sorted([f"{os.getpid()} parent\n", f"{child} child\n"])


def test_the_end_of_the_process_waits_for_what_was_stored() -> None:
    program = """
import time
from ortto_capture import Capture, Definition, Settings, open_backends
backends = open_backends("memory:")
backends.definitions.put(Definition("act:cm:paid", "Paid"))
capture = Capture(backends=backends, settings=Settings(secret_keys=["x" * 32]))
capture.subscribe(lambda each: (time.sleep(0.1), print(each.event_id, flush=True)))
for each in ("a", "b"):
    capture.record_for("act:cm:paid", email="jo@example.com", event_id=each)
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert ended.stdout.split() == ["a", "b"]
