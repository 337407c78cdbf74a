"""Traces a server while it answers real requests, and looks at what comes before what.

The law of this file: an answer may leave when a power cut at that moment takes nothing of it back:
the bytes are synced, the names are synced with their directory, and of each activity the very bytes
are in the log, and the log synced, between the request and its 200.

``python -m tests.faults.order DIR VARIANT``
"""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from ortto_capture import CaptureApp

from ..services import PATIENCE, serve
from .stage import LOGIN, ROOMY, account, child, files, finish, login, program, redefine
from .tracing import SENDS, SYNCS, Call, attached, calls, careless_renames, trace_set, undurable

#: Requests one after the other, then threads with as many each at the same time.
ALONE, THREADS, EACH = 5, 4, 5


def server(
    directory: Path, variant: str, say: Callable[[str], None], wait: Callable[[], None]
) -> None:
    """Everything that is ever acknowledged, each when the parent says so."""
    wait()
    with account(directory, variant) as capture:
        say("acknowledged the store")
        redefine(files(capture), login(ROOMY))
        say("acknowledged the definition")
        with serve(CaptureApp(capture)) as url:
            say(url)
            wait()
        redefine(files(capture), login(ROOMY, "Another name"))
        say("acknowledged the other name")
        erased = capture.erase(email="alone@emaildomain.com")
        # A variant that answers before it stores may not have stored the person yet.
        assert erased is not None or variant
        say("acknowledged the erasure")
        files(capture).backup(directory.with_name("backup"))
        say("acknowledged the backup")


def ask(url: str, event: str, email: str) -> int:
    """One request of a browser: a visitor, new or known, does something."""
    return answer(url, event, email)[0]


def answer(url: str, event: str, email: str) -> tuple[int, str]:
    """The same: the status, and the error's code if it is one."""
    there = urlsplit(url)
    connection = http.client.HTTPConnection(there.hostname or "", there.port, timeout=PATIENCE)
    body = {"activity_id": LOGIN, "event_id": event, "person": {"email": email}}
    try:
        connection.request("POST", "/-/events/activity", json.dumps(body))
        response = connection.getresponse()
        return response.status, json.load(response).get("error", {}).get("code", "")
    finally:
        connection.close()


def traced(directory: Path, variant: str) -> tuple[list[str], list[Call]]:
    """The event ids acknowledged, and every call that the server made."""
    log = directory.with_name("trace")
    acknowledged: list[str] = []

    def send(event: str, email: str) -> None:
        if ask(url, event, email) == 200:
            acknowledged.append(event)

    def crowd(thread: int) -> None:
        for number in range(EACH):
            send(f"crowd-{thread}-{number}", f"crowd-{thread}@emaildomain.com")

    with (
        child(lambda say, wait: server(directory, variant, say, wait)) as talk,
        attached(talk.pid, *trace_set(), log=log),
    ):
        talk.go()
        talk.heard(), talk.heard()
        url = talk.heard()
        for number in range(ALONE):
            send(f"alone-{number}", "alone@emaildomain.com")
        threads = [threading.Thread(target=crowd, args=(number,)) for number in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        talk.go()
        said = talk.rest()
        assert [len(said), talk.status()] == [3, 0], said
    return acknowledged, calls(log)


# -- the checks


def is_answer(call: Call) -> bool:
    """Whether this call tells a client or the parent that something is stored."""
    to_client = call.path.startswith("socket:") and "200 OK" in call.arguments
    to_parent = call.path.startswith("pipe:") and "acknowledged" in call.arguments
    return call.name in SENDS and (to_client or to_parent)


def unproven(found: Sequence[Call], acknowledged: Sequence[str]) -> Iterator[str]:
    """For each activity: request < its bytes written to the log < the log synced < its 200."""
    for event in acknowledged:
        quoted = f'\\"{event}\\"'
        asked = next(c for c in found if c.path.startswith("socket:") and quoted in c.arguments)
        sent = next(
            call
            for call in found
            if call.thread == asked.thread and call.began > asked.ended and is_answer(call)
        )
        between = [call for call in found if asked.ended < call.began and call.ended < sent.began]
        written = [
            call.ended
            for call in between
            if call.name == "pwrite64" and call.path.endswith("-wal") and event in call.arguments
        ]
        if not written:
            yield f"{event} was answered before it was written to the log"
        elif not any(
            call.name in SYNCS and call.path.endswith("-wal") and call.began > written[0]
            for call in between
        ):
            yield f"{event} was answered before the log was synced"


def findings(directory: Path, found: Sequence[Call], acknowledged: Sequence[str]) -> Iterator[str]:
    """All checks on one trace."""
    if len(acknowledged) != ALONE + THREADS * EACH:
        yield f"only {len(acknowledged)} were acknowledged"
    yield from unproven(found, acknowledged)
    # Others may be writing when the crowd is answered; what is alone must be durable as a whole.
    yield from undurable(found, directory, lambda call: is_answer(call) and _alone(call, found))
    yield from careless_renames(found, directory)


def _alone(answer: Call, found: Sequence[Call]) -> bool:
    """Whether no other client was being served."""
    if answer.path.startswith("pipe:"):
        return True
    asked = [c for c in found if c.thread == answer.thread and c.ended < answer.began]
    return any("alone-" in call.arguments for call in asked if call.path.startswith("socket:"))


def main(directory: str, variant: str = "") -> None:
    """One server, traced."""
    place = Path(directory) / "data"
    acknowledged, found = traced(place, variant)
    syncs = sum(call.name in SYNCS for call in found)
    finish(
        list(findings(place, found, acknowledged)),
        acked=len(acknowledged),
        calls=len(found),
        syncs=syncs,
        variant=variant or "none",
    )


if __name__ == "__main__":
    program(main)
