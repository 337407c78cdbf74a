"""``--app``: the account of an application, by the name that a server would call it by.

The law of this file: the application is imported as its server imports it, and asked for the one
account it has; what a program would have to know of a framework is not known here.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

from .. import Capture, CaptureError, ConfigurationError

#: What an integration calls the parts between itself and its account.
_NAMES = ("capture_app", "capture")
#: The name of ours among the extensions of a Flask app.
_EXTENSION = "ortto_capture"
#: How many parts deep an account may be.
DEEPEST = 4


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
        said = f"{target} is {kind}, which has no Capture; name the application, or the Capture"
        raise ConfigurationError("app", said)
    return capture


def _account(found: Any, above: tuple[Any, ...] = ()) -> Capture | None:
    """Look for the account in an application and its parts."""
    if isinstance(found, Capture):
        return found
    if len(above) < DEEPEST:
        for part in _parts(found):
            if capture := _account(part, (*above, found)):
                return capture
    return None


def _parts(found: Any) -> Iterator[Any]:
    """What an application may keep its account in."""
    extensions = getattr(found, "extensions", None)
    if isinstance(extensions, Mapping):
        yield extensions.get(_EXTENSION)
    for name in _NAMES:
        yield getattr(found, name, None)
    # What Starlette and FastAPI have mounted.
    routes = getattr(found, "routes", ())
    yield from (getattr(route, "app", None) for route in routes if isinstance(routes, list))
