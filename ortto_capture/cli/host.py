"""``--app``: the account of an application, by the name that a server would call it by.

The law of this file: the application is imported as its server imports it, and asked for the one
account it has; what a program would have to know of a framework is not known here.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from .. import Capture, CaptureError, ConfigurationError

#: What an integration calls the parts between itself and its account.
_NAMES = ("capture_app", "capture")
#: Where extensions of Flask are kept, and under which name ours is.
_EXTENSIONS, _EXTENSION = "extensions", "ortto_capture"


def capture_of(target: str) -> Capture:
    """Import ``module:name``, or call ``module:name()``, and return the account that it has.

    :param target: names a :class:`Capture`, a :class:`CaptureApp`, or an application or extension
        that has one.
    :raises ConfigurationError: when there is none.
    """
    module, colon, name = target.partition(":")
    names = name.removesuffix("()").split(".")
    if not (colon and all(map(str.isidentifier, [*module.split("."), *names]))):
        raise ConfigurationError("app", f"{target!r} is not MODULE:NAME, such as shop:app")
    # As under a server, and as with python -m.
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        found: Any = import_module(module)
        for each in names:
            found = getattr(found, each)
        if name.endswith("()"):
            found = found()
        capture = _account(found)
    except CaptureError:
        raise
    except Exception as error:
        said = f"{target} cannot be used: {type(error).__name__}: {error}"
        raise ConfigurationError("app", said) from error
    if capture is None:
        kind = type(found).__name__
        said = f"{target} is {kind}, which has no Capture; name the Capture or CaptureApp itself"
        raise ConfigurationError("app", said)
    return capture


def _account(found: Any) -> Capture | None:
    """Follow the parts of an application to its account."""
    seen: list[Any] = []
    while found is not None and found not in seen:
        if isinstance(found, Capture):
            return found
        seen.append(found)
        extensions = getattr(found, _EXTENSIONS, None)
        own = extensions.get(_EXTENSION) if isinstance(extensions, Mapping) else None
        parts = (getattr(found, name, None) for name in _NAMES)
        found = own or next((part for part in parts if part is not None), None)
    return None
