"""All commands, in the order in which a reader needs them."""

from __future__ import annotations

import click

from .account import PLACES, Group
from .activities import activities, schema
from .audiences import audiences
from .changes import check
from .doctor import backup, doctor
from .journal import export, tail
from .ortto import import_
from .people import people
from .plan import docs, types
from .server import demo, serve
from .stats import reports, stats
from .tokens import token
from .trying import explain, send


@click.group(
    cls=Group,
    params=[*PLACES],
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Ends with 0: done, 1: not found or not in order, 2: wrong usage, 3: configuration or "
    "data directory, 4: storage fault.",
)
@click.version_option(package_name="ortto-capture")
def commands() -> None:
    """Receive what visitors of your website do, and look after what was received."""


for each in (check, import_):
    activities.add_command(each)
for each in (
    serve,
    demo,
    activities,
    schema,
    types,
    docs,
    send,
    explain,
    tail,
    stats,
    reports,
    people,
    audiences,
    export,
    token,
    backup,
    doctor,
):
    commands.add_command(each)
