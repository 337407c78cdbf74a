"""A shop whose pages report, for tests of tests; it is also written into the runs of pytester."""

from __future__ import annotations

from flask import Flask

from ortto_capture import (
    Attribute,
    Capture,
    CaptureApp,
    Definition,
    Settings,
    mount,
    open_backends,
)

BOUGHT = Definition(
    "act:cm:bought",
    "Bought",
    client_side=True,
    attributes=[Attribute("int:cm:price", required=True), "str:cm:plan"],
)
LOGIN = Definition("act:cm:login", "Logged in", client_side=True)
PAID = Definition("act:cm:paid", "Paid")


def create_app(at: str = "/capture", **settings: object) -> Flask:
    """A shop with a ``Capture`` of its own."""
    backends = open_backends("memory:")
    backends.definitions.declare([BOUGHT, LOGIN, PAID])
    given = {"secret_keys": ["the shop's own secret of 32 bytes"], **settings}
    capture_app = CaptureApp(Capture(backends=backends, settings=Settings.from_mapping(given)))
    app = Flask("shop")
    app.wsgi_app = mount(app.wsgi_app, capture_app, at=at)  # type: ignore[method-assign, assignment]
    app.config["capture_app"] = capture_app

    @app.get("/")
    def home() -> str:
        return f"""<!doctype html>
<head>{capture_app.snippet("shop")}</head>
<button onclick="ap3c.activity({{activity_id: 'act:cm:bought',
  attributes: {{'int:cm:price': 12}}}})">Buy</button>"""

    @app.post("/paid")
    def paid() -> str:
        capture_app.capture.record_for("act:cm:paid", email="jo@example.com")
        return "thank you"

    return app
