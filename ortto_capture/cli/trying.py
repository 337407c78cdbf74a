"""``send`` and ``explain``: one activity from a terminal, for real or for a look.

The law of this file: ``send`` goes the way that a page goes, over HTTP or in this process, and
stores what a page would store; ``explain`` changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from operator import itemgetter
from typing import Any

import click

from .. import BackendError, Refused
from .account import STORAGE, Account, Failed, with_account
from .remote import Answer, Remote
from .show import Column, Table, json_option, on_terminal


def _object(text: str) -> Any:
    """``--attributes``: a JSON object."""
    try:
        value = json.loads(text)
    except ValueError as error:
        raise click.BadParameter(f"is no JSON: {error}") from error
    if not isinstance(value, dict):
        raise click.BadParameter('give an object, such as {"str:cm:plan": "pro"}')
    return value


def _of_an_activity(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add what says which activity of whom is meant."""
    for option in reversed(
        (
            click.argument("activity"),
            click.option("--email", help="Who does it, by e-mail address."),
            click.option("--ei", help="Who does it, by external id."),
            click.option("--attributes", type=_object, metavar="JSON", help="What it carries."),
            click.option(
                "--ip", help="The visitor's address; else no limit of an address is used."
            ),
            click.option("--event-id", help="Makes a repetition harmless."),
        )
    ):
        command = option(command)
    return command


#: What is said of an answer that another server gave.
_NOT_OURS = "not an answer of ours"
_SENT = [
    Column("STEP", itemgetter("step"), "bold"),
    Column("STATUS", lambda row: str(row["status"])),
    Column("ANSWER", itemgetter("answer")),
    Column("WHY", itemgetter("why")),
]


@click.command()
@_of_an_activity
@click.option("--server", is_flag=True, help="On the host's own word, as record_for does.")
@click.option("--url", help="Over HTTP, to https://…/capture.")
@click.option("--key", help="The capture key, over HTTP; else the first of the sources.")
@json_option
@with_account
def send(
    account: Account,
    /,
    url: str | None,
    key: str | None,
    server: bool,
    as_json: bool,
    **said: Any,
) -> None:
    """Send one activity, the whole way that a page goes.

    It identifies the person first. What is accepted is stored and counted.
    """
    if url and (server or said["ip"]):
        raise click.UsageError("over HTTP the server sees for itself who calls, and from where")
    if key and not url:
        raise click.UsageError("--key is for --url: in this process there is no capture key")
    if server and said["ip"]:
        raise click.UsageError("the host's own word has no address: leave out --ip or --server")
    if url:
        remote, key = Remote(url), key or next(iter(account.settings.sources), None)
        rows = list(_over_http(remote, {**said, "key": key}))
    else:
        rows = list(_in_process(account, server=server, **said))
    Table(_SENT, as_json=as_json).show(rows)
    step, status = rows[-1]["step"], rows[-1]["status"]
    if not (status == 200 and rows[-1]["answer"] != _NOT_OURS):
        advice = "; name a person: --email" if rows[-1]["answer"] == "not-identified" else ""
        raise Failed(f"{step} was refused: {status}{advice}", STORAGE if status == 503 else 1)


def _row(step: str, status: int, answer: str, why: str = "") -> dict[str, Any]:
    return {"step": step, "status": status, "answer": answer, "why": why}


def _over_http(remote: Remote, said: dict[str, Any]) -> Iterator[dict[str, Any]]:
    who = {name: said[name] for name in ("email", "ei", "key")}
    answer = remote.post("track", who)
    yield _answered("track", answer)
    if answer.status != 200 or not answer.ours:
        return
    session = answer.json.get("session")
    members = {"key": said["key"], "session": session, "activity_id": said["activity"]}
    members |= {"attributes": said["attributes"], "event_id": said["event_id"]}
    yield _answered("activity", remote.post("activity", members))


def _answered(step: str, answer: Answer) -> dict[str, Any]:
    if not answer.ours:
        return _row(step, answer.status, _NOT_OURS, answer.beginning)
    error = answer.json.get("error")
    if error is None:
        return _row(step, answer.status, _stored(answer.json.get("duplicate", False), step))
    wait = error.get("try-in-seconds")
    parts = [error.get("field"), error.get("expected"), f"again in {wait} s" if wait else None]
    why = (
        " · ".join(str(each) for each in parts if each)
        or "there, ortto-capture tail --refused says why"
    )
    return _row(step, answer.status, error["code"], why)


def _stored(duplicate: bool, step: str) -> str:
    if step == "track":
        return "answered"
    return "a repetition, stored before" if duplicate else "stored"


def _in_process(
    account: Account,
    *,
    server: bool,
    activity: str,
    email: str | None,
    ei: str | None,
    attributes: dict[str, Any] | None,
    ip: str | None,
    event_id: str | None,
) -> Iterator[dict[str, Any]]:
    capture, step = account.capture, "record_for" if server else "track"
    try:
        if server:
            captured = capture.record_for(
                activity, attributes, email=email, ei=ei, event_id=event_id
            )
            assert captured is not None  # noqa: S101  # only on_refused="log" returns None
        else:
            session = capture.identify(email=email, ei=ei, ip=ip).session
            yield _row("track", 200, "answered")
            step = "activity"
            captured = capture.record(session, activity, attributes, ip=ip, event_id=event_id)
        yield _row(step, 200, _stored(captured.duplicate, step))
    except (Refused, BackendError) as error:
        yield _row(step, error.status, error.code, _why(error))
    finally:
        # Both come a moment later, and this process ends before: subscribers are told, outcomes
        # are written.
        capture.flush()
        if capture.backends.outcomes is not None:
            capture.backends.outcomes.counts()


def _why(error: Refused | BackendError) -> str:
    if isinstance(error, BackendError):
        return str(error)
    parts = [error.reason if error.reason != error.code else None, error.field, error.expected]
    return " · ".join(filter(None, parts))


_CHECKED = [
    Column("", lambda row: "ok" if row["ok"] else "refused", "bold"),
    Column("ROW", lambda row: str(row["row"]), "dim"),
    Column("CHECK", itemgetter("check")),
    Column("FOUND", itemgetter("found")),
]


@click.command()
@_of_an_activity
@click.option("--verified", is_flag=True, help="The host vouches for that person.")
@click.option("--key", help="The capture key; else the first of the sources.")
@click.option("--origin", help="The page's origin, such as https://shop.example.")
@json_option
@with_account
def explain(account: Account, /, activity: str, as_json: bool, **said: Any) -> None:
    """Say which check would stop an activity.

    And what is left of each limit. Rows are those of the contract. Nothing is
    stored or counted.
    """
    said["key"] = said["key"] or next(iter(account.settings.sources), None)
    explained = account.capture.explain(activity, said.pop("attributes"), **said)
    # Of the limits each has a row of its own.
    steps = [step for step in explained.steps if step.check != "limits"]
    rows = [{**step.plain(), "found": _found(step.refused)} for step in steps]
    for row in rows:
        if row["check"] == "person" and row["ok"]:
            person = explained.person
            row["found"] = person.email or person.id if person else "would be created"
        elif row["check"] == "repetition" and explained.duplicate:
            row["found"] = "was stored before: 200, and nothing changes"
    rows += map(_limit, explained.limits)
    Table(_CHECKED, as_json=as_json).show(rows)
    refused = explained.refused
    if refused is not None:
        raise Failed(f"it would be refused: {refused.status} {refused.code}")
    if on_terminal() and not as_json:
        click.echo("It would be accepted.")


def _found(refused: Refused | None) -> str:
    return " · ".join(filter(None, [refused.code, _why(refused)])) if refused else ""


def _limit(room: Any) -> dict[str, Any]:
    amount, seconds = room.quota
    return {
        "row": 12,
        "check": room.name,
        "ok": bool(room.left),
        "found": f"{room.left} of {amount} left; a new window begins in {room.ends_in:,} s",
        "left": room.left,
        "taken": room.taken,
        "amount": amount,
        "seconds": seconds,
        "ends_in": room.ends_in,
    }
