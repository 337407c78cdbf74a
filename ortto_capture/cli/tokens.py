"""``token``: who may look into the console, and change things there, without the host's login."""

from __future__ import annotations

import time
from operator import itemgetter

import click

from .. import ConfigurationError, Documents
from ..console.routes import SCOPES
from ..console.tokens import KIND, new, stored
from .account import Account, Failed, Group, with_account
from .show import Column, Table, hint, json_option, moment, say


@click.group(cls=Group)
def token() -> None:
    """Access tokens of the console."""


@token.command("new")
@click.option("--name", required=True, help="Whose it is.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    required=True,
    type=click.Choice(list(SCOPES)),
    help="What it allows; may be repeated.",
)
@with_account
def new_(account: Account, name: str, scopes: tuple[str, ...]) -> None:
    """Make a token, and print it: it cannot be read again."""
    documents = _documents(account)
    if documents.get(KIND, name) is not None:
        raise Failed(f"there is a token {name!r}; remove it, or choose another name")
    say(new(documents, name, scopes, time.time()))
    hint("Keep it as you keep a password. The console's page asks for it.")


_COLUMNS = [
    Column("NAME", itemgetter("name"), "bold"),
    Column("SCOPES", lambda row: " ".join(row["scopes"])),
    Column("SINCE (UTC)", lambda row: moment(row["created_at"]), "dim"),
]


@token.command("list")
@json_option
@with_account
def list_(account: Account, as_json: bool) -> None:
    """List the tokens, by name; they themselves are not stored."""
    rows = [
        {
            "name": each.name,
            "scopes": [scope for scope in SCOPES if scope in each.scopes],
            "created_at": each.created_at,
        }
        for each in stored(_documents(account))
    ]
    if not Table(_COLUMNS, as_json=as_json).show(rows):
        hint("None yet. For example: ortto-capture token new --name Jo --scope read")


@token.command()
@click.argument("name")
@with_account
def remove(account: Account, name: str) -> None:
    """Remove a token; it opens nothing from the next request on."""
    if not _documents(account).remove(KIND, name):
        raise Failed(f"no token has the name {name!r}")
    say(f"{name}: removed")


def _documents(account: Account) -> Documents:
    if account.backends.documents is None:
        kind = type(account.backends).__name__
        raise ConfigurationError(kind, "these backends keep no documents, and so no tokens")
    return account.backends.documents
