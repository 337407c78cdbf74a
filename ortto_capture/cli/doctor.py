"""``doctor`` and ``backup``: is everything as it should be, and where is yesterday's copy.

The law of this file: it changes nothing, and no check hides behind another: what keeps one from
being made is a line of its own. A line says what was looked at, how it is, and if it is not as it
should be, what to do.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from operator import itemgetter
from pathlib import Path
from typing import Any, TypeAlias

import click

from .. import CaptureError
from .account import Account, Command, Failed, unusable, with_account
from .show import Column, Table, counted, json_option, say

#: Less free space than this, in bytes, is a problem: a busy day's activities, and the log beside.
LEAST_FREE = 256 << 20
#: What only the owner may read.
PRIVATE = ("store.sqlite3", "store.sqlite3-wal", "store.sqlite3-shm", "erased", "secret")
#: What outcomes note that an operator should mend; the reference says how.
NOTES = {
    "behind-proxy": "visitors share one IP limit: a proxy hides their addresses",
    "counts-alone": "several processes counted in memory, each alone: limits were multiplied",
    "limited-locally": "the limiter was away, and each process counted alone meanwhile",
}

#: How something is, and the remedy, which is empty when that is right.
Findings: TypeAlias = Iterator[tuple[str, str]]


def _settings(account: Account) -> Findings:
    chosen, path = account.settings, account.config
    limits = f"{chosen.person_limit} for a person, {chosen.ip_limit} for an address"
    yield f"{path or 'no file, so the defaults'}: {limits}", ""
    if path is not None and chosen.secret_keys and path.stat().st_mode & 0o077:
        yield f"others may read the keys in {path}", f"chmod 600 {path}"


def permissions(data: Path) -> Findings:
    """See whether it is for its owner alone, and may be used by the one who asks."""
    wrong = False
    for path in [data, *(data.iterdir() if os.access(data, os.R_OK | os.X_OK) else ())]:
        if not os.access(path, os.R_OK | os.W_OK):
            wrong = True
            remedy = f"do this as its owner: sudo -u '#{path.stat().st_uid}' ortto-capture ..."
            yield f"you may not read and write {path}", remedy
        elif path.stat().st_mode & 0o077 and (path == data or path.name in PRIVATE):
            wrong = True
            yield f"others may use {path}", f"chmod go= {path}"
    if not wrong:
        yield f"{data} is for its owner alone", ""


def disk(data: Path, least: int = LEAST_FREE) -> Findings:
    """See whether there is room for what will arrive."""
    total, _, free = shutil.disk_usage(data)
    remedy = "make room: without any, activities are answered with 503" if free < least else ""
    yield f"{free / 2**30:,.1f} of {total / 2**30:,.1f} GiB are free", remedy


def _definitions(account: Account) -> Findings:
    definitions = account.backends.definitions
    every = definitions.all()
    on = sum(each.client_side and not each.archived for each in every)
    remedy = "" if on else "everything gets 404 until one is: ortto-capture activities enable ID"
    yield f"{on} of {len(every)} in {definitions.path.name} are on", remedy


def _store(account: Account) -> Findings:
    problems = account.backends.problems()
    for problem in problems:
        yield problem, "stop the server, and restore a backup"
    if not problems:
        yield "every row is as it was written", ""


def _notes(account: Account) -> Findings:
    counts = account.backends.outcomes.counts()
    seen = {note: times for note in NOTES if (times := counts.get(f"note:{note}"))}
    for note, times in seen.items():
        said = f"{NOTES[note]} ({counted(times, 'time')})"
        yield said, f"docs/reference/cli.md says what to do about {note}"
    if not seen:
        yield "nothing was noted that needs a remedy", ""


#: What is looked at, in this order; without the directory there is no use in the rest.
_CHECKS = {
    "configuration": _settings,
    "permissions": lambda account: permissions(account.data),
    "free disk": lambda account: disk(account.data),
    "activities": _definitions,
    "store": _store,
    "serving": _notes,
}


def _examine(account: Account) -> Iterator[dict[str, Any]]:
    for check, examine in _CHECKS.items():
        try:
            findings = list(examine(account))
        except (CaptureError, OSError) as error:
            findings = [(str(error), "do as it says, then ask again")]
        for found, remedy in findings:
            yield {"ok": not remedy, "check": check, "found": found, "remedy": remedy}


_COLUMNS = [
    Column("", lambda row: "ok" if row["ok"] else "problem", "bold"),
    Column("CHECK", itemgetter("check")),
    Column("FOUND", itemgetter("found")),
    Column("REMEDY", itemgetter("remedy")),
]


@click.command(cls=Command)
@json_option
@with_account
def doctor(account: Account, as_json: bool) -> None:
    """Look for problems, and say what to do."""
    findings = list(_examine(account))
    Table(_COLUMNS, as_json=as_json).show(findings)
    if problems := sum(not each["ok"] for each in findings):
        raise Failed(counted(problems, "problem"))


@click.command(cls=Command)
@click.argument("directory", type=click.Path(path_type=Path))
@with_account
def backup(account: Account, directory: Path) -> None:
    """Copy everything into a new directory.

    The server may go on meanwhile. The copy is a data directory itself:
    ortto-capture --data DIRECTORY serve
    """
    backends = account.backends
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(directory.iterdir()):
            raise FileExistsError
    except OSError as error:
        raise unusable(directory, error) from error
    say(str(backends.backup(directory)))
