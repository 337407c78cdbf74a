"""One WSGI call in this process: the accepted path, each refusal, growth, and the Flask peer."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from itertools import count, cycle
from statistics import median
from typing import TYPE_CHECKING

from .measure import Figure, in_turns, ratio
from .programs import (
    ATTRIBUTES,
    FULL,
    OFF,
    bare,
    body,
    call,
    environ,
    flask_peer,
    ip_of,
    ours,
    session_of,
)

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

Requests = Callable[[], Iterator["WSGIEnvironment"]]


def sessions(app: WSGIApplication, people: int) -> list[tuple[str, str]]:
    """A session and an address for each of so many people, each used once already."""
    found = [
        (session_of(app, f"user{number}@emaildomain.com", ip_of(number)), ip_of(number))
        for number in range(people)
    ]
    for session, ip in found:
        call(app, environ(body(session), ip))
    return found


def visits(visitors: list[tuple[str, str]], requests: int) -> Requests:
    """Activities of these visitors in turn."""
    turn = cycle(visitors)

    def make() -> Iterator[WSGIEnvironment]:
        for _ in range(requests):
            session, ip = next(turn)
            yield environ(body(session), ip)

    return make


def visits_from_new_addresses(visitors: list[tuple[str, str]], requests: int) -> Requests:
    """Activities of these visitors in turn, each from an address not seen before."""
    turn, addresses = cycle(visitors), count()

    def make() -> Iterator[WSGIEnvironment]:
        for _ in range(requests):
            number = next(addresses)
            ip = f"{11 + (number >> 24)}.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
            yield environ(body(next(turn)[0]), ip)

    return make


def refusals(session: str) -> dict[str, tuple[int, Callable[[], WSGIEnvironment]]]:
    """One request for each way to be refused (and the duplicate), with its status."""
    deep = b'{"a":' * 12 + b"1" + b"}" * 12
    forged = (f"oc1.{'x' * 22}.c.0.{number:043d}" for number in count())
    repeated = body(session)
    many = {f"str:cm:a{number}": "x" for number in range(16)}
    return {
        "405 method": (405, lambda: environ(b"", REQUEST_METHOD="GET")),
        "413 declared too large": (413, lambda: environ(b"", CONTENT_LENGTH="70000")),
        "415 form": (415, lambda: environ(b"a=b", CONTENT_TYPE="multipart/form-data")),
        "400 cut body": (400, lambda: environ(b"{}", CONTENT_LENGTH="400")),
        "400 bad JSON": (400, lambda: environ(body(session)[:-1])),
        "400 nested": (400, lambda: environ(deep)),
        "400 bad envelope": (400, lambda: environ(body(session, age=-1))),
        "401 unknown key": (401, lambda: environ(body(session, key="another"))),
        "403 other origin": (
            403,
            lambda: environ(body(session), HTTP_ORIGIN="https://other.example"),
        ),
        "404 unknown activity": (404, lambda: environ(body(session, activity_id="act:cm:x"))),
        "404 switched off": (404, lambda: environ(body(session, activity_id=OFF.id))),
        "400 not identified": (400, lambda: environ(body(None))),
        "401 forged session": (401, lambda: environ(body(next(forged)))),
        "400 bad attribute": (
            400,
            lambda: environ(body(session, attributes={**ATTRIBUTES, "int:cm:amount": "x"})),
        ),
        "400 too many attributes": (400, lambda: environ(body(session, attributes=many))),
        "200 duplicate": (200, lambda: environ(repeated)),
        "429 limit": (
            429,
            lambda: environ(body(session, activity_id=FULL.id, attributes={})),
        ),
    }


def figures(scale: float = 1.0) -> Iterator[Figure]:
    """All figures of this file; ``scale`` makes the rounds shorter."""
    people, n, rounds = int(10_000 * scale), int(4_000 * scale), max(3, int(15 * scale))
    app, capture = ours()
    visitors = sessions(app, people)
    session = visitors[0][0]
    peer = flask_peer()
    peer_visitors = sessions(peer, max(10, int(500 * scale)))

    requests = visits(visitors, n)
    newcomers = visits_from_new_addresses(visitors, n)
    times = in_turns(
        {
            "bare": (bare, requests),
            "ours": (app, requests),
            "new": (app, newcomers),
            "flask": (peer, visits(peer_visitors, max(5, n // 20))),
        },
        rounds,
    )
    yield Figure("bare WSGI JSON callable", median(times["bare"]), unit="µs")
    yield Figure("ours, accepted / bare", ratio(times["ours"], times["bare"]), 5.0)
    yield Figure(
        "ours, accepted from a new address each / bare", ratio(times["new"], times["bare"]), 5.5
    )
    yield Figure(
        "Flask + Flask-Limiter + jsonschema / ours",
        ratio(times["flask"], times["ours"]),
        12,
        at_least=True,
    )
    del peer, peer_visitors

    call(app, environ(body(session, activity_id=FULL.id, attributes={})))
    for name, (status, make) in refusals(session).items():
        assert call(app, make())[0] == status, name

        def repeat(make: Callable[[], WSGIEnvironment] = make) -> Iterator[WSGIEnvironment]:
            return (make() for _ in range(n // 4))

        refused = in_turns({"it": (app, repeat), "ours": (app, visits(visitors, n // 4))}, rounds)
        yield Figure(f"{name} / ours", ratio(refused["it"], refused["ours"]), 1.5)

    waiting = list(requests())
    gc.collect()
    gc.disable()
    for each in waiting:
        call(app, each)
    del waiting, each
    yield Figure("garbage left by an accepted request", gc.collect() / n, 0, unit="obj")
    gc.enable()

    # Each of these sessions comes once, so each signature is checked.
    tokens = [
        (capture.identify(email=f"new{number}@emaildomain.com").session or "", "203.0.113.7")
        for number in range(n // 4 * rounds)
    ]
    first = in_turns(
        {"first": (app, visits(tokens, n // 4)), "ours": (app, visits(visitors, n // 4))}, rounds
    )
    yield Figure("a session seen first / ours", ratio(first["first"], first["ours"]), 2)

    # The same share of sessions remembered: the same visitors, among a million people or alone.
    crowd_app, crowd = ours()
    for number in range(int(1_000_000 * scale)):
        crowd.identify(email=f"crowd{number}@emaildomain.com")
    crowd_visitors = sessions(crowd_app, people)
    alone_app, _ = ours()
    alone = in_turns(
        {
            "alone": (alone_app, visits(sessions(alone_app, 1), n)),
            "crowd": (crowd_app, visits(crowd_visitors, n)),
        },
        rounds,
    )
    yield Figure("10⁶ people / one person", ratio(alone["crowd"], alone["alone"]), 1.5)


def worst_bodies(scale: float = 1.0) -> Iterator[Figure]:
    """64 KiB that are expensive to refuse: milliseconds each, the only absolute times here."""
    app, _ = ours()
    cap = 65_536

    def array(unit: bytes, units: int, start: bytes = b"{") -> bytes:
        return start + b'"a":[' + b",".join([unit] * units) + b"]}"

    escaped = rb'{"b":"\n",'
    bodies = {
        "brackets": b"[" * cap,
        "pairs of brackets": b'{"a":[' + b"[]," * 21_000 + b"[]]}",
        "empty objects": b'{"a":[' + b"{}," * 21_000 + b"{}]}",
        "small integers": b'{"a":[' + b"1," * 32_000 + b"1]}",
        "fractions": b'{"a":[' + b".1,".join([b"0"] * 16_000) + b"]}",
        "digits": b'{"a":' + b"9" * 65_000 + b"}",
        "escapes": rb'{"a":"' + rb"\u0041" * 10_900 + b'"}',
        "open string of escapes": rb'{"a":"' + rb"\"[" * 21_000,
        "one string": b'{"a":"' + b"x" * 65_000 + b'"}',
        "members": b"{" + b",".join(b'"%d":0' % n for n in range(7_000)) + b"}",
        "merge keys": b'{"ac":[' + b",".join([b'{"fi":"x"}'] * 900) + b"]}",
        "one long label": b'{"email":"u@' + "\u06f0".encode() * 250 + b'"}',
        "exponents": array(b"1.7e-308", 7_200),
        "as many exponents as pass": array(b"0.123456,1.7e-308", 990),
        "as many numbers as pass": array(b"0.12345", 8_190),
        "as many integers as pass": array(b"1234567", 8_190),
        "as many objects and numbers as pass": array(b'{"a":1,"b":0.123,"c":"\\n"},0.1,0.1,7', 990),
        "as many objects as pass": array(b'{"a":1,"b":0.1234567,"c":"\\n"}', 990),
        "strings": array(b'"text"', 8_190),
        "strings beside one backslash": array(b'"text"', 8_188, escaped),
        "numbers beside one backslash": array(b"0.12345", 8_188, escaped),
        "strings of one escape": array(rb'"\n"', 8_190),
        "strings beside one pair": array(b'"text"', 8_188, rb'{"b":"\ud83d\ude00",'),
        "pairs": rb'{"a":"' + rb"\ud83d\ude00" * 5_400 + b'"}',
        "pairs in capitals": rb'{"a":"' + rb"\uD83D\uDE00" * 5_400 + b'"}',
        "no surrogates": rb'{"a":"' + rb"\ud7ff" * 10_900 + b'"}',
        "backslashes": rb'{"a":"' + rb"\\" * 32_700 + b'"}',
        "other letters and a backslash": b'{"a":"' + "é".encode() * 32_000 + rb'\n"}',
    }
    for name, payload in bodies.items():
        assert call(app, environ(payload[:cap]))[0] >= 400, name

        def once(payload: bytes = payload) -> Iterator[WSGIEnvironment]:
            return iter([environ(payload[:cap]) for _ in range(5)])

        took = in_turns({"it": (app, once)}, max(1, int(5 * scale)))["it"]
        yield Figure(f"64 KiB of {name}, refused", median(took) / 1000, 1.5, unit="ms")
