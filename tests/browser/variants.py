"""Known-bad clients: each breaks one promise of the real one, and must be caught.

The law of this file: one small sin each, as an edit of the real text that must apply. A check that
passes on one of these proves nothing when it passes on the real client.
"""

from __future__ import annotations

from playwright.sync_api import BrowserContext

from ortto_capture.client import assets

__all__ = ["VARIANTS", "spoil"]

#: What to find in the client's text, and what to write instead.
VARIANTS = {
    "no persistence": ('localStorage[text ? "setItem" : "removeItem"](name, text)', "0"),
    "a new id for each try": ("...entry.body,", "...entry.body, event_id: '' + Math.random(),"),
    "no lock": ('navigator.locks.request("ap3c", run)', "run(true)"),
    "no beacon": ("navigator.sendBeacon(", "(() => true)("),
}


def spoil(context: BrowserContext, variant: str) -> None:
    """Have the pages of this context load that variant; the real client for ``""``."""
    text = assets()["app.js"].body.decode()
    if variant:
        good, bad = VARIANTS[variant]
        assert text.count(good) == 1, f"{variant}: the client's text has changed"
        text = text.replace(good, bad)
    context.route(
        "**/app.js*", lambda asked: asked.fulfill(body=text, content_type="text/javascript")
    )
