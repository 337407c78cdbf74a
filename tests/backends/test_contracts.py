"""Every shipped backend passes the contract of its port."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from ortto_capture.backends import open_backends
from ortto_capture.backends.file import FileBackends, open_file
from ortto_capture.backends.limits import LimitsRateLimiter
from ortto_capture.backends.memory import (
    MemoryDefinitions,
    MemoryDocuments,
    MemoryJournal,
    MemoryOutcomes,
    MemoryPeople,
)
from ortto_capture.limiting import FixedWindows
from ortto_capture.ports import (
    Backends,
    Definitions,
    Documents,
    Journal,
    Outcomes,
    People,
    RateLimiter,
)
from ortto_capture.testing import (
    BackendsContract,
    DefinitionsContract,
    DocumentsContract,
    ErasureContract,
    JournalContract,
    OutcomesContract,
    PeopleContract,
    RateLimiterContract,
)

from ..faults.driver import driven
from .samples import sql


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


class TestMemoryDocuments(DocumentsContract):
    @pytest.fixture
    def documents(self) -> Documents:
        return MemoryDocuments()

    @pytest.fixture
    def full(self) -> Documents:
        return MemoryDocuments(capacity=0)


class TestMemory(BackendsContract):
    @pytest.fixture
    def backends(self) -> Backends:
        return open_backends("memory:")


class TestErasureInMemory(ErasureContract):
    @pytest.fixture
    def backends(self) -> Backends:
        return open_backends("memory:")


@pytest.fixture
def opening(tmp_path: Path) -> Iterator[Callable[[], FileBackends]]:
    """Opens one directory, as each of several processes does."""
    with ExitStack() as opened:
        yield lambda: opened.enter_context(open_file(str(tmp_path / "data")))


@pytest.fixture
def spoiled(tmp_path: Path) -> Iterator[FileBackends]:
    """Its file was written over by something else."""
    with open_file(str(tmp_path / "spoiled")) as opened:
        (tmp_path / "spoiled" / "store.sqlite3").write_bytes(b"no database any more" * 1000)
        yield opened


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[FileBackends]:
    """Its disk is full."""
    with driven() as driver, open_file(str(tmp_path / "full")) as opened:
        driver.fail("INSERT", "SQLITE_FULL", times=1000)
        yield opened


class TestFileDefinitions(DefinitionsContract):
    @pytest.fixture
    def definitions(self, opening: Callable[[], FileBackends]) -> Definitions:
        return opening().definitions

    @pytest.fixture
    def reopen(self, opening: Callable[[], FileBackends]) -> Callable[[], Definitions]:
        return lambda: opening().definitions

    @pytest.fixture
    def footprint(self, tmp_path: Path) -> Callable[[], object]:
        return (tmp_path / "data" / "activities.json").stat

    @pytest.fixture
    def broken(self, tmp_path: Path) -> Iterator[Definitions]:
        """Its directory was moved away."""
        with open_file(str(tmp_path / "gone")) as opened:
            shutil.rmtree(tmp_path / "gone")
            yield opened.definitions


class TestFilePeople(PeopleContract):
    @pytest.fixture
    def people(self, opening: Callable[[], FileBackends]) -> People:
        return opening().people

    @pytest.fixture
    def reopen(self, opening: Callable[[], FileBackends]) -> Callable[[], People]:
        return lambda: opening().people

    @pytest.fixture
    def broken(self, spoiled: FileBackends) -> People:
        return spoiled.people

    @pytest.fixture
    def full(self, full_disk: FileBackends) -> People:
        return full_disk.people


class TestFileRateLimiter(RateLimiterContract):
    @pytest.fixture
    def limiter(self, opening: Callable[[], FileBackends]) -> RateLimiter:
        return opening().limiter

    @pytest.fixture
    def reopen(self, opening: Callable[[], FileBackends]) -> Callable[[], RateLimiter]:
        return lambda: opening().limiter

    @pytest.fixture
    def size(self, tmp_path: Path) -> Callable[[], int]:
        return lambda: len(sql(tmp_path / "data", "SELECT * FROM counts"))

    @pytest.fixture
    def broken(self, spoiled: FileBackends) -> RateLimiter:
        return spoiled.limiter

    @pytest.fixture
    def full(self, full_disk: FileBackends) -> RateLimiter:
        return full_disk.limiter


class TestFileJournal(JournalContract):
    @pytest.fixture
    def journal(self, opening: Callable[[], FileBackends]) -> Journal:
        return opening().journal

    @pytest.fixture
    def reopen(self, opening: Callable[[], FileBackends]) -> Callable[[], Journal]:
        return lambda: opening().journal

    @pytest.fixture
    def broken(self, spoiled: FileBackends) -> Journal:
        return spoiled.journal

    @pytest.fixture
    def full(self, full_disk: FileBackends) -> Journal:
        return full_disk.journal


class TestFileOutcomes(OutcomesContract):
    @pytest.fixture
    def outcomes(self, opening: Callable[[], FileBackends]) -> Outcomes:
        outcomes = opening().outcomes
        assert outcomes is not None
        return outcomes

    @pytest.fixture
    def broken(self, spoiled: FileBackends) -> Outcomes | None:
        return spoiled.outcomes


class TestFileDocuments(DocumentsContract):
    @pytest.fixture
    def documents(self, opening: Callable[[], FileBackends]) -> Documents:
        return opening().own.documents

    @pytest.fixture
    def reopen(self, opening: Callable[[], FileBackends]) -> Callable[[], Documents]:
        return lambda: opening().own.documents

    @pytest.fixture
    def broken(self, spoiled: FileBackends) -> Documents:
        return spoiled.own.documents

    @pytest.fixture
    def full(self, full_disk: FileBackends) -> Documents:
        return full_disk.own.documents


class TestFile(BackendsContract):
    rolls_back = retains = closes = True

    @pytest.fixture
    def backends(self, opening: Callable[[], FileBackends]) -> Backends:
        return opening()

    @pytest.fixture
    def reopen(self, opening: Callable[[], FileBackends]) -> Callable[[], Backends]:
        return opening


class TestErasureOnFiles(ErasureContract):
    @pytest.fixture
    def backends(self, opening: Callable[[], FileBackends]) -> Backends:
        return opening()

    @pytest.fixture
    def reopen(self, opening: Callable[[], FileBackends]) -> Callable[[], Backends]:
        return opening


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
