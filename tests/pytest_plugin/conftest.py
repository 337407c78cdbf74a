"""A ``Capture`` as the plugin makes one, for tests that look at it from outside."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from flask import Flask

from ortto_capture.testing import TestCapture

from .shop import create_app


@pytest.fixture
def capture() -> Iterator[TestCapture]:
    with TestCapture() as ours:
        yield ours


@pytest.fixture
def app(capture: TestCapture) -> Flask:
    """The shop, which reports to ``capture``."""
    shop = create_app()
    capture.use(shop)
    return shop
