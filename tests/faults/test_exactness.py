"""Exactly ten per person and a hundred per address, whatever the processes and threads."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..conftest import Campaigns
from ..services import campaign

ROUNDS = campaign(1)


@pytest.mark.parametrize("start", ["each-opens", "preload"])
def test_four_processes_of_eight_threads_get_exactly_the_places_there_are(
    campaigns: Campaigns, tmp_path: Path, start: str
) -> None:
    assert campaigns("contest", tmp_path, ROUNDS, start, seconds=30 * ROUNDS) == []


def test_a_backend_that_counts_refused_requests_is_caught(
    campaigns: Campaigns, tmp_path: Path
) -> None:
    findings = campaigns("contest", tmp_path, 1, "each-opens", "count-refused")

    assert any("places left" in finding for finding in findings), findings
