"""A middleware that no page needs, and that finds pages on which the snippet does not work.

The law of this file: the headers of a page are known when its answer leaves, and not before; so
this stands first among the host's middleware. It changes nothing of a page that is sound.
"""

from __future__ import annotations

import logging

from django.conf import settings
from django.core import mail
from django.http import HttpRequest, HttpResponse
from django.utils.cache import patch_cache_control
from django.utils.deprecation import MiddlewareMixin

from ... import ConfigurationError
from ..policy import blocked, shared
from .visitors import SHOWN

_log = logging.getLogger("ortto_capture")


class SnippetPolicyMiddleware(MiddlewareMixin):  # type: ignore[misc]  # Django has no types
    """Refuses a page whose Content-Security-Policy blocks the snippet, or that caches may share.

    With ``DEBUG`` and in tests that is a ``ConfigurationError``; in production it is logged once,
    and caches are told to keep the page for its visitor alone.
    """

    def __init__(self, get_response: object) -> None:
        super().__init__(get_response)
        self._said: set[str] = set()

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        """Compare what the page shows with what its headers say."""
        html = request.META.get(SHOWN)
        if html is None:
            return response
        headers = response.headers
        fault = blocked([headers.get("Content-Security-Policy", "")], html)
        leak = shared(headers.get("Cache-Control", ""), headers.get("Vary", ""), html)
        if leak:
            patch_cache_control(response, private=True)
        if (fault := fault or leak) is None:
            return response
        # Django's own mark of a process that runs tests.
        if settings.DEBUG or hasattr(mail, "outbox"):
            raise ConfigurationError("snippet", fault)
        if fault not in self._said:
            self._said.add(fault)
            # The pattern: the path itself a visitor may have written.
            _log.error(
                'the page of "%s": %s',
                request.resolver_match.route,
                fault,
                extra={"event": "snippet-blocked"},
            )
        return response
