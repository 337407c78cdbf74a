"""A guard for an activity page whose server has no accounts: a token, made when it starts.

The law of this file: the token stands behind the # of a link that the server prints. No browser
sends that part, so no proxy and no log gets it; the page keeps it for its tab and sends it with
each question for data.
"""

from __future__ import annotations

from hmac import compare_digest
from secrets import token_urlsafe
from typing import TYPE_CHECKING

from .api import FILES

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment


class TokenGuard:
    """Lets in requests that carry the token; the page's own files hold no data and need none."""

    def __init__(self) -> None:
        token = token_urlsafe(32)
        #: What the link to the page ends with.
        self.fragment = f"#token={token}"
        self._expected = f"Bearer {token}".encode()

    def __call__(self, environ: WSGIEnvironment) -> bool:
        """Say whether this request may be answered."""
        given = environ.get("HTTP_AUTHORIZATION", "").encode("latin-1")
        return environ["PATH_INFO"] in ("", *FILES) or compare_digest(given, self._expected)
