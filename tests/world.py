"""One account under a prefix of a host, a good ``activity``, a good ``track``, and small limits.

The law of this file: what every test of the contract's answers starts from, all of it right. A test
changes one thing and looks at the answer. Ports are wrapped so that a test can break one method.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from ortto_capture import (
    Attribute,
    BackendError,
    Capture,
    CaptureApp,
    Captured,
    Definition,
    RateLimited,
    Settings,
    Source,
    mount,
    open_backends,
)
from ortto_capture.model import Identifier, Person

from .contract_model import VALUES
from .host_apps import HOSTS, Reply, ask

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
DAY = 86_400
PORTS = ("definitions", "people", "limiter", "journal")


class Flaky:
    """A port that counts its calls, can be away, and whose named methods can raise ``fault``."""

    def __init__(self, port: Any, *methods: str) -> None:
        self._port, self.methods = port, methods
        self.fault: Exception | None = None
        self.down = False
        self.calls: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._port, name)

        def method(*args: Any, **kwargs: Any) -> Any:
            self.calls[name] += 1
            if self.fault is not None and name in self.methods:
                raise self.fault
            return real(*args, **kwargs)

        return method

    def ping(self) -> None:
        if self.down:
            raise BackendError("away")


class World:
    """One account under a prefix of a host, with people who identified before."""

    def __init__(self, host: str = "bare", medium: str = "memory:", **settings: Any) -> None:
        self.now = NOW
        opened = open_backends(medium)
        self.definitions: Any = Flaky(opened.definitions, "get")
        self.people: Any = Flaky(opened.people, "save")
        self.limiter: Any = Flaky(opened.limiter, "acquire")
        self.journal: Any = Flaky(opened.journal, "append")
        self.backends = replace(opened, **{port: getattr(self, port) for port in PORTS})
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
        long_ago = Capture(
            backends=self.backends,
            settings=self.settings,
            clock=lambda: NOW - (SESSION_DAYS + 1) * DAY,
        )
        self.expired = str(long_ago.identify(email="expired@emaildomain.com").session)
        self.old_identity = long_ago.sign_identity("user@emaildomain.com", max_age=300)
        self.capture = Capture(
            backends=self.backends, settings=self.settings, clock=lambda: self.now
        )
        self.app = mount(HOSTS[host](), CaptureApp(self.capture), at="/in/capture")
        self.sessions = [self.session(f"person{n}@emaildomain.com") for n in range(3)]
        with open_backends("memory:") as other:
            elsewhere = Capture(backends=other, settings=self.settings, clock=lambda: self.now)
            self.unknown_person = str(elsewhere.identify(email="x@emaildomain.com").session)
        self.strangers = 0
        #: What the quotas of the good request must still hold.
        self.person_left, self.ip_left, self.new_left = PERSON_LIMIT, IP_LIMIT, NEW_PEOPLE_LIMIT

    def session(self, email: str) -> str:
        return str(self.capture.identify(email=email).session)

    def verified(self, email: str | None = None, **members: Any) -> str:
        """The session of a person for whom the host vouches."""
        token = self.capture.sign_identity(email, ei=members.pop("proven_ei", None))
        return str(self.capture.identify(identity=token, **members).session)

    def person(self, kind: str, value: str) -> Person | None:
        """Who holds this identifier."""
        found: Person | None = self.people.find([Identifier(kind, value)])
        return found

    def stored(self) -> list[Captured]:
        return list(self.backends.journal.after("", limit=10_000))

    def counted(self, code: str) -> int:
        """How many outcomes had this code or note."""
        assert self.backends.outcomes is not None
        return self.backends.outcomes.counts().get(code, 0)

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

    def record(self, session: str, ip: str | None) -> bool:
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

    def fill_person(self) -> None:
        """Use up the quota of the good request's person."""
        while self.record(self.sessions[0], ELSEWHERE):
            self.person_left -= 1

    def fill_address(self) -> None:
        """Use up the quota of the good request's address."""
        fillers = [self.session(f"filler{n}@emaildomain.com") for n in range(2)]
        while any(self.record(filler, HERE) for filler in fillers):
            self.ip_left -= 1

    def fill_new_people(self) -> None:
        """Use up the quota of new people at the good request's address."""
        self.new_people()
        self.new_left = 0

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
            "act:cm:proven", name="Proven", client_side=True, attributes=login, needs="verified"
        ),
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


def forged(token: str) -> str:
    """One bit of the signature's first character away."""
    text, dot, signature = token.rpartition(".")
    return f"{text}{dot}{chr(ord(signature[0]) ^ 1)}{signature[1:]}"
