"""Every row of the contract's table of checks, and every two faults at once: the first row decides.

The law of this file: a fault is one change to a good request, or to the world it meets, with the
row that names it and what the answer must then be. Two faults that touch the same thing cannot
occur in one request; ``touches`` says so. After a request that was refused the journal is as before
and every quota has exactly the room it had.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import pytest
from werkzeug.middleware.proxy_fix import ProxyFix

from ortto_capture import (
    Attribute,
    BackendError,
    Capture,
    CaptureApp,
    Definition,
    Identifier,
    RateLimited,
    Refused,
    Settings,
    Source,
    StorageFull,
    mount,
    open_backends,
)

from .contract_model import BAD_EVENT_IDS, INVALID, VALUES
from .hosts import HOSTS, Reply, ask

SECRET = "an example secret of more than 32 bytes"
KEY = "shop-key"
ORIGIN = "https://shop.example"
LOGIN = "act:cm:login"
CAP = 65_536
HERE, ELSEWHERE = "203.0.113.7", "198.51.100.9"
PERSON_LIMIT, IP_LIMIT, NEW_PEOPLE_LIMIT = 2, 3, 3
#: Some twenty minutes into an hour: the public wait is the rest of it.
NOW = 1_700_000_400.0
HOUR_LEFT = 3600 - NOW % 3600
SESSION_DAYS = 30


PORTS = ("definitions", "people", "limiter", "journal")


class Flaky:
    """A port whose named methods raise ``fault`` while there is one, and which can be away."""

    def __init__(self, port: Any, *methods: str) -> None:
        self._port, self.methods = port, methods
        self.fault: Exception | None = None
        self.down = False

    def __getattr__(self, name: str) -> Any:
        if name == "in_process":
            raise AttributeError("what can be away is not in this process")
        real = getattr(self._port, name)
        if name not in self.methods:
            return real

        def method(*args: Any, **kwargs: Any) -> Any:
            if self.fault is not None:
                raise self.fault
            return real(*args, **kwargs)

        return method

    def ping(self) -> None:
        if self.down:
            raise BackendError("away")


class World:
    """One account under a prefix of a host, with people who identified before."""

    def __init__(self, host: str = "bare", **settings: Any) -> None:
        self.now = NOW
        self.backends = open_backends("memory:")
        self.definitions: Any = Flaky(self.backends.definitions, "get")
        self.people: Any = Flaky(self.backends.people, "save")
        self.limiter: Any = Flaky(self.backends.limiter, "acquire")
        self.journal: Any = Flaky(self.backends.journal, "append")
        for port in PORTS:
            setattr(self.backends, port, getattr(self, port))
        chosen: dict[str, Any] = {
            "secret_keys": [SECRET],
            "sources": {KEY: Source("Shop", origins=[ORIGIN])},
            "person_limit": f"{PERSON_LIMIT}/day",
            "ip_limit": f"{IP_LIMIT}/hour",
            "new_people_limit": f"{NEW_PEOPLE_LIMIT}/hour",
            "session_days": SESSION_DAYS,
        }
        self.settings = Settings(**chosen | settings)
        for definition in definitions():
            self.definitions.put(definition)
        self.capture = Capture(
            backends=self.backends, settings=self.settings, clock=lambda: self.now
        )
        self.app = mount(HOSTS[host](), CaptureApp(self.capture), at="/in/capture")
        self.now = NOW - (SESSION_DAYS + 1) * 86_400
        self.expired = self.session("expired@emaildomain.com")
        self.old_identity = self.capture.sign_identity("user@emaildomain.com", max_age=300)
        self.now = NOW
        self.sessions = [self.session(f"person{n}@emaildomain.com") for n in range(3)]
        with open_backends("memory:") as other:
            elsewhere = Capture(backends=other, settings=self.settings, clock=lambda: self.now)
            self.unknown_person = str(elsewhere.identify(email="x@emaildomain.com").session)
        self.strangers = 0
        #: What the quotas of the good request must still hold.
        self.person_left, self.ip_left, self.new_left = PERSON_LIMIT, IP_LIMIT, NEW_PEOPLE_LIMIT

    def session(self, email: str) -> str:
        return str(self.capture.identify(email=email).session)

    def stored(self) -> list[Any]:
        return list(self.backends.journal.recent(after=0, limit=10_000))

    def send(self, request: Request) -> Reply:
        return ask(
            self.app,
            request.method,
            f"/in/capture/-/events/{request.route}",
            body=request.bytes,
            headers=request.headers,
            stream=request.stream,
            REMOTE_ADDR=HERE,
            **request.extra,
        )

    def record(self, session: str, ip: str) -> bool:
        """Whether one more good activity passes."""
        try:
            self.capture.record(session, LOGIN, {"bol:cm:account-owner": True}, ip=ip)
        except RateLimited:
            return False
        return True

    def quotas(self) -> tuple[int, int]:
        """How many more pass for the person of the good request, and then for its address."""
        person = sum(self.record(self.sessions[0], ELSEWHERE) for _ in range(PERSON_LIMIT + 1))
        others = [self.sessions[1]] * PERSON_LIMIT + [self.sessions[2]] * PERSON_LIMIT
        return person, sum(self.record(session, HERE) for session in others)

    def new_people(self) -> int:
        """How many more strangers may come from the address of the good request."""
        came = 0
        while came <= NEW_PEOPLE_LIMIT:
            self.strangers += 1
            try:
                self.capture.identify(email=f"stranger{self.strangers}@emaildomain.com", ip=HERE)
            except RateLimited:
                break
            came += 1
        return came


def definitions() -> list[Definition]:
    login = [
        Attribute("str::email"),
        Attribute("str:cm:payment-plan"),
        Attribute("bol:cm:account-owner", required=True),
    ]
    return [
        Definition(LOGIN, name="Logged in", client_side=True, attributes=login),
        Definition("act:cm:disabled", name="Not from websites", attributes=login),
        Definition(
            "act:cm:archived", name="Over", client_side=True, archived=True, attributes=login
        ),
        Definition(
            "act:cm:wide",
            name="Sixteen",
            client_side=True,
            attributes=[Attribute(f"int:cm:n{n}") for n in range(16)],
        ),
        Definition(
            "act:cm:typed",
            name="One of each",
            client_side=True,
            attributes=[Attribute(f"{kind}:cm:value") for kind in VALUES],
        ),
    ]


@dataclass
class Request:
    """A good one, until a fault has changed it."""

    route: str
    json: dict[str, Any]
    method: str = "POST"
    headers: dict[str, str | None] = field(
        default_factory=lambda: {"Content-Type": "text/plain;charset=UTF-8", "Origin": ORIGIN}
    )
    mangle: Callable[[bytes], bytes] = bytes
    pad: int = 0
    stream: Any = None
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def bytes(self) -> bytes:
        return self.mangle(json.dumps(self.json).encode()) + b" " * self.pad


def activity(world: World) -> Request:
    return Request(
        "activity",
        {
            "key": KEY,
            "session": world.sessions[0],
            "event_id": "event-fresh",
            "age": 0,
            "activity_id": LOGIN,
            "attributes": {
                "str::email": "john@example.com",
                "str:cm:payment-plan": "$100 starter plan",
                "bol:cm:account-owner": True,
            },
        },
    )


def track(world: World) -> Request:
    person = {"v": 0, "email": "user@emaildomain.com", "first": "Johanna", "last": "Appleseed"}
    return Request("track", {"key": KEY, "session": None, **person})


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


def forged(token: str) -> str:
    """One bit of the signature's first character away."""
    text, dot, signature = token.rpartition(".")
    return f"{text}{dot}{chr(ord(signature[0]) ^ 1)}{signature[1:]}"


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


def person_full(request: Request, world: World) -> None:
    while world.record(world.sessions[0], ELSEWHERE):
        world.person_left -= 1


def address_full(request: Request, world: World) -> None:
    while world.record(world.session("filler@emaildomain.com"), HERE) or world.record(
        world.session("other-filler@emaildomain.com"), HERE
    ):
        world.ip_left -= 1


def strangers_full(request: Request, world: World) -> None:
    world.new_people()
    world.new_left = 0


def strangers_full_for_person(request: Request, world: World) -> None:
    strangers_full(request, world)
    request.json |= {"session": None, "person": {"email": "newcomer@emaildomain.com"}}


def broken(port: str, error: Exception) -> Change:
    def change(request: Request, world: World) -> None:
        getattr(world, port).fault = error

    return change


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
    fault(12, "429 rate-limit", "person's quota is full", "session", person_full),
    fault(12, "429 rate-limit", "address' quota is full", "address", address_full),
    fault(12, "429 rate-limit", "new people's quota is full", "session person",
          strangers_full_for_person),
    fault(13, "503 unavailable", "journal away", "journal",
          broken("journal", BackendError("away"))),
    fault(13, "503 storage-full", "journal full", "journal",
          broken("journal", StorageFull("full"))),
]  # fmt: skip

TRACK = [
    *TRANSPORT,
    *shape({"key": [5], "session": [5, []], "identity": [{}]}),
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
    fault(10, "429 rate-limit", "new people's quota is full", "strangers", strangers_full),
    fault(11, "503 unavailable", "people away", "people", broken("people", BackendError("away"))),
    fault(11, "503 storage-full", "people full", "people", broken("people", StorageFull("full"))),
]  # fmt: skip


def pairs(faults: list[Fault], first: Fault) -> Iterator[tuple[Fault, Fault | None]]:
    """``first`` alone, then with every fault of a later row that can occur beside it."""
    yield first, None
    for second in faults:
        if second.row > first.row and not first.cannot_meet(second):
            yield first, second


def broken_request(world: World, good: Callable[[World], Request], *faults: Fault) -> Request:
    """The good request with these faults, in order: rows that need successes come before 503."""
    request = good(world)
    for each in sorted(faults, key=lambda fault: fault.row):
        each.change(request, world)
    return request


def check_headers(reply: Reply) -> None:
    """What every answer on a capture route carries."""
    assert reply.header("Access-Control-Allow-Origin") == "*"
    assert reply.header("Access-Control-Expose-Headers") == "Retry-After"
    assert reply.header("X-Content-Type-Options") == "nosniff"
    assert reply.header("Cache-Control") == "no-store"
    assert reply.header("Set-Cookie") is None
    assert reply.header("Access-Control-Allow-Credentials") is None
    if reply.status != 204:
        assert (reply.header("Content-Type") or "").startswith("application/json")
        assert reply.header("Content-Length") == str(len(reply.body))


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
    for fault, second in pairs(ACTIVITY, first):
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
        world.journal.fault = None
        assert world.quotas() == (world.person_left, world.ip_left), told


@pytest.mark.parametrize("host", HOSTS)
@ids(TRACK)
def test_the_first_fault_of_a_track_decides(host: str, first: Fault) -> None:
    """Whatever else is wrong, the answer is that of the lower row, and nobody is created."""
    for fault, second in pairs(TRACK, first):
        world = World(host)
        request = broken_request(world, track, *filter(None, (fault, second)))
        reply = world.send(request)
        told = f"{fault.name} and {second.name if second else 'nothing else'}: {reply}"
        assert reply.status == fault.status, told
        check_headers(reply)
        check_error(reply, fault, request)
        assert "Traceback" not in reply.errors, told
        world.people.fault = None
        assert world.people.find([Identifier("email", "user@emaildomain.com")]) is None, told
        assert world.new_people() == world.new_left, told


def test_every_row_of_the_table_has_a_fault() -> None:
    assert {fault.row for fault in ACTIVITY} == set(range(1, 14))
    assert {fault.code for fault in ACTIVITY + TRACK} == {
        "method-not-allowed", "too-large", "unsupported-media-type", "incomplete", "bad-json",
        "length-required", "bad-request", "unknown-key", "bad-origin", "not-found", "duplicate",
        "not-identified", "bad-session", "bad-identity", "bad-attribute", "rate-limit",
        "unavailable", "storage-full",
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
    stored = world.people.find([Identifier("email", "user@emaildomain.com")])
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
    "no attributes asked of nobody": lambda request, world: request.json.update(
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


def test_both_limits_are_refused_alike() -> None:
    """Nobody learns from the answer which of the two is full."""
    replies = set()
    for full in (person_full, address_full):
        world = World()
        request = activity(world)
        full(request, world)
        replies.add(world.send(request))
    (reply,) = replies
    assert reply.status == 429
    assert reply.json == {
        "error": {"code": "rate-limit", "message": "rate limit", "try-in-seconds": HOUR_LEFT}
    }
    assert reply.header("Retry-After") == str(int(HOUR_LEFT))
    assert not [name for name, _ in reply.headers if name.lower().startswith("ratelimit")]


def test_the_wait_is_never_less_than_a_second() -> None:
    world = World()
    request = activity(world)
    address_full(request, world)
    world.now = NOW + HOUR_LEFT - 0.001
    reply = world.send(request)
    assert (reply.json["error"]["try-in-seconds"], reply.header("Retry-After")) == (1, "1")
    world.now = NOW + HOUR_LEFT
    assert world.send(request).json == {"ok": True}


def test_new_people_are_limited_and_known_people_never() -> None:
    world = World()
    strangers_full(track(world), world)
    refused = world.send(track(world))
    assert (refused.status, refused.json["error"]["try-in-seconds"]) == (429, HOUR_LEFT)
    known = track(world)
    known.json["email"] = "person0@emaildomain.com"
    for _ in range(20):
        assert world.send(known).json["identified"] is True


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


def test_identification_without_identity_keeps_a_valid_session() -> None:
    world = World()

    def tracked(session: Any, **members: Any) -> Any:
        request = Request("track", {"key": KEY, "session": session, "v": 0} | members)
        reply = world.send(request)
        assert reply.status == 200
        check_headers(reply)
        return reply.json

    kept = world.sessions[0]
    nobody = {"session": None, "identified": False}
    assert tracked(kept) == {"session": kept, "identified": True}
    assert tracked(kept, email="  ", ei="", first="Johanna") == tracked(kept)
    for bad in (None, "", "oc1.forged", forged(kept), world.expired, world.unknown_person):
        assert tracked(bad) == nobody
    assert tracked(None, email="person1@emaildomain.com", skipNonExisting=True) == nobody
    assert tracked(None, email="never@emaildomain.com", skipNonExisting=True) == nobody


def test_track_answers_the_same_for_new_and_known_people() -> None:
    world = World()
    known, new = track(world), track(world)
    known.json["email"] = "person0@emaildomain.com"
    first, second = world.send(known), world.send(new)
    assert first.headers == second.headers
    assert first.json.keys() == second.json.keys()
    assert len(first.json["session"]) == len(second.json["session"])


def test_cookies_and_urls_identify_nobody() -> None:
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
    before = world.people.find([Identifier("email", "person1@emaildomain.com")])
    assert world.send(request).json == {"ok": True}
    assert world.stored()[0].person_id != before.id
    assert world.people.find([Identifier("email", "person1@emaildomain.com")]) == before


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


@pytest.mark.parametrize(
    ("policy", "passes"), [("local", PERSON_LIMIT), ("open", PERSON_LIMIT + 2), ("closed", 0)]
)
def test_a_limiter_that_is_away_is_replaced_ignored_or_fatal(policy: str, passes: int) -> None:
    """By choice: the same limits within this process, none, or 503."""
    world = World(on_limiter_error=policy)
    world.limiter.fault = BackendError("away")
    replies = []
    for n in range(PERSON_LIMIT + 2):
        request = activity(world)
        request.json["event_id"] = f"event-{n}"
        replies.append(world.send(request))
    refused = 429 if policy == "local" else 503
    assert [reply.status for reply in replies] == [200] * passes + [refused] * (
        PERSON_LIMIT + 2 - passes
    )
    assert len(world.stored()) == passes


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
    world.journal.fault = None
    assert world.quotas() == (world.person_left, world.ip_left)


def test_forwarding_headers_are_not_read() -> None:
    """Whoever could choose his own address would have no limit."""
    world = World()
    address_full(activity(world), world)
    for name in ("X-Forwarded-For", "Forwarded", "X-Real-IP", "CF-Connecting-IP", "True-Client-IP"):
        request = activity(world)
        request.headers[name] = "198.51.100.77"
        assert world.send(request).status == 429


@pytest.mark.parametrize(
    ("peer", "forwarded", "warnings"),
    [
        ("10.0.0.1", "198.51.100.77", 1),
        ("127.0.0.1", "198.51.100.77", 1),
        ("fd00::1", "198.51.100.77", 1),
        ("10.0.0.1", None, 0),
        ("8.8.8.8", "198.51.100.77", 0),
        ("8.8.8.8", None, 0),
        ("", None, 1),
    ],
)
def test_a_site_that_would_share_one_bucket_is_warned_about_once(
    peer: str, forwarded: str | None, warnings: int, caplog: pytest.LogCaptureFixture
) -> None:
    world = World()
    for _ in range(3):
        request = activity(world)
        ask(
            world.app,
            "POST",
            "/in/capture/-/events/activity",
            body=request.bytes,
            headers=request.headers | {"X-Forwarded-For": forwarded},
            REMOTE_ADDR=peer,
        )
    assert len(caplog.records) == warnings
    assert world.capture.warnings == ["behind-proxy"] * warnings
    outcomes = world.capture.backends.outcomes
    assert outcomes is not None
    assert outcomes.counts().get("note:behind-proxy", 0) == warnings


def test_behind_proxy_fix_every_visitor_has_a_bucket_and_nobody_is_warned(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """As the docs show it: applied last, outside the mount."""
    world = World()
    app = ProxyFix(world.app, x_for=1)

    def status(visitor: str) -> int:
        request = activity(world)
        headers = request.headers | {"X-Forwarded-For": f"1.2.3.4, {visitor}"}
        path = "/in/capture/-/events/activity"
        return ask(
            app, "POST", path, body=request.bytes, headers=headers, REMOTE_ADDR="127.0.0.1"
        ).status

    address_full(activity(world), world)
    assert [status(HERE), status("10.1.2.3"), status(ELSEWHERE)] == [429, 200, 200]
    assert not caplog.records


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP"])
def test_every_header_that_proxies_add_is_known(header: str) -> None:
    world = World()
    request = activity(world)
    ask(
        world.app,
        "POST",
        "/in/capture/-/events/activity",
        body=request.bytes,
        headers=request.headers | {header: "198.51.100.77"},
        REMOTE_ADDR="10.0.0.1",
    )
    assert world.capture.warnings == ["behind-proxy"]


def test_an_address_that_cannot_be_told_is_a_fault_of_ours_and_counted() -> None:
    world = World()
    app = CaptureApp(world.capture, client_ip=lambda environ: environ["not there"])
    request = activity(world)
    reply = ask(app, "POST", "/-/events/activity", body=request.bytes, headers=request.headers)
    outcomes = world.capture.backends.outcomes
    assert outcomes is not None
    assert (reply.status, outcomes.counts()["internal"]) == (500, 1)


@pytest.mark.parametrize("path", ["-/health", "-/events/track", "nothing", "app.js"])
def test_head_is_answered_without_a_body(path: str) -> None:
    """Some servers would send it, and the client would take it for the next answer."""
    reply = ask(World().app, "HEAD", f"/in/capture/{path}")
    assert reply.body == b""
    assert int(reply.header("Content-Length") or 0) > 0


def test_the_host_may_say_where_a_visitor_is() -> None:
    world = World()
    address_full(activity(world), world)
    app = CaptureApp(world.capture, client_ip=lambda environ: environ["HTTP_X_VISITOR"])
    request = activity(world)
    for visitor, status in ((HERE, 429), (f"::ffff:{HERE}", 429), (ELSEWHERE, 200)):
        headers = request.headers | {"X-Visitor": visitor}
        reply = ask(app, "POST", "/-/events/activity", body=request.bytes, headers=headers)
        assert reply.status == status


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
    """And one line in the log, without anything about anybody."""
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


def test_ignored_members_of_track_are_counted() -> None:
    world = World()
    request = track(world)
    request.json |= {"cc": "x", "unsubscribe": True}
    assert world.send(request).status == 200
    assert world.backends.outcomes is not None
    counts = world.backends.outcomes.counts()
    assert (counts["note:ignored:cc"], counts["note:ignored:unsubscribe"]) == (1, 1)


@pytest.mark.parametrize("by_header", [True, False])
def test_who_opts_out_is_recorded_as_such_or_dropped_uncounted(by_header: bool) -> None:
    """By setting; the page learns nothing of it."""
    for setting, stored in (("record", 1), ("drop", 0)):
        world = World(gpc=setting)
        request = activity(world)
        if by_header:
            request.headers["Sec-GPC"] = "1"
        else:
            request.json["gpc"] = True
        assert world.send(request).json == {"ok": True}
        assert [row.gpc for row in world.stored()] == [True] * stored
        assert world.backends.outcomes is not None
        assert world.backends.outcomes.counts().get("opted-out", 0) == 1 - stored
        assert world.quotas() == (PERSON_LIMIT - stored, IP_LIMIT - stored)


def test_every_request_has_exactly_one_outcome() -> None:
    """Counted by its public code, whatever became of it."""
    assert World().backends.outcomes is not None
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
