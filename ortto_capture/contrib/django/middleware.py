"""A middleware that no page needs, and that finds pages which report nothing.

The law of this file: the policy of a page is known when its answer leaves, and not before; so this
stands first among the host's middleware, and changes no answer.
"""

from __future__ import annotations

import logging

from django.conf import settings
from django.core import mail
from django.http import HttpRequest, HttpResponse
from django.utils.deprecation import MiddlewareMixin

from ... import ConfigurationError
from ..policy import blocked
from .visitors import SHOWN

_log = logging.getLogger("ortto_capture")


class SnippetPolicyMiddleware(MiddlewareMixin):  # type: ignore[misc]  # Django has no types
    """Refuses a page whose Content-Security-Policy blocks the snippet that it shows.

    With ``DEBUG`` and in tests that is a ``ConfigurationError``; in production it is logged once.
    """

    def __init__(self, get_response: object) -> None:
        super().__init__(get_response)
        self._said: set[str] = set()

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        """Compare what the page shows with what its policy allows."""
        policy = response.headers.get("Content-Security-Policy")
        html = request.META.get(SHOWN)
        if policy is None or html is None or (fault := blocked([policy], html)) is None:
            return response
        # Django's own mark of a process that runs tests.
        if settings.DEBUG or hasattr(mail, "outbox"):
            raise ConfigurationError("snippet", fault)
        if fault not in self._said:
            self._said.add(fault)
            # The pattern: the path itself a visitor may have written.
            _log.error(
                'the page of "%s" reports nothing: %s',
                request.resolver_match.route,
                fault,
                extra={"event": "snippet-blocked"},
            )
        return response
