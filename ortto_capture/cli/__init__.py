"""The command line, ``ortto-capture``: to run, look into and look after a data directory.

The law of this package: it decides nothing. It asks the same public names that your own programs
ask, shows what comes back, and turns what went wrong into one sentence and an exit code. Values
that visitors wrote reach a terminal as text only: never as control characters, never as markup.

click, rich and waitress come with the extra ``cli``; without it this module says so, and ends.
"""

from __future__ import annotations

import signal
import sys
from contextlib import suppress
from importlib.util import find_spec

#: What is said where the extra is not installed.
NEEDED = "The command line needs: pip install 'ortto-capture[cli]'"


def main() -> None:
    """Run the command line; the process ends with one of the codes in ``docs/reference/cli.md``."""
    if not all(map(find_spec, ("click", "rich", "waitress"))):
        sys.stderr.write(f"{NEEDED}\n")
        sys.exit(3)
    from .commands import commands

    # A shell starts what runs in its background with SIGINT ignored.
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.default_int_handler)
    try:
        commands(prog_name="ortto-capture")
    finally:
        # What could not be written was said; Python would try again at its end, and exit with 120.
        with suppress(OSError):
            sys.stdout.close()
