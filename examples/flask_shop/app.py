"""Capture inside a Flask app: ``flask --app examples/flask_shop/app.py run``."""

from pathlib import Path

from flask import Flask

from ortto_capture import Capture, CaptureApp, mount, open_backends

# What may happen is in data/activities.json; who did it is kept beside it.
backends = open_backends(f"file:{Path(__file__).parent / 'data'}")
capture = CaptureApp(Capture(backends=backends))

app = Flask(__name__)
app.wsgi_app = mount(app.wsgi_app, capture, at="/capture")  # type: ignore[method-assign, assignment]


@app.get("/")
def home() -> str:
    """A page that reports."""
    return f"""<!doctype html><title>Shop</title>{capture.snippet("shop")}
<h1>Shop</h1>
<script>
ap3c.track({{email: "user@emaildomain.com"}});
ap3c.activity({{activity_id: "act:cm:login", attributes: {{"str::email": "x@example.com"}}}});
</script>"""
