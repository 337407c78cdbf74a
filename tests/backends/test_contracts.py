"""Every shipped backend in memory or of the ``limits`` package passes the contract of its port."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest

from ortto_capture.backends import open_backends
from ortto_capture.backends.limits import LimitsRateLimiter
from ortto_capture.backends.memory import (
    MemoryDefinitions,
    MemoryJournal,
    MemoryOutcomes,
    MemoryPeople,
)
from ortto_capture.limiting import FixedWindows
from ortto_capture.ports import Backends, Definitions, Journal, Outcomes, People, RateLimiter
from ortto_capture.testing import (
    DefinitionsContract,
    ErasureContract,
    JournalContract,
    OutcomesContract,
    PeopleContract,
    RateLimiterContract,
)


class TestMemoryDefinitions(DefinitionsContract):
    @pytest.fixture
    def definitions(self) -> Definitions:
        return MemoryDefinitions()


class TestMemoryPeople(PeopleContract):
    @pytest.fixture
    def people(self) -> People:
        return MemoryPeople()

    @pytest.fixture
    def full(self) -> People:
        return MemoryPeople(capacity=0)


class TestMemoryRateLimiter(RateLimiterContract):
    @pytest.fixture
    def limiter(self) -> FixedWindows:
        return FixedWindows()

    @pytest.fixture
    def size(self, limiter: FixedWindows) -> Callable[[], int]:
        return limiter.__len__

    @pytest.fixture
    def full(self) -> RateLimiter:
        return FixedWindows(capacity=0)


class TestMemoryJournal(JournalContract):
    @pytest.fixture
    def journal(self) -> Journal:
        return MemoryJournal()


class TestMemoryOutcomes(OutcomesContract):
    @pytest.fixture
    def outcomes(self) -> Outcomes:
        return MemoryOutcomes()


class TestErasureInMemory(ErasureContract):
    @pytest.fixture
    def backends(self) -> Backends:
        return open_backends("memory:")


class LimitsContract(RateLimiterContract):
    """It looks only for counters of the present, so ``forget`` has tests of its own."""

    test_forget_removes_every_count_of_these_keys = None  # type: ignore[assignment]
    test_forget_removes_counts_in_every_window = None  # type: ignore[assignment]

    @pytest.fixture
    def broken(self) -> RateLimiter:
        """A server that has just gone."""
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
        return LimitsRateLimiter(f"redis://127.0.0.1:{port}")


class TestLimitsInMemory(LimitsContract):
    @pytest.fixture
    def limiter(self) -> RateLimiter:
        return LimitsRateLimiter("memory://")


class TestLimitsOnValkey(LimitsContract):
    @pytest.fixture
    def limiter(self, valkey_url: str) -> RateLimiter:
        return LimitsRateLimiter(valkey_url)
