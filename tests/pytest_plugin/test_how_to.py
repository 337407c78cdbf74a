"""The how-to is run: its tests pass, and fail as it says when the shop is broken as it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page

from ..django_project import configure
from ..test_docs import DOCS, blocks, files
from .test_plugin import run_here

configure()

from django.http import HttpRequest, HttpResponse  # noqa: E402
from django.test import Client, override_settings  # noqa: E402
from django.urls import include, path  # noqa: E402

from ortto_capture.contrib.django import record  # noqa: E402
from ortto_capture.testing import TestCapture  # noqa: E402

from .shop import PAID  # noqa: E402

pytest_plugins = ["pytester"]

PAGE = DOCS / "how-to" / "test-your-tracking.md"
#: What failing tests print, in the order of the page.
SAID = [source for _, source in blocks(PAGE, "text")]
#: The one that needs a browser, and the one that needs a site of Django's.
BROWSER, DJANGO = "test_button.py", "test_django.py"


def pay(request: HttpRequest) -> HttpResponse:
    record(request, "act:cm:paid")
    return HttpResponse("Thank you")


urlpatterns = [
    path("pay/", pay),
    path("capture/", include("ortto_capture.contrib.django.urls")),
]


class PytestDjango:
    """As much of pytest-django as the page needs."""

    @pytest.fixture
    def client(self, capture: TestCapture) -> Client:
        capture.define(PAID)
        return Client()


class PytestPlaywright:
    """As much of pytest-playwright as the page needs: a page of the browser that runs already."""

    def __init__(self, page: Page) -> None:
        self._page = page

    @pytest.fixture
    def page(self) -> Page:
        return self._page


@pytest.fixture
def folder(pytester: pytest.Pytester) -> Path:
    """The directory of a reader who has saved what the page shows."""
    for name, source in files(PAGE).items():
        (pytester.path / name).write_text(source)
    return pytester.path


def failure(ran: pytest.RunResult) -> str:
    """What the one failing test says, as the page shows it."""
    ran.assert_outcomes(failed=1)
    lines = [line[8:].rstrip() for line in ran.outlines if line.startswith("E ")]
    return numbered("\n".join(lines).removeprefix("AssertionError: ") + "\n")


def numbered(text: str) -> str:
    """A text whose lines of code have no numbers: they depend on how long the snippet is."""
    return re.sub(r"\bline \d+", "line N", text)


def change(file: Path, old: str, new: str) -> None:
    """Write ``new`` in place of ``old``, which must be there."""
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def test_the_tests_of_the_page_pass(pytester: pytest.Pytester, folder: Path) -> None:
    (folder / BROWSER).unlink()
    (folder / DJANGO).unlink()
    names = [name for name in files(PAGE) if name.startswith("test_")]

    ran = run_here(pytester)

    ran.assert_outcomes(passed=ran.parseoutcomes()["passed"])
    for name in {*names} - {BROWSER, DJANGO}:
        ran.stdout.fnmatch_lines_random([f"{name} .*"])


def test_the_page_s_test_of_a_django_site_passes(pytester: pytest.Pytester, folder: Path) -> None:
    (folder / "conftest.py").unlink()

    with override_settings(ROOT_URLCONF=__name__):
        ran = run_here(pytester, DJANGO, plugins=[PytestDjango()])

    ran.assert_outcomes(passed=1)


def test_a_renamed_activity_fails_as_the_page_says(pytester: pytest.Pytester, folder: Path) -> None:
    change(folder / "shop.py", 'activity_id: "act:cm:bought"', 'activity_id: "act:cm:buy"')
    assert failure(run_here(pytester, "test_page.py")) == numbered(SAID[0])

    change(
        folder / "shop.py",
        '"act:cm:buy", attributes: {"int:cm:price": 12}',
        '"act:cm:bought", attributes: {"int:cm:prize": "12"}',
    )
    assert failure(run_here(pytester, "test_page.py")) == numbered(SAID[1])


def test_an_unexpected_price_fails_as_the_page_says(
    pytester: pytest.Pytester, folder: Path
) -> None:
    change(
        folder / "test_purchase.py",
        '{"int:cm:price": 12}, times=1',
        '{"int:cm:price": 1200}, times=1',
    )

    assert failure(run_here(pytester, "test_purchase.py")) == SAID[2]


def test_a_renamed_button_fails_as_the_page_says(
    pytester: pytest.Pytester, folder: Path, page: Page
) -> None:
    """First with the old script, then with the new one; in a real browser."""
    browser = PytestPlaywright(page)
    change(folder / "shop.py", 'id="buy"', 'id="order"')
    assert failure(run_here(pytester, BROWSER, plugins=[browser])) == SAID[3]

    change(folder / "shop.py", "#buy", "#order")
    run_here(pytester, BROWSER, plugins=[browser]).assert_outcomes(passed=1)
