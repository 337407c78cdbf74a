"""``activities check``: is a definition file sound, and does it break what sends today.

The law of this file: a change is breaking when a call that was accepted by the old file can be
refused by the new one, or loses a value. Nothing is opened but the files.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

import click

from .. import ConfigurationError, Definition, Settings
from ..backends.definition_file import read_definitions
from ..model import Quota
from .account import Account, Failed, with_account
from .show import Column, Table, document, json_option, say


class Change(NamedTuple):
    """One breaking change: of which activity, what it is, and what comes of it."""

    activity_id: str
    change: str
    why: str


_CHANGES = [
    Column("ACTIVITY", itemgetter("activity_id"), "bold"),
    Column("CHANGE", itemgetter("change")),
    Column("WHY", itemgetter("why")),
]
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.argument("file", type=_FILE)
@click.argument("new", required=False, type=_FILE)
@json_option
@with_account
def check(account: Account, file: Path, new: Path | None, as_json: bool) -> None:
    """Check a definition file; print everything that is wrong.

    With a second one, NEW: print every change that breaks what is sent today.
    """
    before = _read(file, as_json=as_json)
    if new is None:
        if not as_json:
            say(f"{file}: nothing wrong, activities: {len(before)}")
        return
    found = list(breaking(before, _read(new, as_json=as_json), account.settings))
    Table(_CHANGES, as_json=as_json).show(each._asdict() for each in found)
    if found:
        raise Failed(f"breaking changes: {len(found)}")
    if not as_json:
        say(f"{new}: nothing breaks")


def _read(file: Path, *, as_json: bool) -> list[Definition]:
    try:
        return read_definitions(file)
    except ConfigurationError as error:
        problems = str(error).removeprefix(f"{error.field}: ").split("\n")
        for problem in problems:
            say(document({"problem": problem}) if as_json else problem)
        raise Failed(f"problems, see above: {len(problems)}") from error


def breaking(
    old: Sequence[Definition], new: Sequence[Definition], settings: Settings
) -> Iterator[Change]:
    """Find what would be refused, or lose a value, if ``new`` took the place of ``old``."""
    after = {each.id: each for each in new}
    for was in old:
        if was.archived:
            continue
        now = after.get(was.id)
        if now is None:
            yield Change(was.id, "removed", "it is answered with 404")
        elif now.archived:
            yield Change(was.id, "archived", "it is answered with 404")
        else:
            yield from _narrower(was, now, settings)


def _narrower(was: Definition, now: Definition, settings: Settings) -> Iterator[Change]:
    """What one activity accepts no longer."""
    if was.client_side and not now.client_side:
        yield Change(was.id, "switched off", "websites that send it get 404")
    if was.needs != "verified" and now.needs == "verified":
        why = "visitors for whom the host does not vouch get 401"
        yield Change(was.id, "needs: claimed, now verified", why)
    yield from _attributes(was, now)
    if was.unknown_attributes == "drop" and now.unknown_attributes == "reject":
        why = "attributes that are not listed were left out; now the activity is refused"
        yield Change(was.id, "unknown_attributes: drop, now reject", why)
    # What websites may not send is recorded by the host alone, which has no limits.
    limits = {"person": settings.person_limit, "ip": settings.ip_limit} if was.client_side else {}
    for kind, common in limits.items():
        before, after = ((each.limits or {}).get(kind, common) for each in (was, now))
        if _lower(Quota.parse(before), Quota.parse(after)):
            why = "what comes more often, or more at once, gets 429"
            yield Change(was.id, f"limits: {kind}: {before}, now {after}", why)


def _attributes(was: Definition, now: Definition) -> Iterator[Change]:
    before = {each.key: each for each in was.attributes}
    after = {each.key: each for each in now.attributes}
    slugs = {key.partition(":")[2]: key for key in after if key not in before}
    lost = "refused" if now.unknown_attributes == "reject" else "left out"
    for key in before:
        if key in after:
            continue
        other = slugs.get(key.partition(":")[2])
        change = f"{key}: removed" if other is None else f"{key}: of another type, now {other}"
        yield Change(was.id, change, f"it is {lost} where it is sent")
    for key, each in after.items():
        if each.required and not (key in before and before[key].required):
            why = "an activity without it is refused"
            yield Change(was.id, f"{key}: required now", why)
        elif key not in before and was.unknown_attributes == "drop":
            why = "any value was left out; now the activity is refused where it does not fit"
            yield Change(was.id, f"{key}: declared now", why)


def _lower(was: Quota, now: Quota) -> bool:
    """Tell whether ``now`` can be full with what ``was`` lets through.

    All of a window may come at once; in a longer window, as often as the shorter one fits in.
    """
    return now.amount * was.seconds < was.amount * max(was.seconds, now.seconds)
