"""A child forked in the middle of everything works on by itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..conftest import Campaigns
from ..services import campaign
from .cforks import HOW


def test_a_child_forked_while_other_threads_write_never_hangs_and_can_write(
    campaigns: Campaigns, tmp_path: Path
) -> None:
    assert campaigns("forks", tmp_path, campaign(25), seconds=60 * campaign(1)) == []


@pytest.mark.parametrize("how", HOW)
def test_nothing_acknowledged_is_lost_when_a_server_forks_its_workers_in_c(
    campaigns: Campaigns, tmp_path: Path, how: str
) -> None:
    """As uWSGI does, whose master never calls Python's fork hooks (contract §10)."""
    assert campaigns("cforks", how, tmp_path, campaign(2), seconds=120 * campaign(1)) == []
