"""Where the URL conf has put the capture routes.

The law of this file: the path is written once, in the host's URL conf, and read from there.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from django.urls import (
    LocalePrefixPattern,
    URLPattern,
    URLResolver,
    get_resolver,
    get_urlconf,
    reverse,
)

from ... import ConfigurationError

#: The module to include.
URLS = f"{__package__}.urls"
NAME = "ortto_capture"


class Included(NamedTuple):
    """One place where a URL conf includes the routes."""

    #: What ``reverse`` knows it by, namespaces in front.
    name: str = NAME
    #: The patterns above it that take parameters from the path.
    parameters: tuple[str, ...] = ()
    #: Whether it is another path in each language.
    by_language: bool = False


def place() -> str:
    """The path of the mount as browsers see it, with the prefix and the language of this request.

    :raises ConfigurationError: when the URL conf includes the routes not at all, or twice, or at no
        fixed path.
    """
    found = included(get_resolver(get_urlconf()))
    if (wrong := mistake(found)) is not None:
        raise ConfigurationError("urls", wrong)
    path: str = reverse(found[0].name, kwargs={"path": ""})
    return path


def mistake(found: tuple[Included, ...]) -> str | None:
    """What is wrong with a URL conf that includes the routes in these places."""
    if not found:
        return f'the URL conf does not include the routes: path("capture/", include("{URLS}"))'
    if len(found) > 1:
        return f"the URL conf includes {URLS} {len(found)} times; leave one"
    return not_fixed(", ".join(found[0].parameters)) if found[0].parameters else None


def not_fixed(parameters: str) -> str:
    """What is wrong with a place below patterns that take these parameters."""
    return f"the routes are below {parameters}: include {URLS} at a path without parameters"


@lru_cache(maxsize=16)
def included(resolver: URLResolver) -> tuple[Included, ...]:
    """Each place where a URL conf includes the routes."""
    return tuple(_included(resolver, Included()))


def _included(resolver: URLResolver, above: Included) -> Iterator[Included]:
    for each in resolver.url_patterns:
        if isinstance(each, URLResolver):
            namespace = f"{each.namespace}:" if each.namespace else ""
            taken = (str(each.pattern),) if each.pattern.regex.groups else ()
            below = Included(
                above.name.removesuffix(NAME) + namespace + NAME,
                above.parameters + taken,
                above.by_language or isinstance(each.pattern, LocalePrefixPattern),
            )
            yield from _included(each, below)
        elif isinstance(each, URLPattern) and each.name == NAME:
            yield above
