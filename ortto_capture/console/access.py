"""Who may see the console, and what they may do there.

The law of this file: a request is let in by a bearer token or by the host's guard, and never by a
cookie of ours or a part of its address. What lets a request in by itself, as a cookie of the host
does, counts only from the console's own origin. A wrong token costs a charge of a limit.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, TypeAlias

from ..capture import Capture
from ..errors import ConfigurationError
from ..identity import Identity
from ..model import Charge, Quota
from ..origin import is_same_origin
from .masks import masked_address, readable
from .routes import SCOPES, Problem, Visitor, not_found
from .tokens import PREFIX, TokenGuard, bearer, bearer_of

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

    #: What a guard says: yes with all scopes, with these scopes, no, or what answers in its place.
    Said: TypeAlias = bool | Collection[str] | WSGIApplication | None
    Guard: TypeAlias = Callable[[WSGIEnvironment], Said]

#: Wrong tokens that one address may send: enough for a page or two that hold an old one.
WRONG_TOKENS = Quota(10, 60)
#: The names of a token's holder, and of those whom a guard lets in, in the records of writes.
LINK, HOST = "the printed link", "the host"


class Access:
    """Lets requests in.

    :param guard: of the host; None for stored tokens alone.
    :param address: tells by which address a visitor is counted.
    :param signed_in: tells who is signed in at the host.
    """

    def __init__(
        self,
        capture: Capture,
        guard: Guard | None,
        address: Callable[[WSGIEnvironment], str],
        signed_in: Callable[[WSGIEnvironment], Identity | None],
    ) -> None:
        self._capture = capture
        self._guard = guard
        self._address = address
        self._signed_in = signed_in
        # Its files hold no data, and a link has to open the page before it can hand the token over.
        self._open_files = guard is None or isinstance(guard, TokenGuard)

    def to_files(self, environ: WSGIEnvironment) -> WSGIApplication | None:
        """Let a request have the console's files.

        :returns: None, or what answers in their place: a login page.
        :raises Problem: when it may not.
        """
        said = None if self._open_files else self._asked(environ)
        if callable(said):
            return said
        mode, site = (environ.get(f"HTTP_SEC_FETCH_{each}") for each in ("MODE", "SITE"))
        # A link on another site leads here; its page may not frame it, and gets nothing of it.
        if mode != "navigate" and site not in (None, "none", "same-origin"):
            raise _cross_site()
        return None

    def to_data(self, environ: WSGIEnvironment) -> Visitor:
        """Let a request have data.

        :raises Problem: when it may not.
        """
        visitor = self._visitor(environ)
        if environ.get("HTTP_SEC_FETCH_SITE", "none") not in ("none", "same-origin"):
            raise _cross_site()
        return visitor

    def named(self, visitor: Visitor, environ: WSGIEnvironment) -> Visitor:
        """The same visitor as the records of writes name them: which of the host's own it is.

        Asked only of requests that may be recorded, because a host may look it up in a database.
        """
        who = None if visitor.by_token else self._signed_in(environ)
        if who is None:
            return visitor
        name = f"user {who.ei}" if who.ei is not None else masked_address(readable(who.email or ""))
        return visitor._replace(who=name)

    def to_write(self, environ: WSGIEnvironment, visitor: Visitor) -> None:
        """Let a request of this visitor change something.

        :raises Problem: when another site may have made the visitor's browser send it.
        """
        told = "HTTP_SEC_FETCH_SITE" in environ or "HTTP_ORIGIN" in environ
        # A program has a token and says neither. What a browser sends along by itself proves
        # nothing without one of them.
        if (told or not visitor.by_token) and not is_same_origin(environ):
            raise _cross_site()
        media_type = environ.get("CONTENT_TYPE", "").partition(";")[0].strip().lower()
        if environ["REQUEST_METHOD"] != "DELETE" and media_type != "application/json":
            raise Problem(
                415, "unsupported-media-type", "send JSON", expected="Content-Type application/json"
            )

    def _visitor(self, environ: WSGIEnvironment) -> Visitor:
        given = bearer(environ)
        # A bearer token that is not like ours may be the host's own, which its guard knows.
        if given is not None and (given.startswith(PREFIX) or self._open_files):
            return self._bearer(given, environ)
        if self._open_files:
            raise Problem(
                401,
                "token-needed",
                "a token is needed: make one with ortto-capture token new",
                headers=_CHALLENGE,
            )
        scopes = self._asked(environ)
        if callable(scopes):
            # A program that asks for data could make nothing of a login page.
            raise Problem(401, "signed-out", "sign in again")
        return Visitor(HOST, scopes, by_token=False)

    def _asked(self, environ: WSGIEnvironment) -> frozenset[str] | WSGIApplication:
        """What the host's guard says.

        :raises Problem: when it says no.
        """
        said = self._guard(environ) if self._guard is not None else None
        if said is None or said is False:
            raise not_found()
        if said is True:
            return frozenset(SCOPES)
        if callable(said):
            return said
        if isinstance(said, list | tuple | set | frozenset):
            if not said:
                raise not_found()
            if all(each in SCOPES for each in said):
                return frozenset(said)
        # True by accident, such as a coroutine or a text.
        kind = type(said).__name__
        raise ConfigurationError(
            "console_guard",
            f"{kind} is no bool, no WSGI app and no list of {', '.join(SCOPES)}",
        )

    def _bearer(self, given: str, environ: WSGIEnvironment) -> Visitor:
        if isinstance(self._guard, TokenGuard) and self._guard.holds(given):
            return Visitor(LINK, frozenset(SCOPES), by_token=True)
        token = bearer_of(self._capture.backends.documents, given)
        if token is not None:
            # Whatever others at this address have tried: an office shares one.
            return Visitor(f"token {token.name}", token.scopes, by_token=True)
        intake, now = self._capture.intake, self._capture.clock()
        key = intake.bucket("wrong-token", self._address(environ))
        full = intake.backends.limiter.acquire([Charge(key, WRONG_TOKENS)], now)
        if full is not None:
            wait = {"Retry-After": str(full.retry_after)}
            raise Problem(
                429, "rate-limit", "too many wrong tokens; try again shortly", headers=wait
            )
        raise Problem(401, "bad-token", "this token is not known", headers=_CHALLENGE)


#: Without it a 401 is none, by RFC 9110; no browser asks for a token by itself.
_CHALLENGE = {"WWW-Authenticate": "Bearer"}


def _cross_site() -> Problem:
    return Problem(403, "cross-site", "open this page on its own")
