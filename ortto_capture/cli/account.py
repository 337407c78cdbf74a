"""Which account a command works on, how it is opened, and how a command ends.

The law of this file: nothing is made by a command that only looks, and every way to fail is one
sentence on stderr and one exit code.
"""

from __future__ import annotations

import errno
import os
import sys
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property, partial
from pathlib import Path
from typing import IO, Any

import click

from .. import BackendError, Backends, Capture, ConfigurationError, Refused, Settings
from ..backends.file import FileBackends, open_file
from .host import capture_of
from .show import hint, safe

#: Exit codes: the configuration or the data directory is wrong; storage did not do its work.
CONFIGURATION, STORAGE = 3, 4
#: One of these is in every data directory.
_SIGNS = ("store.sqlite3", "activities.json", "activities.toml")


class Failed(click.ClickException):
    """The sentence that a command ends with, and its exit code: 1 for "not there, not in order"."""

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__("\n".join(map(safe, message.split("\n"))))
        self.exit_code = code  # type: ignore[misc]  # click reads it from the exception


class Account:
    """A host's own account, or that of a data directory and the settings it is used with.

    :param find: returns the host's own; asked once, when a command first needs it.
    """

    def __init__(self, find: Callable[[], Capture] | None = None) -> None:
        config = os.environ.get("ORTTO_CAPTURE_CONFIG")
        self.data = Path(os.environ.get("ORTTO_CAPTURE_DATA") or "data")
        self.config = Path(config) if config else None
        app = os.environ.get("ORTTO_CAPTURE_APP")
        self.find = partial(capture_of, app) if app and not find else find
        #: Which of the places were given on the command line, not by the environment.
        self.given: set[str] = set()

    def place(self, name: str, value: Any) -> None:
        """Take what the command line says of a place: ``data``, ``config`` or ``app``."""
        self.given.add(name)
        if "app" in self.given and len(self.given) > 1:
            raise click.UsageError("--app brings its own data and settings; name only one of them")
        if name == "app":
            self.find = partial(capture_of, value)
        else:
            self.find = None
            setattr(self, name, value)

    @cached_property
    def capture(self) -> Capture:
        """The host's own, or one on top of the backends with these settings."""
        if self.find is not None:
            return self.find()
        return Capture(backends=self.backends, settings=self.settings)

    @cached_property
    def settings(self) -> Settings:
        """The host's own; else those of ``--config``, or the defaults."""
        if self.find is not None:
            return self.capture.settings
        if self.config is None:
            return Settings()
        try:
            return Settings.from_mapping(tomllib.loads(self.config.read_text("utf-8")))
        except (ValueError, TypeError, AttributeError) as error:
            raise ConfigurationError(str(self.config), str(error)) from error

    @cached_property
    def backends(self) -> Backends:
        """The host's own; else the data directory's, closed when the command ends."""
        # A command that needs no setting must not pass over a file of them that is wrong.
        _ = self.settings
        return self.opened()

    def opened(self) -> Backends:
        """The same, whatever the settings."""
        if self.find is None and not any((self.data / name).exists() for name in _SIGNS):
            said = "is no data directory; name one with --data, or make one: ortto-capture serve"
            raise ConfigurationError(str(self.data), said)
        return self.create()

    def create(self) -> Backends:
        """The same, and make the data directory when there is none."""
        if self.find is not None:
            self.backends = self.capture.backends
            if self.backends.in_process:
                hint("This account is in memory: what other processes captured is not seen here.")
        else:
            self.backends = click.get_current_context().with_resource(open_file(str(self.data)))
        return self.backends

    @property
    def stored(self) -> FileBackends:
        """The backends, for what only a directory can do.

        :raises ConfigurationError: when the host keeps its data elsewhere.
        """
        if not isinstance(self.backends, FileBackends):
            kind = type(self.backends).__name__
            raise ConfigurationError(kind, "these backends keep no directory that could be copied")
        return self.backends


with_account = click.make_pass_decorator(Account, ensure=True)

output_option = click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="A new file (0600), instead of stdout."
)


@contextmanager
def destination(path: Path | None) -> Iterator[IO[str]]:
    """Where to write: stdout, or a new file that is removed again when writing it fails."""
    if path is None:
        yield sys.stdout
        sys.stdout.flush()
        return
    opener = partial(os.open, mode=0o600)
    file = open(path, "x", encoding="utf-8", newline="", opener=opener)  # noqa: SIM115
    try:
        with file:
            yield file
    except BaseException as error:
        path.unlink()
        if isinstance(error, OSError):
            error.filename = str(path)
        raise


def _place(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    if value is not None:
        context.ensure_object(Account).place(str(parameter.name), value)


# Whether it can be read is for the commands to find out, and to say what to do.
_PATH = click.Path(readable=False, path_type=Path)
#: Taken before and after the name of the command alike.
PLACES = [
    click.Option(
        [name],
        type=kind,
        metavar=metavar,
        callback=_place,
        expose_value=False,
        help=text,
    )
    for name, metavar, kind, text in (
        (
            "--data",
            "DIR",
            _PATH,
            "The data directory; else ORTTO_CAPTURE_DATA, else ./data (demo: none).",
        ),
        ("--config", "FILE", _PATH, "A TOML file of settings, if not ORTTO_CAPTURE_CONFIG."),
        (
            "--app",
            "MODULE:NAME",
            str,
            "Your application's data and settings, such as shop:app, if not ORTTO_CAPTURE_APP.",
        ),
    )
]


class Group(click.Group):
    """Commands in the order they were written, whose failures become exit codes."""

    group_class = type

    def add_command(self, cmd: click.Command, name: str | None = None) -> None:
        """Add a command, which takes ``--data``, ``--config`` and ``--app`` as well."""
        if not isinstance(cmd, Group):
            cmd.params += PLACES
        super().add_command(cmd, name)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's
        """The names, in the order in which a reader needs them."""
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:
        """Run, and end with a sentence instead of a traceback where the reason is known."""
        try:
            return super().invoke(ctx)
        except Refused as error:
            raise click.UsageError(safe(str(error))) from error
        except ConfigurationError as error:
            raise Failed(str(error), CONFIGURATION) from error
        except BackendError as error:
            raise Failed(str(error), STORAGE) from error
        except FileExistsError as error:
            said = f"{error.filename} is there already, and stays as it is; name a new one"
            raise Failed(said) from error
        except (FileNotFoundError, NotADirectoryError, PermissionError) as error:
            said = f"{error}; name another, or see to it that it can be used"
            raise Failed(said, CONFIGURATION) from error
        except OSError as error:
            # The reader of a pipe has had enough: click ends quietly then.
            if error.errno == errno.EPIPE:
                raise
            raise Failed(str(error), STORAGE) from error
