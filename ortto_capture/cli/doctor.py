"""``doctor`` and ``backup``: is everything as it should be, and where is yesterday's copy.

The law of this file: it changes nothing, and no check hides behind another: what keeps one from
being made is a line of its own. A line says what was looked at, how it is, and if it is not as it
should be, what to do.
"""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from stat import S_IMODE
from tempfile import TemporaryFile
from typing import Any, NamedTuple

import click

from .. import CaptureError
from ..backends.file import FileBackends
from .account import Account, Command, Failed, Misconfigured, with_account
from .show import Column, Table, counted, json_option, on_terminal, progress, say

#: Less free space than this, in bytes, is a problem: a busy day's activities, and the log beside.
LEAST_FREE = 256 << 20
#: Seconds by which two clocks may differ.
SLACK = 5.0
#: File systems on other machines: neither locks nor SQLite's shared memory can be relied on there.
NETWORKS = ("nfs", "cifs", "smb", "9p", "afs", "ceph", "gluster", "fuse.sshfs", "fuse.gluster")
#: What nobody but the owner may read.
PRIVATE = ("store.sqlite3", "store.sqlite3-wal", "store.sqlite3-shm", "erased", "secret")
#: What outcomes note: what it is about, how it should be, what happened, what to do.
NOTES = {
    "behind-proxy": (
        "proxy headers",
        "none that are not accounted for",
        "requests came through a proxy, or without an address: visitors share one IP limit",
        "wrap the app in werkzeug's ProxyFix, outside the mount, or give CaptureApp(client_ip=...)",
    ),
    "counts-alone": (
        "processes",
        "they count together",
        "several processes counted in memory, each alone: limits were multiplied",
        'use backends that share, such as open_backends("file:./data")',
    ),
    "limited-locally": (
        "limiter",
        "never away",
        "the limiter was away, and each process counted alone meanwhile",
        "look into the log of the limiter; on_limiter_error says what happens then",
    ),
}


class Finding(NamedTuple):
    """One line: what was looked at, how it is, and the remedy when that is not right."""

    check: str
    found: str
    remedy: str = ""


def settings(account: Account) -> Iterator[Finding]:
    chosen = account.settings()
    path = account.config
    yield Finding(
        "configuration",
        f"{path or 'no file, so the defaults'}: {chosen.person_limit} for a person, "
        f"{chosen.ip_limit} for an address",
    )
    if path is not None and _mode(path) & 0o077 and chosen.secret_keys:
        yield Finding("configuration", f"others may read the keys in {path}", f"chmod 600 {path}")


def _mode(path: Path) -> int:
    return S_IMODE(path.stat().st_mode)


def permissions(data: Path) -> Iterator[Finding]:
    """See whether it is for its owner alone, and whether that is who asks."""
    if not _usable(data, os.R_OK | os.W_OK | os.X_OK):
        yield _theirs(data)
        return
    found = []
    for path, mode in {data: 0o700, **{data / name: 0o600 for name in PRIVATE}}.items():
        if path.exists() and _mode(path) & ~mode:
            said = f"others may use {path} (mode {_mode(path):o})"
            found.append(Finding("permissions", said, f"chmod {mode:o} {path}"))
    found += [_theirs(path) for path in data.iterdir() if not _usable(path, os.R_OK | os.W_OK)]
    yield from found or [Finding("permissions", f"{data} is for {_owner(data)} alone")]


def _usable(path: Path, mode: int) -> bool:
    return os.access(path, mode, effective_ids=os.access in os.supports_effective_ids)


def _theirs(path: Path) -> Finding:
    return Finding(
        "permissions",
        f"you may not read and write {path}, which is {_owner(path)}'s",
        f"be {_owner(path)}: sudo -u {_owner(path)} ortto-capture ...",
    )


def _owner(path: Path) -> str:
    try:
        return path.owner()
    except KeyError:  # nobody of that number has a name here
        return f"#{path.stat().st_uid}"


def clock(data: Path, backends: FileBackends, now: datetime) -> Iterator[Finding]:
    arrived = [each.received_at for each in backends.journal.recent()]
    with TemporaryFile(dir=data) as file:
        file.write(b" ")
        file.flush()
        apart = abs(os.fstat(file.fileno()).st_mtime - now.timestamp())
    said = f"{now:%Y-%m-%d %H:%M:%S} UTC"
    ahead = max(arrived, default=now) - now
    if ahead > timedelta(seconds=SLACK):
        yield Finding(
            "clock",
            f"{said}, but an activity arrived {ahead.total_seconds():,.0f} seconds after that",
            "set the clock, and keep it by NTP: limits and retention go by it",
        )
    elif apart > SLACK:
        yield Finding(
            "clock",
            f"the file system's differs by {apart:.0f} seconds",
            "keep both clocks by NTP",
        )
    else:
        yield Finding("clock", said)


def disk(data: Path, least: int = LEAST_FREE) -> Iterator[Finding]:
    total, _, free = shutil.disk_usage(data)
    said = f"{free / 2**30:,.1f} of {total / 2**30:,.1f} GiB are free"
    if free < least:
        yield Finding("free disk", said, "make room: without any, activities are answered with 503")
    else:
        yield Finding("free disk", said)


def file_system(data: Path, mounts: Path = Path("/proc/self/mountinfo")) -> Iterator[Finding]:
    kind = _kind_of(data, mounts.read_text("utf-8")) if mounts.exists() else "not known here"
    if kind.startswith(NETWORKS):
        yield Finding(
            "file system",
            f"{kind}, on another machine: locks and fsync cannot be relied on",
            "move the directory to a disk of this machine, or use another backend",
        )
    else:
        yield Finding("file system", kind)


def _kind_of(path: Path, mounts: str) -> str:
    """The type of the file system that holds ``path``, by Linux' list of mounts."""
    best, kind = Path(), "not known here"
    for line in mounts.splitlines():
        place, separator, of = line.partition(" - ")
        # Blanks in a path are written in octal.
        name = re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), place.split()[4])
        # Of two mounts at one place, the later is on top.
        if separator and path.resolve().is_relative_to(name) and len(name) >= len(str(best)):
            best, kind = Path(name), of.split()[0]
    return kind


def versions(required: Iterable[str]) -> Iterator[Finding]:
    said = [f"Python {sys.version.split()[0]}", f"SQLite {sqlite3.sqlite_version}"]
    for requirement in required:
        if (plain := re.fullmatch(r"([\w-]+)>=([\d.]+)", requirement)) is None:
            continue
        name, floor = plain.groups()
        try:
            found = version(name)
        except PackageNotFoundError:
            found = "0"
        said.append(f"{name} {found}")
        if _numbers(found) < _numbers(floor):
            remedy = f"pip install '{requirement}'"
            yield Finding("versions", f"{name} {found} is older than {floor}", remedy)
    yield Finding("versions", f"ortto-capture {version('ortto-capture')}, " + ", ".join(said))


def _numbers(text: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", text)]


def definitions(backends: FileBackends) -> Iterator[Finding]:
    found = backends.definitions.all()
    on = [each for each in found if each.client_side and not each.archived]
    path = backends.definitions.path.name
    if not on:
        yield Finding(
            "activities",
            f"none of {len(found)} in {path} is on: everything gets 404",
            "ortto-capture activities enable ID, or: activities add ID --client-side",
        )
    else:
        yield Finding("activities", f"{len(on)} of {len(found)} in {path} are on")


def store(backends: FileBackends) -> Iterator[Finding]:
    problems = backends.problems()
    for problem in problems:
        yield Finding("store", problem, "stop the server, and restore a backup")
    if not problems:
        yield Finding("store", "every row is as it was written")


def notes(backends: FileBackends) -> Iterator[Finding]:
    counts = backends.outcomes.counts()
    for note, (check, fine, wrong, remedy) in NOTES.items():
        if times := counts.get(f"note:{note}", 0):
            yield Finding(check, f"{wrong} ({counted(times, 'time')})", remedy)
        else:
            yield Finding(check, fine)


def _examine(account: Account) -> Iterator[Finding]:
    """Every check, each on its own."""
    every = "correct it; docs/reference/settings.md has every setting"
    yield from _try("configuration", lambda: settings(account), every)
    yield from _try("versions", lambda: versions(requires("ortto-capture") or ()))
    data = account.data
    if not data.is_dir():
        yield Finding("data", f"{data} is no directory", "say where it is: --data DIR")
        return
    yield from _try("permissions", lambda: permissions(data))
    yield from _try("free disk", lambda: disk(data))
    yield from _try("file system", lambda: file_system(data))
    try:
        backends = account.open()
    except CaptureError as error:
        yield Finding("store", str(error), "do as it says; then ask again, for there is more")
        return
    yield from _try("clock", lambda: clock(data, backends, datetime.now(UTC)))
    yield from _try("activities", lambda: definitions(backends))
    yield from _try("store", lambda: store(backends))
    yield from _try("outcomes", lambda: notes(backends))


def _try(
    check: str,
    examine: Callable[[], Iterator[Finding]],
    remedy: str = "mend that first, then ask again",
) -> Iterator[Finding]:
    try:
        yield from examine()
    except (CaptureError, OSError, KeyError) as error:
        yield Finding(check, str(error), remedy)


_STATES = {True: "ok", False: "problem", None: ""}
_COLOURS = {"ok": "green", "problem": "bold red", "": ""}
_COLUMNS = [
    Column("", lambda row: _STATES[row["ok"]], lambda row: _COLOURS[_STATES[row["ok"]]]),
    Column("CHECK", lambda row: row["check"]),
    Column("FOUND", lambda row: row["found"]),
    Column("REMEDY", lambda row: row["remedy"]),
]


def _lines(row: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield row
    if row["remedy"]:
        yield {"ok": None, "check": "", "found": f"→ {row['remedy']}"}


@click.command(cls=Command)
@json_option
@with_account
def doctor(account: Account, as_json: bool) -> None:
    """Look for problems, and say what to do."""
    with progress("Looking"):
        findings = [{"ok": not each.remedy, **each._asdict()} for each in _examine(account)]
    if on_terminal() and not as_json:
        # A remedy has a line of its own, which is all the wider.
        Table(_COLUMNS[:3], as_json=False).show(line for each in findings for line in _lines(each))
    else:
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
    if directory.is_dir() and any(directory.iterdir()):
        raise Misconfigured(f"{directory} is not empty; name a new directory")
    backends = account.open()
    with progress("Copying"):
        copy = backends.backup(directory)
    say(str(copy))
