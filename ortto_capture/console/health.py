"""Health: whether everything works, and what to mend.

The law of this file: it looks and changes nothing. What a backend says of its own failure is shown
here and nowhere else, because it may name paths and hosts of the operator.
"""

from __future__ import annotations

import platform
import sqlite3
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from ..capture import Capture
from ..errors import BackendError
from ..ports import Pingable
from .account import moment, own_version
from .routes import Asked, Route
from .shapes import COUNT, FLAG, MOMENT, TEXT, many, mapping, maybe, record
from .stream import ALL

#: The ports, in the order of the contract; the last two may be left out.
PORTS = ("definitions", "people", "limiter", "journal", "outcomes", "documents")
#: What this package is made on.
_PACKAGES = ("werkzeug", "limits", "itsdangerous", "jsonschema", "idna")
#: The settings that say how much is accepted and kept.
_LIMITS = (
    "person_limit",
    "ip_limit",
    "new_people_limit",
    "max_body",
    "max_attributes",
    "max_activity_bytes",
    "retain_activities_days",
    "retain_idle_people_days",
)

_HEALTH = record(
    {
        "ok": FLAG,
        "backends": many(record({"name": TEXT, "kind": TEXT, "ok": FLAG, "said": TEXT})),
        "limiter": mapping({}),
        "warnings": many(TEXT),
        "outcomes": mapping(COUNT),
        "notes": mapping(COUNT),
        "dropped": mapping(COUNT),
        "versions": mapping(TEXT),
        "since": maybe(MOMENT),
        "limits": mapping({}),
        "time_zone": TEXT,
    }
)


class Health:
    """Whether an account works."""

    def __init__(self, capture: Capture) -> None:
        self._capture = capture

    def look(self, asked: Asked) -> dict[str, Any]:
        """Look at everything."""
        backends, settings = self._capture.backends, self._capture.settings
        looked_at = [
            _backend(name, port)
            for name in PORTS
            if (port := getattr(backends, name, None)) is not None
        ]
        alone = backends.in_process and asked.environ["wsgi.multiprocess"]
        guard = self._capture.intake.guard
        return {
            "ok": all(each["ok"] for each in looked_at),
            "backends": looked_at,
            "limiter": {
                "kind": type(backends.limiter).__name__,
                "away": guard is not None and guard.away,
                "when_away": settings.on_limiter_error if guard is not None else "never away",
            },
            "warnings": [*(["counts-alone"] if alone else []), *self._capture.warnings],
            **self._counts(),
            "versions": _versions(),
            "since": self._since(),
            "limits": {name: getattr(settings, name) for name in _LIMITS},
            "time_zone": settings.time_zone,
        }

    def _counts(self) -> dict[str, dict[str, int]]:
        """How requests ended, what was noted beside them, and what browsers gave up on."""
        kept = self._capture.backends.outcomes
        counts: Mapping[str, int] = kept.counts() if kept is not None else {}
        found: dict[str, dict[str, int]] = {"outcomes": {}, "notes": {}, "dropped": {}}
        for code, number in sorted(counts.items()):
            kind, _, note = code.partition(":")
            if kind != "note":
                found["outcomes"][code] = number
            elif note.startswith("dropped:"):
                found["dropped"][note.removeprefix("dropped:")] = number
            else:
                found["notes"][note] = number
        return found

    def _since(self) -> str | None:
        """Since when requests are counted at least: the oldest that is kept of any kind."""
        kept = self._capture.backends.outcomes
        if kept is None:
            return None
        times = [each.at for each in (*kept.refused(0, ALL)[:1], *kept.passed(0, ALL)[:1])]
        first = self._capture.backends.journal.after("", 1)
        times += [each.activity.received_at for each in first]
        return moment(min(times)) if times else None


def _backend(name: str, port: object) -> dict[str, Any]:
    ok, said = True, ""
    if isinstance(port, Pingable):
        try:
            port.ping()
        except Exception as error:  # noqa: BLE001  # whatever it is, it does not answer
            ok, said = False, str(error) if isinstance(error, BackendError) else repr(error)
    return {"name": name, "kind": type(port).__name__, "ok": ok, "said": said}


def _versions() -> dict[str, str]:
    found = {
        "ortto_capture": own_version(),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
    }
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            # Put there by other means than a package manager.
            found[name] = "unknown"
    return found


def routes(capture: Capture) -> list[Route]:
    """The route of health."""
    look = Health(capture).look
    return [Route("GET", "/api/health", "read", look, "Whether everything works.", answer=_HEALTH)]
