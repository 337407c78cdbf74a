"""Finds the capture apps within an application, whatever is wrapped around them.

The law of this file: it looks and changes nothing, and imports no framework.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from ..wsgi import CaptureApp

#: Where frameworks and middlewares keep what they wrap.
_INSIDE = ("capture_app", "app", "wsgi_app", "application", "wrapped_app")
#: Deeper than any stack of middlewares.
_DEPTH = 40


def capture_apps(app: object) -> dict[CaptureApp, str]:
    """The capture apps within ``app``, each with the path of its mount.

    Looked at are the extensions of Flask, the routes of Starlette and FastAPI, ``CaptureASGI``,
    what ``mount`` returns, and middlewares that keep what they wrap in a usual place.
    """
    found: dict[CaptureApp, str] = {}
    _look(app, "", found, set(), _DEPTH)
    return found


def _look(
    app: object, prefix: str, found: dict[CaptureApp, str], seen: set[int], depth: int
) -> None:
    if isinstance(app, CaptureApp):
        found.setdefault(app, prefix or min(app.mounted_at, default="/capture"))
        return
    if depth == 0 or id(app) in seen:
        return
    seen.add(id(app))
    # What a proxy stands for may not be there outside of a request.
    with suppress(RuntimeError):
        for inner, path in _inside(app):
            _look(inner, prefix + path, found, seen, depth - 1)


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
