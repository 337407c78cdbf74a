"""``doctor --url``: does what a page sends arrive, in one piece, and from which address.

The law of this file: what is asked is refused, so nothing is stored and nothing is counted but one
refused request.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from .. import Capture
from .account import Failed
from .remote import Answer, Remote

#: No activity has this id.
PROBE = "act:cm:asked-by-the-doctor"
#: An address of documentation, which no visitor has.
FORGED = "192.0.2.66"
_MOUNT = "mount CaptureApp there, and have each proxy in front pass on everything below that path"
_PROXY = "see docs/how-to/behind-a-proxy.md"


class Finding(NamedTuple):
    """What was looked at, how it is, and the remedy when that is not right."""

    check: str
    found: str
    remedy: str = ""


def reached(remote: Remote, capture: Capture | None) -> Iterator[Finding]:
    """Ask an endpoint for everything that a page needs of it.

    :param capture: its account, where that is at hand.
    """
    try:
        yield _client(remote.get("app.js"))
        yield _health(remote.get("-/health"))
        yield from _requests(remote.post("activity", {"activity_id": PROBE}))
        if capture is None:
            found = "not looked at: name the account with --app, or --data and --config"
            yield Finding("address", found)
        else:
            yield from _address(remote, capture)
    except Failed as error:
        yield Finding("server", error.message, "see that it runs, and that this machine reaches it")


def _other(check: str, answer: Answer, remedy: str = _MOUNT) -> Finding:
    said = f"{answer.status}, and not an answer of ours: {answer.beginning}"
    return Finding(check, said, remedy)


def _client(answer: Answer) -> Finding:
    if answer.status != 200 or b"ap3c" not in answer.body:
        return _other("client", answer)
    kind = answer.headers.get("content-type", "")
    if "javascript" not in kind:
        return Finding("client", f"app.js is served as {kind or 'nothing'}", "leave its type alone")
    return Finding("client", f"app.js arrives, {len(answer.body):,} bytes")


def _health(answer: Answer) -> Finding:
    if answer.status == 200 and answer.json == {"ok": True}:
        return Finding("health", "every backend answers")
    if answer.status == 503 and answer.json == {"ok": False}:
        return Finding("health", "a backend does not answer", "the server's log says which")
    return _other("health", answer)


def _requests(answer: Answer) -> Iterator[Finding]:
    if not answer.ours:
        yield _other("requests", answer)
        return
    code = answer.json["error"]["code"] if answer.status != 200 else "ok"
    yield Finding("requests", f"they arrive, and the answers come back: {answer.status} {code}")
    if answer.headers.get("access-control-allow-origin") != "*":
        found = "Access-Control-Allow-Origin is not as it was sent"
        yield Finding("headers", found, "have no proxy change it: other origins see no answer")
    elif answer.headers.get("cache-control") != "no-store":
        found = "Cache-Control is not as it was sent"
        yield Finding("headers", found, "have no proxy cache or change what is below that path")
    else:
        yield Finding("headers", "they come back as they were sent")


def _address(remote: Remote, capture: Capture) -> Iterator[Finding]:
    """By which address the server counts what comes from here."""
    bearer = {"Authorization": f"Bearer {capture.operator_token()}"}
    answer = remote.get("-/address", bearer)
    bucket = answer.json.get("bucket")
    if answer.status != 200 or not isinstance(bucket, str):
        if not answer.ours:
            yield _other("address", answer)
            return
        found = "the server has another signing key than this account"
        yield Finding("address", found, "name the settings and the data that it runs with")
        return
    of_no_visitor = answer.json.get("local") is True or bucket == "unknown"
    of_a_proxy = answer.json.get("proxied") is True or (of_no_visitor and not remote.sees(bucket))
    remedy = f"that is the address of a proxy: {_PROXY}" if of_a_proxy else ""
    yield Finding("address", f"what comes from here is counted for {bucket}", remedy)
    forged = {"X-Forwarded-For": FORGED, "X-Real-IP": FORGED, "Forwarded": f"for={FORGED}"}
    believed = remote.get("-/address", bearer | forged).json.get("bucket")
    if believed == FORGED:
        found = "any visitor can say which address to count him by"
        remedy = f"have the proxy set the header, not pass it on: {_PROXY}"
        yield Finding("forwarding", found, remedy)
    else:
        yield Finding("forwarding", "an address that a visitor makes up is not believed")
