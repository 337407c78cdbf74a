"""Receive your website's visitor activities in your own Python app.

Mount :class:`CaptureApp` inside any WSGI app; it serves the browser client, takes its reports, and
shows what arrived. ``docs/explanation/architecture.md`` explains the package in a minute.
"""

from .activity_type import ActivityType, attribute
from .backends import open_backends
from .capture import Capture
from .errors import (
    BackendError,
    CaptureError,
    ConfigurationError,
    InvalidAttributes,
    NeedsVerified,
    NotIdentified,
    RateLimited,
    Refused,
    StorageFull,
    UnknownActivity,
)
from .identity import Identity
from .model import Attribute, Captured, Definition, Person, Source
from .ports import Backends, Definitions, Documents, Journal, Outcomes, People, RateLimiter
from .settings import Settings
from .wsgi import CaptureApp, mount

__all__ = [
    "ActivityType",
    "Attribute",
    "BackendError",
    "Backends",
    "Capture",
    "CaptureApp",
    "CaptureError",
    "Captured",
    "ConfigurationError",
    "Definition",
    "Definitions",
    "Documents",
    "Identity",
    "InvalidAttributes",
    "Journal",
    "NeedsVerified",
    "NotIdentified",
    "Outcomes",
    "People",
    "Person",
    "RateLimited",
    "RateLimiter",
    "Refused",
    "Settings",
    "Source",
    "StorageFull",
    "UnknownActivity",
    "attribute",
    "mount",
    "open_backends",
]
