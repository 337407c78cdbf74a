"""Where the URL conf has put the capture routes.

The law of this file: the path is written once, in the host's URL conf, and read from there.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from django.urls import URLPattern, URLResolver, get_resolver, get_urlconf, reverse

from ... import ConfigurationError

#: The module to include.
URLS = f"{__package__}.urls"
NAME = "ortto_capture"


def place() -> str:
    """The path of the mount as browsers see it, with the prefix and the language of this request.

    :raises ConfigurationError: when the URL conf includes the routes not at all, or twice.
    """
    found = names(get_resolver(get_urlconf()))
    if len(found) != 1:
        raise ConfigurationError("urls", mistake(len(found)))
    path: str = reverse(found[0], kwargs={"path": ""})
    return path


def mistake(times: int) -> str:
    """What is wrong with a URL conf that includes the routes so many times."""
    if times:
        return f"the URL conf includes {URLS} {times} times; leave one"
    return f'the URL conf does not include the routes: path("capture/", include("{URLS}"))'


@lru_cache(maxsize=16)
def names(resolver: URLResolver) -> tuple[str, ...]:
    """The name of each place where a URL conf includes the routes, namespaces in front."""
    return tuple(_names(resolver, ""))


def _names(resolver: URLResolver, namespaces: str) -> Iterator[str]:
    for each in resolver.url_patterns:
        if isinstance(each, URLResolver):
            below = f"{namespaces}{each.namespace}:" if each.namespace else namespaces
            yield from _names(each, below)
        elif isinstance(each, URLPattern) and each.name == NAME:
            yield namespaces + NAME
