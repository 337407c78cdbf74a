"""Chromium, Firefox and WebKit, driven in the same words.

The law of this file: a test that says no more than ``Engine`` and ``Tab`` do holds for all three.
One process of each engine serves a whole session. Visitors are told apart by origin: a new name
below ``localhost`` is a secure origin with cookies and a storage of its own. All pages are visible,
and each engine keeps the pages that are left in its back/forward cache.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from time import monotonic, sleep
from typing import Any, Literal, NamedTuple, Protocol

import pytest
from marionette_driver.errors import MarionetteException
from marionette_driver.marionette import Marionette
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page
from playwright.sync_api import Error as PlaywrightError
from selenium.common.exceptions import WebDriverException
from selenium.webdriver import Remote
from selenium.webdriver.remote.client_config import ClientConfig
from selenium.webdriver.webkitgtk.options import Options
from selenium.webdriver.webkitgtk.service import Service
from urllib3.exceptions import HTTPError

from ..services import PATIENCE, missing

#: When a page counts as there: all of it, or as soon as its own text has been read.
Until = Literal["load", "domcontentloaded"]

NAMES = count()
#: A driver that is silent for longer than its own limits is stuck, as is its browser; seconds.
ANSWER_WITHIN = int(2 * PATIENCE)


def origin(base: str) -> str:
    """The same server under a name that no browser has seen: a new visitor.

    All such names are one site, for which browsers go on with the same process.
    """
    return base.replace("127.0.0.1", f"shop{next(NAMES)}.shops.localhost")


class PageError(Exception):
    """What was asked of a tab failed: the script threw, or the page or its server is gone."""


class Cookie(NamedTuple):
    """A cookie as the browser keeps it; ``expires`` is in Unix seconds."""

    name: str
    value: str
    domain: str
    path: str
    secure: bool
    same_site: str
    expires: float


def _cookie(told: Mapping[str, Any]) -> Cookie:
    """As WebDriver has it."""
    rest = {name: told[name] for name in ("name", "value", "domain", "path", "secure")}
    return Cookie(**rest, same_site=told["sameSite"], expires=told.get("expiry", -1))


class Tab(ABC):
    """One tab of one visitor. What fails is a ``PageError``, whichever the engine."""

    def __init__(self) -> None:
        #: What the browser itself printed, and not a script. Only Chromium's driver tells.
        self.complaints: list[str] = []

    def goto(self, address: str, *, until: Until = "load") -> None:
        """Go there; return when the page has loaded."""
        self._navigate(address)
        if until == "load":
            self._loaded()

    def back(self) -> None:
        """Go back in the history; a page from the back/forward cache has had its ``pageshow``."""
        self._back()
        self._loaded()

    def reload(self) -> None:
        """Load the page again."""
        self._reload()
        self._loaded()

    def run(self, function: str, argument: object = None) -> Any:
        """Call a function in the page and return what it returns, as JSON has it.

        A promise is awaited, but not for ever.
        """
        answer = self._evaluate(
            f"""async () => {{
              try {{
                let value = ({function})({json.dumps(argument)});
                if (Object(value) === value && "then" in value) {{
                  value = await Promise.race([
                    value,
                    new Promise((done, fail) => setTimeout(fail, {PATIENCE * 500}, "no answer")),
                  ]);
                }}
                return [true, value === undefined ? null : value];
              }} catch (error) {{
                return [false, String(error)];
              }}
            }}"""
        )
        if not isinstance(answer, list):
            raise PageError(f"the page is gone, or has broken its driver: {answer!r}")
        well, value = answer
        if not well:
            raise PageError(value)
        return value

    def until(self, function: str) -> None:
        """Wait until the function returns something true, on this page or on the next one."""
        ends = monotonic() + PATIENCE
        while True:
            error: PageError | None = None
            try:
                if self.run(function):
                    return
            except PageError as raised:
                error = raised
            if monotonic() > ends:
                raise TimeoutError(f"never true: {function}") from error
            sleep(0.01)

    @abstractmethod
    def cookies(self) -> list[Cookie]:
        """The cookies that the page's server is sent."""

    @abstractmethod
    def close(self) -> None:
        """As a visitor closes a tab: ``pagehide`` runs."""

    def _loaded(self) -> None:
        self.until("() => performance.timing.loadEventEnd > 0")

    @abstractmethod
    def _navigate(self, address: str) -> None:
        """Go there; return when the page's own text has been read."""

    @abstractmethod
    def _back(self) -> None: ...

    @abstractmethod
    def _reload(self) -> None: ...

    @abstractmethod
    def _evaluate(self, function: str) -> Any:
        """Call a function without arguments, and await what it returns."""


class Engine(Protocol):
    """A browser, and the process that it runs in."""

    name: str

    def tab(self) -> Tab:
        """An empty tab."""

    def crash(self, tab: Tab) -> None:
        """Kill the process that shows the tab, so that its page can do nothing more.

        The tab can still be closed. Not in WebKit, whose driver ends with it.
        """


# Chromium


@contextmanager
def _playwright_errors() -> Iterator[None]:
    try:
        yield
    except PlaywrightError as error:
        raise PageError(str(error)) from error


class ChromiumTab(Tab):
    """A page of Playwright's."""

    def __init__(self, page: Page) -> None:
        super().__init__()
        #: For what only Chromium can show.
        self.page = page
        page.on("console", self._heard)

    def _heard(self, message: ConsoleMessage) -> None:
        if not message.args:
            self.complaints.append(message.text)

    @_playwright_errors()
    def cookies(self) -> list[Cookie]:
        """Playwright's, whose names are a little different."""
        found = self.page.context.cookies(self.page.url)
        return [_cookie({**each, "expiry": each.get("expires", -1)}) for each in found]

    @_playwright_errors()
    def close(self) -> None:
        """Playwright runs ``pagehide``, not ``beforeunload``."""
        self.page.close()

    @_playwright_errors()
    def _navigate(self, address: str) -> None:
        self.page.goto(address, wait_until="domcontentloaded")

    @_playwright_errors()
    def _back(self) -> None:
        # A page from the cache is not loaded again, for which Playwright would wait.
        self.page.go_back(wait_until="commit")

    @_playwright_errors()
    def _reload(self) -> None:
        self.page.reload(wait_until="domcontentloaded")

    @_playwright_errors()
    def _evaluate(self, function: str) -> Any:
        return self.page.evaluate(function)


class Chromium:
    """One context of a Chromium that Playwright drives."""

    name = "chromium"

    def __init__(self, context: BrowserContext) -> None:
        self._context = context

    def tab(self) -> ChromiumTab:
        """An empty page."""
        return ChromiumTab(self._context.new_page())

    def crash(self, tab: Tab) -> None:
        """By the address that Chromium has for this."""
        assert isinstance(tab, ChromiumTab)
        with tab.page.expect_event("crash"), suppress(PlaywrightError):
            tab.page.goto("chrome://crash")


@contextmanager
def chromium(browser: Browser) -> Iterator[Engine]:
    """That Chromium, for visitors of its own."""
    with browser.new_context() as context:
        yield Chromium(context)


# Firefox


@contextmanager
def _marionette_errors() -> Iterator[None]:
    try:
        yield
    except (MarionetteException, OSError) as error:
        raise PageError(str(error)) from error


class FirefoxTab(Tab):
    """A window, because a tab behind another one is hidden."""

    def __init__(self, driver: Any) -> None:
        super().__init__()
        self._driver = driver
        driver.switch_to_window(driver.window_handles[0], focus=False)
        self._handle: str = driver.open(type="window")["handle"]

    @_marionette_errors()
    def cookies(self) -> list[Cookie]:
        """Marionette's."""
        return [_cookie(each) for each in self.shown().get_cookies()]

    @_marionette_errors()
    def close(self) -> None:
        """Firefox runs ``pagehide``, not ``beforeunload``."""
        self.shown().close()

    def shown(self) -> Any:
        """The driver, which speaks to one window at a time."""
        self._driver.switch_to_window(self._handle, focus=False)
        return self._driver

    @_marionette_errors()
    def _navigate(self, address: str) -> None:
        self.shown().navigate(address)

    @_marionette_errors()
    def _back(self) -> None:
        self.shown().go_back()

    @_marionette_errors()
    def _reload(self) -> None:
        self.shown().refresh()

    @_marionette_errors()
    def _evaluate(self, function: str) -> Any:
        # Scripts of the driver's have an `Array` and a `Promise` of their own; the page's `eval`
        # has the page's. A policy may forbid it.
        call = f"""
          let called;
          try {{
            called = window.eval(arguments[0]);
          }} catch (error) {{
            called = {function};
          }}
          return called();"""
        return self.shown().execute_script(call, script_args=[f"({function})"], sandbox=None)


class Firefox:
    """A Firefox that Mozilla's own driver drives."""

    name = "firefox"

    def __init__(self, driver: Any) -> None:
        self._driver = driver

    def tab(self) -> FirefoxTab:
        """An empty window."""
        return FirefoxTab(self._driver)

    def crash(self, tab: Tab) -> None:
        """By the number of the process, which the browser knows."""
        assert isinstance(tab, FirefoxTab)
        driver = tab.shown()
        with driver.using_context("chrome"):
            shown = "gBrowser.selectedBrowser.browsingContext.currentWindowGlobal.osPid"
            os.kill(driver.execute_script(f"return {shown}"), signal.SIGKILL)


@contextmanager
def firefox() -> Iterator[Engine]:
    """Debian's or Mozilla's Firefox, headless, in a profile of its own."""
    path = shutil.which("firefox-esr") or shutil.which("firefox")
    if path is None:
        missing("firefox-esr")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        profile = Path(home)
        profile.joinpath("user.js").write_text('user_pref("marionette.port", 0);\n')
        command = [path, "--headless", "--no-remote", "--profile", home]
        command += ["--marionette", "--remote-allow-system-access"]
        with _process(command, {"HOME": home}) as process:
            port = _read_when_there(profile / "MarionetteActivePort", process)
            driver = Marionette(port=port, socket_timeout=ANSWER_WITHIN)
            driver.start_session({"pageLoadStrategy": "eager"})
            driver.timeout.script = PATIENCE
            driver.timeout.page_load = PATIENCE
            yield Firefox(driver)
            driver.delete_session()


def _read_when_there(path: Path, process: subprocess.Popen[bytes]) -> int:
    """The number that the process writes into this file when it is ready."""
    ends = monotonic() + 2 * PATIENCE
    while not (path.exists() and path.read_text()):
        if process.poll() is not None or monotonic() > ends:
            pytest.fail(f"{process.args!r} did not come up")
        sleep(0.01)
    return int(path.read_text())


# WebKit


@contextmanager
def _selenium_errors() -> Iterator[None]:
    try:
        yield
    except (WebDriverException, HTTPError) as error:
        raise PageError(str(error)) from error


class WebKitTab(Tab):
    """A window, as with Firefox."""

    def __init__(self, driver: Remote) -> None:
        super().__init__()
        self._driver = driver
        driver.switch_to.window(driver.window_handles[0])
        driver.switch_to.new_window("window")
        self._handle = driver.current_window_handle

    @_selenium_errors()
    def cookies(self) -> list[Cookie]:
        """Selenium's."""
        return [_cookie(each) for each in self._shown().get_cookies()]

    @_selenium_errors()
    def close(self) -> None:
        """WebKit runs ``pagehide``, not ``beforeunload``."""
        self._shown().close()

    def _shown(self) -> Remote:
        """The driver, which speaks to one tab at a time."""
        self._driver.switch_to.window(self._handle)
        return self._driver

    def _navigate(self, address: str) -> None:
        self._move(lambda driver: driver.get(address))

    def _back(self) -> None:
        self._move(Remote.back)

    def _reload(self) -> None:
        self._move(Remote.refresh)

    def _move(self, move: Callable[[Remote], None]) -> None:
        """Go to another page, and wait for it.

        The driver cannot wait: it takes a page from the cache for one that never comes.
        """
        before = self._evaluate("async () => performance.timeOrigin")
        with _selenium_errors():
            move(self._shown())
        self.until(
            f"() => performance.timeOrigin !== {before} && document.readyState !== 'loading'"
        )

    @_selenium_errors()
    def _evaluate(self, function: str) -> Any:
        return self._shown().execute_async_script(f"({function})().then(arguments[0])")


class WebKit:
    """A WebKitGTK that Selenium drives."""

    name = "webkit"

    def __init__(self, driver: Remote) -> None:
        self._driver = driver

    def tab(self) -> WebKitTab:
        """An empty tab."""
        return WebKitTab(self._driver)

    def crash(self, tab: Tab) -> None:
        """Its driver ends with the process."""
        raise NotImplementedError


@contextmanager
def webkit() -> Iterator[Engine]:
    """Debian's WebKitGTK on a screen that no one sees, with nothing kept on disk."""
    driver_path = shutil.which("WebKitWebDriver")
    if driver_path is None:
        missing("webkit2gtk-driver")
    if shutil.which("Xvfb") is None:
        missing("xvfb")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home, _screen() as screen:
        service = Service(
            driver_path,
            env={**os.environ, "DISPLAY": screen, "HOME": home},
            popen_kw={"start_new_session": True},
        )
        service.start()
        group = service.process.pid
        try:
            options = Options()
            options.page_load_strategy = "none"
            config = ClientConfig(service.service_url, timeout=ANSWER_WITHIN)
            driver = Remote(service.service_url, options=options, client_config=config)
            driver.set_script_timeout(PATIENCE)
            yield WebKit(driver)
            driver.quit()
        finally:
            service.stop()
            _kill(group)


@contextmanager
def _screen() -> Iterator[str]:
    """A screen in memory; the server chooses its number."""
    reading, writing = os.pipe()
    command = ["Xvfb", "-displayfd", str(writing), "-screen", "0", "1280x900x24"]
    with os.fdopen(reading) as told, _process([*command, "-nolisten", "tcp"], {}, writing):
        os.close(writing)
        yield f":{told.readline().strip()}"


# Processes


@contextmanager
def _process(
    command: list[str], env: Mapping[str, str], *passed: int
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program with all that it starts, and end all of it."""
    process = subprocess.Popen(
        command,
        env={**os.environ, **env},
        pass_fds=passed,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(PATIENCE / 2)
        _kill(process.pid)
        process.wait()


def _kill(group: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


#: The engines besides Chromium, which the whole suite shares.
OTHERS: dict[str, Callable[[], Any]] = {"firefox": firefox, "webkit": webkit}
