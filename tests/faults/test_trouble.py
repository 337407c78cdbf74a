"""Full disks, failing disks, locks held by others: the contract's answer, and then all is well."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from ..conftest import Campaigns
from .tracing import require_strace
from .trouble import WHAT


def test_a_full_quota_is_storage_full_and_over_when_there_is_space_again(
    campaigns: Campaigns, tmp_path: Path
) -> None:
    assert campaigns("space", tmp_path, "limit") == []


def test_a_full_file_system_is_storage_full_and_over_when_there_is_space_again(
    campaigns: Campaigns, tmp_path: Path
) -> None:
    """In a mount namespace of its own, which ends with the process, and the file system with it."""
    # Who may not mount has the kernel's limit, which the test above is about.
    may = os.geteuid() == 0 and shutil.which("unshare") is not None
    alone = ["unshare", "--mount", "--propagation", "private"] if may else []

    assert campaigns("space", tmp_path, "tmpfs" if may else "limit", before=alone) == []


@pytest.mark.parametrize("what", WHAT)
def test_trouble_costs_nothing_acknowledged_and_ends_with_its_cause(
    campaigns: Campaigns, tmp_path: Path, what: str
) -> None:
    if not what.endswith("lock"):
        require_strace()

    assert campaigns("trouble", what, tmp_path) == []
