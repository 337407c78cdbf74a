"""The Django project of the tests: a process configures Django once, so all its tests share one.

The law of this file: as little as possible is on; a test overrides what it is about, with
``django.test.override_settings``, and builds its handler or client inside.
"""

from __future__ import annotations

from functools import cache
from typing import Any

SETTINGS: dict[str, Any] = {
    "SECRET_KEY": "a secret of the host",
    "ALLOWED_HOSTS": ["*"],
    "ROOT_URLCONF": "tests.host_apps",
    "INSTALLED_APPS": [
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "ortto_capture.contrib.django",
    ],
    "MIDDLEWARE": [
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
    ],
    "TEMPLATES": [
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "OPTIONS": {"context_processors": ["django.template.context_processors.request"]},
        }
    ],
    # One database for all threads, gone with the process.
    "DATABASES": {
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": "file:host?mode=memory&cache=shared",
        }
    },
    "DEFAULT_AUTO_FIELD": "django.db.models.BigAutoField",
    "PASSWORD_HASHERS": ["django.contrib.auth.hashers.MD5PasswordHasher"],
    "USE_TZ": True,
    # Asked for by the live server of Django's tests.
    "STATIC_URL": "static/",
    # The account of the tests that say no more.
    "ORTTO_CAPTURE": {
        "DATA": "memory:",
        "SECRET_KEYS": ["an example secret of more than 32 bytes"],
    },
}


@cache
def configure() -> None:
    """Configure Django for this process."""
    import django
    from django.conf import settings

    settings.configure(**SETTINGS)
    django.setup()
