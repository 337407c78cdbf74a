"""No token that we did not sign is ever taken for one, and no token makes us stumble.

The law of this file: a token is accepted or refused as ``bad-session`` or ``bad-identity``;
anything else, an exception of another kind above all, is a failure.
"""

from __future__ import annotations

import base64
import json
import random
import string
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ortto_capture import (
    Capture,
    CaptureApp,
    Definition,
    NotIdentified,
    Settings,
    open_backends,
)
from ortto_capture.errors import BadIdentity, BadToken, MalformedRequest
from ortto_capture.model import Identifier

from .host_apps import ask
from .services import campaign

SECRET, OTHER = (
    "an example secret of more than 32 bytes",
    "another secret, also of 32 bytes or more",
)
LOGIN = "act:cm:login"
NOW = 1_700_000_000.0
DAY = 86_400
BASE64 = string.ascii_letters + string.digits + "-_"


class Account:
    """One account whose secrets and clock a test may turn."""

    def __init__(self) -> None:
        self.now = NOW
        self.backends = open_backends("memory:")
        editor: Any = self.backends.definitions
        editor.put(Definition(LOGIN, name="Logged in", client_side=True))
        self.capture = self.with_secrets(SECRET)

    def with_secrets(self, *secrets: str, **settings: Any) -> Capture:
        """Another process on the same data."""
        chosen: dict[str, Any] = {"secret_keys": secrets, "person_limit": "1000/day"} | settings
        return Capture(backends=self.backends, settings=Settings(**chosen), clock=lambda: self.now)

    def session(self, email: str = "user@emaildomain.com") -> str:
        return str(self.capture.identify(email=email).session)


@pytest.fixture
def account() -> Account:
    return Account()


def refuses(capture: Capture, token: str) -> bool:
    """Whether this session is refused for being none of ours, and for no other reason."""
    try:
        capture.record(token, LOGIN)
    except BadToken as refusal:
        return refusal.code == "bad-session"
    return False


def refuses_identity(capture: Capture, token: str) -> bool:
    try:
        capture.identify(identity=token)
    except BadIdentity as refusal:
        return refusal.code == "bad-identity"
    return False


def random_tokens(model: str, count: int) -> Iterator[str]:
    """From noise to all but genuine: ``model`` with a part of it replaced."""
    chance = random.Random(20_240_501)

    def noise(length: int, alphabet: str = BASE64) -> str:
        return "".join(chance.choices(alphabet, k=length))

    texts = string.printable + "é€\U0001f4a5\x01\u202e"
    shapes: list[Callable[[], str]] = [
        lambda: noise(chance.randint(1, 200), texts),
        lambda: "oc1." + noise(chance.randint(0, 120)),
        lambda: "oc1." + noise(chance.randint(0, 120), BASE64 + "..."),
        lambda: model[: chance.randint(4, len(model) - 1)],
        lambda: model[: -len(model.rpartition(".")[2])] + noise(len(model.rpartition(".")[2])),
        lambda: model + noise(chance.randint(1, 4), BASE64 + "=.\n "),
        lambda: noise(chance.randint(1, 3), BASE64 + " \n.") + model,
    ]
    for number in range(count):
        token = shapes[number % len(shapes)]()
        if token.strip() and token != model:
            yield token


def flips(token: str) -> Iterator[str]:
    """Every token that is one bit away, the eighth bit of each character included."""
    for at, character in enumerate(token):
        for bit in range(8):
            yield token[:at] + chr(ord(character) ^ (1 << bit)) + token[at + 1 :]


def respelt(token: str) -> Iterator[str]:
    """Spellings that a lenient decoder of base64 reads as the same bytes."""
    parts = token.split(".")
    for at, part in enumerate(parts):
        for last in BASE64:
            yield ".".join([*parts[:at], part[:-1] + last, *parts[at + 1 :]])
        for addition in ("=", "==", "A", "\n", " ", "!"):
            yield ".".join([*parts[:at], part + addition, *parts[at + 1 :]])
        yield ".".join([*parts[:at], part.replace("-", "+").replace("_", "/"), *parts[at + 1 :]])
        yield ".".join([*parts[:at], part[:4] + "\r\n" + part[4:], *parts[at + 1 :]])


def test_no_random_session_is_accepted(account: Account) -> None:
    model = account.session()
    accepted = [
        token
        for token in random_tokens(model, campaign(25_000))
        if not refuses(account.capture, token)
    ]
    assert accepted == []
    assert not account.backends.journal.latest()


def test_no_session_with_a_flipped_bit_is_accepted(account: Account) -> None:
    """All bits of all characters, of as many sessions as it takes for 10,000."""
    tried = people = 0
    while tried < campaign(10_000):
        people += 1
        account.now += 1
        token = account.session(f"person{people}@emaildomain.com")
        accepted = [each for each in flips(token) if not refuses(account.capture, each)]
        assert accepted == []
        tried += 8 * len(token)


@pytest.mark.parametrize("known", [False, True], ids=["first seen", "remembered"])
def test_no_other_spelling_of_a_session_is_accepted(account: Account, known: bool) -> None:
    """Whether or not the true spelling was verified before."""
    for person in range(20):
        token = account.session(f"person{person}@emaildomain.com")
        if known:
            account.capture.record(token, LOGIN)
        others = [each for each in respelt(token) if each != token]
        assert [each for each in others if not refuses(account.capture, each)] == []


def test_no_bent_or_random_identity_is_accepted(account: Account) -> None:
    for n in range(3):
        account.now += 1
        token = account.capture.sign_identity(f"person{n}@emaildomain.com")
        bent = [each for each in (*flips(token), *respelt(token)) if each != token]
        assert [each for each in bent if not refuses_identity(account.capture, each)] == []
    invented = random_tokens(token, campaign(10_000))
    assert [each for each in invented if not refuses_identity(account.capture, each)] == []
    assert account.backends.people.find([Identifier("email", "person0@emaildomain.com")]) is None


ODD: dict[str, Callable[[str], str]] = {
    "another prefix": lambda token: "oc2." + token.removeprefix("oc1."),
    "no prefix": lambda token: token.partition(".")[2],
    "upper-case prefix": lambda token: "OC1." + token.removeprefix("oc1."),
    "prefix twice": lambda token: "oc1." + token,
    "only the prefix": lambda token: "oc1.",
    "dots": lambda token: "oc1....",
    "not ASCII": lambda token: token[:-1] + "é",
    "full-width": lambda token: "".join(chr(ord(each) + 0xFEE0) for each in token),
    "a megabyte": lambda token: token + "A" * 1_000_000,
    "a megabyte of dots": lambda token: "oc1." + "." * 1_000_000,
    "a megabyte of noise": lambda token: "oc1." + "é" * 500_000,
    "deflated": lambda token: "oc1.." + token.removeprefix("oc1."),
    "cut": lambda token: token[:-1],
    "swapped parts": lambda token: ".".join(reversed(token.split("."))),
}


@pytest.mark.parametrize("how", ODD)
def test_an_odd_token_is_refused_like_any_other(account: Account, how: str) -> None:
    assert refuses(account.capture, ODD[how](account.session()))
    identity = account.capture.sign_identity("user@emaildomain.com")
    assert refuses_identity(account.capture, ODD[how](identity))


@pytest.mark.parametrize("how", ODD)
def test_an_odd_token_is_refused_over_http(account: Account, how: str) -> None:
    """A megabyte is over the cap before it is a token."""
    app = CaptureApp(account.capture)
    session = ODD[how](account.session())
    identity = ODD[how](account.capture.sign_identity("user@emaildomain.com"))
    for route, body, code in (
        ("activity", {"session": session, "activity_id": LOGIN}, "bad-session"),
        ("activity", {"identity": identity, "activity_id": LOGIN}, "bad-identity"),
        ("track", {"identity": identity}, "bad-identity"),
    ):
        raw = json.dumps(body, ensure_ascii=False).encode()
        reply = ask(app, "POST", f"/-/events/{route}", body=raw)
        expected = (413, "too-large") if len(raw) > 65_536 else (401, code)
        assert (reply.status, reply.json["error"]["code"]) == expected


@pytest.mark.parametrize("end", ["\0", "\ud800"])
def test_a_token_that_is_no_json_is_refused_from_python_as_well(account: Account, end: str) -> None:
    """Row 5 of the table of checks holds for both doors."""
    with pytest.raises(MalformedRequest, match="bad-json"):
        account.capture.record(account.session() + end, LOGIN)
    with pytest.raises(MalformedRequest, match="bad-json"):
        account.capture.identify(identity=account.session() + end)


def test_a_session_ends_after_its_days(account: Account) -> None:
    """To the second, which is what tokens carry."""
    capture = account.with_secrets(SECRET, session_days=30)
    token = str(capture.identify(email="user@emaildomain.com").session)
    account.now = NOW + 30 * DAY - 1
    assert capture.record(token, LOGIN).position
    account.now += 2
    assert refuses(capture, token), "the one that verified it before must look at the clock again"
    assert refuses(account.with_secrets(SECRET, session_days=30), token)


def test_a_session_from_the_future_is_as_good_as_new(account: Account) -> None:
    account.now = NOW + 10 * DAY
    token = account.session()
    account.now = NOW
    assert account.capture.record(token, LOGIN).position
    assert account.with_secrets(SECRET).record(token, LOGIN).position


def test_secrets_can_be_rotated(account: Account) -> None:
    """The newest signs, the older ones are still accepted, a removed one is not."""
    old = account.session()
    old_identity = account.capture.sign_identity("user@emaildomain.com")
    both = account.with_secrets(OTHER, SECRET)
    assert both.record(old, LOGIN).position
    assert both.identify(identity=old_identity).identified
    new = str(both.identify(email="user@emaildomain.com").session)
    new_identity = both.sign_identity("user@emaildomain.com")
    only_new = account.with_secrets(OTHER)
    assert only_new.record(new, LOGIN).position
    assert only_new.identify(identity=new_identity).identified
    assert refuses(only_new, old)
    assert refuses_identity(only_new, old_identity)
    assert refuses(account.capture, new)
    assert refuses_identity(account.capture, new_identity)


def test_a_session_of_a_person_who_is_not_here_identifies_no_person(account: Account) -> None:
    """Signed with our secret, about a person we do not have."""
    elsewhere = Account()
    token = elsewhere.session("elsewhere@emaildomain.com")
    with pytest.raises(NotIdentified):
        account.capture.record(token, LOGIN)
    assert account.capture.identify(session=token) == (None, False)


def test_a_token_serves_one_purpose(account: Account) -> None:
    session = account.session()
    identity = account.capture.sign_identity("user@emaildomain.com")
    assert refuses(account.capture, identity)
    assert refuses_identity(account.capture, session)
    assert refuses(account.capture, "oc1." + identity.partition(".")[2])
    assert refuses_identity(account.capture, identity.partition(".")[0] + session[3:])


def test_an_identity_ends_with_its_age(account: Account) -> None:
    token = account.capture.sign_identity("user@emaildomain.com", max_age=60)
    account.now = NOW + 59
    assert account.capture.identify(identity=token).identified
    account.now = NOW + 62
    assert refuses_identity(account.capture, token)


def test_a_verified_session_says_so_in_what_it_records(account: Account) -> None:
    token = account.capture.sign_identity("User@EMAILdomain.com ")
    verified = account.capture.identify(identity=token)
    claimed = account.capture.identify(email="user@emaildomain.com")
    rows = [account.capture.record(each.session, LOGIN) for each in (verified, claimed)]
    assert [row.assurance for row in rows] == ["verified", "claimed"]
    assert rows[0].person_id == rows[1].person_id
    assert account.capture.record(None, LOGIN, identity=token).assurance == "verified"


def test_a_vouched_address_does_not_open_another_persons_record(account: Account) -> None:
    """An external id beside an identity token is only the browser's word."""
    victim = account.capture.identify(ei="42", email="victim@emaildomain.com")
    held = account.backends.people.find([Identifier("ei", "42")])
    for address in ("mallory@emaildomain.com", "known@emaildomain.com"):
        account.session("known@emaildomain.com")
        token = account.capture.sign_identity(address)
        opened = account.capture.identify(identity=token, ei="42")
        row = account.capture.record(opened.session, LOGIN)
        assert held is not None
        assert row.person_id != held.id
    assert account.backends.people.find([Identifier("ei", "42")]) == held
    assert account.capture.record(victim.session, LOGIN).assurance == "claimed"


def test_a_session_carries_no_personal_data(account: Account) -> None:
    token = account.session("user@emaildomain.com")
    readable = token
    for part in token.split("."):
        whole = part[: len(part) // 4 * 4]
        readable += base64.urlsafe_b64decode(whole).decode("latin-1")
    assert "user" not in readable
    assert "emaildomain" not in readable
    assert len(token) < 200, "it travels in a cookie and in every request"
