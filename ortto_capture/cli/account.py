"""Where the data is, how a command opens it, and how a command ends.

The law of this file: nothing is made by a command that only looks, and every way to fail is one
sentence on stderr and one exit code.
"""

from __future__ import annotations

import errno
import os
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import IO, Any

import click
from click.core import ParameterSource

from .. import BackendError, Capture, ConfigurationError, Definition, DefinitionEditor, Settings
from ..backends.file import FileBackends
from .show import safe

#: One of these is in every data directory.
_SIGNS = ("store.sqlite3", "activities.json", "activities.toml")


class Failed(click.ClickException):
    """The sentence that a command ends with: what was asked for is not there, or not in order."""

    exit_code = 1

    def __init__(self, message: str) -> None:
        super().__init__("\n".join(map(safe, message.split("\n"))))


class Misconfigured(Failed):
    """The configuration or the data directory is wrong."""

    exit_code = 3


class Faulty(Failed):
    """Storage did not do its work."""

    exit_code = 4


class Account:
    """One data directory and the settings it is used with."""

    def __init__(self) -> None:
        self.data = Path("data")
        #: What was said on the command line, not by the environment.
        self.said: set[str] = set()
        self.config: Path | None = None

    def settings(self) -> Settings:
        """The settings of ``--config``, or the defaults.

        :raises ConfigurationError: naming the file and what is wrong in it.
        """
        if self.config is None:
            return Settings()
        try:
            return Settings.from_mapping(tomllib.loads(self.config.read_text("utf-8")))
        except OSError as error:
            raise ConfigurationError(str(self.config), error.strerror or str(error)) from error
        except (ValueError, TypeError, AttributeError) as error:
            raise ConfigurationError(str(self.config), str(error)) from error

    def open(self, *, create: bool = False) -> FileBackends:
        """The backends, closed when the command ends.

        :param create: make the directory when there is none.
        """
        try:
            found = create or any((self.data / name).exists() for name in _SIGNS)
        except OSError as error:
            raise ConfigurationError(str(self.data), error.strerror or str(error)) from error
        if not found:
            raise ConfigurationError(
                str(self.data),
                "is no data directory; say where it is by --data or ORTTO_CAPTURE_DATA, or make "
                "one: ortto-capture serve",
            )
        return click.get_current_context().with_resource(FileBackends(self.data))

    def capture(self, backends: FileBackends) -> Capture:
        """The pipeline on top of ``backends``, with these settings."""
        return Capture(backends=backends, settings=self.settings())


with_account = click.make_pass_decorator(Account, ensure=True)


def editor(backends: FileBackends) -> DefinitionEditor:
    """The definitions, for changing them.

    :raises ConfigurationError: when only people change them.
    """
    definitions = backends.definitions
    if isinstance(definitions, DefinitionEditor):
        return definitions
    raise ConfigurationError(str(definitions.path), "tools do not change it; edit it by hand")


def definition(backends: FileBackends, activity_id: str) -> Definition:
    """The definition with exactly this id, or an end that names those that look like it."""
    found = backends.definitions.get(activity_id)
    if found is not None:
        return found
    # By slug: what stands before it is much the same in all of them.
    slugs = {each.id: each.id.rpartition(":")[2] for each in backends.definitions.all()}
    close = get_close_matches(activity_id.rpartition(":")[2], slugs.values())
    alike = [each for each, slug in slugs.items() if slug in close]
    said = f"no activity has the id {activity_id!r}"
    raise Failed(f"{said}; did you mean {' or '.join(alike)}?" if alike else said)


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
    except FileExistsError as error:
        raise Failed(f"{path} is there already, and stays as it is") from error
    except OSError as error:
        raise Misconfigured(f"{path}: {error.strerror}") from error
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            yield file
    except BaseException as error:
        path.unlink()
        if isinstance(error, OSError):
            raise Faulty(f"{path}: {error.strerror}") from error
        raise


def _place(context: click.Context, parameter: click.Parameter, value: Path | None) -> None:
    account = context.ensure_object(Account)
    if value is not None:
        setattr(account, str(parameter.name), value)
    if context.get_parameter_source(str(parameter.name)) is ParameterSource.COMMANDLINE:
        account.said.add(str(parameter.name))


def places(default: bool) -> list[click.Option]:
    """``--data`` and ``--config``, taken before and after the name of the command alike."""

    def option(name: str, metavar: str, text: str) -> click.Option:
        return click.Option(
            [name],
            # Whether it can be read is for the commands to find out, and to say what to do.
            type=click.Path(readable=False, path_type=Path),
            metavar=metavar,
            envvar=f"ORTTO_CAPTURE_{name[2:].upper()}" if default else None,
            callback=_place,
            expose_value=False,
            # Said once, in the help of the whole.
            hidden=not default,
            help=text,
        )

    return [
        option("--data", "DIR", "The data directory: ORTTO_CAPTURE_DATA, or ./data."),
        option("--config", "FILE", "A TOML file of settings: ORTTO_CAPTURE_CONFIG, or none."),
    ]


class Command(click.Command):
    """A command that takes ``--data`` and ``--config`` as well."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.params += places(default=False)


class Group(click.Group):
    """Commands in the order they were written, whose failures become exit codes."""

    command_class = Command
    group_class = type

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's
        """The names, as a reader meets them."""
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:
        """Run, and end with a sentence instead of a traceback where the reason is known."""
        try:
            return super().invoke(ctx)
        except ConfigurationError as error:
            raise Misconfigured(str(error)) from error
        except BackendError as error:
            raise Faulty(str(error)) from error
        except OSError as error:
            # Whoever read what is printed has had enough: click ends quietly then.
            if error.errno == errno.EPIPE:
                raise
            raise Faulty(str(error)) from error
