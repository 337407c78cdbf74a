"""A child forked in the middle of everything works on by itself."""

from __future__ import annotations

from pathlib import Path

from ..conftest import Campaigns
from ..services import campaign


def test_a_child_forked_while_other_threads_write_never_hangs_and_can_write(
    campaigns: Campaigns, tmp_path: Path
) -> None:
    assert campaigns("forks", tmp_path, campaign(50), seconds=60 * campaign(1)) == []
