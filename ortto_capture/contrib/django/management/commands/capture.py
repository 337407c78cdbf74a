"""``manage.py capture …``: the command line of ``ortto-capture``, on the project's own account.

The law of this file: words are passed on as they are; what they mean is the command line's affair.
"""

from __future__ import annotations

import argparse
from typing import Any

from django.core.management.base import (
    BaseCommand,
    CommandError,
    CommandParser,
    handle_default_options,
)
from django.db import connections

from ..... import ConfigurationError
from .....cli.embedded import group
from ...account import capture_app


class Command(BaseCommand):  # type: ignore[misc]  # Django has no types
    """Runs one command."""

    help = "Look into what was captured, and look after it: manage.py capture --help"
    # For `doctor` is there when something is wrong.
    requires_system_checks: list[str] = []  # noqa: RUF012  # as Django has it

    def run_from_argv(self, argv: list[str]) -> None:
        """Run what was typed, ``--help`` included: the command line's own, not Django's."""
        django = CommandParser(add_help=False, allow_abbrev=False)
        django.add_argument("--settings")
        django.add_argument("--pythonpath")
        options, words = django.parse_known_args(argv[2:])
        handle_default_options(options)
        try:
            self.execute(words=words, **_NO_OPTIONS)
        except CommandError as error:
            self.stderr.write(str(error))
            raise SystemExit(3) from error
        finally:
            connections.close_all()

    def add_arguments(self, parser: CommandParser) -> None:
        """For ``call_command("capture", "tail")``."""
        parser.add_argument("words", nargs=argparse.REMAINDER)

    def handle(self, *_: object, words: list[str], **_options: Any) -> None:
        """Run ``words``; :class:`SystemExit` has the code of what failed."""
        try:
            commands = group(lambda: capture_app().capture)
        except ConfigurationError as error:
            raise CommandError(str(error)) from error
        try:
            commands.main(args=words, prog_name="manage.py capture")
        except SystemExit as ended:
            if ended.code:
                raise


_NO_OPTIONS = {"force_color": False, "no_color": False, "skip_checks": True}
