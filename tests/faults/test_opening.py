"""Opening a sound store waits for no writer (contract §10)."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..conftest import Campaigns
from ..services import campaign


@pytest.mark.parametrize(("what", "times"), [("load", 15), ("new", 1), ("held", 1)])
def test_every_process_can_open_a_store_while_others_use_it(
    campaigns: Campaigns, tmp_path: Path, what: str, times: int
) -> None:
    """Six processes that write on a slow disk; 64 that make the directory; a lock held for good."""
    assert campaigns("opening", what, tmp_path, campaign(times), seconds=90 * campaign(1)) == []
