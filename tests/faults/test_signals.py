"""An exception that a signal's handler raises leaves nothing locked (contract §10)."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..conftest import Campaigns
from ..services import campaign
from .stage import seed


@pytest.mark.parametrize(
    ("what", "times"),
    [
        ("storing", 150),
        ("remembering", 800),
        ("everything-else", 15),
        ("recording", 120),
        ("enumerating", 3),
        ("defining", 120),
    ],
)
def test_an_exception_from_a_signal_handler_sticks_no_thread_and_stays_in_its_own(
    campaigns: Campaigns, tmp_path: Path, what: str, times: int
) -> None:
    """A handler that records, itself, works or is refused (``ORTTO_CAPTURE_CAMPAIGN=700``: 10⁵)."""
    times = campaign(times)

    assert campaigns("signals", what, tmp_path, times, seed(), seconds=120 + times / 10) == []
