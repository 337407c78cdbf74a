"""What was acknowledged is stored, whichever process is killed and whenever."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..conftest import Campaigns
from ..services import campaign
from .points import STEPS
from .stage import seed
from .tracing import require_strace

#: Every page of a log is a moment to be killed at in a campaign, every eighth every day.
STRIDE = 8 if campaign(1) == 1 else 1


@pytest.mark.parametrize(("kills", "processes"), [(25, 1), (10, 3)], ids=["alone", "sibling"])
def test_nothing_acknowledged_is_lost_when_processes_are_killed(
    campaigns: Campaigns, tmp_path: Path, kills: int, processes: int
) -> None:
    kills = campaign(kills)

    assert campaigns("crash", tmp_path, kills, processes, seed(), seconds=60 + kills) == []


@pytest.mark.parametrize("step", STEPS)
def test_killed_at_every_system_call_it_is_whole_or_not_at_all(
    campaigns: Campaigns, tmp_path: Path, step: str
) -> None:
    require_strace()

    assert campaigns("points", step, tmp_path, STRIDE) == []


def test_a_backend_that_a_kill_leaves_in_halves_is_caught(
    campaigns: Campaigns, tmp_path: Path
) -> None:
    require_strace()

    findings = campaigns("points", "record", tmp_path, 1, "two-transactions")

    assert any("places were left" in finding for finding in findings), findings


def test_a_backend_that_acknowledges_first_is_caught_by_random_kills(
    campaigns: Campaigns, tmp_path: Path
) -> None:
    findings = campaigns("crash", tmp_path, 20, 1, seed(), "acknowledge-first")

    assert any("lost" in finding for finding in findings), findings


def test_an_answer_leaves_after_the_log_is_synced_and_a_name_after_its_directory(
    campaigns: Campaigns, tmp_path: Path
) -> None:
    require_strace()

    assert campaigns("order", tmp_path) == []


def test_what_a_power_cut_leaves_holds_all_that_was_acknowledged(
    campaigns: Campaigns, tmp_path: Path
) -> None:
    require_strace()

    assert campaigns("powercut", tmp_path, seed()) == []


@pytest.mark.parametrize("variant", ["no-fsync", "rename-without-directory-fsync"])
def test_a_backend_that_a_power_cut_robs_is_caught(
    campaigns: Campaigns, tmp_path: Path, variant: str
) -> None:
    require_strace()

    assert campaigns("powercut", tmp_path, seed(), variant) != []


@pytest.mark.parametrize(
    ("variant", "sin"),
    [
        ("acknowledge-first", "before it was written"),
        ("no-fsync", "before the log was synced"),
        ("rename-without-directory-fsync", "left before the name store.sqlite3 was synced"),
    ],
)
def test_a_backend_that_answers_or_renames_too_early_is_caught(
    campaigns: Campaigns, tmp_path: Path, variant: str, sin: str
) -> None:
    require_strace()

    findings = campaigns("order", tmp_path, variant)

    assert any(sin in finding for finding in findings), findings
