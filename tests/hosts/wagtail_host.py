"""A new Wagtail site, made in the current directory, with what a user of ours adds to it.

The law of this file: ``wagtail start`` makes the site; below are the edits, and nothing else is
different but languages in the URL and a strict policy, as sites of several countries have them.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SETTINGS = """
INSTALLED_APPS += ["csp", "ortto_capture.contrib.django"]
MIDDLEWARE.insert(2, "django.middleware.locale.LocaleMiddleware")
MIDDLEWARE.insert(1, "csp.middleware.CSPMiddleware")
MIDDLEWARE.insert(0, "ortto_capture.contrib.django.middleware.SnippetPolicyMiddleware")
from csp.constants import NONCE, SELF
CONTENT_SECURITY_POLICY = {"DIRECTIVES": {"default-src": [SELF], "script-src": [SELF, NONCE]}}
WAGTAIL_CONTENT_LANGUAGES = LANGUAGES = [("en", "English"), ("de", "German")]
LOGIN_URL = "wagtailadmin_login"
ORTTO_CAPTURE = {
    "CONSOLE": "wagtailadmin.access_admin",
    "USER_IDENTITY": "ortto_capture.contrib.django.user_pk_and_email",
}
"""
URLS = """
from django.conf.urls.i18n import i18n_patterns
urlpatterns = [path("capture/", include("ortto_capture.contrib.django.urls")), *urlpatterns]
"""
ACTIVITIES = """{"activities": [{"id": "act:cm:read", "name": "Read", "client_side": true}]}"""


def edit(path: str, *replacements: tuple[str, str], append: str = "") -> None:
    """Replace what must be there, and append."""
    text = Path(path).read_text("utf-8")
    for old, new in replacements:
        assert old in text, f"{path} has changed: {old}"
        text = text.replace(old, new)
    Path(path).write_text(text + append, "utf-8")


def main() -> None:
    """Make the site, its database and its editor."""
    run = [sys.executable, "-c", "from wagtail.bin.wagtail import main; main()"]
    subprocess.run([*run, "start", "site_of_ours", "."], check=True)
    edit("site_of_ours/settings/base.py", append=SETTINGS)
    edit(
        "site_of_ours/urls.py",
        ("urlpatterns = urlpatterns + [", "urlpatterns += i18n_patterns("),
        ('#    path("pages/", include(wagtail_urls)),\n]', ")"),
        ("\n\nif settings.DEBUG:", f"{URLS}\nif settings.DEBUG:"),
    )
    head = '<meta charset="utf-8" />'
    edit(
        "site_of_ours/templates/base.html",
        (head, head + "{% load ortto_capture %}{% ortto_capture %}"),
    )
    Path("capture").mkdir()
    Path("capture/activities.json").write_text(ACTIVITIES, "utf-8")
    manage = [sys.executable, "manage.py"]
    subprocess.run([*manage, "check", "--fail-level=WARNING"], check=True)
    subprocess.run([*manage, "migrate", "--verbosity=0"], check=True)
    editor = "from django.contrib.auth import get_user_model as model; "
    editor += "model().objects.create_superuser('editor', 'jo@example.com', 'coffee')"
    subprocess.run([*manage, "shell", "--no-imports", "--command", editor], check=True)


if __name__ == "__main__":
    main()
