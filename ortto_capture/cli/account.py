"""Where the data is, how a command opens it, and how a command ends.

The law of this file: nothing is made by a command that only looks, and every way to fail is one
sentence on stderr and one exit code.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import click

from .. import BackendError, Capture, ConfigurationError, Refused, Settings
from ..backends.file import FileBackends
from .show import safe

#: Exit codes: the configuration or the data directory is wrong; storage did not do its work.
CONFIGURATION, STORAGE = 3, 4
#: One of these is in every data directory.
_SIGNS = ("store.sqlite3", "activities.json", "activities.toml")


class Failed(click.ClickException):
    """The sentence that a command ends with, and its exit code.

    :param code: 1 when what was asked for is not there, or not in order.
    """

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__("\n".join(map(safe, message.split("\n"))))
        self.exit_code = code  # type: ignore[misc]  # click reads it from the exception


class Account:
    """One data directory and the settings it is used with."""

    def __init__(self) -> None:
        config = os.environ.get("ORTTO_CAPTURE_CONFIG")
        self.data = Path(os.environ.get("ORTTO_CAPTURE_DATA") or "data")
        self.config = Path(config) if config else None
        #: Which of both were given on the command line, not by the environment.
        self.given: set[str] = set()

    @cached_property
    def settings(self) -> Settings:
        """The settings of ``--config``, or the defaults.

        :raises ConfigurationError: naming the file and what is wrong in it.
        """
        if self.config is None:
            return Settings()
        try:
            return Settings.from_mapping(tomllib.loads(self.config.read_text("utf-8")))
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise ConfigurationError(str(self.config), str(error)) from error

    @cached_property
    def backends(self) -> FileBackends:
        """The data directory's, closed when the command ends."""
        try:
            found = any((self.data / name).exists() for name in _SIGNS)
        except OSError as error:
            raise ConfigurationError(str(self.data), str(error)) from error
        if not found:
            raise ConfigurationError(
                str(self.data),
                "is no data directory; say where it is by --data or ORTTO_CAPTURE_DATA, or make "
                "one: ortto-capture serve",
            )
        return self.create()

    def create(self) -> FileBackends:
        """Open the data directory, and make it when there is none."""
        self.backends = click.get_current_context().with_resource(FileBackends(self.data))
        return self.backends

    @property
    def capture(self) -> Capture:
        """The pipeline on top of the backends, with these settings."""
        return Capture(backends=self.backends, settings=self.settings)


with_account = click.make_pass_decorator(Account, ensure=True)

output_option = click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write to a new file that only you may read (0600), not to stdout.",
)


@contextmanager
def destination(path: Path | None) -> Iterator[IO[str]]:
    """Where to write: stdout, or a new file that is removed again when writing it fails."""
    if path is None:
        yield sys.stdout
        sys.stdout.flush()
        return
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise unusable(path, error) from error
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            yield file
    except BaseException as error:
        path.unlink()
        if isinstance(error, OSError):
            raise Failed(f"{path}: {error.strerror}", STORAGE) from error
        raise


def unusable(path: Path, error: OSError) -> Failed:
    """Nothing can be written at ``path``: something is there, or it cannot be made."""
    if isinstance(error, FileExistsError):
        return Failed(f"{path} is there already, and stays as it is; name a new one")
    return Failed(f"{path}: {error.strerror}; name one that can be made", CONFIGURATION)


@contextmanager
def until_told() -> Iterator[None]:
    """End what is inside by SIGINT or SIGTERM, which is no failure.

    A shell starts what runs in its background with SIGINT ignored, so the handlers are installed
    and not only relied on.
    """
    ending = (signal.SIGINT, signal.SIGTERM)
    before = {each: signal.signal(each, signal.default_int_handler) for each in ending}
    try:
        yield
    except KeyboardInterrupt:
        pass
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _place(context: click.Context, parameter: click.Parameter, value: Path | None) -> None:
    if value is not None:
        account = context.ensure_object(Account)
        setattr(account, str(parameter.name), value)
        account.given.add(str(parameter.name))


#: Taken before and after the name of the command alike.
PLACES = [
    click.Option(
        [name],
        # Whether it can be read is for the commands to find out, and to say what to do.
        type=click.Path(readable=False, path_type=Path),
        metavar=metavar,
        callback=_place,
        expose_value=False,
        help=text,
    )
    for name, metavar, text in (
        ("--data", "DIR", "The data directory, if not ORTTO_CAPTURE_DATA or ./data."),
        ("--config", "FILE", "A TOML file of settings, if not ORTTO_CAPTURE_CONFIG."),
    )
]


class Command(click.Command):
    """A command that takes ``--data`` and ``--config`` as well."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.params += PLACES


class Group(click.Group):
    """Commands in the order they were written, whose failures become exit codes."""

    command_class = Command
    group_class = type

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
        except OSError as error:
            # The reader of a pipe has had enough: click ends quietly then.
            if error.errno == errno.EPIPE:
                raise
            _drop_unwritten()
            raise Failed(str(error), STORAGE) from error


def _drop_unwritten() -> None:
    """Close stdout if it cannot be written, or Python would try again at its end, with code 120."""
    try:
        sys.stdout.flush()
    except OSError:
        with suppress(OSError):
            sys.stdout.close()
