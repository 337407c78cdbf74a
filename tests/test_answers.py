"""Contract §3 and §4: every row of the table of checks, and every two faults at once.

The law of this file: a fault is one change to a good request, or to the world it meets, with the
row that names it and what the answer must then be. Two faults that touch the same thing cannot
occur in one request; ``touches`` says so. After a request that was refused the journal is as before
and every quota has exactly the room it had. The sentences of §5 have their tests in
``test_rate_limits``, those of §7 in ``test_people``.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import pytest

from ortto_capture import BackendError, CaptureApp, Refused, StorageFull

from .contract_model import BAD_EVENT_IDS, INVALID, VALUES
from .host_apps import HOSTS, Reply, ask
from .services import campaign
from .world import (
    CAP,
    DAY,
    HERE,
    HOUR_LEFT,
    IP_LIMIT,
    KEY,
    LOGIN,
    NEW_PEOPLE_LIMIT,
    NOW,
    PERSON_LIMIT,
    PORTS,
    Request,
    World,
    activity,
    check_headers,
    forged,
    track,
)

Change = Callable[[Request, World], object]


@dataclass(frozen=True)
class Fault:
    """One way to be refused. ``error`` is what the body says beside code and message."""

    name: str
    row: int
    status: int
    code: str
    touches: frozenset[str]
    change: Change
    error: dict[str, Any] = field(default_factory=dict)

    def cannot_meet(self, other: Fault) -> bool:
        """Both would change the same thing, so no request has both."""
        return bool(self.touches & other.touches)


def fault(row: int, answer: str, name: str, touches: str, change: Change, **error: Any) -> Fault:
    status, code = answer.split()
    return Fault(name, row, int(status), code, frozenset(touches.split()), change, error)


class Severed(io.BytesIO):
    """The connection breaks while the body is read."""

    def read(self, size: int | None = -1, /) -> bytes:
        raise OSError("connection reset")


def header(name: str, value: str | None) -> Change:
    return lambda request, world: request.headers.update({name: value})


def member(name: str, value: Any) -> Change:
    return lambda request, world: request.json.update({name: value})


def both(one: Change, other: Change) -> Change:
    def change(request: Request, world: World) -> None:
        one(request, world)
        other(request, world)

    return change


def mangled(how: Callable[[bytes], bytes]) -> Change:
    def change(request: Request, world: World) -> None:
        request.mangle = how

    return change


def inserted(member: bytes) -> Change:
    """One more member, as bytes that ``json.dumps`` would never write."""
    return mangled(lambda raw: raw[:-1] + b"," + member + b"}")


def cut_short(request: Request, world: World) -> None:
    # The length is that of the final bytes, which other faults may still change.
    request.headers["Content-Length"] = str(CAP)


def chunked_over_the_cap(request: Request, world: World) -> None:
    chunked(request, world)
    request.pad = CAP + 1


def severed(request: Request, world: World) -> None:
    request.stream = Severed()
    request.headers["Content-Length"] = "100"


def padded_to_the_cap(request: Request, world: World) -> None:
    request.pad = CAP - len(request.bytes)


def chunked(request: Request, world: World) -> None:
    request.headers["Content-Length"] = None
    request.extra["wsgi__input_terminated"] = True


def method(name: str) -> Change:
    def change(request: Request, world: World) -> None:
        request.method = name

    return change


DEEP = b'"deep":' + b"[" * 8 + b"]" * 8
MANY = b",".join(b'"m%d":0' % n for n in range(64))

TRANSPORT = [
    *(
        fault(1, "405 method-not-allowed", name, "method", method(name))
        for name in ("GET", "PUT", "DELETE", "PATCH")
    ),
    fault(2, "413 too-large", "declared over the cap", "length",
          header("Content-Length", str(CAP + 1))),
    fault(2, "413 too-large", "declared absurdly", "length", header("Content-Length", "9" * 15)),
    fault(2, "413 too-large", "declared over the cap behind zeros", "length",
          header("Content-Length", "0" * 20 + str(CAP + 1))),
    *(
        fault(3, "415 unsupported-media-type", value, "type", header("Content-Type", value))
        for value in (
            "multipart/form-data; boundary=x",
            "application/x-www-form-urlencoded",
            "text/plain; charset=iso-8859-1",
            "application/json;charset=utf-16",
        )
    ),
    *(
        fault(3, "415 unsupported-media-type", value, "encoding", header("Content-Encoding", value))
        for value in ("gzip", "br", "deflate")
    ),
    fault(4, "400 incomplete", "cut short", "length", cut_short),
    fault(4, "400 incomplete", "severed", "length", severed),
    fault(4, "411 length-required", "no length", "length", header("Content-Length", None)),
    fault(4, "413 too-large", "chunked over the cap", "length", chunked_over_the_cap),
    *(
        fault(5, "400 bad-json", name, "bytes", change)
        for name, change in {
            "not JSON": mangled(lambda raw: raw[:-2]),
            "no body": mangled(lambda raw: b""),
            "a list": mangled(lambda raw: b"[" + raw + b"]"),
            "a string": mangled(lambda raw: b'"text"'),
            "BOM": mangled(lambda raw: b"\xef\xbb\xbf" + raw),
            "UTF-16": mangled(lambda raw: raw.decode().encode("utf-16")),
            "Latin-1": inserted(b'"x":"\xe9"'),
            "NaN": inserted(b'"x":NaN'),
            "infinite": inserted(b'"x":1e999'),
            "a name twice": inserted(b'"key":"shop-key"'),
            "2^53": inserted(b'"x":9007199254740992'),
            "NUL": inserted(b'"x":"\\u0000"'),
            "lone surrogate": inserted(b'"x":"\\ud800"'),
            "lone surrogate in capitals": inserted(b'"x":"\\uD800"'),
            "lone low surrogate": inserted(b'"x":"\\uDFff"'),
            "nine deep": inserted(DEEP),
            "too many members": inserted(MANY),
        }.items()
    ),
]  # fmt: skip

SOURCE = [
    fault(7, "401 unknown-key", "unknown key", "key", member("key", "another-key")),
    fault(7, "401 unknown-key", "no key", "key", member("key", None)),
    fault(7, "401 unknown-key", "empty key", "key", member("key", "")),
    *(
        fault(7, "403 bad-origin", value, "origin", header("Origin", value))
        for value in (
            "https://shop.example.evil",
            "http://shop.example",
            "null",
            "https://SHOP.example",
        )
    ),
]


def shape(route_members: dict[str, list[Any]]) -> list[Fault]:
    """Row 6: one fault per wrong value of a member."""
    return [
        fault(6, "400 bad-request", f"{name}={value!r:.30}", name, member(name, value), field=name)
        for name, values in route_members.items()
        for value in values
    ]


def without_session(request: Request, world: World) -> None:
    del request.json["session"]


def session(which: Callable[[World], str | None]) -> Change:
    return lambda request, world: request.json.update(session=which(world))


def identity(which: Callable[[World], str]) -> Change:
    def change(request: Request, world: World) -> None:
        request.json.pop("session", None)
        request.json["identity"] = which(world)

    return change


def person(value: dict[str, Any], token: Callable[[World], str | None] = lambda _: None) -> Change:
    def change(request: Request, world: World) -> None:
        request.json |= {"session": token(world), "person": value}

    return change


def attributes(value: dict[str, Any]) -> Change:
    return member("attributes", value)


def wide(request: Request, world: World) -> None:
    request.json["activity_id"] = "act:cm:wide"
    request.json["attributes"] = {f"int:cm:n{n}": n for n in range(16)}


def heavy(request: Request, world: World) -> None:
    request.json["activity_id"] = "act:cm:typed"
    request.json["attributes"] = {
        "obj:cm:value": {"k": "x" * 14_000},
        "txt:cm:value": "x" * 2_400,
    }


def repeated(request: Request, world: World) -> None:
    world.capture.record(
        world.sessions[0], LOGIN, {"bol:cm:account-owner": False}, ip=HERE, event_id="event-fresh"
    )
    world.person_left -= 1
    world.ip_left -= 1


def vouched_for(request: Request, world: World) -> str:
    """Have the host vouch for the visitor instead of a session; return the token."""
    token = world.capture.sign_identity("user@emaildomain.com")
    request.json |= {"session": None, "identity": token}
    return token


def repeated_with_identity(request: Request, world: World) -> None:
    token = vouched_for(request, world)
    world.capture.record(None, LOGIN, OWNER, ip=HERE, event_id="event-fresh", identity=token)
    world.ip_left -= 1


def verified_full(request: Request, world: World) -> None:
    token = vouched_for(request, world)
    for _ in range(PERSON_LIMIT):
        world.capture.record(None, LOGIN, OWNER, identity=token)


def person_full(request: Request, world: World) -> None:
    world.fill_person()


def address_full(request: Request, world: World) -> None:
    world.fill_address()


def new_people_full(request: Request, world: World) -> None:
    world.fill_new_people()


def new_people_full_for_person(request: Request, world: World) -> None:
    world.fill_new_people()
    request.json |= {"session": None, "person": {"email": "newcomer@emaildomain.com"}}


def broken(port: str, error: Exception) -> Change:
    def change(request: Request, world: World) -> None:
        getattr(world, port).fault = error

    return change


def broken_for_newcomer(error: Exception) -> Change:
    """A new person cannot be stored, so neither is the activity."""
    return both(person({"email": "newcomer@emaildomain.com"}), broken("people", error))


def bad_attribute(name: str, sent: dict[str, Any], key: str | None, expects: bool = True) -> Fault:
    error = ({"field": key} if key else {}) | ({"expected": ...} if expects else {})
    return fault(10, "400 bad-attribute", name, "attributes", attributes(sent), **error)


OWNER = {"bol:cm:account-owner": True}

ACTIVITY = [
    *TRANSPORT,
    *shape(
        {
            "key": [5, ["shop-key"]],
            "session": [5, {"token": "oc1.x"}],
            "identity": [True],
            "event_id": [7, *BAD_EVENT_IDS],
            "age": [-1, 7 * 86_400_000 + 1, "5", True, [1]],
            "activity_id": [None, "", 5, [LOGIN]],
            "attributes": [[], "none", 5, False],
            "person": [[], "user@emaildomain.com", 5],
            "dropped": [[], "queue", {"rate-limit": "many"}],
            "gpc": ["yes", 1],
        }
    ),
    *SOURCE,
    *(
        fault(8, "404 not-found", value[:20], "activity_id", member("activity_id", value))
        for value in (
            "act:cm:unknown", "act:cm:disabled", "act:cm:archived", "act::system", "act:cm:Login",
            "act:cm:" + "x" * 94, "login", " act:cm:login", "act:cm:login\n",
        )
    ),
    fault(9, "400 not-identified", "no session", "session", without_session),
    fault(9, "400 not-identified", "empty session", "session", session(lambda _: "")),
    fault(9, "400 not-identified", "person unknown here", "session",
          session(lambda world: world.unknown_person)),
    fault(9, "401 bad-session", "expired", "session", session(lambda world: world.expired)),
    fault(9, "401 bad-session", "forged", "session",
          session(lambda world: forged(world.sessions[0]))),
    fault(9, "401 bad-session", "not ours", "session", session(lambda _: "0032-real-ortto")),
    fault(9, "401 bad-session", "an identity as session", "session",
          session(lambda world: world.capture.sign_identity("user@emaildomain.com"))),
    fault(9, "401 bad-identity", "forged identity", "session identity",
          identity(lambda world: forged(world.capture.sign_identity("user@emaildomain.com")))),
    fault(9, "401 bad-identity", "expired identity", "session identity",
          identity(lambda world: world.old_identity)),
    fault(9, "401 bad-identity", "a session as identity", "session identity",
          identity(lambda world: world.sessions[0])),
    fault(9, "400 bad-request", "person with a bad address", "session person",
          person({"email": "two@at@emaildomain.com"}), field="person.email"),
    fault(9, "400 bad-request", "person with a bad id", "session person",
          person({"ei": True}), field="person.ei"),
    fault(9, "400 not-identified", "person says nothing", "session person", person({})),
    fault(9, "400 not-identified", "person is blank", "session person", person({"email": " "})),
    fault(9, "401 bad-session", "blank person beside a forged session", "session person",
          person({"first": "Johanna"}, lambda world: forged(world.sessions[0]))),
    fault(9, "401 needs-verified", "proof is needed", "session identity activity_id",
          member("activity_id", "act:cm:proven")),
    bad_attribute("wrong type", OWNER | {"str:cm:payment-plan": 100_500}, "str:cm:payment-plan"),
    bad_attribute("too long", OWNER | {"str::email": "x" * 256}, "str::email"),
    bad_attribute("required missing", {"str::email": "john@example.com"}, "bol:cm:account-owner"),
    bad_attribute("required null", {"bol:cm:account-owner": None}, "bol:cm:account-owner"),
    bad_attribute("undeclared", OWNER | {"str:cm:undeclared": "x"}, "str:cm:undeclared"),
    bad_attribute("malformed key", OWNER | {"not a key at all": "x"}, None),
    bad_attribute("over-long key", OWNER | {"str:cm:" + "x" * 94: "x"}, None),
    fault(10, "400 bad-attribute", "sixteen", "attributes activity_id", wide, expected=...),
    fault(10, "400 bad-attribute", "too heavy", "attributes activity_id", heavy, expected=...),
    fault(11, "200 duplicate", "repeated", "event_id session", repeated),
    fault(11, "200 duplicate", "repeated, vouched for", "event_id session identity",
          repeated_with_identity),
    fault(12, "429 rate-limit", "person's quota is full", "session", person_full),
    fault(12, "429 rate-limit", "quota of the verified person is full", "session identity",
          verified_full),
    fault(12, "429 rate-limit", "address' quota is full", "address", address_full),
    fault(12, "429 rate-limit", "new people's quota is full", "session person",
          new_people_full_for_person),
    fault(13, "503 unavailable", "journal away", "journal",
          broken("journal", BackendError("away"))),
    fault(13, "503 storage-full", "journal full", "journal",
          broken("journal", StorageFull("full"))),
    fault(13, "503 unavailable", "people away for a new person", "session person",
          broken_for_newcomer(BackendError("away"))),
    fault(13, "503 storage-full", "people full for a new person", "session person",
          broken_for_newcomer(StorageFull("full"))),
]  # fmt: skip

TRACK = [
    *TRANSPORT,
    *shape({
        "key": [5], "session": [5, []], "identity": [{}], "gpc": ["yes", 1],
        "dropped": [[], "queue"],
    }),
    *SOURCE,
    *(
        fault(8, "400 bad-request", f"{name}={value!r:.30}", name, member(name, value), field=name)
        for name, value in {
            "email": 5, "ei": 1.5, "first": ["Johanna"], "last": 5, "ac": "1234",
        }.items()
    ),
    *(
        fault(8, "400 bad-request", repr(value)[:30], "email", member("email", value),
              field="email")
        for value in (
            "nobody", "two@at@emaildomain.com", "in side@emaildomain.com",
            "con\x07trol@emaildomain.com", "@emaildomain.com", "user@", "l" * 250 + "@x.example",
            "user@" + "a" * 64 + ".example", ["user@emaildomain.com"], True,
        )
    ),
    fault(8, "400 bad-request", "long id", "ei", member("ei", "x" * 256), field="ei"),
    fault(8, "400 bad-request", "id is true", "ei", member("ei", True), field="ei"),
    fault(8, "400 bad-request", "long name", "first", member("first", "x" * 256), field="first"),
    fault(9, "401 bad-identity", "forged identity", "session identity",
          identity(lambda world: forged(world.capture.sign_identity("user@emaildomain.com")))),
    fault(9, "401 bad-identity", "expired identity", "session identity",
          identity(lambda world: world.old_identity)),
    fault(10, "429 rate-limit", "new people's quota is full", "strangers", new_people_full),
    fault(11, "503 unavailable", "people away", "people", broken("people", BackendError("away"))),
    fault(11, "503 storage-full", "people full", "people", broken("people", StorageFull("full"))),
]  # fmt: skip


def pairs(faults: list[Fault], first: Fault, host: str) -> Iterator[tuple[Fault, Fault | None]]:
    """``first`` alone, then with every fault of a later row that can occur beside it.

    Each such pair is tried on one of the hosts, by turns, and in a campaign on all of them.
    """
    yield first, None
    turn = list(HOSTS).index(host)
    for number, second in enumerate(faults, start=faults.index(first)):
        due = number % len(HOSTS) == turn or campaign(1) > 1
        if due and second.row > first.row and not first.cannot_meet(second):
            yield first, second


def broken_request(world: World, good: Callable[[World], Request], *faults: Fault) -> Request:
    """The good request with these faults, in order: rows that need successes come before 503."""
    request = good(world)
    for each in sorted(faults, key=lambda fault: fault.row):
        each.change(request, world)
    return request


def strings(value: Any) -> Iterator[str]:
    """Every text in a request, names of members included."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield str(name)
            yield from strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from strings(inner)
    else:
        yield str(value)


#: What our own constant sentences may share with a request.
OURS = {"session", "identity", "event_id", "activity_id", "attributes", "person", "dropped"}

#: One message per code, over all tests: messages are constants.
MESSAGES: dict[str, str] = {}


def check_error(reply: Reply, fault: Fault, request: Request) -> None:
    assert reply.json.keys() == {"error"}
    error = dict(reply.json["error"])
    code, message = error.pop("code"), error.pop("message")
    assert code == fault.code
    assert message
    assert message == MESSAGES.setdefault(code, message)
    if code == "rate-limit":
        assert message == "rate limit"
        assert error.pop("try-in-seconds") == int(reply.header("Retry-After") or 0) == HOUR_LEFT
    elif reply.status == 503:
        assert reply.header("Retry-After") == "1"
    else:
        assert reply.header("Retry-After") is None
    assert error.keys() == fault.error.keys()
    assert error.get("field") == fault.error.get("field")
    if "expected" in error:
        assert isinstance(error["expected"], str)
        assert error["expected"]
    public = OURS | {str(fault.error.get("field"))}
    for text in set(strings(request.json)) - public:
        assert len(text) < 6 or text not in reply.body.decode()
    if reply.status == 405:
        assert set((reply.header("Allow") or "").split(", ")) == {"POST", "OPTIONS"}


def ids(faults: list[Fault]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        "first", faults, ids=[f"{each.row}-{each.name.encode('ascii', 'replace').decode()}"
                              for each in faults]
    )  # fmt: skip


@pytest.mark.parametrize("host", HOSTS)
@ids(ACTIVITY)
def test_the_first_fault_of_an_activity_decides(host: str, first: Fault) -> None:
    """Whatever else is wrong, the answer is that of the lower row, and nothing is counted."""
    for fault, second in pairs(ACTIVITY, first, host):
        world = World(host)
        request = broken_request(world, activity, *filter(None, (fault, second)))
        before = world.stored()
        reply = world.send(request)
        told = f"{fault.name} and {second.name if second else 'nothing else'}: {reply}"
        assert reply.status == fault.status, told
        check_headers(reply)
        if fault.code == "duplicate":
            assert reply.json == {"ok": True, "duplicate": True}, told
        else:
            check_error(reply, fault, request)
        assert world.stored() == before, told
        assert "Traceback" not in reply.errors, told
        world.journal.fault = world.people.fault = None
        assert world.quotas() == (world.person_left, world.ip_left), told


@pytest.mark.parametrize("host", HOSTS)
@ids(TRACK)
def test_the_first_fault_of_a_track_decides(host: str, first: Fault) -> None:
    """Whatever else is wrong, the answer is that of the lower row, and no person is created."""
    for fault, second in pairs(TRACK, first, host):
        world = World(host)
        request = broken_request(world, track, *filter(None, (fault, second)))
        reply = world.send(request)
        told = f"{fault.name} and {second.name if second else 'nothing else'}: {reply}"
        assert reply.status == fault.status, told
        check_headers(reply)
        check_error(reply, fault, request)
        assert "Traceback" not in reply.errors, told
        world.people.fault = None
        assert world.person("email", "user@emaildomain.com") is None, told
        assert world.new_people() == world.new_left, told


def test_every_row_of_the_table_has_a_fault() -> None:
    assert {fault.row for fault in ACTIVITY} == set(range(1, 14))
    assert {fault.code for fault in ACTIVITY + TRACK} == {
        "method-not-allowed", "too-large", "unsupported-media-type", "incomplete", "bad-json",
        "length-required", "bad-request", "unknown-key", "bad-origin", "not-found", "duplicate",
        "not-identified", "needs-verified", "bad-session", "bad-identity", "bad-attribute",
        "rate-limit", "unavailable", "storage-full",
    }  # fmt: skip


@pytest.mark.parametrize("host", HOSTS)
def test_a_good_activity_is_answered_and_stored(host: str) -> None:
    world = World(host)
    reply = world.send(activity(world))
    assert (reply.status, reply.json) == (200, {"ok": True})
    check_headers(reply)
    (row,) = world.stored()
    assert (row.event_id, row.activity_id, row.source, row.assurance) == (
        "event-fresh", LOGIN, KEY, "claimed",
    )  # fmt: skip
    assert row.attributes == activity(world).json["attributes"]
    assert row.occurred_at == row.received_at
    assert row.received_at.timestamp() == NOW
    assert world.quotas() == (PERSON_LIMIT - 1, IP_LIMIT - 1)


@pytest.mark.parametrize("host", HOSTS)
def test_a_good_track_is_answered_and_stored(host: str) -> None:
    world = World(host)
    reply = world.send(track(world))
    check_headers(reply)
    assert reply.status == 200
    assert reply.json.keys() == {"session", "identified"}
    assert reply.json["identified"] is True
    assert reply.json["session"].startswith("oc1.")
    stored = world.person("email", "user@emaildomain.com")
    assert stored is not None
    assert (stored.first, stored.last, stored.assurance) == ("Johanna", "Appleseed", "claimed")
    assert world.new_people() == NEW_PEOPLE_LIMIT - 1
    request = activity(world)
    request.json["session"] = reply.json["session"]
    assert world.send(request).json == {"ok": True}
    assert world.stored()[-1].person_id == stored.id


VARIANTS: dict[str, Change] = {
    "no content type": header("Content-Type", None),
    "application/json": header("Content-Type", "application/json"),
    "any other type": header("Content-Type", "image/png"),
    "quoted charset": header("Content-Type", 'text/plain; charset="utf-8"'),
    "identity encoding": header("Content-Encoding", "identity"),
    "no origin": header("Origin", None),
    "eight deep": inserted(b'"deep":' + b"[" * 7 + b"]" * 7),
    "fraction of a millisecond": member("age", 0.25),
    "seven days": member("age", 7 * 86_400_000),
    "no attributes at all": lambda request, world: request.json.update(
        activity_id="act:cm:wide", attributes=None
    ),
    "no event id": member("event_id", ""),
    "usable person beside a bad session": lambda request, world: request.json.update(
        session="oc1.forged", person={"email": "newcomer@emaildomain.com"}
    ),
    "unknown members": member("cc", {"anything": ["at", "all"]}),
    "what was dropped": member("dropped", {"rate-limit": 3}),
    "gpc": member("gpc", True),
    "chunked": chunked,
    "exactly the cap": padded_to_the_cap,
    "chunked to the cap": both(padded_to_the_cap, chunked),
    "whole float": lambda request, world: request.json.update(
        activity_id="act:cm:wide", attributes={"int:cm:n0": 5.0}
    ),
    "null attribute": lambda request, world: request.json["attributes"].update(
        {"str:cm:payment-plan": None}
    ),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_what_differs_from_the_usual_and_is_fine(variant: str) -> None:
    world = World()
    request = activity(world)
    VARIANTS[variant](request, world)
    reply = world.send(request)
    assert (reply.status, reply.json) == (200, {"ok": True})
    assert len(world.stored()) == 1


@pytest.mark.parametrize("kind", VALUES)
def test_each_type_takes_its_values_and_no_others(kind: str) -> None:
    good, bad = VALUES[kind]
    world = World(person_limit="100/day", ip_limit="100/hour")
    for value, stored in (*good, *((value, INVALID) for value in bad)):
        request = activity(world)
        request.json |= {"activity_id": "act:cm:typed", "attributes": {f"{kind}:cm:value": value}}
        del request.json["event_id"]
        before = world.stored()
        reply = world.send(request)
        if stored is INVALID:
            assert reply.json["error"]["code"] == "bad-attribute", value
            assert reply.json["error"]["field"] == f"{kind}:cm:value"
            assert world.stored() == before
        else:
            assert reply.json == {"ok": True}, value
            (kept,) = world.stored()[-1].attributes.values()
            assert json.dumps(kept) == json.dumps(stored)


def test_unknown_disabled_archived_and_system_activities_look_the_same() -> None:
    """Byte for byte, headers included; so does an id that is too long or no id at all."""
    replies = set()
    for activity_id in ("act:cm:unknown", "act:cm:disabled", "act:cm:archived", "act::system",
                        "act:cm:" + "x" * 200, "login"):  # fmt: skip
        world = World()
        request = activity(world)
        request.json["activity_id"] = activity_id
        replies.add(world.send(request))
    assert len(replies) == 1
    assert replies.pop().status == 404


@pytest.mark.parametrize("route", ["track", "activity"])
@pytest.mark.parametrize("host", HOSTS)
def test_options_is_never_refused_and_reads_nothing(host: str, route: str) -> None:
    world = World(host)
    reply = ask(
        world.app,
        "OPTIONS",
        f"/in/capture/-/events/{route}",
        stream=Severed(),
        headers={"Content-Length": "9" * 15, "Content-Type": "multipart/form-data",
                 "Content-Encoding": "gzip", "Origin": "https://evil.example"},
    )  # fmt: skip
    assert (reply.status, reply.body) == (204, b"")
    check_headers(reply)
    assert reply.header("Access-Control-Allow-Methods") == "POST"
    assert reply.header("Access-Control-Allow-Headers") == "Content-Type"
    assert reply.header("Access-Control-Max-Age") == "7200"
    assert reply.header("Access-Control-Allow-Private-Network") is None


def test_cookies_and_urls_identify_no_person() -> None:
    world = World()
    request = activity(world)
    token = request.json.pop("session")
    request.headers |= {
        "Cookie": f"ap3c={token}; session={token}",
        "Authorization": f"Bearer {token}",
    }
    request.extra["QUERY_STRING"] = f"ap3c={token}&session={token}"
    assert world.send(request).json["error"]["code"] == "not-identified"


def test_an_address_in_the_attributes_is_only_data() -> None:
    world = World()
    request = activity(world)
    request.json["attributes"]["str::email"] = "person1@emaildomain.com"
    other = world.person("email", "person1@emaildomain.com")
    assert other is not None
    assert world.send(request).json == {"ok": True}
    assert world.stored()[0].person_id != other.id
    assert world.person("email", "person1@emaildomain.com") == other


@pytest.mark.parametrize("port", PORTS)
@pytest.mark.parametrize("host", HOSTS)
def test_health_says_whether_every_backend_answers(host: str, port: str) -> None:
    world = World(host)
    up = ask(world.app, "GET", "/in/capture/-/health")
    assert (up.status, up.json) == (200, {"ok": True})
    check_headers(up)
    getattr(world, port).down = True
    down = ask(world.app, "GET", "/in/capture/-/health")
    assert (down.status, down.json) == (503, {"ok": False})
    check_headers(down)


@pytest.mark.parametrize(("port", "methods"), [("definitions", ["get"]), ("people", ["get"])])
def test_a_backend_that_is_away_earlier_is_unavailable_as_well(
    port: str, methods: list[str]
) -> None:
    world = World()
    getattr(world, port).methods = methods
    getattr(world, port).fault = BackendError("away")
    reply = world.send(activity(world))
    assert (reply.status, reply.json["error"]["code"]) == (503, "unavailable")
    assert reply.header("Retry-After") == "1"
    check_headers(reply)
    getattr(world, port).fault = None
    assert world.quotas() == (PERSON_LIMIT, IP_LIMIT)


#: Python has no key, origin or queue, and a list for a mapping is the caller's slip there.
CALLED = [
    fault
    for fault in ACTIVITY
    if fault.row >= 6
    and not fault.touches & {"key", "origin", "dropped"}
    and not (fault.row == 6 and fault.touches & {"attributes", "person"})
]


@ids(CALLED)
def test_python_is_refused_as_http_is(first: Fault) -> None:
    """The same pipeline: the refusal raised has the status, code and field of the answer."""
    world = World()
    members = broken_request(world, activity, first).json
    del members["key"]
    before = world.stored()

    def record() -> bool:
        return world.capture.record(
            members.pop("session", None),
            members.pop("activity_id"),
            members.pop("attributes"),
            ip=HERE,
            **members,
        ).duplicate

    if first.code == "duplicate":
        assert record()
    else:
        with pytest.raises((Refused, BackendError)) as raised:
            record()
        error: Any = raised.value
        assert (error.status, error.code) == (first.status, first.code)
        assert getattr(error, "field", None) == first.error.get("field")
    assert world.stored() == before
    world.journal.fault = world.people.fault = None
    assert world.quotas() == (world.person_left, world.ip_left)


def test_an_address_that_cannot_be_told_is_a_fault_of_ours_and_counted() -> None:
    world = World()
    app = CaptureApp(world.capture, client_ip=lambda environ: environ["not there"])
    request = activity(world)
    reply = ask(app, "POST", "/-/events/activity", body=request.bytes, headers=request.headers)
    assert (reply.status, world.counted("internal")) == (500, 1)


@pytest.mark.parametrize("path", ["-/health", "-/events/track", "nothing", "app.js"])
def test_head_is_answered_without_a_body(path: str) -> None:
    """Some servers would send it, and the client would take it for the next answer."""
    reply = ask(World().app, "HEAD", f"/in/capture/{path}")
    assert reply.body == b""
    assert int(reply.header("Content-Length") or 0) > 0


@pytest.mark.parametrize("route", ["app.js", "-/health"])
def test_other_methods_on_the_pages_are_refused_with_what_is_allowed(route: str) -> None:
    reply = ask(World().app, "POST", f"/in/capture/{route}", body=b"{}")
    assert (reply.status, reply.json["error"]["code"]) == (405, "method-not-allowed")
    assert "GET" in (reply.header("Allow") or "")


@pytest.mark.parametrize(
    "path",
    ["", "/", "/-", "/-/events", "/-/events/", "/-/events/activity/", "/-/events//activity",
     "/-/events/Activity", "/-/EVENTS/activity", "/console", "/console/", "/app.js/", "/app.JS",
     "//app.js", "/../app.js", "/-/events/../events/activity", "/-/events/activity\x00",
     "/-/events/activité", "/client/app.js", "/-/health/"],
)  # fmt: skip
@pytest.mark.parametrize("verb", ["GET", "POST"])
def test_nothing_else_lives_under_the_mount(verb: str, path: str) -> None:
    raw = path.encode().decode("latin-1")
    reply = ask(World().app, verb, f"/in/capture{raw}")
    assert (reply.status, reply.json["error"]["code"]) == (404, "not-found")
    check_headers(reply)


@pytest.mark.parametrize("host", HOSTS)
def test_the_client_is_served_with_a_strong_etag_and_compressed_on_request(host: str) -> None:
    app = World(host).app
    plain = ask(app, "GET", "/in/capture/app.js")
    packed = ask(app, "GET", "/in/capture/app.js", headers={"Accept-Encoding": "gzip, br"})
    assert plain.status == packed.status == 200
    assert "javascript" in (plain.header("Content-Type") or "")
    assert packed.header("Content-Encoding") == "gzip"
    assert len(packed.body) < len(plain.body)
    etag = plain.header("ETag") or ""
    assert etag.startswith('"')
    again = ask(app, "GET", "/in/capture/app.js", headers={"If-None-Match": etag})
    assert (again.status, again.body) == (304, b"")
    for reply in (plain, packed, again):
        assert reply.header("Cache-Control")
        assert reply.header("Set-Cookie") is None


@pytest.mark.parametrize("route", ["track", "activity"])
def test_a_fault_of_our_own_is_a_500_in_the_same_shape(
    route: str, caplog: pytest.LogCaptureFixture
) -> None:
    """And one line in the log, without personal data."""
    world = World()
    request = activity(world) if route == "activity" else track(world)
    world.journal.fault = world.people.fault = RuntimeError("john@example.com user@emaildomain.com")
    reply = world.send(request)
    assert (reply.status, reply.json["error"]["code"]) == (500, "internal")
    assert reply.json["error"].keys() == {"code", "message"}
    check_headers(reply)
    (record,) = caplog.records
    told = caplog.text + reply.errors + reply.body.decode()
    assert record.getMessage().count("\n") == 0
    for text in strings(request.json):
        assert len(text) < 6 or text in OURS or text not in told
    assert "@" not in told


def test_any_key_and_none_is_fine_without_sources() -> None:
    world = World(sources={})
    for key in ("shop-key", "another", "", None):
        request = activity(world)
        request.json |= {"key": key, "event_id": f"event-{key}"}
        request.headers["Origin"] = "null"
        request.json["session"] = world.session(f"{key or 'x'}@emaildomain.com")
        world.now += 3600
        assert world.send(request).json == {"ok": True}
    request = activity(world)
    del request.json["key"]
    world.now += 3600
    assert world.send(request).json == {"ok": True}


@pytest.mark.parametrize("good", [activity, track])
def test_what_the_client_dropped_is_counted(good: Callable[[World], Request]) -> None:
    world = World()
    request = good(world)
    request.json["dropped"] = {"rate-limit": 3, "queue-full": 1}
    assert world.send(request).status == 200
    assert world.backends.outcomes is not None
    dropped = {
        name: count
        for name, count in world.backends.outcomes.counts().items()
        if name.startswith("note:dropped:")
    }
    assert dropped


def test_the_same_event_id_is_another_event_for_another_person_activity_or_assurance() -> None:
    """Row 11: what a stranger claimed neither hides nor reveals what the host vouched for."""
    world = World()
    host = world.capture.sign_identity("user@emaildomain.com")
    stranger = {"email": "user@emaildomain.com"}

    def record(person: Any = None, identity: Any = None, session: Any = None) -> bool:
        return world.capture.record(
            session, LOGIN, OWNER, event_id="order-1042", person=person, identity=identity
        ).duplicate

    assert record(person=stranger) is False
    assert record(identity=host) is False
    assert [row.assurance for row in world.stored()] == ["claimed", "verified"]
    assert record(person=stranger) is True
    assert record(identity=host) is True
    assert record(session=world.sessions[0]) is False
    world.capture.record(
        None, "act:cm:typed", event_id="order-1042", person={"email": "user@emaildomain.com"}
    )
    assert len(world.stored()) == 4


@pytest.mark.parametrize("order", [("claimed", "verified"), ("verified", "claimed")])
def test_a_guessed_event_id_tells_a_stranger_nothing(order: tuple[str, str]) -> None:
    """Row 11: his answer is that of a new event, and the host's event is stored."""
    world = World()
    replies = {}
    for assurance in order:
        request = activity(world)
        request.json["event_id"] = "order-1042"
        if assurance == "verified":
            vouched_for(request, world)
        else:
            request.json |= {"session": None, "person": {"email": "user@emaildomain.com"}}
        replies[assurance] = world.send(request)
    assert replies["claimed"] == replies["verified"]
    assert replies["claimed"].json == {"ok": True}
    assert [row.assurance for row in world.stored()] == list(order)


@pytest.mark.parametrize(("later", "duplicate"), [(7 * DAY, True), (7 * DAY + 0.5, False)])
def test_an_event_id_is_remembered_for_seven_days(later: float, duplicate: bool) -> None:
    """Row 11, to the second. The session here lives 30 days."""
    world = World()
    request = activity(world)
    assert world.send(request).json == {"ok": True}
    world.now = NOW + later
    assert world.send(request).json == {"ok": True} | ({"duplicate": True} if duplicate else {})
    assert len(world.stored()) == 2 - duplicate


def test_a_duplicate_writes_nothing_and_charges_nothing() -> None:
    """Row 11 and §5: a stranger can repeat it, so that it must cost no write."""
    world = World()
    request = activity(world)
    request.json |= {"session": None, "person": {"email": "person0@emaildomain.com"}}
    assert world.send(request).json == {"ok": True}
    world.people.fault = world.journal.fault = BackendError("a write")
    request.json["person"]["first"] = "Johanna"
    for _ in range(5):
        assert world.send(request).json == {"ok": True, "duplicate": True}
    world.people.fault = world.journal.fault = None
    stored = world.person("email", "person0@emaildomain.com")
    assert stored is not None
    assert stored.first is None
    assert world.quotas() == (PERSON_LIMIT - 1, IP_LIMIT - 1)
    assert world.new_people() == NEW_PEOPLE_LIMIT


def test_tracking_a_known_unchanged_person_writes_nothing() -> None:
    world = World()
    assert world.send(track(world)).status == 200
    world.people.fault = BackendError("a write")
    again = track(world)
    again.json["email"] = " USER@emaildomain.com"
    assert world.send(again).json["identified"] is True
    again.json |= {"first": None, "last": " "}
    assert world.send(again).json["identified"] is True


def test_a_refused_activity_creates_no_person() -> None:
    """§3: the person, the charges and the row are one step, so a refusal creates none of them."""
    world = World()
    request = activity(world)
    request.json |= {"session": None, "person": {"email": "newcomer@emaildomain.com"}}
    world.fill_address()
    assert world.send(request).status == 429
    assert world.person("email", "newcomer@emaildomain.com") is None
    assert world.new_people() == NEW_PEOPLE_LIMIT


def test_ignored_members_of_track_are_counted() -> None:
    world = World()
    request = track(world)
    request.json |= {"cc": "x", "unsubscribe": True}
    assert world.send(request).status == 200
    assert world.counted("note:ignored:cc") == world.counted("note:ignored:unsubscribe") == 1


def test_every_request_has_exactly_one_outcome() -> None:
    """Counted by its public code, whatever became of it."""
    for fault, good in (
        *product(ACTIVITY, [activity]),
        *product(TRACK, [track]),
    ):
        world = World()
        request = broken_request(world, good, fault)
        assert world.backends.outcomes is not None
        before = dict(world.backends.outcomes.counts())
        world.send(request)
        after = world.backends.outcomes.counts()
        changed = {
            code: count - before.get(code, 0)
            for code, count in after.items()
            if count != before.get(code, 0) and not code.startswith("note:")
        }
        assert changed == {fault.code: 1}, fault.name
