"""The account as the console shows it to one visitor: who they are here, and what there is.

The law of this file: nothing of one activity or one person is said here.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any
from urllib.parse import quote

from ..capture import Capture
from ..ports import Written
from .routes import SCOPES, Asked, Route
from .shapes import FLAG, MOMENT, TEXT, many, one_of, record

_ME = record(
    {
        "scopes": many(one_of(*SCOPES)),
        "who": TEXT,
        "time_zone": TEXT,
        "now": MOMENT,
        "endpoint": TEXT,
        "snippet": TEXT,
        "keys": many(TEXT),
        "definitions": record({"writable": FLAG, "reason": TEXT}),
        "version": TEXT,
        "sources": many(record({"key": TEXT, "name": TEXT})),
    }
)
#: The capture key of the examples where no sources are configured: any is accepted then.
ANY_KEY = "site"
#: The last second that a calendar holds.
_LAST = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC).timestamp()


def routes(capture: Capture, snippet: Callable[[str, str], str]) -> list[Route]:
    """What every page begins with.

    :param snippet: returns the HTML for the head of a page, of a capture key and an endpoint.
    """

    def me(asked: Asked) -> dict[str, Any]:
        settings = capture.settings
        reason = why_not(capture)
        keys = list(settings.sources) or [ANY_KEY]
        endpoint = endpoint_of(asked)
        return {
            "scopes": [each for each in SCOPES if asked.may(each)],
            "who": asked.visitor.who,
            "time_zone": settings.time_zone,
            "now": moment(capture.clock()),
            "endpoint": endpoint,
            "snippet": snippet(keys[0], endpoint),
            "keys": keys,
            "definitions": {"writable": not reason, "reason": reason},
            "version": own_version(),
            "sources": [
                {"key": key, "name": source.name} for key, source in settings.sources.items()
            ],
        }

    return [Route("GET", "/api/me", None, me, "Who asks, and what there is here.", answer=_ME)]


def endpoint_of(asked: Asked) -> str:
    """The path that the capture app is mounted at, as browsers see it, quoted."""
    prefix = asked.environ.get("SCRIPT_NAME", "").encode("latin-1", "replace")
    # Two slashes would begin with the name of another host.
    return "/" + quote(prefix.removesuffix(b"/console").strip(b"/"))


def why_not(capture: Capture, activity_id: str = "") -> str:
    """Why a definition, or any new one, cannot be changed here; empty when it can."""
    definitions = capture.backends.definitions
    if isinstance(definitions, Written) and definitions.written(activity_id) == "file":
        return "Definitions are written by hand here, in activities.toml: change them there."
    return ""


def moment(at: float) -> str:
    """Epoch seconds as ISO 8601, UTC.

    What no calendar holds, such as the end of a limit's window of a million years, is the last
    moment of all.
    """
    return datetime.fromtimestamp(min(at, _LAST), UTC).isoformat()


def own_version() -> str:
    """The version of this package; empty where it is not installed."""
    try:
        return version("ortto-capture")
    except PackageNotFoundError:
        return ""
