"""A damaged file gives right answers or a reported error, never wrong data."""

from __future__ import annotations

from pathlib import Path

from ..conftest import Campaigns
from ..services import campaign
from .stage import seed

TRIALS = campaign(50)


def test_flipped_bytes_and_cut_files_never_give_a_wrong_or_silently_missing_value(
    campaigns: Campaigns, tmp_path: Path
) -> None:
    assert campaigns("damage", tmp_path, TRIALS, seed(), seconds=30 + TRIALS) == []
