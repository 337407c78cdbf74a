"""Whatever arrives, the answer is one of ours: never 5xx, never a traceback, never what was sent.

The law of this file: every text that Hypothesis sends carries a mark that no answer may show. The
corpus below it is golden: raw bodies, each with the status and code that the contract gives it.
"""

from __future__ import annotations

import io
import json
import logging
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ortto_capture import (
    Attribute,
    Capture,
    CaptureApp,
    Definition,
    Settings,
    mount,
    open_backends,
)

from .contract_model import VALUES
from .host_apps import Reply, bare_host, call, environ_for

LOGIN = "act:cm:login"
#: In every text that is sent. No JSON, address, token or key of ours can hold it.
MARK = "Zq7#"
KEY = re.compile(r"(str|txt|int|bol|dtz|tme|phn|geo|sst|stl|obj):[a-z0-9]{0,8}:[A-Za-z0-9_-]+")
MEMBERS = {
    "key", "session", "identity", "event_id", "age", "activity_id", "attributes", "person",
    "dropped", "gpc", "email", "ei", "first", "last", "skipNonExisting", "ac",
}  # fmt: skip


class Fuzzed:
    """One account and one identified person, for as many requests as there are."""

    def __init__(self) -> None:
        self.backends = open_backends("memory:")
        editor: Any = self.backends.definitions
        editor.put(
            Definition(
                LOGIN,
                name="Logged in",
                client_side=True,
                attributes=[Attribute(f"{kind}:cm:value") for kind in VALUES],
            )
        )
        self.capture = Capture(
            backends=self.backends,
            settings=Settings(
                secret_keys=["an example secret of more than 32 bytes"],
                person_limit="100000/day",
                ip_limit="100000/hour",
                new_people_limit="100000/hour",
                merge_keys=["str:cm:customer-id"],
            ),
            clock=lambda: 1_700_000_000.0,
        )
        self.session = str(self.capture.identify(email="user@emaildomain.com").session)
        self.app = mount(bare_host(), CaptureApp(self.capture), at="/capture")

    def rows(self) -> int:
        latest = self.backends.journal.latest(1)
        return latest[-1].position if latest else 0

    def post(self, route: str, body: bytes, **request: Any) -> Reply:
        path = f"/capture/-/events/{route}"
        return self.send(environ_for("POST", path, body=body, **request))

    def send(self, environ: dict[str, Any]) -> Reply:
        """The promises that hold for every request whatever."""
        before = self.rows()
        with silent_log():
            reply = call(self.app, environ, validate=False)
        assert reply.status < 500
        assert reply.errors == ""
        if reply.status != 200 or environ["PATH_INFO"] != "/capture/-/events/activity":
            assert self.rows() == before
        else:
            assert self.rows() == before + (not reply.json.get("duplicate", False))
        if environ["REQUEST_METHOD"] == "HEAD" and environ["PATH_INFO"].startswith("/capture/"):
            assert reply.body == b""
        elif reply.status >= 400 and environ["PATH_INFO"].startswith("/capture/"):
            check_error(reply)
        return reply


def check_error(reply: Reply) -> None:
    error = reply.json["error"]
    named = error.pop("field", "")
    assert error.keys() <= {"code", "message", "expected", "try-in-seconds"}
    assert MARK not in json.dumps(error, ensure_ascii=False)
    # A member of a member may be named by its path: person.email, dropped, ac.
    assert named == "" or KEY.fullmatch(named) or set(re.findall(r"[A-Za-z_]+", named)) <= MEMBERS
    assert len(named) <= 100


class Keeping(logging.Handler):
    def __init__(self, records: list[logging.LogRecord]) -> None:
        super().__init__(logging.ERROR)
        self.records = records

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@contextmanager
def silent_log() -> Iterator[None]:
    """Nothing is worth a line but what an operator should mend."""
    records: list[logging.LogRecord] = []
    handler = Keeping(records)
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)
    assert not [each.getMessage() for each in records]


FUZZED = Fuzzed()

marked = st.text(max_size=300).map(MARK.__add__) | st.text(max_size=30).map(lambda t: t + MARK)
keys = st.from_regex(KEY, fullmatch=True) | st.sampled_from([f"{kind}:cm:value" for kind in VALUES])
numbers = st.integers() | st.floats() | st.sampled_from([2**53, -(2**53), 2**63, 1e308, -0.0])
scalars = st.none() | st.booleans() | numbers | marked | st.sampled_from(["", " ", "\x00"])
anything = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(marked | keys | st.sampled_from(sorted(MEMBERS)), inner, max_size=5)
    ),
    max_leaves=12,
)
routes = st.sampled_from(["track", "activity"])


@given(routes, st.binary(max_size=2_000), st.integers(0, 100))
@example("activity", b"", 0)
@example("track", b"\xff\xfe{\x00}\x00", 0)
def test_any_bytes_are_answered(route: str, raw: bytes, at: int) -> None:
    FUZZED.post(route, raw)
    FUZZED.post(route, raw[:at] + MARK.encode() + raw[at:])


@given(routes, st.data())
def test_a_good_body_with_any_damage_is_answered(route: str, data: st.DataObject) -> None:
    body = bytearray(good(route))
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(body)))
        end = data.draw(st.integers(start, min(len(body), start + 8)))
        body[start:end] = data.draw(st.binary(max_size=8) | st.sampled_from(TRICKS))
    FUZZED.post(route, bytes(body))


#: What decoders have stumbled over.
TRICKS = [
    b"\x00", b"\\u0000", b"\\ud800", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"NaN", b"-Infinity",
    b"1e999", b"[" * 50, b"9" * 400, b'"key":1,', b"-0", b"1.", b"\xff", b"\\x41", b"/**/",
]  # fmt: skip


def good(route: str) -> bytes:
    bodies = {
        "activity": {
            "session": FUZZED.session, "activity_id": LOGIN, "event_id": "event-1", "age": 5,
            "attributes": {"str:cm:value": "text", "geo:cm:value": {"name": "Sydney"}},
        },
        "track": {"email": "user@emaildomain.com", "first": "John", "ei": 5, "v": 0},
    }  # fmt: skip
    return json.dumps(bodies[route]).encode()


@given(routes, anything)
def test_any_json_is_answered(route: str, value: Any) -> None:
    FUZZED.post(route, json.dumps(value).encode())


@given(routes, st.dictionaries(st.sampled_from(sorted(MEMBERS)), anything, max_size=4))
def test_a_good_request_with_any_members_is_answered(route: str, members: dict[str, Any]) -> None:
    FUZZED.post(route, json.dumps(json.loads(good(route)) | members).encode())


@given(st.dictionaries(keys | marked, anything, max_size=17))
def test_any_attributes_are_answered(attributes: dict[str, Any]) -> None:
    body = {"session": FUZZED.session, "activity_id": LOGIN, "attributes": attributes}
    FUZZED.post("activity", json.dumps(body).encode())


@given(anything)
def test_any_person_is_answered(person: Any) -> None:
    body = {"activity_id": LOGIN, "person": person}
    FUZZED.post("activity", json.dumps(body).encode())


@given(
    st.dictionaries(
        st.sampled_from(["email", "ei", "first", "last", "ac", "skipNonExisting"]), anything
    )
)
def test_any_members_of_a_person_are_answered(person: dict[str, Any]) -> None:
    body = {"activity_id": LOGIN, "person": person}
    FUZZED.post("activity", json.dumps(body).encode())


#: WSGI headers are Latin-1 text; servers let nearly anything through.
header_text = st.text(st.characters(max_codepoint=255), max_size=60) | st.sampled_from(
    [
        "",
        "text/plain;charset=",
        "text/plain;charset=\xe9",
        "a" * 5000,
        "*/*",
        ";;;",
        "=",
        '"',
        "null",
    ]
)
environ_keys = st.sampled_from([
    "CONTENT_TYPE", "HTTP_CONTENT_ENCODING", "HTTP_ORIGIN", "HTTP_SEC_GPC", "HTTP_HOST",
    "HTTP_X_FORWARDED_FOR", "HTTP_COOKIE", "HTTP_ACCEPT_ENCODING", "HTTP_IF_NONE_MATCH",
    "HTTP_TRANSFER_ENCODING", "HTTP_SEC_FETCH_SITE", "HTTP_AUTHORIZATION", "QUERY_STRING",
    "REMOTE_ADDR", "SERVER_NAME", "HTTP_RANGE", "HTTP_EXPECT",
])  # fmt: skip
lengths = st.none() | st.sampled_from(
    ["", "0", "-1", "+5", " 5 ", "5.0", "0x10", "1e3", "99", "65536", "65537", "9" * 5000, "five",
     "\xb2", "1_0", "1,1"]
)  # fmt: skip
paths = st.sampled_from(
    ["-/events/activity", "-/events/track", "app.js", "-/health", "", "console/", "console/api"]
) | st.text(st.characters(max_codepoint=255), max_size=30)
verbs = st.sampled_from(
    ["GET", "POST", "OPTIONS", "HEAD", "PUT", "DELETE", "TRACE", "", "post", "é"]
)


@given(verbs, paths, lengths, st.dictionaries(environ_keys, header_text, max_size=6), st.booleans())
@example("GET", "app.js", None, {"QUERY_STRING": "\xff"}, False)
@example("HEAD", "app.js", None, {"QUERY_STRING": "v=\xff"}, False)
def test_any_headers_are_answered(
    method: str, path: str, length: str | None, headers: dict[str, str], ended: bool
) -> None:
    environ = environ_for(
        method, f"/capture/{path}", body=good("track"), headers={"Content-Length": length}
    )
    if ended:
        environ["wsgi.input_terminated"] = True
    FUZZED.send(environ | headers)


@given(lengths, st.booleans())
def test_any_length_is_answered_and_no_body_is_believed_that_did_not_come(
    length: str | None, ended: bool
) -> None:
    environ = environ_for(
        "POST",
        "/capture/-/events/activity",
        body=good("activity"),
        headers={"Content-Length": length},
        wsgi__input_terminated=ended,
    )
    reply = FUZZED.send(environ)
    if length is not None and length.isascii() and length.isdigit():
        assert reply.status in (400, 413)


@pytest.mark.parametrize("error", [OSError, ValueError, TimeoutError, EOFError])
def test_a_stream_that_breaks_is_incomplete(error: type[Exception]) -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise error(MARK)

    reply = FUZZED.send(
        environ_for(
            "POST",
            "/capture/-/events/activity",
            stream=Broken(),
            headers={"Content-Length": "100"},
        )
    )
    assert reply.json["error"]["code"] == "incomplete"


def member(text: str | bytes) -> bytes:
    """A good activity with this value as a member that is not known."""
    value = text.encode() if isinstance(text, str) else text
    return good("activity")[:-1] + b',"extra":' + value + b"}"


def replaced(**members: Any) -> bytes:
    return json.dumps(json.loads(good("activity")) | members).encode()


def wide(members: int) -> bytes:
    return b"{" + b",".join(b'"m%d":0' % n for n in range(members)) + b"}"


def deep(levels: int, bracket: bytes = b"[") -> bytes:
    closing = {b"[": b"]", b'{"a":': b"}"}[bracket]
    return bracket * levels + (b"" if bracket == b"[" else b"0") + closing * levels


OK, JSON, BAD = "200 ok", "400 bad-json", "400 bad-request"

#: Body of an activity → status and code, by rows 5 and 6 of the contract's table.
CORPUS: dict[str, tuple[bytes, str]] = {
    # Encodings
    "as the client sends it": (good("activity"), OK),
    "blanks around": (b" \t\r\n" + good("activity") + b"\n ", OK),
    "UTF-8 BOM": (b"\xef\xbb\xbf" + good("activity"), JSON),
    **{
        name: (good("activity").decode().encode(name), JSON)
        for name in ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "cp037")
    },
    "UTF-7": (b"+AHs-", JSON),
    "Latin-1": (member(b'"\xe9"'), JSON),
    "cut character": (member(b'"\xc3"'), JSON),
    "overlong slash": (member(b'"\xc0\xaf"'), JSON),
    "overlong NUL": (member(b'"\xc0\x80"'), JSON),
    "surrogate in UTF-8": (member(b'"\xed\xa0\x80"'), JSON),
    "surrogate pair in UTF-8": (member(b'"\xed\xa0\xbd\xed\xb2\xa5"'), JSON),
    "beyond Unicode": (member(b'"\xf4\x90\x80\x80"'), JSON),
    "five bytes": (member(b'"\xf8\x88\x80\x80\x80"'), JSON),
    "0xFF": (member(b'"\xff"'), JSON),
    "highest code point": (member(b'"\xf4\x8f\xbf\xbf"'), OK),
    "emoji": (member('"\U0001f4a5"'), OK),
    "escaped emoji": (member(r'"\ud83d\udca5"'), OK),
    "BOM inside a string": (member('"\ufeff"'), OK),
    "gzip": (b"\x1f\x8b\x08\x00" + b"\x00" * 20, JSON),
    # Surrogates, NUL and controls
    "high surrogate": (member(r'"\ud800"'), JSON),
    "high surrogate in capitals": (member(r'"\uD800"'), JSON),
    "low surrogate in capitals": (member(r'"\uDFFF"'), JSON),
    "a pair in capitals": (member(r'"\uD83D\uDCA5"'), OK),
    "low surrogate": (member(r'"\udc00"'), JSON),
    "surrogates reversed": (member(r'"\udc00\ud800"'), JSON),
    "high surrogate twice": (member(r'"\ud800\ud800"'), JSON),
    "high surrogate, then text": (member(r'"\ud800x"'), JSON),
    "surrogate as a name": (member(r'{"\ud800":1}'), JSON),
    "escaped backslash before ud800": (member(r'"\\ud800"'), OK),
    "three backslashes before ud800": (member(r'"\\\ud800"'), JSON),
    "NUL": (member(r'"\u0000"'), JSON),
    "NUL as a name": (member(r'{"a\u0000b":1}'), JSON),
    "NUL in a list": (member(r'["a", "\u0000"]'), JSON),
    "escaped backslash before u0000": (member(r'"\\u0000"'), OK),
    "raw NUL": (member(b'"\x00"'), JSON),
    "NUL after the end": (good("activity") + b"\x00", JSON),
    "raw newline": (member(b'"a\nb"'), JSON),
    "raw tab": (member(b'"a\tb"'), JSON),
    "raw escape": (member(b'"\x1b"'), JSON),
    "escaped newline": (member(r'"a\nb"'), OK),
    "escaped U+0001": (member(r'"\u0001"'), OK),
    "raw DEL": (member(b'"\x7f"'), OK),
    "U+2028": (member('"\u2028"'), OK),
    "unknown escape": (member(r'"\x41"'), JSON),
    "half an escape": (member(r'"\u00"'), JSON),
    "escape with a sign": (member(r'"\u+041"'), JSON),
    # Numbers
    "NaN": (member("NaN"), JSON),
    "Infinity": (member("Infinity"), JSON),
    "-Infinity": (member("-Infinity"), JSON),
    "1e999": (member("1e999"), JSON),
    "-1e999": (member("-1e999"), JSON),
    "1e400 as age": (good("activity").replace(b'"age": 5', b'"age": 1e400'), JSON),
    "1e308": (member("1e308"), OK),
    "1e-999": (member("1e-999"), OK),
    "2^53-1": (member(str(2**53 - 1)), OK),
    "2^53": (member(str(2**53)), JSON),
    "-(2^53-1)": (member(str(1 - 2**53)), OK),
    "-(2^53)": (member(str(-(2**53))), JSON),
    "2^63": (member(str(2**63)), JSON),
    "2^64": (member(str(2**64)), JSON),
    "4,300 digits": (member("9" * 4300), JSON),
    "4,301 digits": (member("9" * 4301), JSON),
    "60,000 digits": (member("9" * 60_000), JSON),
    "-4,301 digits": (member("-" + "9" * 4301), JSON),
    "leading zero": (member("01"), JSON),
    "leading plus": (member("+1"), JSON),
    "leading point": (member(".5"), JSON),
    "trailing point": (member("1."), JSON),
    "hexadecimal": (member("0x10"), JSON),
    "underscore": (member("1_000"), JSON),
    "minus alone": (member("-"), JSON),
    "exponent alone": (member("1e"), JSON),
    "minus zero": (member("-0"), OK),
    "other digits": (member("\u0661"), JSON),
    # Names
    "a name twice": (good("activity")[:-1] + b',"age":5}', JSON),
    "a name twice, once escaped": (good("activity")[:-1] + rb',"\u0061ge":5}', JSON),
    "a name twice, deeper": (member('{"a":1,"a":1}'), JSON),
    "a name twice, in a list": (member('[{"a":1,"b":2,"a":1}]'), JSON),
    "names that differ in case": (member('{"a":1,"A":1}'), OK),
    "an empty name twice": (member('{"":1,"":2}'), JSON),
    "an empty name": (member('{"":1}'), OK),
    "__proto__": (member('{"__proto__":{"x":1},"constructor":1}'), OK),
    "64 members": (member(wide(64)), OK),
    "65 members": (member(wide(65)), JSON),
    "64 envelope members": (
        good("activity")[:-1] + b"," + wide(64 - 5)[1:], OK,
    ),
    "65 envelope members": (good("activity")[:-1] + b"," + wide(65 - 5)[1:], JSON),
    "65 in a list": (member(json.dumps([0] * 65)), OK),
    "65 of 65 in a list": (member(b"[" + b",".join([wide(65)] * 65) + b"]"), JSON),
    # Depth: the envelope is the first
    "depth 8": (member(deep(7)), OK),
    "depth 9": (member(deep(8)), JSON),
    "depth 8 of objects": (member(deep(7, b'{"a":')), OK),
    "depth 9 of objects": (member(deep(8, b'{"a":')), JSON),
    "depth 1,000": (member(deep(1_000)), JSON),
    "depth 30,000": (member(deep(30_000)), JSON),
    "60,000 opening brackets": (b"[" * 60_000, JSON),
    "60,000 closing brackets": (b"]" * 60_000, JSON),
    "10,000 opening objects": (b'{"a":' * 10_000, JSON),
    "brackets in a string": (member('"' + "[{" * 500 + '"'), OK),
    "brackets after an escaped quote": (member('"\\"' + "[" * 100 + '"'), OK),
    "brackets after an escaped backslash": (member('"\\\\"' + "[" * 100), JSON),
    "many shallow lists": (member("[" + ",".join(["[]"] * 500) + "]"), OK),
    # Grammar
    "nothing": (b"", JSON),
    "blanks": (b" \n ", JSON),
    "null": (b"null", JSON),
    "true": (b"true", JSON),
    "a number": (b"5", JSON),
    "a string": (b'"act:cm:login"', JSON),
    "a list": (b"[]", JSON),
    "a list around": (b"[" + good("activity") + b"]", JSON),
    "an open object": (good("activity")[:-1], JSON),
    "an open string": (b'{"activity_id": "act', JSON),
    "closed twice": (good("activity") + b"}", JSON),
    "two objects": (good("activity") + good("activity"), JSON),
    "two lines": (good("activity") + b"\n" + good("activity"), JSON),
    "trailing comma": (good("activity")[:-1] + b",}", JSON),
    "trailing comma in a list": (member("[1,]"), JSON),
    "single quotes": (b"{'activity_id': 'act:cm:login'}", JSON),
    "bare names": (b'{activity_id: "act:cm:login"}', JSON),
    "comment": (good("activity")[:-1] + b"/**/}", JSON),
    "line comment": (good("activity") + b"// done", JSON),
    "None": (member("None"), JSON),
    "TRUE": (member("TRUE"), JSON),
    "undefined": (member("undefined"), JSON),
    "form": (b"activity_id=act:cm:login", JSON),
    "XML": (b"<activity/>", JSON),
    "JSONP": (b"callback({})", JSON),
    "anti-hijack prefix": (b")]}'\n" + good("activity"), JSON),
    "a vertical tab between": (good("activity")[:-1] + b"\x0b}", JSON),
    "a no-break space between": (good("activity")[:-1] + b"\xc2\xa0}", JSON),
    # Shape
    "an empty object": (b"{}", BAD),
    "activity_id null": (replaced(activity_id=None), BAD),
    "activity_id empty": (replaced(activity_id=""), BAD),
    "activity_id a number": (replaced(activity_id=5), BAD),
    "activity_id an object": (replaced(activity_id={}), BAD),
    "attributes a list": (replaced(attributes=[]), BAD),
    "attributes a string": (replaced(attributes="{}"), BAD),
    "attributes false": (replaced(attributes=False), BAD),
    "attributes null": (replaced(attributes=None), OK),
    "attributes empty": (replaced(attributes={}), OK),
    "session a number": (replaced(session=5), BAD),
    "session a list": (replaced(session=[]), BAD),
    "event_id a number": (replaced(event_id=5), BAD),
    "event_id with a blank": (replaced(event_id="a b"), BAD),
    "event_id with a line feed": (replaced(event_id="a\n"), BAD),
    "event_id with other digits": (replaced(event_id="\u0661"), BAD),
    "event_id of 64": (replaced(event_id="x" * 64), OK),
    "event_id of 65": (replaced(event_id="x" * 65), BAD),
    "event_id empty": (replaced(event_id=""), OK),
    "age negative": (replaced(age=-1), BAD),
    "age a string": (replaced(age="5"), BAD),
    "age true": (replaced(age=True), BAD),
    "age of 7 days": (replaced(age=604_800_000), OK),
    "age over 7 days": (replaced(age=604_800_001), BAD),
    "age with a fraction": (replaced(age=0.001), OK),
    "age null": (replaced(age=None), OK),
    "person a string": (replaced(person="user@emaildomain.com"), BAD),
    "person a list": (replaced(person=[]), BAD),
    "dropped a list": (replaced(dropped=[]), BAD),
    "gpc a string": (replaced(gpc="yes"), BAD),
    "key a number": (replaced(key=5), BAD),
    "key null": (replaced(key=None), OK),
}  # fmt: skip


def test_the_corpus_is_large() -> None:
    assert len(CORPUS) >= 100


@pytest.mark.parametrize("name", CORPUS)
def test_the_corpus_is_answered_as_the_contract_says(name: str) -> None:
    body, expected = CORPUS[name]
    reply = FUZZED.post("activity", body)
    code = "ok" if reply.json.get("ok") else reply.json["error"]["code"]
    assert f"{reply.status} {code}" == expected
    if expected == JSON:
        tracked = FUZZED.post("track", body)
        assert (tracked.status, tracked.json["error"]["code"]) == (400, "bad-json")


FULL = 65_536


def filled(unit: bytes, start: bytes = b'{"a":[', end: bytes = b"]}") -> bytes:
    """As many units as fit, with commas between, in a body of at most 64 KiB."""
    return start + b",".join([unit] * ((FULL - 20) // (len(unit) + 1))) + end


WORST = {
    "opening brackets": b"[" * FULL,
    "balanced brackets": b"[" * (FULL // 2) + b"]" * (FULL // 2),
    "opening objects": b'{"a":' * (FULL // 5),
    "quotes": b'"' * FULL,
    "escaped quotes": b'{"a":"' + b'\\"' * (FULL // 2 - 10) + b'"}',
    "backslashes": b"\\" * FULL,
    "escapes": b'{"a":"' + b"\\u0041" * (FULL // 6 - 2) + b'"}',
    "escaped pairs": b'{"a":"' + b"\\ud83d\\ude00" * (FULL // 12 - 2) + b'"}',
    "escaped strings": filled(b'"\\n"', end=b"],"),
    "a backslash and many strings": b'{"b":"\\n","a":[' + b",".join([b'"x"'] * 8_000) + b"]}",
    "numbers with exponents": filled(b"1e-300"),
    "NUL at the very end": b'{"a":"' + b"x" * (FULL - 20) + b'\\u0000"}',
    "digits": b'{"a":' + b"9" * (FULL - 10) + b"}",
    "digits after the point": b'{"a":0.' + b"9" * (FULL - 10) + b"}",
    "blanks": b" " * FULL,
    "blanks, then an error": b'{"a":0' + b" " * (FULL - 10) + b"!",
    "many numbers": filled(b"0"),
    "many empty lists": filled(b"[]"),
    "many empty objects": filled(b"{}"),
    "many small objects": filled(b'{"a":0}'),
    "many strings": filled(b'""'),
    "many members": b"{" + b",".join(b'"%d":0' % n for n in range(7_000)) + b"}",
    "one name over and over": filled(b'"a":0', b"{", b"}"),
    "invalid UTF-8 at the very end": b'{"a":"' + b"x" * (FULL - 20) + b'\xff"}',
    "a long address": b'{"email":"' + b"@" * (FULL - 20) + b'"}',
    "a long label": b'{"email":"u@' + "\u06f0".encode() * 250 + b'"}',
    "a label of ligatures": b'{"email":"u@' + "\ufdfa".encode() * 250 + b'"}',
}


@pytest.mark.parametrize("name", WORST)
@pytest.mark.parametrize("route", ["track", "activity"])
def test_no_body_costs_more_than_a_fixed_number_of_steps(route: str, name: str) -> None:
    """Counts lines of Python run, not time: what one of them does in C is for the benchmarks."""
    body = WORST[name]
    assert len(body) <= FULL
    steps = 0

    def trace(frame: Any, event: str, argument: Any) -> Any:
        nonlocal steps
        steps += 1
        return trace

    environ = environ_for("POST", f"/capture/-/events/{route}", body=body)
    before = sys.gettrace()
    sys.settrace(trace)
    try:
        reply = call(FUZZED.app, environ, validate=False)
    finally:
        sys.settrace(before)
    assert reply.status in (200, 400)
    assert steps < 2_000
