"""How often an activity happened, for the list and for its own page."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from ..capture import Capture


class Figures:
    """Counts of activities."""

    def __init__(self, capture: Capture) -> None:
        self._capture = capture

    def lately(self, ids: Collection[str]) -> dict[str, dict[str, Any]]:
        """For each, ``today``, ``days``, ``status`` and ``last_seen``."""
        none = {"today": {"accepted": 0, "refused": 0}, "days": [0] * 30}
        return {each: {**none, "status": "setup", "last_seen": None} for each in ids}

    def seen(self, ids: Collection[str]) -> dict[str, dict[str, Any]]:
        """For each, ``status``, ``first_seen`` and ``last_seen``."""
        none = {"status": "setup", "first_seen": None, "last_seen": None}
        return dict.fromkeys(ids, none)
