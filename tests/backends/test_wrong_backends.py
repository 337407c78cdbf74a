"""Backends that are wrong on purpose: each is caught by its contract, by the test that is named.

The mistakes are in ``wrong``. They are run as a third party would run them: by the public contract,
in a pytest session of their own.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any

import pytest

from ortto_capture import testing

from .dicts import (
    PORTS,
    DictBackends,
    DictDefinitions,
    DictDocuments,
    DictJournal,
    DictLimiter,
    DictOutcomes,
    DictPeople,
    Erasable,
    HandWrittenDefinitions,
)
from .wrong import (
    Mistake,
    definitions,
    documents,
    journal,
    limiter,
    outcomes,
    people,
    questions,
    whole,
)

MISTAKES = [
    mistake
    for table in (definitions, people, limiter, journal, questions, outcomes, documents, whole)
    for mistake in table.MISTAKES
]

#: Each right backend, the contract that holds it and the fixture that it is given by.
HELD: dict[type, tuple[type, str]] = {
    DictDefinitions: (testing.DefinitionsContract, "definitions"),
    HandWrittenDefinitions: (testing.DefinitionsContract, "definitions"),
    DictPeople: (testing.PeopleContract, "people"),
    DictLimiter: (testing.RateLimiterContract, "limiter"),
    DictJournal: (testing.JournalContract, "journal"),
    DictOutcomes: (testing.OutcomesContract, "outcomes"),
    DictDocuments: (testing.DocumentsContract, "documents"),
    DictBackends: (testing.BackendsContract, "backends"),
    Erasable: (testing.ErasureContract, "backends"),
}
#: The right port of each name.
RIGHT = dict(
    zip(
        PORTS,
        (DictDefinitions, DictPeople, DictLimiter, DictJournal, DictOutcomes, DictDocuments),
        strict=True,
    )
)
#: What the dicts can do that not every medium can.
ABLE = ("rolls_back", "retains", "closes")


#: The tests that do not hold for definitions that only people write.
WRITTEN_BY_THE_PROGRAM = [
    "test_declare_creates_those_that_are_missing",
    "test_declare_replaces_the_others",
    "test_what_an_operator_has_switched_stays",
    "test_definitions_that_did_not_change_are_not_written",
    "test_methods_are_called_from_several_threads_at_once",
    "test_a_fault_is_raised_as_backend_error_with_the_drivers_exception_as_its_cause",
]


def build(right: type, methods: dict[str, Any]) -> Callable[[], Any]:
    """A class with these methods; those of a port of whole backends are in a dict of its own."""
    ports = {name: methods[name] for name in PORTS if isinstance(methods.get(name), dict)}
    backend = type("Backend", (right,), {k: v for k, v in methods.items() if k not in ports})
    return lambda: backend(
        **{name: build(RIGHT[name], replaced)() for name, replaced in ports.items()}
    )


def suite(right: type, **methods: Any) -> type:
    """The test class of a third party whose backend has these methods."""
    contract, fixture = HELD[right]
    backend = build(right, methods)
    fixtures: dict[str, Callable[..., Any]] = {
        fixture: lambda self: backend(),
        "reopen": lambda self, request: request.getfixturevalue(fixture).reopened,
        "broken": lambda self: backend().broken(),
        "full": lambda self: backend().filled(),
    }
    members: dict[str, Any] = dict.fromkeys(ABLE, True)
    if issubclass(right, DictDefinitions):
        fixtures["footprint"] = lambda self, definitions: lambda: definitions.medium.writes
    if right is HandWrittenDefinitions:
        fixtures["place"] = lambda self: right.place
        fixtures["write"] = lambda self, definitions: definitions.write
        members |= dict.fromkeys(WRITTEN_BY_THE_PROGRAM)
    if right is DictLimiter:
        fixtures["size"] = lambda self, limiter: lambda: len(limiter.rows)
    members |= {name: pytest.fixture(made, name=name) for name, made in fixtures.items()}
    return type("TestBackend", (contract,), members)


TestDefinitions = suite(DictDefinitions)
TestHandWrittenDefinitions = suite(HandWrittenDefinitions)
TestPeople = suite(DictPeople)
TestLimiter = suite(DictLimiter)
TestJournal = suite(DictJournal)
TestOutcomes = suite(DictOutcomes)
TestDocuments = suite(DictDocuments)
TestBackends = suite(DictBackends)
TestErasure = suite(Erasable)


_SUITES = """
from tests.backends.test_wrong_backends import MISTAKES, suite

globals().update(
    {f"Test{number}": suite(each.right, **each.methods) for number, each in enumerate(MISTAKES)}
)
"""


class Watcher:
    """Has only the named tests made, and remembers which of them failed."""

    def __init__(self) -> None:
        self.failed: dict[str, list[str]] = defaultdict(list)

    @pytest.hookimpl(tryfirst=True)
    def pytest_pycollect_makeitem(
        self, collector: pytest.Module | pytest.Class, name: str
    ) -> list[pytest.Item] | None:
        """Nothing of the others: to collect all of each suite takes longer than to run these."""
        if not isinstance(collector, pytest.Class) or not name.startswith("test"):
            return None
        mistake = MISTAKES[int(collector.name.removeprefix("Test"))]
        return None if mistake.caught_by in name else []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            _, suite_name, test = report.nodeid.split("::")
            self.failed[suite_name].append(f"{report.when} {test}")


def run(directory: pytest.TempPathFactory, name: str, text: str, plugin: object) -> None:
    """Run these tests in a pytest session of their own."""
    path = directory.mktemp(name) / f"test_{name}.py"
    path.write_text(text)
    options = ["-q", "--no-summary", "--tb=no", "-p", "no:cacheprovider"]
    # It collects garbage five times at the end, of all that the session around it has made.
    pytest.main([*options, "-p", "no:unraisableexception", str(path)], plugins=[plugin])


@pytest.fixture(scope="module")
def failed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Which tests failed, by the number of the mistake."""
    watcher = Watcher()
    run(tmp_path_factory, "wrong", _SUITES, watcher)
    return watcher.failed


@pytest.mark.parametrize(
    ("number", "mistake"),
    list(enumerate(MISTAKES)),
    ids=[f"{each.right.__name__} {each.says}".replace(" ", "_") for each in MISTAKES],
)
def test_a_mistake_is_caught(number: int, mistake: Mistake, failed: dict[str, list[str]]) -> None:
    """By the test that is named, while it is called."""
    found = failed[f"Test{number}"]

    assert any(each.startswith("call ") for each in found), mistake


CONTRACTS = sorted({held[0].__name__ for held in HELD.values()})


class Reports:
    """Counts how the setup or the call of each test ended, by its class."""

    def __init__(self) -> None:
        self.outcomes: dict[str, Counter[str]] = defaultdict(Counter)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed or (report.when == "call" and report.passed):
            _, suite_name, _ = report.nodeid.split("::")
            self.outcomes[suite_name][report.outcome] += 1


@pytest.fixture(scope="module")
def of_nothing(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Counter[str]]:
    """How each contract's tests end where there is no backend."""
    reports = Reports()
    classes = "".join(f"class Test{each}(testing.{each}):\n    pass\n" for each in CONTRACTS)
    text = f"from ortto_capture import testing\n{classes}"
    run(tmp_path_factory, "nothing", text, reports)
    return reports.outcomes


@pytest.mark.parametrize("contract", CONTRACTS)
def test_a_contract_without_a_backend_fails(
    contract: str, of_nothing: dict[str, Counter[str]]
) -> None:
    """Rather than passing because there was nothing to test."""
    outcomes = of_nothing[f"Test{contract}"]

    assert outcomes["failed"] >= 7
    # What a backend shows only if it can has nothing to show.
    assert outcomes["passed"] <= 2


def test_every_exported_contract_has_mistakes() -> None:
    exported = {name for name in testing.__all__ if name.endswith("Contract")}

    assert {HELD[mistake.right][0].__name__ for mistake in MISTAKES} == exported
