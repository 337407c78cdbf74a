"""``--app``: what an application has of ours, whatever is wrapped around it.

The law of this file: the application is imported as its server imports it. It is looked at and not
changed; what a program would have to know of a framework is not known here, and none is imported.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from importlib import import_module
from typing import Any

from .. import Capture, CaptureApp, CaptureError, ConfigurationError

#: Where frameworks, integrations and middlewares keep what they wrap.
_INSIDE = ("capture_app", "capture", "app", "wsgi_app", "application", "wrapped_app")
#: Deeper than any stack of middlewares.
_DEPTH = 40


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
        if hasattr(sys.modules.get(module), "create_app"):
            said += f"; did you mean {module}:create_app()?"
        raise ConfigurationError("app", said) from error
    if capture is None:
        kind = type(found).__name__
        said = f"{target} is {kind}, which has no Capture; name the application, or the Capture"
        raise ConfigurationError("app", said)
    return capture


def capture_apps(app: object) -> dict[CaptureApp, str]:
    """The capture apps within ``app``, each with the path of its mount.

    Looked at are the extensions of Flask, the routes of Starlette and FastAPI, ``CaptureASGI``,
    what ``mount`` returns, and middlewares that keep what they wrap in a usual place.
    """
    found: dict[CaptureApp, str] = {}
    for each, path in _within(app, "", set(), _DEPTH):
        if isinstance(each, CaptureApp):
            found.setdefault(each, path or min(each.mounted_at, default="/capture"))
    return found


def _account(app: object) -> Capture | None:
    for each, _path in _within(app, "", set(), _DEPTH):
        return each.capture if isinstance(each, CaptureApp) else each
    return None


def _within(
    app: object, prefix: str, seen: set[int], depth: int
) -> Iterator[tuple[Capture | CaptureApp, str]]:
    if isinstance(app, Capture | CaptureApp):
        yield app, prefix
    elif depth > 0 and id(app) not in seen:
        seen.add(id(app))
        # What a proxy stands for may not be there outside of a request.
        with suppress(RuntimeError):
            for inner, path in _inside(app):
                yield from _within(inner, prefix + path, seen, depth - 1)


def _inside(app: Any) -> Iterator[tuple[object, str]]:
    """What is directly within an app, with the path in front of it."""
    extensions = getattr(app, "extensions", None)
    if isinstance(extensions, Mapping):
        yield extensions.get("ortto_capture"), ""
    routes = getattr(app, "routes", None)
    for route in routes if isinstance(routes, list | tuple) else ():
        if not hasattr(route, "endpoint"):
            yield route, getattr(route, "path", "")
    for name in _INSIDE:
        inner = getattr(app, name, None)
        if inner is not None and not isinstance(inner, str | int):
            yield inner, ""
    for cell in getattr(app, "__closure__", None) or ():
        with suppress(ValueError):  # an empty cell
            if callable(cell.cell_contents):
                yield cell.cell_contents, ""
