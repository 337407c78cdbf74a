"""A middleware that no page needs, and that finds pages on which the snippet does not work.

The law of this file: the headers of a page are known when its answer leaves, and not before; so
this stands first among the host's middleware. It changes nothing of a page that is sound.
"""

from __future__ import annotations

from django.conf import settings
from django.core import mail
from django.http import HttpRequest, HttpResponse
from django.utils.deprecation import MiddlewareMixin

from ..policy import check_page
from .visitors import SHOWN


class SnippetPolicyMiddleware(MiddlewareMixin):  # type: ignore[misc]  # Django has no types
    """Refuses a page whose Content-Security-Policy blocks the snippet, or that caches may share.

    With ``DEBUG`` and in tests that is a ``ConfigurationError``; in production it is logged once,
    and caches are told to keep the page for its visitor alone.
    """

    def __init__(self, get_response: object) -> None:
        super().__init__(get_response)
        self._logged: set[str] = set()

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        """Compare what the page shows with what its headers say."""
        html = request.META.get(SHOWN)
        if html is None:
            return response
        headers = response.headers
        private = check_page(
            [html],
            [headers.get("Content-Security-Policy", "")],
            headers.get("Cache-Control", ""),
            headers.get("Vary", ""),
            # Django's own mark of a process that runs tests.
            refused=settings.DEBUG or hasattr(mail, "outbox"),
            # The pattern. There is none where Django shows its page for a 404.
            place=f'the page of "{getattr(request.resolver_match, "route", "")}"',
            logged=self._logged,
        )
        if private is not None:
            headers["Cache-Control"] = private
        return response
