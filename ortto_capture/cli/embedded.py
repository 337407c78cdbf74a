"""The commands as a part of a host's own command line: ``flask capture``, ``manage.py capture``.

The law of this file: they are the same commands, on the host's own account. What serves is left
out, because the host serves; so are the options that name another account.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from importlib.util import find_spec
from typing import TYPE_CHECKING

from .. import Capture, ConfigurationError
from . import NEEDED

if TYPE_CHECKING:
    import click

#: The commands that serve.
_SERVING = {"serve", "demo"}


def group(find: Callable[[], Capture]) -> click.Group:
    """Return a click group, ``capture``, of all commands on the account that ``find`` returns.

    :param find: asked once for each command that is run, when it first needs the account; within
        click's context of that command, so what the host keeps there is found.
    :raises ConfigurationError: when click is not installed; the message names the extra.
    """
    if find_spec("click") is None:
        raise ConfigurationError("cli", NEEDED)
    import click

    from .account import CONFIGURATION, Account, Failed, Group
    from .commands import commands

    @click.pass_context
    def begin(context: click.Context) -> None:
        if find_spec("rich") is None:
            raise Failed(NEEDED, CONFIGURATION)
        context.obj = Account(find)

    found = _without_places(commands)
    return Group(
        "capture",
        {name: each for name, each in found.commands.items() if name not in _SERVING},
        callback=begin,
        help="Look into what was captured, and look after it.",
        epilog=commands.epilog,
        context_settings=commands.context_settings,
    )


def _without_places(command: click.Group) -> click.Group:
    """Copy a group and what is in it, without the options that name an account."""
    from .account import PLACES, Group

    copied = copy(command)
    copied.commands = {}
    for name, each in command.commands.items():
        if isinstance(each, Group):
            copied.commands[name] = _without_places(each)
        else:
            copied.commands[name] = bare = copy(each)
            bare.params = [one for one in each.params if one not in PLACES]
    return copied
