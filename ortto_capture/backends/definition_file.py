"""Definitions in a file: ``activities.json`` for tools and people, ``activities.toml`` for people.

The law of this file: what is in force was once the whole content of a sound file. A file that is
broken, half saved or gone changes nothing: the log says so, and the definitions read before stay.
Nothing is written over what could not be read.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic, time
from typing import Literal

from ..definition_format import format_definitions, parse_definitions
from ..errors import ConfigurationError
from ..locks import fork_safe_lock
from ..model import Definition
from .atomic_files import exclusive_lock, explain, faults, replace_file

#: Seconds between two looks at the file; after two of them every process has a change.
EVERY = 0.4
#: What is read as long as there has been no file.
NOTHING = b"{}"

_log = logging.getLogger("ortto_capture")


def read_definitions(path: Path) -> list[Definition]:
    """Read a definition file: TOML when its name ends in ``.toml``, else JSON.

    :raises ConfigurationError: listing everything that is wrong, one problem a line.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigurationError("activities", explain(path, error)) from error
    return parse_definitions(data, str(path))


class FileDefinitions:
    """The definitions of a directory, in one of the two files, which may change at any time.

    :param clock: seconds that never go back.
    :raises ConfigurationError: when the file is broken, or both are there.
    """

    def __init__(self, directory: Path, clock: Callable[[], float] = monotonic) -> None:
        self._json = directory.absolute() / "activities.json"
        self._toml = self._json.with_suffix(".toml")
        #: The file that was there at the last look; ``activities.json`` before there is any.
        self.path = self._json
        self._clock = clock
        self._lock = fork_safe_lock()
        #: In force, by id, in order, and what they were read from; a change replaces the dict.
        self._definitions: dict[str, Definition] = {}
        self._data = NOTHING
        #: The ids of those that this process has declared.
        self._declared: set[str] = set()
        #: What was wrong at the last look, and at how many looks in a row.
        self._problem, self._looks = "", 0
        try:
            self._take_over(self._read())
        except OSError as error:
            raise ConfigurationError("activities", explain(self.path, error)) from error
        self._next = clock() + EVERY

    def get(self, activity_id: str) -> Definition | None:
        if self._clock() >= self._next:
            self._refresh()
        return self._definitions.get(activity_id)

    def all(self) -> Sequence[Definition]:
        if self._clock() >= self._next:
            self._refresh()
        return list(self._definitions.values())

    def put(self, definition: Definition) -> None:
        self._change([definition], declared=False)

    def declare(self, definitions: Sequence[Definition]) -> None:
        self._change(definitions, declared=True)
        self._declared.update(each.id for each in definitions)

    def written(self, activity_id: str) -> Literal["store", "code", "file"]:
        if self.path == self._toml:
            return "file"
        return "code" if activity_id in self._declared else "store"

    def stored(self, activity_id: str) -> Definition | None:
        with self._lock, faults(self.path):
            self._take_over(self._read())
        return self._definitions.get(activity_id)

    def _change(self, definitions: Sequence[Definition], *, declared: bool) -> None:
        # Two directories may link one file: it is locked and replaced where it really is.
        with self._lock, exclusive_lock(self.path.resolve().with_suffix(".lock")):
            with faults(self.path):
                self._take_over(self._read())
            stored, by_hand = self._definitions, self.path == self._toml
            wanted = dict(stored)
            for each in definitions:
                old = stored.get(each.id) if declared else None
                wanted[each.id] = old if old and by_hand else each.declared_over(old)
            changed = [each.id for each in wanted.values() if each != stored.get(each.id)]
            if changed and by_hand:
                words = f"{self.path} is written by hand; add these to it: {', '.join(changed)}"
                raise ConfigurationError("activities", words)
            if changed:
                data = format_definitions(wanted.values())
                # What could not be read back is refused before it is written.
                parse_definitions(data, str(self.path))
                replace_file(self.path.resolve(), data)
                self._take_over(data)

    def _refresh(self) -> None:
        """Take over a change, and log what is wrong at two looks: at one, an editor may save."""
        with self._lock:
            if self._clock() < self._next:
                return
            # First, so that a thread that asks from now on does not wait for the lock.
            self._next = self._clock() + EVERY
            problem = ""
            try:
                data = self._read()
                # Half of JSON is never valid; half of TOML may be.
                new = self.path == self._toml and 0 <= time() - self.path.stat().st_mtime < EVERY
                if not new:
                    self._take_over(data)
            except OSError as error:
                problem = explain(self.path, error)
            except ConfigurationError as error:
                problem = str(error)
            self._looks = self._looks + 1 if problem == self._problem else 1
            self._problem = problem
            if problem and self._looks == 2:
                words = problem.replace("\n", "; ")
                _log.error(
                    "%s; the definitions read before stay in force",
                    words,
                    extra={"event": "definitions-broken"},
                )

    def _read(self) -> bytes:
        """Read the file that is there; without one, an empty file until there has been one."""
        here = []
        for path in (self._json, self._toml):
            with suppress(FileNotFoundError):
                path.lstat()
                here.append(path)
        if len(here) == 2:
            both = f"{self._json} and {self._toml} are both there"
            raise ConfigurationError("activities", f"{both}; remove one (tools change only JSON)")
        if not here and self._data == NOTHING:
            return NOTHING
        self.path = here[0] if here else self.path
        return self.path.read_bytes()

    def _take_over(self, data: bytes) -> None:
        """Put in force what the file says."""
        if data != self._data:
            definitions = parse_definitions(data, str(self.path))
            # Those that did not change stay the same objects: what was prepared from them is good.
            before = self._definitions
            self._definitions = {
                each.id: old if (old := before.get(each.id)) == each else each
                for each in sorted(definitions, key=lambda each: each.id)
            }
            self._data = data
