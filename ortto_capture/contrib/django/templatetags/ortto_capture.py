"""The tag ``{% ortto_capture %}``, for the head of every page.

The law of this file: it finds the request, and refuses to render without one.
"""

from __future__ import annotations

from django import template

from .... import ConfigurationError
from ..visitors import snippet

register = template.Library()


def _tag(
    context: template.Context,
    key: str | None = None,
    *,
    identity: str | None = "token",
    inline: bool = True,
    nonce: object = None,
    endpoint: str | None = None,
) -> str:
    """Render :func:`~ortto_capture.contrib.django.snippet`; the arguments are the same."""
    request = context.get("request")
    if request is None:
        raise ConfigurationError(
            "request",
            "the template knows no request: render it with one, as django.shortcuts.render does, "
            "and have django.template.context_processors.request among the context processors",
        )
    return snippet(request, key, identity=identity, inline=inline, nonce=nonce, endpoint=endpoint)


register.simple_tag(_tag, takes_context=True, name="ortto_capture")
