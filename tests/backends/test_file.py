"""The file backend: its ports keep their contracts, and its directory keeps in order."""

from __future__ import annotations

import json
import os
import sqlite3
import stat
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from ortto_capture import (
    Attribute,
    BackendError,
    Capture,
    ConfigurationError,
    Definition,
    Definitions,
    Identifier,
    Journal,
    NotIdentified,
    Outcomes,
    People,
    Person,
    RateLimiter,
    Settings,
    open_backends,
)
from ortto_capture.backends.file import FileBackends, open_file
from ortto_capture.backends.store import Store
from ortto_capture.model import Activity, Charge, Outcome, Quota
from ortto_capture.testing import (
    DefinitionsContract,
    FakeClock,
    JournalContract,
    OutcomesContract,
    PeopleContract,
    RateLimiterContract,
)

LOGIN = Definition("act:cm:login", "Logged in", client_side=True, attributes=[Attribute("str::email")])
NOON = 1_795_435_200.0


@pytest.fixture
def backends(tmp_path: Path) -> Iterator[FileBackends]:
    with open_file(str(tmp_path / "data")) as opened:
        yield opened


class TestFileDefinitions(DefinitionsContract):
    @pytest.fixture
    def definitions(self, backends: FileBackends) -> Definitions:
        return backends.definitions


class TestFilePeople(PeopleContract):
    @pytest.fixture
    def people(self, backends: FileBackends) -> People:
        return backends.people


class TestFileRateLimiter(RateLimiterContract):
    @pytest.fixture
    def limiter(self, backends: FileBackends) -> RateLimiter:
        return backends.limiter


class TestFileJournal(JournalContract):
    @pytest.fixture
    def journal(self, backends: FileBackends) -> Journal:
        return backends.journal


class TestFileOutcomes(OutcomesContract):
    @pytest.fixture
    def outcomes(self, backends: FileBackends) -> Outcomes:
        return backends.outcomes
