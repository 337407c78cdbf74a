"""What the tests of all contracts are made of: names, strings, threads, and the medium's fixtures.

The law of this file: whatever differs here is different for every port.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar
from uuid import uuid4

import pytest

from ...errors import BackendError, StorageFull
from ...model import Activity, Captured
from ...ports import Journal, Pingable

T = TypeVar("T")

#: The beginning of a UTC day, 2026-11-23.
MIDNIGHT = 1_795_392_000.0
DAY, HOUR, MILLISECOND = 86_400, 3_600, 0.001

#: Strings that a browser may ask for and that no backend may fail on.
ANY_STRINGS = [
    "",
    "x" * 10_000,
    "' OR 1=1 --",
    "../../etc/passwd",
    "a/b",
    "a\0b",
    "\ud800",
    "é\N{PARTY POPPER}",
    "%s",
]

#: Pairs of different strings that a forgiving medium takes for one; a number makes them unique.
DIFFERENT = {
    "case": ("Login{}", "login{}"),
    "case_of_other_alphabets": ("ΑΒΓ{}", "αβγ{}"),
    "case_folding": ("straße{}", "strasse{}"),
    "accents": ("resume{}", "résumé{}"),
    "composition": ("{}\N{LATIN SMALL LETTER E WITH ACUTE}", "{}e\N{COMBINING ACUTE ACCENT}"),
    "compatibility": ("{}\N{LATIN SMALL LIGATURE FI}", "{}fi"),
    "white_space_behind": ("{}", "{} "),
    "white_space_in_front": ("{}", " {}"),
    "a_line_break_behind": ("{}", "{}\n"),
    "invisible_characters": ("a{}", "a\N{ZERO WIDTH SPACE}{}"),
    "hyphen_and_underscore": ("{}-a", "{}_a"),
    "wildcards": ("{}a", "{}%"),
    "zeros_in_front": ("{}", "0{}"),
    "decimals": ("{}", "{}.0"),
    "digits_beyond_a_float": ("{}1", "{}2"),
    "what_follows_255_characters": ("{:x<255}a", "{:x<255}b"),
    "what_follows_255_bytes": ("{:é<147}a", "{:é<147}b"),
    "what_follows_1000_characters": ("{:x<1000}a", "{:x<1000}b"),
    "beyond_16_bits": ("{}\N{PARTY POPPER}", "{}\N{GRINNING FACE}"),
}


def unique() -> str:
    """A name that no other test uses."""
    return uuid4().hex


def activity(**members: Any) -> Activity:
    """A new activity with these members."""
    made = Activity(
        unique(), "act:cm:login", unique(), {}, "", "claimed", MIDNIGHT, MIDNIGHT, False
    )
    return made._replace(**members)


def changed(one: Activity, **members: Any) -> Activity:
    """The same but for these members."""
    return one._replace(**members)


def stored(journal: Journal, *, number: int = 1, **members: Any) -> list[Captured]:
    """Append some new activities with these members, and return what ``append`` returned."""
    made = [journal.append(activity(**members)) for _ in range(number)]
    assert None not in made
    return [captured for captured in made if captured is not None]


def together(threads: int, work: Callable[[], T]) -> list[T]:
    """What ``work`` returns in each of several threads that start it at once.

    They take turns every microsecond instead of every 5 ms: otherwise most calls would be over
    before another thread could interfere, and a missing lock would pass.
    """
    start = threading.Barrier(threads)

    def run() -> T:
        start.wait()
        return work()

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(threads) as pool:
            return [future.result() for future in [pool.submit(run) for _ in range(threads)]]
    finally:
        sys.setswitchinterval(interval)


def raises_backend_error(*calls: Callable[[], object]) -> None:
    """Each of these calls raises ``BackendError`` with the driver's exception as its cause."""
    for call in calls:
        with pytest.raises(BackendError) as raised:
            call()
        assert isinstance(raised.value.__cause__, Exception), "raise BackendError(...) from error"
        assert not isinstance(raised.value, StorageFull), "away is not full"


def raises_storage_full(*calls: Callable[[], object]) -> None:
    """Each of these calls raises ``StorageFull``, which says that a retry does not help yet."""
    for call in calls:
        with pytest.raises(StorageFull):
            call()


def seconds_taken(call: Callable[[], object]) -> float:
    """How long it takes."""
    before = time.perf_counter()
    call()
    return time.perf_counter() - before


class PortContract:
    """What the contracts of all ports have in common."""

    @pytest.fixture
    def broken(self) -> Any:
        """The port with its medium away: the server is stopped, the file is unreadable."""
        return None

    @pytest.fixture
    def full(self) -> Any:
        """The port with its medium full: a bound was reached, and nothing new has room."""
        return None

    @pytest.fixture(params=list(DIFFERENT.values()), ids=list(DIFFERENT))
    def two_strings(self, request: pytest.FixtureRequest) -> tuple[str, str]:
        """Two strings that differ only in what the test's id says."""
        number = uuid4().int
        one, other = request.param
        return one.format(number), other.format(number)

    def test_a_ping_answers_within_250_ms_or_raises_backend_error(
        self, port: object, broken: object
    ) -> None:
        """Of a backend that can be away; the quickest of three counts, as machines are shared."""
        if isinstance(port, Pingable):
            assert min(seconds_taken(port.ping) for _ in range(3)) < 0.25
        if isinstance(broken, Pingable):
            with pytest.raises(BackendError):
                broken.ping()
