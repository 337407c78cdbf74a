"""The app as Django installs it.

The law of this file: it registers, and opens nothing.
"""

from __future__ import annotations

from django.apps import AppConfig
from django.core.checks import register
from django.core.signals import setting_changed


class OrttoCaptureConfig(AppConfig):  # type: ignore[misc]  # Django has no types
    """``INSTALLED_APPS += ["ortto_capture.contrib.django"]``."""

    name = "ortto_capture.contrib.django"
    label = "ortto_capture"
    verbose_name = "ortto_capture"

    def ready(self) -> None:
        """Register the system checks, and follow tests that override the setting."""
        from .account import reread
        from .checks import check

        register(check)
        setting_changed.connect(reread)
