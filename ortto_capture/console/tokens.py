"""Bearer tokens: those that are stored, and the one that ``serve`` and ``demo`` make.

The law of this file: a token is 32 random bytes, so that guessing is hopeless and a plain hash
keeps it; what is stored does not let a reader in. Tokens are compared in constant time. A printed
token stands behind the # of a link: no browser sends that part, so no proxy and no log gets it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from hmac import compare_digest
from secrets import token_urlsafe
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import ConfigurationError
from ..ports import Documents
from .routes import SCOPES

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

#: What every token of ours begins with, so that it is told from a host's own bearer tokens.
PREFIX = "oct_"
#: The kind of the documents; the name of one is the token's.
KIND = "token"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._@-]{0,63}")


class Token(NamedTuple):
    """A stored token: all but the token itself. ``created_at`` is ISO 8601, UTC."""

    name: str
    scopes: frozenset[str]
    created_at: str
    hash: str


def new(documents: Documents, name: str, scopes: Collection[str], now: float) -> str:
    """Make and store a token, and return it; it cannot be read again.

    :param name: whose it is: up to 64 letters, digits, blanks and ``. _ @ -``.
    :param scopes: of ``read``, ``write``, ``erase``, ``pii``; at least one.
    :param now: epoch seconds.
    :raises ConfigurationError: for another name or scope, or a name that is taken.
    """
    if _NAME.fullmatch(name) is None:
        raise ConfigurationError(
            "name", f"{name!r} is not up to 64 letters, digits, blanks and . _ @ -"
        )
    if not scopes or not set(scopes) <= set(SCOPES):
        raise ConfigurationError("scope", f"choose of {', '.join(SCOPES)}")
    token = PREFIX + token_urlsafe(32)
    value = {
        "hash": _hash(token),
        "scopes": [each for each in SCOPES if each in scopes],
        "created_at": datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds"),
    }
    if documents.put(KIND, name, value, version=0) is None:
        raise ConfigurationError("name", f"there is a token {name!r}; remove it, or choose another")
    return token


def stored(documents: Documents | None) -> list[Token]:
    """Return the stored tokens by name, without what was made unreadable by hand."""
    found = documents.all(KIND) if documents is not None else ()
    return [made for each in found if (made := _read(each.name, each.value)) is not None]


def bearer_of(documents: Documents | None, given: str) -> Token | None:
    """Return the stored token that ``given`` is, or None; every stored one is compared with."""
    hashed = _hash(given)
    matching = [each for each in stored(documents) if compare_digest(each.hash, hashed)]
    return matching[0] if matching else None


def _hash(token: str) -> str:
    return sha256(token.encode(errors="surrogateescape")).hexdigest()


def _read(name: str, value: Any) -> Token | None:
    if not isinstance(value, Mapping):
        return None
    scopes, hashed = value.get("scopes"), value.get("hash")
    if not isinstance(scopes, list) or not isinstance(hashed, str) or not hashed.isascii():
        return None
    kept = frozenset(each for each in scopes if each in SCOPES)
    return Token(name, kept, str(value.get("created_at", "")), hashed)


class TokenGuard:
    """The guard of a server without accounts: it lets in who has its token, with all scopes."""

    def __init__(self) -> None:
        token = PREFIX + token_urlsafe(32)
        #: What the link to the page ends with.
        self.fragment = f"#token={token}"
        self._token = token.encode()

    def holds(self, given: str) -> bool:
        """Tell whether this is the token."""
        return compare_digest(given.encode(errors="surrogateescape"), self._token)

    def __call__(self, environ: WSGIEnvironment) -> bool:
        """Tell whether a request carries it."""
        return self.holds(bearer(environ) or "")


def bearer(environ: WSGIEnvironment) -> str | None:
    """Return what stands behind ``Bearer`` in a request's ``Authorization``; None without that."""
    scheme, _, given = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    return given.strip() if scheme.lower() == "bearer" else None
