"""Capture at home in Django: an app for ``INSTALLED_APPS``, and what views call.

The law of this package: it speaks Django to the host and WSGI to ``CaptureApp``, and decides
nothing about activities, people or limits. Importing it opens nothing, and needs no loaded apps.
"""

try:
    import django as _django  # noqa: F401  # only whether it is there
except ImportError as error:
    raise ImportError("Django is not installed: pip install 'ortto-capture[django]'") from error

from .account import capture_app, captured
from .visitors import arecord, record, snippet, user_pk, user_pk_and_email

__all__ = [
    "arecord",
    "capture_app",
    "captured",
    "record",
    "snippet",
    "user_pk",
    "user_pk_and_email",
]
