"""The visitor whom a view serves: what the account is told of them, alike in all frameworks.

The law of this file: no framework is imported. Who is signed in comes before the client's cookie,
and an answer of the host's function that names no person is no reason to fail.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict

from .. import Capture, Identity, Settings

#: The client's cookie, and how our session tokens begin: Ortto's own cookie has the same name.
_COOKIE, _SESSION = "ap3c", "oc1."


class Whom(TypedDict, total=False):
    """Whom ``Capture.record_for`` records for."""

    email: str | None
    ei: str | int | None
    session: str | None


def whom(who: Identity | None, cookies: Mapping[str, str]) -> Whom:
    """Who is signed in, else whom the client's cookie names."""
    if who is not None:
        return {"email": who.email, "ei": who.ei}
    token = cookies.get(_COOKIE, "")
    return {"session": token if token.startswith(_SESSION) else None}


def token_of(who: Identity | None, capture: Capture) -> str | None:
    """What a snippet tells the client of who is signed in; good for five minutes."""
    return capture.sign_identity(who.email, ei=who.ei) if who is not None else None


def key_of(settings: Settings) -> str:
    """The capture key of the host's own pages where none was chosen."""
    return next(iter(settings.sources), "site")
