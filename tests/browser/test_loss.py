"""Nothing a page reports gets lost, and nothing is stored twice."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Browser

from ..conftest import Campaigns
from ..faults.stage import seed
from ..services import campaign
from .visits import campaign_of_visits


def test_what_visitors_did_is_stored_once_whatever_the_server_and_the_network_do(
    browser: Browser, tmp_path: Path, campaigns: Campaigns
) -> None:
    result = campaign_of_visits(browser, tmp_path, campaign(25), seed())
    campaigns.report("visits", result)

    assert result.findings == []
