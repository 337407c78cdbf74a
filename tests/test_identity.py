"""Who: what a request says of a person, tokens that no stranger can make, keys that never meet."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ortto_capture import Capture, Settings, open_backends
from ortto_capture.errors import BadIdentity, BadToken, ConfigurationError, MalformedRequest
from ortto_capture.identity import (
    REMEMBERED,
    Identity,
    Tokens,
    bucket_hasher,
    person_fields,
    random_id,
)

NEW, OLD = b"n" * 32, b"o" * 32
YEAR = 365 * 86_400


def test_identifiers_are_looked_up_ei_first_then_email_then_merge_keys_as_sent() -> None:
    fields = person_fields(
        {
            "email": "USER@example.com",
            "ei": 4674,
            "ac": [
                {"fi": "int:cm:number", "v": 5},
                {"fi": "str:cm:not-listed", "v": {"any": "thing"}},
                {"fi": "str:cm:customer", "v": "x"},
                {"fi": "str:cm:customer", "v": "second of its kind"},
                {"fi": "str:cm:blank", "v": "  "},
            ],
        },
        ["str:cm:customer", "int:cm:number", "str:cm:blank"],
    )

    assert [tuple(identifier) for identifier in fields.lookup] == [
        ("ei", "4674"),
        ("email", "user@example.com"),
        ("int:cm:number", "5"),
        ("str:cm:customer", "x"),
    ]
    assert fields.notes == ("ignored:ac",)


def test_blank_identifiers_and_names_count_as_absent() -> None:
    for empty in ("", "   ", None):
        fields = person_fields(
            dict.fromkeys(["email", "ei", "first", "last", "identity"], empty), ()
        )
        assert fields == person_fields({}, ())
    assert person_fields({"ac": "", "skipNonExisting": ""}, ()) == person_fields({}, ())


def test_unsupported_and_unknown_members_are_noted_by_name_or_as_other() -> None:
    fields = person_fields({"v": 0, "cc": True, "gdpr": {}, "x": 1, "<script>": 2}, ())

    assert fields.notes == ("ignored:other", "ignored:cc", "ignored:gdpr")


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({"email": 5}, "email"),
        ({"email": "no address"}, "email"),
        ({"ei": True}, "ei"),
        ({"ei": 5.5}, "ei"),
        ({"ei": "x" * 256}, "ei"),
        ({"first": ["John"]}, "first"),
        ({"last": "x" * 256}, "last"),
        ({"ac": {}}, "ac"),
        ({"ac": [5]}, "ac"),
        ({"ac": [{"fi": 5}]}, "ac"),
        ({"ac": [{"fi": "str:cm:a", "v": True}]}, "ac"),
        ({"ac": [{"fi": "str:cm:a", "v": "x" * 256}]}, "ac"),
        ({"skipNonExisting": 1}, "skipNonExisting"),
        ({"identity": 5}, "identity"),
    ],
)
def test_members_of_the_wrong_shape_are_named(members: dict[str, Any], field: str) -> None:
    with pytest.raises(MalformedRequest) as refused:
        person_fields(members, ["str:cm:a"], "person.")

    assert refused.value.field == f"person.{field}"


def test_a_session_token_says_who_and_how_until_it_expires() -> None:
    tokens = Tokens([NEW, OLD], YEAR)
    token = tokens.session("a.person_id", "verified", 1000.9)

    session = tokens.open_session(token, 1000.0 + YEAR)

    assert session == ("a.person_id", "verified", 1000)
    with pytest.raises(BadToken, match="expired"):
        tokens.open_session(token, 1001.0 + YEAR)


def test_a_token_from_the_future_counts_as_new() -> None:
    tokens = Tokens([NEW], YEAR)
    token = tokens.session("p", "claimed", 10.0**9)

    assert tokens.open_session(token, 0.0).person_id == "p"


def test_older_keys_open_and_the_newest_signs() -> None:
    by_old = Tokens([OLD], YEAR).session("p", "claimed", 0)
    by_both = Tokens([NEW, OLD], YEAR).session("p", "claimed", 0)

    assert Tokens([NEW, OLD], YEAR).open_session(by_old, 0).person_id == "p"
    assert Tokens([NEW], YEAR).open_session(by_both, 0).person_id == "p"
    with pytest.raises(BadToken, match="forged"):
        Tokens([NEW], YEAR).open_session(by_old, 0)


@pytest.mark.parametrize(
    "token", ["", "oc1.", "oc2.p.c.0.x", "é", "oc1.\ud800", "oc1." + "a" * 5000]
)
def test_other_strings_are_forged(token: str) -> None:
    tokens = Tokens([NEW], YEAR)

    with pytest.raises(BadToken, match="forged"):
        tokens.open_session(token, 0)
    with pytest.raises(BadIdentity, match="forged"):
        tokens.open_identity(token.replace("oc1", "oi1"), 0)


def test_the_spare_bits_of_a_signature_are_not_spare() -> None:
    """The last of 43 characters carries two bits that decoding ignores."""
    tokens = Tokens([NEW], YEAR)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    for token, open_token in (
        (tokens.session("p", "claimed", 0), tokens.open_session),
        (tokens.identity(Identity("a@b.example"), 9), tokens.open_identity),
    ):
        twin = token[:-1] + alphabet[alphabet.index(token[-1]) + 1]
        with pytest.raises(BadToken, match="forged"):
            open_token(twin, 0)


def test_remembered_sessions_are_bounded_to_two_generations() -> None:
    tokens = Tokens([NEW], YEAR)
    some = [tokens.session(f"p{n}", "claimed", 0) for n in range(REMEMBERED + 1)]
    for token in some:
        tokens.open_session(token, 0)

    assert tokens.remembered() == REMEMBERED + 1
    assert tokens.open_session(some[0], 0).person_id == "p0"
    for token in [*some, *(tokens.session(f"q{n}", "claimed", 0) for n in range(REMEMBERED))]:
        tokens.open_session(token, 0)
    assert tokens.remembered() <= 2 * REMEMBERED


def test_an_identity_token_vouches_for_what_was_signed_and_nothing_else() -> None:
    tokens = Tokens([NEW], YEAR)
    fields = Identity(" USER@example.com", ei=7)
    token = tokens.identity(fields, 1300.0)

    assert tokens.open_identity(token, 1299.0) == (("ei", "7"), ("email", "user@example.com"))
    with pytest.raises(BadIdentity, match="expired"):
        tokens.open_identity(token, 1300.0)
    with pytest.raises(BadIdentity, match="forged"):
        Tokens([OLD], YEAR).open_identity(token, 0)


def test_a_token_of_one_kind_is_not_one_of_the_other() -> None:
    tokens = Tokens([NEW], YEAR)
    session = tokens.session("p", "verified", 0)
    identity = tokens.identity(Identity("a@b.example"), 9)

    with pytest.raises(BadIdentity, match="forged"):
        tokens.open_identity("oi1." + session.removeprefix("oc1."), 0)
    with pytest.raises(BadToken, match="forged"):
        tokens.open_session("oc1." + identity.removeprefix("oi1."), 0)


def test_an_identity_token_for_another_service_is_refused() -> None:
    class Elsewhere(Tokens):
        AUDIENCE = "another-service"

    token = Elsewhere([NEW], YEAR).identity(Identity("a@b.example"), 9)

    with pytest.raises(BadIdentity, match="forged"):
        Tokens([NEW], YEAR).open_identity(token, 0)


@pytest.mark.parametrize(
    ("email", "ei", "max_age", "field"),
    [
        (None, None, 300, "email"),
        (" ", None, 300, "email"),
        ("no address", None, 300, "email"),
        ("a\0@b.example", None, 300, "email"),
        ("a\ud800@b.example", None, 300, "email"),
        (5, None, 300, "email"),
        (None, "x" * 256, 300, "ei"),
        (None, "a\0b", 300, "ei"),
        (None, "a\ud800", 300, "ei"),
        (None, 2**53, 300, "ei"),
        (None, -(2**53), 300, "ei"),
        (None, 10**100, 300, "ei"),
        (None, True, 300, "ei"),
        (None, 1.5, 300, "ei"),
        ("a@b.example", "a\0b", 300, "ei"),
        ("a@b.example", None, 0, "max_age"),
        ("a@b.example", None, 86_401, "max_age"),
    ],
)
def test_the_host_is_told_what_cannot_be_signed(
    email: Any, ei: Any, max_age: int, field: str
) -> None:
    with open_backends("memory:") as backends:
        capture = Capture(backends=backends, settings=Settings(secret_keys=["x" * 32]))
        with pytest.raises(ConfigurationError) as wrong:
            capture.sign_identity(email, ei=ei, max_age=max_age)

    assert wrong.value.field == field
    assert "give " in str(wrong.value), "it says what to do"


def test_what_can_be_signed_is_signed() -> None:
    assert Identity(ei="é").identifiers == (("ei", "é"),)
    assert Identity(ei=2**53 - 1).identifiers == (("ei", "9007199254740991"),)


PARTS = st.tuples(
    st.sampled_from(["person", "ip", "new"]),
    st.text("ab:/1", max_size=6),
    st.text("ab:/1", max_size=6),
)


@given(PARTS, PARTS)
def test_different_parts_never_share_a_counter(
    one: tuple[str, str, str], other: tuple[str, str, str]
) -> None:
    def bucket(secret: bytes, kind: str, activity_id: str, subject: str) -> bytes:
        return bucket_hasher(secret)(kind, activity_id)(subject)

    assert (bucket(NEW, *one) == bucket(NEW, *other)) == (one == other)
    assert bucket(NEW, *one) != bucket(OLD, *one)
    assert len(bucket(NEW, *one)) == 16


def test_random_ids_are_safe_and_differ() -> None:
    ids = {random_id() for _ in range(1000)}

    assert len(ids) == 1000
    assert all(len(each) == 22 and each.replace("-", "").replace("_", "").isalnum() for each in ids)
