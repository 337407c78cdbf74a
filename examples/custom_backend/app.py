"""One port of your own beside three of ours: activities that are written down in an INI file."""

from __future__ import annotations

from collections.abc import Sequence
from configparser import ConfigParser
from pathlib import Path

from ortto_capture import (
    Attribute,
    Backends,
    Capture,
    CaptureApp,
    Definition,
    Settings,
    open_backends,
)


class IniDefinitions:
    """The ``Definitions`` port: a section an activity, read once. Nothing needs to be inherited."""

    def __init__(self, path: Path) -> None:
        parser = ConfigParser(delimiters=["="], interpolation=None)
        parser.read_string(path.read_text(encoding="utf-8"))
        self._definitions = {
            activity_id: Definition(
                activity_id,
                section["name"],
                client_side=section.getboolean("client_side", fallback=False),
                attributes=[Attribute(key) for key in section.get("attributes", "").split()],
            )
            for activity_id, section in parser.items()
            if activity_id != parser.default_section
        }

    def get(self, activity_id: str) -> Definition | None:
        """Return the definition with exactly this id, or None."""
        return self._definitions.get(activity_id)

    def all(self) -> Sequence[Definition]:
        """Return every definition, ordered by id."""
        return [self._definitions[activity_id] for activity_id in sorted(self._definitions)]


def build(activities: Path = Path(__file__).parent / "activities.ini") -> CaptureApp:
    """The capture app, alone, with its definitions from that file and the rest in memory."""
    memory = open_backends("memory:")
    backends = Backends(
        definitions=IniDefinitions(activities),
        people=memory.people,
        limiter=memory.limiter,
        journal=memory.journal,
        outcomes=memory.outcomes,
    )
    settings = Settings(secret_keys=["change me: a secret of at least 32 bytes"])
    return CaptureApp(Capture(backends=backends, settings=settings))
