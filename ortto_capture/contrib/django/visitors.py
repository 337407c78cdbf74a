"""What a view or a template says of the visitor it serves.

The law of this file: who the visitor is, the host's function ``USER_IDENTITY`` says; the cookie of
the browser client is asked when that says nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from asgiref.sync import sync_to_async
from django.core.exceptions import SynchronousOnlyOperation
from django.http import HttpRequest

from ... import ActivityType, Captured, Identity
from ...errors import CaptureError
from ..visitors import token_of, whom
from .account import account
from .place import place

#: Where a request's ``META`` holds the snippet that its page shows.
SHOWN = "ortto_capture.snippet"


def user_pk(request: HttpRequest) -> Identity | None:
    """Who is signed in, by primary key as external id; None for visitors who are not.

    The default of ``USER_IDENTITY``. The e-mail address is left out: Django does not confirm the
    addresses that users give, and a visitor could register with the address of another person.
    """
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return None
    return Identity(ei=str(user.pk))


def user_pk_and_email(request: HttpRequest) -> Identity | None:
    """Who is signed in, by primary key and e-mail address.

    For projects that confirm each address before they store it on the user.
    """
    identity = user_pk(request)
    if identity is None:
        return None
    email = getattr(request.user, request.user.get_email_field_name(), None)
    try:
        return Identity(email or None, ei=identity.ei)
    except CaptureError:  # what the database has is no address
        return identity


def record(
    request: HttpRequest,
    activity_id: str | ActivityType,
    attributes: Mapping[str, Any] | None = None,
    *,
    event_id: str | None = None,
    at: datetime | float | None = None,
    on_refused: Literal["raise", "log"] = "log",
) -> Captured | None:
    """Record what this visitor did, as the host's own word.

    The person is who is signed in, else whom the visitor's own session names. A refusal or a fault
    of the storage is logged, because neither may break a checkout; None is returned then.

    :param activity_id: the id, or an ``ActivityType`` with its attributes.
    :param event_id: makes a repetition harmless, an order number for example.
    :param at: when it happened, now by default.
    :param on_refused: ``"raise"`` raises what was wrong, as ``Capture.record_for`` does.
    """
    found = account()
    return found.app.capture.record_for(
        activity_id,
        attributes,
        **whom(found.identity(request), request.COOKIES),
        event_id=event_id,
        at=at,
        on_refused=on_refused,
    )


async def arecord(
    request: HttpRequest,
    activity_id: str | ActivityType,
    attributes: Mapping[str, Any] | None = None,
    *,
    event_id: str | None = None,
    at: datetime | float | None = None,
    on_refused: Literal["raise", "log"] = "log",
) -> Captured | None:
    """:func:`record` in an ``async`` view, in a thread, where the user may be looked up."""
    recorded: Captured | None = await sync_to_async(record)(
        request, activity_id, attributes, event_id=event_id, at=at, on_refused=on_refused
    )
    return recorded


def snippet(
    request: HttpRequest,
    key: str | None = None,
    *,
    identity: str | None = "token",
    inline: bool = True,
    nonce: object = None,
    endpoint: str | None = None,
) -> str:
    """The HTML for a page's head; what the tag ``{% ortto_capture %}`` renders.

    :param request: tells the nonce, the prefix and who is signed in.
    :param key: the capture key; by default the one that the setting names.
    :param identity: ``"token"`` puts in who is signed in, by a token that is good for five minutes;
        ``"host"`` has the browser ask, which keeps the page the same for all visitors; None says
        nothing. Where an async view may not look the user up, the browser asks as well.
    :param inline: False for policies without nonces.
    :param nonce: by default that of the request.
    :param endpoint: by default where the URL conf includes ``ortto_capture.contrib.django.urls``.
    :raises ConfigurationError: when the page could not report anything.
    """
    found = account()
    app = found.app
    if identity == "token":
        identity = _token(request)
    if identity not in (None, "host"):
        # cache_page stands inside of SessionMiddleware and sees no Vary: Cookie. Django REST
        # framework has a request of its own around Django's.
        getattr(request, "_request", request)._cache_update_cache = False  # noqa: SLF001  # the only way; see FetchFromCacheMiddleware
    html = app.snippet(
        key or found.key,
        nonce,
        place() if endpoint is None else endpoint,
        request=request,
        inline=inline,
        identity=identity,
    )
    request.META[SHOWN] = html
    return html


def _token(request: HttpRequest) -> str | None:
    """What tells the client who is signed in."""
    found = account()
    try:
        return token_of(found.identity(request), found.app.capture)
    except SynchronousOnlyOperation:
        return "host"
