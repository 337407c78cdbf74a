"""The pytest plugin: a ``Capture`` for each test, in place of the one that the app has.

The law of this file: pytest imports it in every run of an environment that has this package, and
the package with it, which takes some hundredths of a second. So it imports no more, does nothing
before a fixture is asked for, and names no framework that the test run has not imported itself.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .model import Definition
    from .testing.capture import TestCapture
    from .testing.live import LiveCapture

#: In pytest's configuration: the definition file of the project.
DEFINITIONS = "ortto_capture_definitions"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Say what may be configured."""
    words = "definition file that the fixture `capture` begins with, such as activities.json"
    parser.addini(DEFINITIONS, words, type="string", default="")


@pytest.fixture
def capture(pytestconfig: pytest.Config) -> Iterator[TestCapture]:
    """A ``Capture`` of this test alone: in memory, with its own clock, secret and definitions.

    Where Django is set up with ``ortto_capture.contrib.django``, its pages report here already;
    other apps are told by ``capture.use(app)``.
    """
    from .testing.capture import TestCapture

    with TestCapture(_definitions(pytestconfig)) as ours, _django(ours):
        yield ours


@pytest.fixture
def live_capture(capture: TestCapture) -> Iterator[LiveCapture]:
    """The app given to ``capture.use(app)``, served on a loopback port until the test ends."""
    from .testing.live import LiveCapture

    live = LiveCapture(capture)
    yield live
    live.close()


def _definitions(config: pytest.Config) -> list[Definition]:
    """What the project's own file defines."""
    name = config.getini(DEFINITIONS)
    if not name:
        return []
    from .backends.definition_file import read_definitions
    from .errors import ConfigurationError

    base = config.inipath.parent if config.inipath is not None else config.rootpath
    try:
        return read_definitions(Path(base, name))
    except ConfigurationError as error:
        pytest.fail(str(error), pytrace=False)


@contextmanager
def _django(ours: TestCapture) -> Iterator[None]:
    """Put ours in place of Django's, where it is set up and has one."""
    conf, registry = sys.modules.get("django.conf"), sys.modules.get("django.apps")
    name = "ortto_capture.contrib.django"
    if (
        conf is None
        or registry is None
        or not (conf.settings.configured and registry.apps.ready)
        or not registry.apps.is_installed(name)
    ):
        yield
        return
    with import_module(f"{name}.account").in_memory() as app:
        # The URL conf may be another one in each test.
        ours.use(app, at=import_module(f"{name}.place").place)
        statics = registry.apps.is_installed("django.contrib.staticfiles")
        ours.app = _django_site(statics=statics)
        yield


def _django_site(*, statics: bool) -> Callable[[object, object], object]:
    """The whole site, for a browser; its handler is made by the first request."""

    @cache
    def handler() -> Callable[[object, object], object]:
        site = import_module("django.core.wsgi").get_wsgi_application()
        if statics:
            site = import_module("django.contrib.staticfiles.handlers").StaticFilesHandler(site)
        made: Callable[[object, object], object] = site
        return made

    def answer(environ: object, start_response: object) -> object:
        return handler()(environ, start_response)

    return answer
