"""Who: what a request says of a person, tokens, and the keys that visitors are counted by.

The law of this file: one person always comes out as one string, and nothing that a stranger can
write passes for proof. Signatures are ``itsdangerous``'; no cryptography is ours.
"""

from __future__ import annotations

import secrets
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b, sha256
from typing import Any, NamedTuple

from itsdangerous import BadData, Signer, URLSafeSerializer
from itsdangerous.encoding import base64_decode, base64_encode

from .addresses import normalise_address
from .errors import BadIdentity, BadToken, ConfigurationError, MalformedRequest
from .model import MAX_INTEGER, Assurance, Identifier

#: The longest external id, name or merge value, in characters (contract §3).
MAX_TEXT = 255
#: Both tokens are far shorter; longer ones are not worth checking.
MAX_TOKEN = 2_048
#: A page lives for minutes; a stolen identity token should not live for longer than a day.
MAX_IDENTITY_AGE = 86_400
#: Verified sessions remembered in each of two generations; about 300 bytes each.
REMEMBERED = 50_000

_UNSUPPORTED = frozenset({"cc", "fs", "link", "unsubscribe", "gdpr", "cw"})
_SUPPORTED = frozenset(
    {"key", "session", "identity", "gpc", "dropped", "v"}
    | {"email", "ei", "first", "last", "ac", "skipNonExisting"}
)


def random_id() -> str:
    """A fresh id: 128 random bits, as 22 characters that are safe in tokens and URLs."""
    return secrets.token_urlsafe(16)


class PersonFields(NamedTuple):
    """What ``track`` says of a person.

    They are looked up by ``lookup``, in that order; ``identifiers`` are what they may be given.
    """

    lookup: tuple[Identifier, ...]
    identifiers: tuple[Identifier, ...]
    first: str | None
    last: str | None
    skip_non_existing: bool
    identity: str | None
    notes: tuple[str, ...]


def person_fields(
    members: Mapping[str, Any], merge_keys: Sequence[str], prefix: str = ""
) -> PersonFields:
    """Read the members of ``track`` (contract §3 and §7).

    :param prefix: goes before ``field`` in errors, such as ``person.``.
    :raises MalformedRequest: for a value that cannot be what its name says; ``field`` names it.
    """
    get = members.get
    identifiers: dict[str, str] = {}
    if ei := _text(get("ei"), f"{prefix}ei", numbers=True):
        identifiers["ei"] = ei
    # Without a bound here: an address has its own, which counts after trimming.
    if email := _text(get("email"), f"{prefix}email", longest=sys.maxsize):
        address = normalise_address(email)
        if address is None:
            raise _unusable(field=f"{prefix}email")
        identifiers["email"] = address
    unknown = sorted(members.keys() - _SUPPORTED)
    notes = [f"ignored:{name if name in _UNSUPPORTED else 'other'}" for name in unknown]
    for kind, value in _merge_fields(get("ac"), f"{prefix}ac"):
        if kind not in merge_keys:
            notes.append("ignored:ac")
        elif text := _text(value, f"{prefix}ac", numbers=True):
            identifiers.setdefault(kind, text)
    skip = get("skipNonExisting")
    if not (type(skip) is bool or skip is None or skip == ""):
        raise _unusable(field=f"{prefix}skipNonExisting")
    pairs = tuple(map(Identifier._make, identifiers.items()))
    return PersonFields(
        pairs,
        pairs,
        _text(get("first"), f"{prefix}first"),
        _text(get("last"), f"{prefix}last"),
        skip is True,
        _text(get("identity"), f"{prefix}identity", longest=sys.maxsize),
        tuple(dict.fromkeys(notes)),
    )


def _unusable(*, field: str) -> MalformedRequest:
    return MalformedRequest(f"{field} is not usable", field=field)


def _text(value: Any, field: str, *, numbers: bool = False, longest: int = MAX_TEXT) -> str | None:
    """``value`` as text; null, blank and white space count as absent."""
    if value is None:
        return None
    if numbers and type(value) is int:
        value = str(value)
    if type(value) is not str or len(value) > longest:
        raise _unusable(field=field)
    return value if value.strip() else None


def _merge_fields(value: Any, field: str) -> Iterator[tuple[str, Any]]:
    """The pairs of ``[{"fi": kind, "v": value}, …]``; null and blank count as absent."""
    if value is None or value == "":
        return
    if type(value) is not list:
        raise _unusable(field=field)
    for each in value:
        if type(each) is not dict or type(each.get("fi")) is not str:
            raise _unusable(field=field)
        yield each["fi"], each.get("v")


class Session(NamedTuple):
    """What a session token says; ``issued_at`` is epoch seconds."""

    person_id: str
    assurance: Assurance
    issued_at: int


class Tokens:
    """Makes and opens the two kinds of token.

    A session token is ``oc1.<person id>.<c or v>.<issued, hex>.<signature>``; an identity token is
    ``oi1.`` and a signed, URL-safe serialisation of ``{"aud", "exp", "email", "ei"}``.

    :param secret_keys: newest first; tokens of the older ones still open.
    :param session_seconds: how long a session token is good for.
    """

    SESSION = "oc1."
    IDENTITY = "oi1."
    AUDIENCE = "ortto-capture"
    OPERATOR = "ortto-capture operator"

    def __init__(self, secret_keys: Sequence[bytes], session_seconds: int) -> None:
        oldest_first = list(reversed(secret_keys))
        self._session_seconds = session_seconds
        self._signer = _signer(oldest_first, b"ortto-capture session")
        self._serializer = URLSafeSerializer(
            oldest_first,
            salt=b"ortto-capture identity",
            signer=Signer,
            signer_kwargs={"key_derivation": "hmac", "digest_method": sha256},
        )
        self._recent: dict[str, Session] = {}
        self._older: dict[str, Session] = {}

    def session(self, person_id: str, assurance: Assurance, now: float) -> str:
        """Make a session token."""
        return self._signer.sign(
            f"{self.SESSION}{person_id}.{assurance[0]}.{int(now):x}".encode()
        ).decode()

    def open_session(self, token: str, now: float) -> Session:
        """Read a session token.

        :raises BadToken: ``reason`` is ``forged`` or ``expired``.
        """
        session = self._recent.get(token) or self._older.get(token)
        if session is None:
            session = self._verify(token)
            if len(self._recent) >= REMEMBERED:
                self._older, self._recent = self._recent, {}
            self._recent[token] = session
        if now - session.issued_at > self._session_seconds:
            raise BadToken("expired")
        return session

    def remembered(self) -> int:
        """How many verified sessions are remembered."""
        return len(self._recent) + len(self._older)

    def _verify(self, token: str) -> Session:
        try:
            if not token.startswith(self.SESSION) or len(token) > MAX_TOKEN:
                raise BadToken("forged")
            signed = token.encode()
            value = self._signer.unsign(signed)
            if not _canonical(signed):
                raise BadToken("forged")
            person_id, assurance, issued = value[len(self.SESSION) :].decode().rsplit(".", 2)
            return Session(
                person_id, "verified" if assurance == "v" else "claimed", int(issued, 16)
            )
        except (BadData, UnicodeError):
            raise BadToken("forged") from None

    def operator(self, expires_at: float) -> str:
        """Make a token that proves nothing but that its maker has the key."""
        return self._serializer.dumps({"aud": self.OPERATOR, "exp": int(expires_at)})

    def is_operator(self, token: str, now: float) -> bool:
        """Tell whether this is such a token, and still good."""
        try:
            payload = self._serializer.loads(token) if len(token) <= MAX_TOKEN else {}
        except (BadData, UnicodeError):
            return False
        ours = payload.get("aud") == self.OPERATOR and _canonical(token.encode())
        return bool(ours and now < payload["exp"])

    def identity(self, identity: Identity, expires_at: float) -> str:
        """Make an identity token."""
        payload = {"aud": self.AUDIENCE, "exp": int(expires_at), **dict(identity.identifiers)}
        return self.IDENTITY + self._serializer.dumps(payload)

    def open_identity(self, token: str, now: float) -> tuple[Identifier, ...]:
        """Read an identity token: identifiers the host vouches for, in lookup order.

        :raises BadIdentity: ``reason`` is ``forged`` or ``expired``.
        """
        try:
            if not token.startswith(self.IDENTITY) or len(token) > MAX_TOKEN:
                raise BadIdentity("forged")
            signed = token[len(self.IDENTITY) :]
            payload = self._serializer.loads(signed)
        except (BadData, UnicodeError):
            raise BadIdentity("forged") from None
        if not _canonical(signed.encode()) or payload["aud"] != self.AUDIENCE:
            raise BadIdentity("forged")
        if now >= payload["exp"]:
            raise BadIdentity("expired")
        return tuple(Identifier(kind, payload[kind]) for kind in ("ei", "email") if kind in payload)


def _signer(oldest_first: list[bytes], salt: bytes) -> Signer:
    """A signer whose keys are derived now rather than at every signature."""
    derived = [
        Signer(key, salt=salt, key_derivation="hmac", digest_method=sha256).derive_key()
        for key in oldest_first
    ]
    return Signer(derived, key_derivation="none", digest_method=sha256)


def _canonical(signed: bytes) -> bool:
    """Tell whether a good signature is spelt as we would spell it.

    Base64 of 32 bytes leaves two bits over, so that four spellings decode alike.
    """
    signature = signed.rpartition(b".")[2]
    return base64_encode(base64_decode(signature)) == signature


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a visitor is, on the host's own word: say only what the host has verified.

    :param email: the address, as people write it.
    :param ei: the external id, when the host knows people by one.
    :raises ConfigurationError: when both are blank, or one is nothing that a request could carry.
    """

    email: str | None = None
    ei: str | int | None = field(default=None, kw_only=True)
    #: What is there, the external id first: the order in which people are looked up.
    identifiers: tuple[Identifier, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not _is_storable(self.ei):
            raise ConfigurationError("ei", _EI)
        try:
            fields = person_fields({"email": self.email, "ei": self.ei}, ())
        except MalformedRequest as error:
            expected = _EI if error.field == "ei" else 'give an address, such as "user@example.com"'
            raise ConfigurationError(str(error.field), expected) from None
        if not fields.identifiers:
            raise ConfigurationError("email", "give an e-mail address or an external id")
        object.__setattr__(self, "identifiers", fields.identifiers)


_EI = (
    f"give text of at most {MAX_TEXT} characters, without NUL and lone surrogates, "
    f"or a whole number of at most {MAX_INTEGER}"
)


def _is_storable(ei: str | int | None) -> bool:
    if isinstance(ei, int):
        return -MAX_INTEGER <= ei <= MAX_INTEGER
    try:
        return "\0" not in str(ei) and bool(str(ei).encode())
    except UnicodeEncodeError:
        return False


def bucket_hasher(secret: bytes) -> Callable[[str, str], Callable[[str], bytes]]:
    """Make what makes, of a kind and an activity id, the function from a subject to a key.

    A keyed hash over length-prefixed parts: different parts never meet in one key, and a key does
    not tell whose it is. In two steps, because the first half is the same for all visitors.
    """
    keyed = blake2b(digest_size=16, key=sha256(b"ortto-capture buckets" + secret).digest())

    def buckets(kind: str, activity_id: str) -> Callable[[str], bytes]:
        prefix = keyed.copy()
        prefix.update(f"{len(kind)}:{kind}{len(activity_id)}:{activity_id}".encode())

        def bucket(subject: str) -> bytes:
            state = prefix.copy()
            state.update(subject.encode())
            return state.digest()

        return bucket

    return buckets
