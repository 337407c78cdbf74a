"""Definitions in a file: ``activities.json`` for tools and people, ``activities.toml`` for people.

The law of this file: what is in force was once the whole content of a sound file. A file that is
broken, half saved or gone changes nothing: it is said in the log, and the definitions read before
stay. Nothing is written over what could not be read.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from time import monotonic, time
from typing import Any

from ..definition_format import format_definitions, parse_definitions
from ..errors import ConfigurationError
from ..locks import fork_safe_lock
from ..model import Definition
from .atomic_files import exclusive_lock, explain, faults, replace_file

#: Seconds between two looks at the file, so that every process has a change within a second.
EVERY = 0.5

_log = logging.getLogger("ortto_capture")


def read_definitions(path: Path) -> list[Definition]:
    """Read a definition file, TOML or JSON by its name.

    :raises ConfigurationError: listing everything that is wrong, one problem a line, each as
        ``file:line: activity: member: what is wrong; what would be right``.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigurationError("activities", explain(path, error)) from error
    return parse_definitions(data, str(path), toml=path.suffix == ".toml")


def open_definitions(
    directory: Path, clock: Callable[[], float] = monotonic
) -> FileDefinitions | TomlDefinitions:
    """The definitions of a data directory: an editor, unless they are in ``activities.toml``.

    :param clock: seconds that never go back.
    :raises ConfigurationError: when the file is broken, or both are there.
    """
    toml = directory / TomlDefinitions.name
    try:
        kind = TomlDefinitions if toml.exists() else FileDefinitions
    except OSError as error:
        raise ConfigurationError("activities", explain(toml, error)) from error
    return kind(directory, clock)


class _Watched:
    """The definitions in a file that may change at any time."""

    name: str
    other: str

    def __init__(self, directory: Path, clock: Callable[[], float] = monotonic) -> None:
        #: The file, which need not be there yet.
        self.path = directory / self.name
        self._other = directory / self.other
        self._clock = clock
        self._lock = fork_safe_lock()
        #: In force, by id, in order; a change puts another dict here.
        self._definitions: dict[str, Definition] = {}
        #: What they were read from; None as long as there has been no file.
        self._data: bytes | None = None
        #: How the file looked last, and whether it did twice running.
        self._look: object = None
        self._settled = False
        #: The latest problem, and the latest that was logged.
        self._problem = self._said = ""
        try:
            self._read()
        except OSError as error:
            raise ConfigurationError("activities", explain(self.path, error)) from error
        self._next = clock() + EVERY

    def get(self, activity_id: str) -> Definition | None:
        """Return the definition with exactly this id, or None."""
        if self._clock() >= self._next:
            self._refresh()
        return self._definitions.get(activity_id)

    def all(self) -> Sequence[Definition]:
        """Return every definition, ordered by id."""
        if self._clock() >= self._next:
            self._refresh()
        return list(self._definitions.values())

    def _refresh(self) -> None:
        """Take over a change, in one thread; the others go on with what they have."""
        if not self._lock.acquire(blocking=False):
            return
        try:
            if self._clock() >= self._next:
                self._next = self._clock() + EVERY
                self._look_again()
        finally:
            self._lock.release()

    def _look_again(self) -> None:
        try:
            look = self._appearance()
            same = look == self._look
            if same and self._settled:
                return
            # Read until it looks alike twice: two changes may share a time stamp.
            self._look, self._settled = look, same
            if same or not self._being_written():
                self._read()
            self._problem = self._said = ""
        except OSError as error:
            self._look = None
            self._report(explain(self.path, error))
        except ConfigurationError as error:
            self._report(str(error))

    def _being_written(self) -> bool:
        """Whether this may be half a file, which of TOML may be whole to its parser."""
        return self.path.suffix == ".toml" and time() - self.path.stat().st_mtime < EVERY

    def _appearance(self) -> object:
        """What tells one state of the files from another, without reading them."""
        try:
            now: Any = self.path.stat()
            now = (now.st_mtime_ns, now.st_ctime_ns, now.st_size, now.st_ino)
        except FileNotFoundError:
            now = ()
        return (now, self._other.exists())

    def _read(self) -> None:
        """Put in force what the file says now."""
        here, other = self.path.exists(), self._other.exists()
        if other and here:
            raise ConfigurationError(
                "activities",
                f"{self.path} and {self._other} are both there; remove the .json if definitions "
                "are written by hand, the .toml if tools are to change them",
            )
        if other:
            raise ConfigurationError(
                "activities", f"{self._other} is new here; restart to have it read"
            )
        if not here and self._data is None and not self.path.is_symlink():
            return
        data = self.path.read_bytes()
        if data != self._data:
            toml = self.path.suffix == ".toml"
            self._put_in_force(parse_definitions(data, str(self.path), toml=toml))
            self._data = data

    def _put_in_force(self, definitions: Iterable[Definition]) -> None:
        # Those that did not change stay the same objects: what was prepared from them stays good.
        before = self._definitions
        ordered = sorted(definitions, key=lambda definition: definition.id)
        self._definitions = {
            each.id: old if (old := before.get(each.id)) == each else each for each in ordered
        }

    def _report(self, problem: str) -> None:
        """Log a problem that was there twice running: an editor may have been in the middle."""
        if problem == self._problem and problem != self._said:
            first, *more = problem.splitlines()
            _log.error(
                "%s%s; the definitions read before stay in force",
                first,
                f" (and {len(more)} more)" if more else "",
            )
            self._said = problem
        self._problem = problem


class TomlDefinitions(_Watched):
    """Definitions in ``activities.toml``, which only people change.

    :param clock: seconds that never go back.
    :raises ConfigurationError: when the file is broken.
    """

    name, other = "activities.toml", "activities.json"


class FileDefinitions(_Watched):
    """Definitions in ``activities.json``, which people and tools change.

    :param clock: seconds that never go back.
    :raises ConfigurationError: when the file is broken.
    """

    name, other = "activities.json", "activities.toml"

    def put(self, definition: Definition) -> None:
        """Store ``definition``, replacing the one with its id.

        :raises ConfigurationError: when the file is broken, and so cannot be added to.
        :raises BackendError: when it cannot be read or written.
        """
        # Two directories may link the same file.
        with self._lock, exclusive_lock(self.path.resolve().with_suffix(".lock")):
            # What somebody else has written meanwhile is kept.
            with faults(self.path):
                self._read()
            # Its own text, read: what could not be read back is refused before it is written.
            text = format_definitions([definition])
            [stored] = parse_definitions(text, f"{definition.id}, as JSON")
            data = format_definitions({**self._definitions, stored.id: stored}.values())
            # Where it is a link, the file that it leads to.
            replace_file(self.path.resolve(), data)
            self._put_in_force([*self._definitions.values(), stored])
            self._data = data
