"""An erased person is in no file, and a restored backup brings no erased person back."""

from __future__ import annotations

from pathlib import Path

from ..conftest import Campaigns
from ..services import campaign
from .stage import seed

PEOPLE = min(500, campaign(50))


def test_the_bytes_of_the_erased_are_in_no_file(campaigns: Campaigns, tmp_path: Path) -> None:
    assert campaigns("erasure", tmp_path, PEOPLE, seed(), seconds=60 + PEOPLE) == []
