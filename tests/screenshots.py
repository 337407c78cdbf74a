"""Takes the pictures of the docs: the console of the demo's shop, after eight made-up weeks.

The law of this file: the clocks of the server and of the page stand, and each person is made up,
so that a picture that is taken again shows what has changed, and nothing else.

``scripts/screenshots`` writes them into ``docs/images``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from playwright.sync_api import Page

from ortto_capture import Capture, CaptureApp, Refused, Settings, mount, open_backends
from ortto_capture.cli.shop import DEFINITIONS
from ortto_capture.cli.shop.history import live_through
from ortto_capture.testing import FakeClock, Ids

from .conftest import chromium
from .host_apps import bare_host
from .services import ROOT, serve

IMAGES = ROOT / "docs" / "images"
#: A Thursday, 09:30 UTC.
NOW = 1_795_685_400.0
WIDTH, HEIGHT = 1200, 800
#: Each picture: in which colours it is, and where in the console it is taken.
PICTURES = {
    "console-overview": ("light", "?page=overview"),
    "console-activity": ("light", "?page=activity&id=act:cm:purchase&split=str:cm:plan"),
    "console-live": ("dark", "?page=live"),
    "console-new-activity": ("light", "?page=new&from=act:cm:viewed-product"),
}


def sample() -> CaptureApp:
    """The console of an account in which eight weeks have happened, and ten minutes just now."""
    clock = FakeClock(NOW - 600)
    backends = open_backends("memory:")
    for each in DEFINITIONS:
        backends.definitions.put(each)
    settings = Settings(secret_keys=["an example secret of more than 32 bytes"])
    capture = Capture(backends=backends, settings=settings, clock=clock, new_id=Ids())
    live_through(capture, clock(), days=56)
    for name in ("mia", "ned", "olga"):
        session = capture.identify(email=f"{name}@sample.example", first=name.title()).session
        for activity_id, attributes in (
            ("act:cm:login", {"str::email": f"{name}@sample.example"}),
            ("act:cm:cup-poured", {}),
            ("act:cm:plan-choosen", {"str:cm:plan": "Pot"}),
            ("act:cm:plan-chosen", {"str:cm:plan": "Pot", "int:cm:price": 22}),
            ("act:cm:purchase", {"int:cm:price": 22}),
            ("act:cm:purchase", {"str:cm:plan": "Pot", "int:cm:price": 22}),
        ):
            clock.advance(31)
            with suppress(Refused):
                capture.record(session, activity_id, attributes)
    clock.advance(42)
    return CaptureApp(capture, console_guard=lambda environ: True)


@contextmanager
def console() -> Iterator[str]:
    """The address of its console."""
    with serve(mount(bare_host(), sample(), at="/capture")) as base:
        yield f"{base}/capture/console/"


def take(page: Page, address: str, name: str) -> None:
    """Take one picture."""
    page.clock.install(time=NOW)
    page.clock.pause_at(NOW + 1)
    page.goto(address)
    page.locator("main:not([aria-busy])").wait_for()
    if name == "console-live":
        page.locator(".event", has_text="act:cm:plan-choosen").first.click()
        page.get_by_role("complementary", name="Details").get_by_text("Did you mean").wait_for()
    page.clock.run_for(2000)
    page.screenshot(path=IMAGES / f"{name}.png", animations="disabled", caret="hide")


def main() -> None:
    """Take them all."""
    with chromium() as browser, console() as base:
        for name, (colours, query) in PICTURES.items():
            with browser.new_context(
                viewport={"width": WIDTH, "height": HEIGHT},
                color_scheme="dark" if colours == "dark" else "light",
                reduced_motion="reduce",
            ) as context:
                take(context.new_page(), base + query, name)


if __name__ == "__main__":
    main()
