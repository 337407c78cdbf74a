"""Every shipped backend passes the contract of its port."""

from __future__ import annotations

import pytest

from ortto_capture import (
    Backends,
    Definitions,
    Journal,
    Outcomes,
    People,
    RateLimiter,
    open_backends,
)
from ortto_capture.backends.limits import LimitsRateLimiter
from ortto_capture.backends.memory import (
    MemoryDefinitions,
    MemoryJournal,
    MemoryOutcomes,
    MemoryPeople,
    MemoryRateLimiter,
)
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


class TestMemoryRateLimiter(RateLimiterContract):
    @pytest.fixture
    def limiter(self) -> RateLimiter:
        return MemoryRateLimiter()


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


class TestLimitsInMemory(RateLimiterContract):
    @pytest.fixture
    def limiter(self) -> RateLimiter:
        return LimitsRateLimiter("memory://")


class TestLimitsOnValkey(RateLimiterContract):
    @pytest.fixture
    def limiter(self, valkey_url: str) -> RateLimiter:
        return LimitsRateLimiter(valkey_url)
