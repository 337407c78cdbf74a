# mypy: disable-error-code="misc, untyped-decorator"
"""Flask-AppBuilder as its documentation sets it up, behind a policy with nonces, with us in it.

The law of this file: it runs where Flask-AppBuilder is installed, and imports nothing of the tests.
Flask-AppBuilder has no types.
"""

from __future__ import annotations

import os
from pathlib import Path

from flask import Flask
from flask_appbuilder import AppBuilder, BaseView, expose, has_access
from flask_appbuilder.utils.legacy import get_sqla_class
from flask_login import current_user
from flask_talisman import Talisman
from jinja2 import DictLoader
from werkzeug.middleware.proxy_fix import ProxyFix

from ortto_capture import Definition, Identity
from ortto_capture.contrib.flask import FlaskCapture

DATA = Path(os.environ["HOST_DATA"])
#: A page of the host: Flask-AppBuilder's own layout, and a button.
REPORTS = """{% extends "appbuilder/base.html" %}
{% block head_js %}{{ super() }}{{ ortto_capture() }}{% endblock %}
{% block content %}
<button id="approve">Approve</button>
<script nonce="{{ csp_nonce() }}">
document.getElementById("approve").onclick = function () {
  ap3c.activity({activity_id: "act:cm:approved", attributes: {"str:cm:report": "2026"}});
};
</script>
{% endblock %}"""


class Reports(BaseView):
    """Pages for people who are signed in."""

    route_base = "/reports"

    @expose("/")
    @has_access
    def list(self) -> str:
        """The page with the button."""
        page: str = self.render_template("reports.html")
        return page


capture = FlaskCapture(
    definitions=[
        Definition("act:cm:approved", "Approved", client_side=True, attributes=["str:cm:report"])
    ]
)


@capture.identity
def visitor() -> Identity | None:
    return Identity(current_user.email) if current_user.is_authenticated else None


@capture.console_guard
def is_admin() -> bool:
    return current_user.is_authenticated and "Admin" in map(str, current_user.roles)


def create_app() -> Flask:
    app = Flask("reports")
    app.config.update(
        SECRET_KEY="the secret of an example",
        SQLALCHEMY_DATABASE_URI=f"sqlite:///{DATA / 'app.db'}",
        WTF_CSRF_ENABLED=True,
        RECAPTCHA_PUBLIC_KEY="",
        ORTTO_CAPTURE={"data": DATA / "capture"},
    )
    app.jinja_loader = DictLoader({"reports.html": REPORTS})
    Talisman(
        app,
        force_https=False,
        session_cookie_secure=False,
        content_security_policy={
            "default-src": "'self'",
            "img-src": "'self' data:",
            "style-src": "'self' 'unsafe-inline'",
            "script-src": "'self'",
        },
        content_security_policy_nonce_in=["script-src"],
    )
    app.wsgi_app = ProxyFix(app.wsgi_app)  # type: ignore[method-assign]
    capture.init_app(app)
    database = get_sqla_class()()
    with app.app_context():
        database.init_app(app)
        builder = AppBuilder(app, database.session)
        builder.add_view_no_menu(Reports)
        security = builder.sm
        # What it tells Flask-Login is the name of no page.
        security.lm.login_view = "AuthDBView.login"
        reader = security.add_role("Reader")
        security.add_permission_role(
            reader, security.find_permission_view_menu("can_list", "Reports")
        )
        for name, role in (("ada", security.find_role("Admin")), ("jo", reader)):
            security.add_user(name, name, "Example", f"{name}@example.com", role, "a password")
    return app


app = create_app()
