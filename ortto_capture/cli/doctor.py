"""``doctor`` and ``backup``: is everything as it should be, and where is yesterday's copy.

The law of this file: it changes nothing, and no check hides behind another: what keeps one from
being made is a line of its own. A line says what was looked at, how it is, and if it is not as it
should be, what to do.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from errno import EEXIST
from operator import itemgetter
from pathlib import Path
from typing import Any

import click

from .. import Capture, CaptureError, ConfigurationError
from ..backends.file import FileBackends
from .account import Account, Failed, with_account
from .reach import reached
from .remote import Remote
from .show import Column, Table, json_option, say

#: Less free space than this, in bytes, is a problem: a busy day's activities, and the log beside.
LEAST_FREE = 256 << 20
#: What only the owner may read.
PRIVATE = ("store.sqlite3", "store.sqlite3-wal", "store.sqlite3-shm", "erased", "secret")
#: What outcomes note that an operator should mend; the reference says how.
NOTES = ("behind-proxy", "counts-alone", "limited-locally")


def _row(check: str, found: str, remedy: str = "") -> dict[str, Any]:
    """What was looked at, how it is, and the remedy when that is not right."""
    return {"ok": not remedy, "check": check, "found": found, "remedy": remedy}


def _settings(account: Account) -> Iterator[dict[str, Any]]:
    chosen, path = account.settings, account.config
    limits = f"{chosen.person_limit} for a person, {chosen.ip_limit} for an address"
    if account.find is not None:
        path, place = None, "the application's own"
    else:
        place = str(path or "no file, so the defaults")
    yield _row("configuration", f"{place}: {limits}")
    if path is not None and chosen.secret_keys and path.stat().st_mode & 0o077:
        yield _row("configuration", f"others may read the keys in {path}", f"chmod 600 {path}")


def _permissions(data: Path) -> Iterator[dict[str, Any]]:
    for path in filter(Path.exists, (data, *(data / name for name in PRIVATE))):
        if not os.access(path, os.R_OK | os.W_OK):
            remedy = f"do this as its owner: sudo -u '#{path.stat().st_uid}' ortto-capture ..."
            yield _row("permissions", f"you may not read and write {path}", remedy)
        elif path.stat().st_mode & 0o077:
            yield _row("permissions", f"others may use {path}", f"chmod go= {path}")
        else:
            yield _row("permissions", f"{path} is for its owner alone")


def disk(data: Path, least: int = LEAST_FREE) -> Iterator[dict[str, Any]]:
    """See whether there is room for what will arrive."""
    total, _, free = shutil.disk_usage(data)
    remedy = "make room: without any, activities are answered with 503" if free < least else ""
    yield _row("free disk", f"{free / 2**30:,.1f} of {total / 2**30:,.1f} GiB are free", remedy)


def _stored(account: Account) -> Iterator[dict[str, Any]]:
    backends = account.opened()
    every = backends.definitions.all()
    on = sum(each.client_side and not each.archived for each in every)
    command = "enable ID" if every else "add act:cm:login --client-side"
    remedy = "" if on else f"everything gets 404 until one is: ortto-capture activities {command}"
    kept = f" in {backends.definitions.path.name}" if isinstance(backends, FileBackends) else ""
    yield _row("activities", f"{on} of {len(every)}{kept} are on", remedy)
    if isinstance(backends, FileBackends):
        yield from _sound(backends)
    counts = backends.outcomes.counts() if backends.outcomes is not None else {}
    for note in NOTES:
        if f"note:{note}" in counts:
            remedy = "docs/reference/cli.md says what that is, and what to do"
            yield _row("serving", f"{note} was noted", remedy)


def _sound(backends: FileBackends) -> Iterator[dict[str, Any]]:
    problems = backends.problems()
    for problem in problems:
        yield _row("store", problem, "stop the server, and restore a backup")
    if not problems:
        yield _row("store", "every row is as it was written")


def _directory(account: Account) -> Path | None:
    """Where the data is, or None where the host keeps it elsewhere."""
    if account.find is None:
        return account.data
    backends = account.backends
    return backends.directory if isinstance(backends, FileBackends) else None


def _examine(account: Account) -> Iterator[dict[str, Any]]:
    checks = {"configuration": _settings(account)}
    data = _directory(account)
    if data is not None and data.is_dir():
        checks |= {"permissions": _permissions(data), "free disk": disk(data)}
    if data is None or data.is_dir():
        checks["store"] = _stored(account)
    for check, rows in checks.items():
        try:
            yield from rows
        except CaptureError as error:
            yield _row(check, str(error), "do as it says, then ask again")
        except OSError as error:
            remedy = "name another, or see to it that it can be used"
            yield _row(check, f"{error.filename}: {error.strerror}", remedy)
    if data is not None and not data.is_dir():
        yield _row("data", f"{data} is no directory", "say where it is: --data DIR")


_COLUMNS = [
    Column("", lambda row: "ok" if row["ok"] else "problem", "bold"),
    Column("CHECK", itemgetter("check")),
    Column("FOUND", itemgetter("found")),
    Column("REMEDY", itemgetter("remedy")),
]


@click.command()
@click.option("--url", help="Look at a running endpoint instead, such as https://…/capture.")
@json_option
@with_account
def doctor(account: Account, url: str | None, as_json: bool) -> None:
    """Look for problems, and say what to do."""
    if url is None:
        rows = list(_examine(account))
    else:
        found = reached(Remote(url), _at_hand(account))
        rows = [{"ok": not each.remedy, **each._asdict()} for each in found]
    Table(_COLUMNS, as_json=as_json).show(rows)
    if problems := sum(not row["ok"] for row in rows):
        raise Failed(f"problems: {problems}")


def _at_hand(account: Account) -> Capture | None:
    """The account, if it can be opened here."""
    try:
        return account.capture
    except ConfigurationError:
        if account.given or account.find is not None:
            raise
        return None


@click.command()
@click.argument("directory", type=click.Path(path_type=Path))
@with_account
def backup(account: Account, directory: Path) -> None:
    """Copy everything into a new directory.

    The server may go on meanwhile. The copy is a data directory itself:
    ortto-capture --data DIRECTORY serve
    """
    backends = account.stored
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if any(directory.iterdir()):
        raise FileExistsError(EEXIST, "not empty", str(directory))
    say(str(backends.backup(directory)))
