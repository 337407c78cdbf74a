"""Capture inside a Flask app: ``flask --app examples/flask_shop/app.py run``."""

from flask import Flask

from ortto_capture import Attribute, Capture, CaptureApp, Definition, Settings, mount, open_backends

backends = open_backends("memory:")
backends.definitions.put(
    Definition("act:cm:login", "Logged in", client_side=True, attributes=[Attribute("str::email")])
)
settings = Settings(secret_keys=["change me: a secret of at least 32 bytes"])
capture = CaptureApp(Capture(backends=backends, settings=settings))

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
