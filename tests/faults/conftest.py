"""The report: one line for each campaign, below the tests."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from .stage import Result, run

_LINES = pytest.StashKey[list[str]]()


class Campaigns:
    """Runs programs and keeps their figures for the report."""

    def __init__(self, lines: list[str]) -> None:
        self._lines = lines

    def __call__(
        self, name: str, *arguments: object, seconds: float = 60, before: Sequence[str] = ()
    ) -> list[str]:
        """Run ``tests.faults.<name>`` and return what it found wrong."""
        result = run(name, *arguments, seconds=seconds, before=before)
        self.report(name, result)
        return result.findings

    def report(self, name: str, result: Result) -> None:
        """Add a line."""
        figures = ", ".join(f"{key} {value}" for key, value in result.figures.items())
        self._lines.append(f"{name}: {figures or 'no figures'}")


@pytest.fixture(scope="session")
def campaigns(pytestconfig: pytest.Config) -> Campaigns:
    """Runs a campaign's program and reports its figures."""
    return Campaigns(pytestconfig.stash.setdefault(_LINES, []))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the figures of all campaigns."""
    if lines := terminalreporter.config.stash.get(_LINES, []):
        terminalreporter.section("fault campaigns")
        for line in lines:
            terminalreporter.line(line)
